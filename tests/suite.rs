//! What is tested inside of one process, in one target: each target would link the whole program once more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by where it failed"
)]

mod aicore;
mod config_faults;
mod domain;
mod faults;
mod ledger;
mod ledger_file;
mod ledger_golden;
mod ledger_restore;
mod ledger_settling;
mod mail_delivery;
mod mail_message;
mod monitoring;
mod outbox;
mod readme;
mod report_figures;
mod report_html;
mod report_snapshots;
mod report_support;
mod scenario;
mod schedule;
mod shipped_rules;
mod simulator;
mod support;
mod tidy;
