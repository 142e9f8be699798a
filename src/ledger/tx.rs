//! An open transaction. Its methods live beside their tables.

use rusqlite::Transaction;

/// An open transaction.
#[derive(Debug)]
pub struct Tx<'a>(pub(super) Transaction<'a>);
