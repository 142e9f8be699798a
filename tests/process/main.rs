//! The daemon as a process: it fires, it is signalled, it is killed at the worst moment, its disk is full, and what the
//! tenant saw decides whether that was well done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by where it failed"
)]

mod bench;
mod bounds;
mod clock;
mod disks;
mod kills;
mod life;
mod loops;
mod mails;
mod order;
#[path = "../support/smtp.rs"]
mod smtp;
