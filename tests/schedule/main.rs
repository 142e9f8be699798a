//! When rules fire, against a reference that scans the wall clock minute by minute, and under every fault of time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod beats;
mod faults;
#[path = "../support/given.rs"]
mod given;
mod instants;
mod reference;
mod skips;
