//! Long reads, on a connection of their own.
//!
//! Everything else goes over one connection behind a lock, and whoever reads for seconds there keeps the heartbeat
//! waiting. SQLite's write-ahead log lets readers go on beside a writer, so that what reads a year of runs opens the file
//! once more: it sees one state of it from beginning to end, however often it reads it, and nobody waits for it. The price
//! is that the log is not folded back into the file before the reader has ended, and grows by what is written meanwhile.

use rusqlite::TransactionBehavior;

use crate::ledger::error::LedgerError;
use crate::ledger::{Access, Ledger, Tx, connect};

impl Ledger {
    /// Runs `work` on one consistent state and beside everything else, for as long as it takes.
    pub async fn read_apart<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        let path = self.inner.path.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut connection = connect(&path, Access::Read)?;
            let tx = Tx(connection.transaction_with_behavior(TransactionBehavior::Deferred)?);
            work(&tx).map_err(|error| error.of_file(&path))
        });
        reading.await.map_err(|_| LedgerError::Aborted)?
    }
}
