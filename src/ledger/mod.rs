//! Floor 1: the durable history. Firings, runs, outcomes, avoided costs, holds, mails to send. The only module that
//! knows the database.
//!
//! SQLite in WAL mode with full sync: what [`Ledger::write`] has returned is on the disk. A claim is an `INSERT` that
//! a unique key allows once; result and mails of a run are one transaction. Everything goes through [`Tx`], whose
//! methods live beside their tables: [`runs`], [`rows`], [`holds`], [`outbox`], [`cursors`]. [`backup`] copies it beside
//! a running daemon, [`restore`] puts a copy in its place, [`verify`] says whether a file is whole. [`place`] looks at the
//! directory before anything in it is believed, and at each transaction whether the file is still where it was.

pub mod announced;
pub mod backup;
pub(crate) mod chores;
pub mod clock;
mod columns;
pub mod cursors;
mod earlier;
pub mod error;
mod file;
pub(crate) mod gauges;
mod handle;
mod history;
pub mod holds;
pub mod in_force;
pub mod left_out;
pub mod lock;
mod migrations;
pub mod outbox;
pub(crate) mod overview;
pub mod place;
#[cfg(test)]
mod query_plans;
mod reasons;
pub mod restore;
pub(crate) mod row_columns;
mod rows;
pub mod runs;
mod sentences;
pub mod settlements;
pub(crate) mod sums;
pub mod traces;
pub mod tries;
mod tx;
mod values;
pub mod verify;

pub use error::LedgerError;
pub use file::FILE;
pub use handle::Ledger;
pub use tx::Tx;
