//! The state directory and what lies in it, before any of it is believed: whose it is, who else could write there, and
//! files that are not what their names say. Whoever could plant a link there would have us, or root, write elsewhere.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ledger::error::LedgerError;

/// Whoever is in these may write: somebody else.
const WRITE_OF_OTHERS: u32 = 0o022;

/// What SQLite keeps beside a database: its logs.
pub(super) const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Makes `directory` where it is missing, and looks at it. Gives its name without links: what it means stays the same
/// though a link on the way is changed.
pub(super) fn make(directory: &Path) -> Result<PathBuf, LedgerError> {
    let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source };
    let is_new = !directory.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    let place = look(directory)?.ok_or_else(|| unusable(ErrorKind::NotFound.into()))?;
    if is_new {
        // A directory is only as durable as the entry that names it.
        place.parent().map_or(Ok(()), sync).map_err(unusable)?;
    }
    Ok(place)
}

/// Looks at `directory` and gives its name without links; none where it does not exist.
pub(super) fn look(directory: &Path) -> Result<Option<PathBuf>, LedgerError> {
    let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source };
    let place = match fs::canonicalize(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(LedgerError::Closed(directory.to_owned()));
        }
        place => place.map_err(unusable)?,
    };
    let found = fs::symlink_metadata(&place).map_err(unusable)?;
    if !found.is_dir() {
        return Err(unusable(ErrorKind::NotADirectory.into()));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(LedgerError::Foreign { path: directory.to_owned(), owner: found.uid(), user });
    }
    if found.mode() & WRITE_OF_OTHERS != 0 {
        return Err(LedgerError::Exposed(directory.to_owned()));
    }
    Ok(Some(place))
}

/// Options that neither follow a link nor wait for the other end of a pipe.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

/// Why a file that could not be opened by [`options`] is not ours, where that is the reason.
pub(super) fn not_ours(path: &Path, error: &Error) -> Option<LedgerError> {
    let loops = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    loops.then(|| LedgerError::NotOurs { path: path.to_owned(), what: "a link" })
}

/// Refuses a file that offhours cannot have made.
pub(super) fn ours(path: &Path, found: &Metadata) -> Result<(), LedgerError> {
    let what = if found.is_symlink() {
        "a link"
    } else if !found.is_file() {
        "no regular file"
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        "somebody else's file"
    } else {
        return Ok(());
    };
    Err(LedgerError::NotOurs { path: path.to_owned(), what })
}

/// True where there is a file at `path`, and it is ours.
pub(super) fn has(path: &Path) -> Result<bool, LedgerError> {
    match fs::symlink_metadata(path) {
        Ok(found) => ours(path, &found).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(LedgerError::Directory { path: parent(path).to_owned(), source }),
    }
}

/// The same file, with no link on the way to it; the file itself may be one.
pub(super) fn without_links(path: &Path) -> std::io::Result<PathBuf> {
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
    Ok(fs::canonicalize(parent(path))?.join(name))
}

/// The directory that `path` is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with something added to its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Waits until the directory's entries are on the disk.
pub(super) fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Held by everybody who has the ledger open, together; or by one who puts another ledger in its place, alone.
#[derive(Debug)]
pub(super) struct Presence {
    _directory: File,
}

impl Presence {
    /// Among others. Refused while another ledger is being put in its place.
    pub(super) fn shared(place: &Path) -> Result<Self, LedgerError> {
        Self::take(place, File::try_lock_shared, "which is restoring the ledger")
    }

    /// Alone. Refused while anybody has the ledger open.
    pub(super) fn alone(place: &Path) -> Result<Self, LedgerError> {
        Self::take(place, File::try_lock, "which has the ledger open")
    }

    fn take(
        place: &Path,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
        holder: &str,
    ) -> Result<Self, LedgerError> {
        let unusable = |source| LedgerError::Directory { path: place.to_owned(), source };
        let directory = File::open(place).map_err(unusable)?;
        match lock(&directory) {
            Ok(()) => Ok(Self { _directory: directory }),
            Err(TryLockError::WouldBlock) => {
                Err(LedgerError::Held { path: place.to_owned(), holder: holder.to_owned() })
            }
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

/// A file by its name and by what it is: whether the name still means it can be asked at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Anchor {
    /// The file that is called `path` now; it must stay open for as long as this is asked.
    pub(super) fn of(path: &Path) -> Result<Self, LedgerError> {
        let found = fs::symlink_metadata(path).map_err(|_| LedgerError::Replaced(path.to_owned()))?;
        Ok(Self::from(path, &found))
    }

    /// An open file that was found at `path`.
    pub(super) fn from(path: &Path, found: &Metadata) -> Self {
        Self { path: path.to_owned(), device: found.dev(), inode: found.ino() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error where the name means another file by now, or none.
    pub(super) fn holds(&self) -> Result<(), LedgerError> {
        match Self::of(&self.path) {
            Ok(found) if found == *self => Ok(()),
            _ => Err(LedgerError::Replaced(self.path.clone())),
        }
    }
}
