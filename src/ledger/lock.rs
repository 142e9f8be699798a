//! Who works on a state directory. A process that carries out runs holds a locked file for as long as it lives; the
//! kernel lets go of it however the process ends, so that a run without a living executor can be told from one that
//! is going on.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ledger::error::LedgerError;
use crate::ledger::place::{self, Anchor};

/// How executors' names begin.
const EXECUTOR: &str = "executor-";
const DAEMON: &str = "daemon";
/// How the names of lock files end.
const ENDING: &str = ".lock";
/// What a lock file holds before the number of the process.
const SIGNATURE: &str = "pid ";
/// The most of a lock file that is read: a number and a path.
const LONGEST_SIGNATURE: u64 = 5_000;
/// An unlocked executor's file of this age has no owner any more.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// The lock of the one daemon that a state directory can have.
#[derive(Debug)]
pub struct DaemonLock(Held);

impl DaemonLock {
    /// Takes it, or says who has it. Who has it also tidies up.
    pub fn take(directory: &Path) -> Result<Self, LedgerError> {
        let held = lock(directory, DAEMON)?;
        sweep(directory);
        Ok(Self(held))
    }

    /// Takes it for a daemon that goes by the configuration at `config`: whoever meets the lock should know which.
    pub(crate) fn take_for(directory: &Path, config: &Path) -> Result<Self, LedgerError> {
        let lock = Self::take(directory)?;
        let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
        let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source }.or_full(directory);
        write!(&lock.0.file, "\n{}", config.display()).map_err(unusable)?;
        Ok(lock)
    }

    /// What must stay where it is, or a second daemon could begin.
    pub fn anchor(&self) -> Anchor {
        self.0.anchor.clone()
    }
}

/// The lock of the one process that delivers mails at a time: two would send the same mail twice.
#[derive(Debug)]
pub struct OutboxLock {
    _file: File,
}

impl OutboxLock {
    /// Takes it; none where another process has it, which then delivers what is due.
    pub fn take(directory: &Path) -> Result<Option<Self>, LedgerError> {
        match lock(directory, "outbox") {
            Ok(held) => Ok(Some(Self { _file: held.file })),
            Err(LedgerError::Held { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The lock of one process that carries out runs, under a name that no other process ever has.
#[derive(Debug)]
pub struct ExecutorLock {
    name: String,
    held: Held,
}

impl ExecutorLock {
    /// Takes a new one.
    pub fn take(directory: &Path) -> Result<Self, LedgerError> {
        let name = format!("{EXECUTOR}{}", uuid::Uuid::now_v7().simple());
        Ok(Self { held: lock(directory, &name)?, name })
    }

    /// What must stay where it is, or others take this process for dead and its runs for theirs.
    pub(crate) fn anchor(&self) -> Anchor {
        self.held.anchor.clone()
    }

    /// The name that this process's runs carry in the ledger.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ExecutorLock {
    fn drop(&mut self) {
        // A file that stays behind is not locked and harms nobody; another one of its name is not ours.
        if self.held.anchor.holds().is_ok() {
            let _ = fs::remove_file(self.held.anchor.path());
        }
    }
}

/// True where the process that signed as `name` still lives. Whatever keeps us from knowing counts as alive: a run that
/// is carried out twice is worse than one that waits.
pub(crate) fn is_alive(directory: &Path, name: &str) -> bool {
    match place::options().read(true).open(lock_path(directory, name)) {
        Ok(file) => !matches!(file.try_lock_shared(), Ok(())),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// A process that holds a lock, as far as the lock's file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Holder {
    pub(crate) pid: Option<u32>,
    /// The configuration that it goes by, where it is a daemon of this version.
    pub(crate) config: Option<PathBuf>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "{SIGNATURE}{pid}")?,
            None => f.write_str("of unknown pid")?,
        }
        self.config.iter().try_for_each(|config| write!(f, ", which uses `{}`", config.display()))
    }
}

/// The daemon of a state directory; none where none lives.
pub(crate) fn daemon(directory: &Path) -> Option<Holder> {
    is_alive(directory, DAEMON).then(|| holder(directory, DAEMON))
}

fn holder(directory: &Path, name: &str) -> Holder {
    let file = place::options().read(true).open(lock_path(directory, name));
    let signature = file.map_or_else(|_| String::new(), |file| signed(&file));
    let mut lines = signature.lines();
    let pid = lines.next().and_then(|line| line.strip_prefix(SIGNATURE)?.parse().ok());
    Holder { pid, config: lines.next().map(PathBuf::from) }
}

fn signed(file: &File) -> String {
    let mut text = String::new();
    // Only a courtesy: who cannot be named is still there.
    let _ = file.take(LONGEST_SIGNATURE).read_to_string(&mut text);
    text.trim().to_owned()
}

/// Takes away what executors that were killed have left behind. Young files stay: their owner may be about to lock them.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_lock = name.to_str().is_some_and(|name| name.starts_with(EXECUTOR) && name.ends_with(ENDING));
        let is_old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age > LEFT_BEHIND);
        if is_lock
            && is_old().unwrap_or(false)
            && let Ok(file) = place::options().read(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            // The lock is held until it is gone, so that nobody takes it in between.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A lock file that is ours for as long as this lives.
#[derive(Debug)]
struct Held {
    anchor: Anchor,
    file: File,
}

fn lock(directory: &Path, name: &str) -> Result<Held, LedgerError> {
    let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source }.or_full(directory);
    let place = place::look(directory)?.ok_or_else(|| unusable(ErrorKind::NotFound.into()))?;
    let path = lock_path(&place, name);
    loop {
        let opened = place::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| place::not_ours(&path, &error).unwrap_or_else(|| unusable(error)))?;
        ours(&path, &file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LedgerError::Held { path: directory.to_owned(), holder: holder(&place, name).to_string() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let anchor = Anchor::from(&path, &file.metadata().map_err(unusable)?);
        // Swept away between opening and locking, it is a lock that nobody else would find.
        if anchor.holds().is_ok() {
            sign(&file).map_err(unusable)?;
            return Ok(Held { anchor, file });
        }
    }
}

/// Refuses what has a lock's name and is none: it is about to be emptied.
fn ours(path: &Path, file: &File) -> Result<(), LedgerError> {
    let found = file.metadata().map_err(|source| LedgerError::Directory { path: path.to_owned(), source })?;
    place::ours(path, &found)?;
    let before = signed(file);
    let what = if found.nlink() > 1 {
        "a second name of another file"
    } else if !before.is_empty() && !before.starts_with(SIGNATURE.trim()) {
        "another kind of file"
    } else {
        return Ok(());
    };
    Err(LedgerError::NotOurs { path: path.to_owned(), what })
}

/// Writes who we are over who another one was.
fn sign(mut file: &File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{SIGNATURE}{}", std::process::id()).as_bytes())
}

fn lock_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{ENDING}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{DaemonLock, ExecutorLock, LEFT_BEHIND, is_alive};
    use crate::ledger::error::LedgerError;

    #[test]
    fn p10_a_second_daemon_is_refused_and_told_who_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let first = DaemonLock::take(directory.path()).unwrap();
        let Err(LedgerError::Held { holder, .. }) = DaemonLock::take(directory.path()) else { panic!("accepted") };
        assert_eq!(holder, format!("pid {}", std::process::id()));
        drop(first);
        let _second = DaemonLock::take_for(directory.path(), "/srv/a/offhours.toml".as_ref()).unwrap();
        let Err(LedgerError::Held { holder, .. }) = DaemonLock::take(directory.path()) else { panic!("accepted") };
        assert_eq!(holder, format!("pid {}, which uses `/srv/a/offhours.toml`", std::process::id()));
    }

    #[test]
    fn an_executor_is_alive_as_long_as_it_holds_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let daemon = ExecutorLock::take(directory.path()).unwrap();
        let fire = ExecutorLock::take(directory.path()).unwrap();
        let name = fire.name().to_owned();
        assert!(is_alive(directory.path(), daemon.name()) && is_alive(directory.path(), &name));
        drop(fire);
        assert!(!is_alive(directory.path(), &name));
    }

    #[test]
    fn what_killed_executors_left_is_swept_and_what_living_ones_hold_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let living = ExecutorLock::take(directory.path()).unwrap();
        let dead = directory.path().join("executor-dead.lock");
        let young = directory.path().join("executor-young.lock");
        for path in [living.held.anchor.path(), &dead, &young] {
            let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
            let age = if path == young { Duration::ZERO } else { LEFT_BEHIND * 2 };
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        let _daemon = DaemonLock::take(directory.path()).unwrap();
        assert!(living.held.anchor.path().exists() && young.exists() && !dead.exists());
        assert!(is_alive(directory.path(), living.name()));
    }

    #[test]
    fn a_lock_that_cannot_be_looked_at_counts_as_held() {
        let directory = tempfile::tempdir().unwrap();
        // A loop of links stands for everything but "there is no such file".
        std::os::unix::fs::symlink("executor-x.lock", directory.path().join("executor-x.lock")).unwrap();
        assert!(is_alive(directory.path(), "executor-x"));
        assert!(!is_alive(directory.path(), "executor-y"));
    }
}
