//! Floor 1: the durable history. Firings, runs, outcomes, avoided costs, holds, mails to send. The only module that
//! knows the database.
//!
//! SQLite in WAL mode with full sync: what [`Ledger::write`] has returned is on the disk. A claim is an `INSERT` that
//! a unique key allows once; result and mails of a run are one transaction. Everything goes through [`Tx`], whose
//! methods live beside their tables: [`runs`], [`rows`], [`holds`], [`outbox`], [`cursors`]. [`backup`] copies it beside
//! a running daemon, [`verify`] says whether a file is whole.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

pub mod announced;
pub mod backup;
pub mod cursors;
pub mod error;
pub mod holds;
pub mod lock;
mod named;
pub mod outbox;
pub mod overview;
pub mod rows;
pub mod runs;
pub mod settlements;
pub mod sums;
pub mod traces;
mod values;
pub mod verify;

pub use error::LedgerError;

/// Name of the database in the state directory.
pub const FILE: &str = "ledger.sqlite3";
/// One script a version, never changed once released.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema-2.sql")];
/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Statements kept prepared; there are fewer.
const STATEMENTS: usize = 64;
/// Pause before a new file is once more asked to keep a write-ahead log, while another process asks the same.
const PAUSE_BEFORE_WAL: Duration = Duration::from_millis(20);

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
        match version(&connection, &path)? {
            // Another process is about to make it.
            0 => Ok(None),
            found if found == known_version() => Ok(Some(Self::new(path, Access::Read, connection))),
            found => Err(LedgerError::Newer { path, found, known: known_version() }),
        }
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
        done.map_err(|error| error.of_file(&self.path))
    }
}

fn prepare_directory(directory: &Path) -> Result<(), LedgerError> {
    let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source };
    let is_new = !directory.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    let mode = std::fs::metadata(directory).map_err(unusable)?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(LedgerError::Exposed(directory.to_owned()));
    }
    // SQLite makes files that others can read where the umask lets it; its log takes after the database.
    let path = directory.join(FILE);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(_) => {
            // A file is only as durable as the entry that names it.
            sync_directory(directory).map_err(unusable)?;
            if is_new { directory.parent().map_or(Ok(()), sync_directory).map_err(unusable) } else { Ok(()) }
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unusable(error)),
    }
}

fn sync_directory(directory: &Path) -> std::io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory)?.sync_all()
}

fn connect(path: &Path, access: Access) -> Result<Connection, LedgerError> {
    let set_up = || {
        // `prepare_directory` has made the file; one that went away since is not made anew behind a daemon's back. A
        // reader opens it for writing too, because it has to take part in the log.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "foreign_keys", true)?;
        if access == Access::Read {
            connection.pragma_update(None, "query_only", true)?;
        } else {
            keep_log(&connection)?;
            connection.pragma_update(None, "synchronous", "full")?;
        }
        Ok(connection)
    };
    set_up().map_err(|source| opening_failed(path, source))
}

/// Asks for write-ahead logging. Two processes that ask a new file at once are told "busy" without having waited,
/// because each could wait for the other for ever.
fn keep_log(connection: &Connection) -> Result<(), rusqlite::Error> {
    let started = std::time::Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && started.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(PAUSE_BEFORE_WAL);
            }
            done => return done,
        }
    }
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
