//! The database file: how it is made and opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::ledger::error::LedgerError;
use crate::ledger::place;

/// Name of the database in the state directory.
pub const FILE: &str = "ledger.sqlite3";

/// Nothing is made, and no link is followed, in whatever part of the path.
pub(super) const FLAGS: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX).union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// How long a write waits for another process's.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Statements kept prepared; there are fewer.
const STATEMENTS: usize = 64;

/// Pages that one of them remembers, in KiB; SQLite writes it as a negative number.
const READERS_CACHE: i64 = -512;

/// Pause before a new file is once more asked to keep a write-ahead log, while another process asks the same.
const PAUSE_BEFORE_WAL: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
}

/// Makes an empty file where there is none. SQLite makes files that others can read where the umask lets it; its log takes
/// after the database.
pub(super) fn make_file(path: &Path) -> Result<(), LedgerError> {
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

pub(super) fn connect(path: &Path, access: Access) -> Result<Connection, LedgerError> {
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
pub(super) fn opening_failed(path: &Path, source: rusqlite::Error) -> LedgerError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => LedgerError::Damaged { path: path.to_owned(), source },
        _ => LedgerError::Directory {
            path: path.parent().unwrap_or(path).to_owned(),
            source: std::io::Error::other(source),
        },
    }
}
