//! When rules fire, against a reference that scans the wall clock minute by minute, and under every fault of time.
mod beats;
mod faults;
mod instants;
mod reference;
mod skips;
