//! Floor 1: the durable history. Firings, runs, outcomes, avoided costs, holds, mails to send. The only module that
//! knows the database.
//!
//! SQLite in WAL mode with full sync: what [`Ledger::write`] has returned is on the disk. A claim is an `INSERT` that
//! a unique key allows once; result and mails of a run are one transaction. Everything goes through [`Tx`], whose
//! methods live beside their tables: [`runs`], [`rows`], [`holds`], [`outbox`], [`cursors`]. [`backup`] copies it beside
//! a running daemon, [`restore`] puts a copy in its place, [`verify`] says whether a file is whole. [`place`] looks at the
//! directory before anything in it is believed, and at each transaction whether the file is still where it was.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub mod announced;
pub mod backup;
pub mod chores;
pub mod clock;
mod columns;
pub mod cursors;
mod earlier;
pub mod error;
pub mod gauges;
mod history;
pub mod holds;
pub mod in_force;
pub mod left_out;
pub mod lock;
pub mod outbox;
pub mod overview;
pub mod place;
#[cfg(test)]
mod query_plans;
mod reasons;
pub mod restore;
pub mod row_columns;
mod rows;
pub mod runs;
mod sentences;
pub mod settlements;
pub mod sums;
pub mod traces;
pub mod tries;
mod values;
pub mod verify;

pub use error::LedgerError;
pub use place::Anchor;

use place::Presence;

/// Name of the database in the state directory.
pub const FILE: &str = "ledger.sqlite3";
/// One script a version, never changed once released.
const MIGRATIONS: [&str; 5] = [
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];
/// The version whose script is followed by a reading of the sentences of earlier ones.
const REASONS: usize = 5;
/// Nothing is made, and no link is followed, in whatever part of the path.
const FLAGS: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX).union(OpenFlags::SQLITE_OPEN_NOFOLLOW);
/// How long a write waits for another process's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Statements kept prepared; there are fewer.
const STATEMENTS: usize = 64;
/// Connections for reading: a long report keeps nobody else from the ledger, and a thousand groups at once do not need a
/// thousand open files.
const READERS: usize = 4;
/// Pages that one of them remembers, in KiB; SQLite writes it as a negative number.
const READERS_CACHE: i64 = -512;
/// Pause before a new file is once more asked to keep a write-ahead log, while another process asks the same.
const PAUSE_BEFORE_WAL: Duration = Duration::from_millis(20);

/// A handle on the ledger; clones share its connections.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    access: Access,
    /// None after a failure that makes the connection untrustworthy; opened anew by the next use. Whoever wants to write
    /// waits in the order of asking, so that many small transactions of one keep no other for longer than one of them.
    writer: Arc<tokio::sync::Mutex<Option<Connection>>>,
    /// Those that nobody is using.
    readers: Mutex<Vec<Connection>>,
    may_read: Arc<Semaphore>,
    /// What must still be where it was: the file, and locks by which others know that we live.
    anchors: Mutex<Vec<Anchor>>,
    _presence: Presence,
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
        Self::make_and_open(directory).map_err(|error| error.or_full(directory))
    }

    fn make_and_open(directory: &Path) -> Result<Self, LedgerError> {
        let place = place::make(directory)?;
        let presence = Presence::shared(&place)?;
        refuse_unfinished(&place)?;
        let path = place.join(FILE);
        make_file(&path)?;
        let anchor = Anchor::of(&path)?;
        let mut connection = connect(&path, Access::Write)?;
        refuse_old_daemon(version(&connection, &path)?, &place, &path)?;
        migrate(&mut connection, &path)?;
        Self::new(anchor, Access::Write, connection, presence)
    }

    /// Opens the ledger in `directory`, where there is one: a command that only adds to what a daemon works on makes none
    /// of its own, which no daemon would read.
    pub fn open_existing(directory: &Path) -> Result<Self, LedgerError> {
        let missing = || LedgerError::Missing(directory.to_owned());
        let place = place::look(directory)?.ok_or_else(missing)?;
        if place::has(&place.join(FILE))? { Self::open(directory) } else { Err(missing()) }
    }

    /// Opens the ledger in `directory` for reading; none where there is no ledger yet. One of an earlier version is brought
    /// to this version's format.
    pub fn open_to_read(directory: &Path) -> Result<Option<Self>, LedgerError> {
        Self::find_and_open(directory).map_err(|error| error.or_full(directory))
    }

    fn find_and_open(directory: &Path) -> Result<Option<Self>, LedgerError> {
        let Some(place) = place::look(directory)? else { return Ok(None) };
        let presence = Presence::shared(&place)?;
        refuse_unfinished(&place)?;
        let path = place.join(FILE);
        if !place::has(&path)? {
            return Ok(None);
        }
        let anchor = Anchor::of(&path)?;
        let connection = connect(&path, Access::Read)?;
        match version(&connection, &path)? {
            // Another process is about to make it.
            0 => return Ok(None),
            found if found < known_version() => {
                refuse_old_daemon(found, &place, &path)?;
                migrate(&mut connect(&path, Access::Write)?, &path)?;
            }
            found if found == known_version() => {}
            found => return Err(LedgerError::Newer { path, found, known: known_version() }),
        }
        Self::new(anchor, Access::Read, connection, presence).map(Some)
    }

    fn new(anchor: Anchor, access: Access, connection: Connection, presence: Presence) -> Result<Self, LedgerError> {
        // What was opened is what the name still means.
        anchor.holds()?;
        let (writer, readers) = match access {
            Access::Write => (Some(connection), Vec::new()),
            Access::Read => (None, vec![connection]),
        };
        let inner = Inner {
            path: anchor.path().to_owned(),
            access,
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            readers: Mutex::new(readers),
            may_read: Arc::new(Semaphore::new(READERS)),
            anchors: Mutex::new(vec![anchor]),
            _presence: presence,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The directory it lives in, without links.
    pub fn directory(&self) -> &Path {
        place::parent(&self.inner.path)
    }

    /// From now on nothing is read or written where this is not in its place any more.
    pub fn depends_on(&self, anchor: Anchor) {
        self.inner.anchors.lock().unwrap_or_else(PoisonError::into_inner).push(anchor);
    }

    /// An error where the file, or a lock that it depends on, was taken away under this process. Asks the file system only.
    pub fn in_place(&self) -> Result<(), LedgerError> {
        self.inner.in_place()
    }

    /// Runs `work` in a transaction that is on the disk when this returns `Ok`, and has left no trace otherwise.
    pub async fn write<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        let mut turn = Arc::clone(&self.inner.writer).lock_owned().await;
        begin(&self.inner, move |inner| inner.write(&mut turn, work)).await.map_err(|_| LedgerError::Aborted)?
    }

    /// Runs `work` on one consistent state. Waits for nobody who writes.
    pub async fn read<T, W>(&self, work: W) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T, LedgerError> + Send + 'static,
    {
        // Never closed; where it were, reading would only be less orderly.
        let turn = Arc::clone(&self.inner.may_read).acquire_owned().await;
        let reading = move |inner: &Inner| {
            let _turn = turn;
            inner.read(work)
        };
        begin(&self.inner, reading).await.map_err(|_| LedgerError::Aborted)?
    }
}

/// Begins `work` where it may block.
fn begin<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> Result<T, LedgerError> + Send + 'static,
) -> JoinHandle<Result<T, LedgerError>> {
    let inner = Arc::clone(inner);
    tokio::task::spawn_blocking(move || work(&inner).map_err(|error| error.of_file(&inner.path)))
}

impl Inner {
    fn in_place(&self) -> Result<(), LedgerError> {
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner).iter().try_for_each(Anchor::holds)
    }

    fn write<T>(
        &self,
        slot: &mut Option<Connection>,
        work: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        // Taken out, so that a panic inside `work` leaves none.
        let mut connection = slot.take().map_or_else(|| self.connect(self.access), Ok)?;
        let done = self.transact(&mut connection, TransactionBehavior::Immediate, work);
        if done.as_ref().is_err_and(LedgerError::distrusts_connection) {
            self.idle_readers().clear();
        } else {
            *slot = Some(connection);
        }
        done
    }

    fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let idle = self.idle_readers().pop();
        let mut connection = idle.map_or_else(|| self.connect(Access::Read), Ok)?;
        let done = self.transact(&mut connection, TransactionBehavior::Deferred, work);
        if !done.as_ref().is_err_and(LedgerError::distrusts_connection) {
            self.idle_readers().push(connection);
        }
        done
    }

    fn idle_readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A further connection, to the same file as the first.
    fn connect(&self, access: Access) -> Result<Connection, LedgerError> {
        self.in_place()?;
        connect(&self.path, access)
    }

    fn transact<T>(
        &self,
        connection: &mut Connection,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Tx<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let tx = Tx(connection.transaction_with_behavior(behavior)?);
        // Asked when whoever was writing has finished: a restore may have come before us.
        self.in_place()?;
        let value = work(&tx)?;
        tx.0.commit()?;
        Ok(value)
    }
}

/// A daemon of an earlier version would go on writing into the new format as if it were its own.
fn refuse_old_daemon(found: i64, place: &Path, path: &Path) -> Result<(), LedgerError> {
    let is_older = (1..known_version()).contains(&found);
    if is_older && lock::is_alive(place, "daemon") { Err(LedgerError::InOldUse(path.to_owned())) } else { Ok(()) }
}

/// A restore that was cut short has taken the old ledger away; a new one in its place would know of nothing.
fn refuse_unfinished(place: &Path) -> Result<(), LedgerError> {
    let part = place.join(restore::PART);
    if part.symlink_metadata().is_ok() { Err(LedgerError::CutShort(part)) } else { Ok(()) }
}

/// Makes an empty file where there is none. SQLite makes files that others can read where the umask lets it; its log takes
/// after the database.
fn make_file(path: &Path) -> Result<(), LedgerError> {
    let place = place::parent(path);
    let unusable = |source| LedgerError::Directory { path: place.to_owned(), source };
    // Made after the file and gone before it, unless the file was taken away alone. SQLite would take the log for the new
    // file's, or delete it.
    let log = place::COMPANIONS.iter().map(|ending| place::beside(path, ending)).find(|log| log.exists());
    if let Some(log) = log.filter(|_| path.symlink_metadata().is_err()) {
        return Err(LedgerError::Orphan(log));
    }
    match place::options().write(true).create_new(true).open(path) {
        // A file is only as durable as the entry that names it.
        Ok(_) => place::sync(place).map_err(unusable),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => place::has(path).map(drop),
        Err(error) => Err(unusable(error)),
    }
}

fn connect(path: &Path, access: Access) -> Result<Connection, LedgerError> {
    let set_up = || {
        // `make_file` has made the file; one that went away since is not made anew behind a daemon's back. A
        // reader opens it for writing too, because it has to take part in the log.
        let connection = Connection::open_with_flags(path, FLAGS)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "foreign_keys", true)?;
        if access == Access::Read {
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", READERS_CACHE)?;
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
    bring_up_to_date(&tx, path)?;
    tx.commit().map_err(failed)
}

/// Runs the scripts of the versions that came after the one that wrote the ledger.
fn bring_up_to_date(tx: &Transaction<'_>, path: &Path) -> Result<(), LedgerError> {
    let failed = |source| opening_failed(path, source);
    let found = version(tx, path)?;
    let missing = usize::try_from(found).ok().and_then(|done| MIGRATIONS.get(done..));
    let Some(missing) = missing else {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known: known_version() });
    };
    for (version, script) in (1..).zip(MIGRATIONS).skip(MIGRATIONS.len() - missing.len()) {
        tx.execute_batch(script).map_err(failed)?;
        if version == REASONS {
            sentences::read_into_reasons(tx)?;
        }
    }
    if !missing.is_empty() {
        tx.pragma_update(None, "user_version", known_version()).map_err(failed)?;
    }
    Ok(())
}
