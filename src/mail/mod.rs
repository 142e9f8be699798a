//! Floor 1: e-mail. Addresses, settings, rendered bytes, and one attempt to deliver them. The only module that knows
//! lettre.
//!
//! A mail is rendered once ([`message`]), for all who get it together, and the bytes are kept by whoever sends it: however
//! often it is tried, the same mail is sent. One attempt is one envelope with one recipient ([`transport`]), so
//! that a refused recipient costs nobody else their mail. When to try again is a pure question asked of the error
//! ([`retry`]).

mod delivery_error;
mod dial;
mod directory;
mod hello;
mod login_failure;
pub mod message;
mod receipt;
pub mod retry;
pub mod settings;
mod smtp;
mod starttls;
mod tls;
pub mod transport;
mod wire;
