//! Who works on a state directory. A process that carries out runs holds a locked file for as long as it lives; the
//! kernel lets go of it however the process ends, so that a run without a living executor can be told from one that
//! is going on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ledger::error::LedgerError;

/// How executors' names begin.
const EXECUTOR: &str = "executor-";
/// How the names of lock files end.
const ENDING: &str = ".lock";
/// An unlocked executor's file of this age has no owner any more.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// The lock of the one daemon that a state directory can have.
#[derive(Debug)]
pub struct DaemonLock {
    _file: File,
}

impl DaemonLock {
    /// Takes it, or says who has it. Who has it also tidies up.
    pub fn take(directory: &Path) -> Result<Self, LedgerError> {
        let file = lock(directory, "daemon")?;
        sweep(directory);
        Ok(Self { _file: file })
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
            Ok(file) => Ok(Some(Self { _file: file })),
            Err(LedgerError::Held { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The lock of one process that carries out runs, under a name that no other process ever has.
#[derive(Debug)]
pub struct ExecutorLock {
    name: String,
    path: PathBuf,
    _file: File,
}

impl ExecutorLock {
    /// Takes a new one.
    pub fn take(directory: &Path) -> Result<Self, LedgerError> {
        let name = format!("{EXECUTOR}{}", uuid::Uuid::now_v7().simple());
        let file = lock(directory, &name)?;
        Ok(Self { path: lock_path(directory, &name), name, _file: file })
    }

    /// The name that this process's runs carry in the ledger.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ExecutorLock {
    fn drop(&mut self) {
        // A file that stays behind is not locked and harms nobody.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// True where the process that signed as `name` still lives. Whatever keeps us from knowing counts as alive: a run that
/// is carried out twice is worse than one that waits.
pub fn is_alive(directory: &Path, name: &str) -> bool {
    match File::open(lock_path(directory, name)) {
        Ok(file) => !matches!(file.try_lock_shared(), Ok(())),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
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
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // The lock is held until it is gone, so that nobody takes it in between.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn lock(directory: &Path, name: &str) -> Result<File, LedgerError> {
    let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source };
    let path = lock_path(directory, name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    loop {
        let mut file = options.open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only a courtesy: who cannot be named is still there.
                let _ = file.take(100).read_to_string(&mut holder);
                let holder = if holder.is_empty() { "of unknown pid".to_owned() } else { holder.trim().to_owned() };
                return Err(LedgerError::Held { path: directory.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // Swept away between opening and locking, it is a lock that nobody else would find.
        if is_same(&file, &path) {
            file.set_len(0).and_then(|()| write!(file, "pid {}", std::process::id())).map_err(unusable)?;
            return Ok(file);
        }
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    let place = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(ours), Ok(named)) if place(&ours) == place(&named))
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
        DaemonLock::take(directory.path()).unwrap();
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
        for path in [&living.path, &dead, &young] {
            let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
            let age = if *path == young { Duration::ZERO } else { LEFT_BEHIND * 2 };
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        let _daemon = DaemonLock::take(directory.path()).unwrap();
        assert!(living.path.exists() && young.exists() && !dead.exists());
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
