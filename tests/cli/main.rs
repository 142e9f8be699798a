//! The command line as people see it: whole outputs, exit codes, and what must never be printed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by where it failed"
)]

#[path = "../process/bench.rs"]
mod bench;
mod checks;
mod exits;
#[path = "../support/given.rs"]
mod given;
mod holds;
mod inits;
mod ledger;
mod modes;
mod outputs;
mod rehearsals;
mod said;
mod secrets;
#[path = "../support/smtp.rs"]
mod smtp;
mod starttls;
mod terminal;
