//! What is tested from outside: the program is started, signalled and killed, and its output is read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by where it failed"
)]

mod cli;
mod process;
mod support;
