//! Whole runs, from a rule in a TOML file to what is in the ledger and in the mail, against the simulator and on
//! virtual time. What must never happen is judged by what the other side received: see [`invariants`], which every
//! stage is held to when it is taken down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by where it failed"
)]

mod agreement;
mod books;
mod clock_steps;
mod decisions;
mod facts;
mod faults;
mod fired;
mod fleets;
#[path = "../support/given.rs"]
mod given;
mod invariants;
mod notices;
mod observed;
mod old_lists;
mod oracle;
mod outages;
mod overlap;
mod quiet;
mod random;
mod recovery;
mod reports;
mod scenario;
mod settling;
mod stage;
mod stuck;
mod taken_away;
mod time;
mod year;
