//! What can be wrong with the ledger or the directory it lives in.

use std::path::{Path, PathBuf};

use crate::domain::plausible::Implausible;

/// A fault of the ledger; the program ends with exit code 5, or 75 where another instance is there.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The state directory cannot be used.
    #[error("cannot use the state directory `{}`: it must belong to the user that runs offhours and be writable", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    /// Nothing more can be written.
    #[error("the disk is full: nothing can be written in the state directory `{}`, and nothing is stopped until there is room on it", .0.display())]
    Full(PathBuf),
    /// Anybody could change the history.
    #[error("the state directory `{}` can be written by group or others: run `chmod 700 {}`", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// There is none, and this command makes none.
    #[error("there is no ledger in `{}` yet: the daemon makes it when it first starts (`offhours run`)", .0.display())]
    Missing(PathBuf),
    /// A directory on the way may be opened by somebody else only, as that of a systemd service with `DynamicUser=`.
    #[error("the state directory `{}` may be opened by another user only", .0.display())]
    Closed(PathBuf),
    /// Somebody else's: what lies there may lead anywhere, and what is written there is theirs.
    #[error("the state directory `{}` belongs to user {owner}, and this is user {user}", path.display())]
    Foreign {
        path: PathBuf,
        /// Whose it is, as a number.
        owner: u32,
        user: u32,
    },
    /// A file whose name is ours and which is not.
    #[error("`{}` is {what}, and offhours did not make it: find out where it comes from, then remove it", path.display())]
    NotOurs { path: PathBuf, what: &'static str },
    /// The file was taken away under a process that uses it. What is written to it now, nobody will find.
    #[error("`{}` was moved, replaced or removed while offhours ran, so nothing is written or stopped any more: restart offhours", .0.display())]
    Replaced(PathBuf),
    /// A daemon of an earlier version is at work on it.
    #[error("the ledger `{}` has an earlier format, and the daemon of that version still runs: restart it first, as with `systemctl restart offhours`", .0.display())]
    InOldUse(PathBuf),
    /// Another instance has it.
    #[error("another offhours ({holder}) holds the state directory `{}`", path.display())]
    Held {
        path: PathBuf,
        /// Who, as far as the lock file says.
        holder: String,
    },
    /// Not a ledger, or damaged.
    #[error("the ledger `{}` is damaged and was left as it is: restore a backup, or move it away to begin a new one", path.display())]
    Damaged { path: PathBuf, source: rusqlite::Error },
    /// Written by a later version.
    #[error("the ledger `{}` has format {found}, this offhours knows formats up to {known}: install the newer version", path.display())]
    Newer {
        path: PathBuf,
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A copy that cannot be written.
    #[error("cannot write the backup `{}`", path.display())]
    Backup { path: PathBuf, source: std::io::Error },
    /// A backup that cannot be put in the ledger's place.
    #[error("cannot restore the ledger from `{}`; nothing was changed", path.display())]
    Restore { path: PathBuf, source: std::io::Error },
    /// A backup that promises what it does not keep.
    #[error("`{}` is not complete, so it was not restored: {}", path.display(), faults.join("; "))]
    Unsound { path: PathBuf, faults: Vec<String> },
    /// A log without its ledger. What is in it belongs to that one.
    #[error("`{}` is the log of a ledger that was taken away without it: bring that back, or move the log away too", .0.display())]
    Orphan(PathBuf),
    /// A restore that ended between taking the old ledger away and putting the new one there.
    #[error("a restore of the ledger was interrupted (`{}` is there): run `offhours ledger restore FILE` again", .0.display())]
    CutShort(PathBuf),
    /// The instant of a restore is where rules begin anew; a wrong one would silence them or stop too much.
    #[error("the ledger was not restored")]
    Clock(#[from] Implausible),
    /// A value that no version of offhours writes.
    #[error("the ledger holds `{value}` where {wanted} belongs")]
    Value { value: String, wanted: &'static str },
    /// A read or write failed.
    #[error("the ledger could not be read or written")]
    Sqlite(#[from] rusqlite::Error),
    /// The thread that worked on the ledger is gone.
    #[error("the work on the ledger was interrupted")]
    Aborted,
}

impl LedgerError {
    /// The directory that is another user's to open, where that is what is wrong.
    pub(crate) fn somebody_elses(&self) -> Option<&Path> {
        match self {
            Self::Closed(path) | Self::Foreign { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The same error, or the plainer one where `directory` cannot be written because its disk is full.
    pub(super) fn or_full(self, directory: &Path) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
        let may_be = match &self {
            Self::Directory { .. } => has_no_room(directory),
            Self::Sqlite(source) => match source.sqlite_error_code() {
                Some(DiskFull) => true,
                Some(CannotOpen | SystemIoFailure) => has_no_room(directory),
                _ => false,
            },
            _ => false,
        };
        if may_be { Self::Full(directory.to_owned()) } else { self }
    }

    /// The same error, or the plainer one where it shows that the file at `path` is damaged.
    pub(super) fn of_file(self, path: &Path) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Sqlite(source) if matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) => {
                Self::Damaged { path: path.to_owned(), source }
            }
            other => other.or_full(path.parent().unwrap_or(path)),
        }
    }

    /// True where the file itself failed (disk full, I/O error): the connection must be opened anew, because after a
    /// failed sync nobody knows what is on the disk.
    pub(crate) fn distrusts_connection(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, NotADatabase, SystemIoFailure};
        let code = match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        };
        matches!(code, Some(CannotOpen | DiskFull | NotADatabase | SystemIoFailure))
    }
}

/// True where the disk of `directory`, or of the nearest directory above it that exists, has no room for a page more. Asked
/// only after a failure: SQLite calls a full disk by several names, some of them "I/O error".
fn has_no_room(directory: &Path) -> bool {
    const PAGE: u64 = 4096;
    let Some(existing) = directory.ancestors().find(|path| path.exists()) else { return false };
    rustix::fs::statvfs(existing).is_ok_and(|disk| {
        // A file system that does not count its files says that there are none.
        disk.f_bavail.saturating_mul(disk.f_frsize) < PAGE || (disk.f_files > 0 && disk.f_favail == 0)
    })
}
