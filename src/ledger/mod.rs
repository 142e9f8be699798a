//! Floor 1: the durable history. Firings, runs, outcomes, avoided costs, holds, mails to send. The only module that
//! knows the database.
//!
//! SQLite in WAL mode with full sync: what [`Ledger::write`] has returned is on the disk. A claim is an `INSERT` that
//! a unique key allows once; result and mails of a run are one transaction. Everything goes through [`Tx`], whose
//! methods live beside their tables: [`runs`], [`rows`], [`holds`], [`outbox`], [`cursors`].

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

pub mod announced;
pub mod cursors;
pub mod error;
pub mod holds;
pub mod lock;
pub mod outbox;
pub mod overview;
pub mod rows;
pub mod runs;
pub mod settlements;
pub mod traces;
mod values;

pub use error::LedgerError;

/// Name of the database in the state directory.
pub const FILE: &str = "ledger.sqlite3";
/// One script a version, never changed once released.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];
/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// A handle on the ledger; clones share one connection.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    access: Access,
    /// None after a failure that makes the connection untrustworthy; opened anew by the next use.
    connection: Mutex<Option<Connection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

/// An open transaction.
#[derive(Debug)]
pub struct Tx<'a>(Transaction<'a>);

impl Ledger {
    /// Opens the ledger in `directory`, making both where they are missing, and brings it to this version's format.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        prepare_directory(directory)?;
        let path = directory.join(FILE);
        let mut connection = connect(&path, Access::Write)?;
        migrate(&mut connection, &path)?;
        Ok(Self::new(path, Access::Write, connection))
    }

    /// Opens the ledger in `directory` for reading; none where there is no ledger yet.
    pub fn open_to_read(directory: &Path) -> Result<Option<Self>, LedgerError> {
        let path = directory.join(FILE);
        if !path.try_exists().map_err(|source| LedgerError::Directory { path: directory.to_owned(), source })? {
            return Ok(None);
        }
        let connection = connect(&path, Access::Read)?;
        let found = version(&connection, &path)?;
        if found != known_version() {
            return Err(LedgerError::Newer { path, found, known: known_version() });
        }
        Ok(Some(Self::new(path, Access::Read, connection)))
    }

    fn new(path: PathBuf, access: Access, connection: Connection) -> Self {
        Self { inner: Arc::new(Inner { path, access, connection: Mutex::new(Some(connection)) }) }
    }

    /// The directory it lives in.
    pub fn directory(&self) -> &Path {
        self.inner.path.parent().unwrap_or(Path::new("."))
    }

    /// Runs `work` in a transaction that is on the disk when this returns `Ok`, and has left no trace otherwise.
    pub async fn write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.on_thread(TransactionBehavior::Immediate, work).await
    }

    /// Runs `work` on one consistent state.
    pub async fn read<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        self.on_thread(TransactionBehavior::Deferred, work).await
    }

    async fn on_thread<T, W>(&self, behavior: TransactionBehavior, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.transact(behavior, work)).await.map_err(|_| LedgerError::Aborted)?
    }
}

impl Inner {
    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        // A panic inside `work` rolled its transaction back; the connection is as good as before.
        let mut guard = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match guard.take() {
            Some(connection) => connection,
            None => connect(&self.path, self.access)?,
        };
        let done = (|| {
            let tx = Tx(connection.transaction_with_behavior(behavior)?);
            let value = work(&tx)?;
            tx.0.commit()?;
            Ok(value)
        })();
        if !matches!(&done, Err(error) if LedgerError::distrusts_connection(error)) {
            *guard = Some(connection);
        }
        done
    }
}

fn prepare_directory(directory: &Path) -> Result<(), LedgerError> {
    let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    let mode = std::fs::metadata(directory).map_err(unusable)?.permissions().mode();
    if mode & 0o022 != 0 { Err(LedgerError::Exposed(directory.to_owned())) } else { Ok(()) }
}

fn connect(path: &Path, access: Access) -> Result<Connection, LedgerError> {
    let flags = match access {
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Access::Read => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let set_up = || {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        if access == Access::Read {
            connection.pragma_update(None, "query_only", true)?;
        } else {
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
        }
        Ok(connection)
    };
    set_up().map_err(|source| opening_failed(path, source))
}

/// Tells a damaged file from a directory that cannot be used.
fn opening_failed(path: &Path, source: rusqlite::Error) -> LedgerError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => LedgerError::Damaged { path: path.to_owned(), source },
        _ => LedgerError::Directory {
            path: path.parent().unwrap_or(path).to_owned(),
            source: std::io::Error::other(source),
        },
    }
}

fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn version(connection: &Connection, path: &Path) -> Result<i64, LedgerError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|source| opening_failed(path, source))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let failed = |source| opening_failed(path, source);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&tx, path)?;
    let done = usize::try_from(found).ok().filter(|done| *done <= MIGRATIONS.len());
    let Some(done) = done else {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known: known_version() });
    };
    for script in &MIGRATIONS[done..] {
        tx.execute_batch(script).map_err(failed)?;
    }
    if done < MIGRATIONS.len() {
        tx.pragma_update(None, "user_version", known_version()).map_err(failed)?;
    }
    tx.commit().map_err(failed)
}
