//! Who works on a state directory. A process that carries out runs holds a locked file for as long as it lives; the
//! kernel lets go of it however the process ends, so that a run without a living executor can be told from one that
//! is going on.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::ledger::error::LedgerError;

const DAEMON: &str = "daemon";

/// A locked file, and the name under which its holder signs runs.
#[derive(Debug)]
pub struct ExecutorLock {
    name: String,
    path: PathBuf,
    _file: File,
}

impl ExecutorLock {
    /// The daemon's lock; there is one daemon per state directory.
    pub fn daemon(directory: &Path) -> Result<Self, LedgerError> {
        Self::take(directory, DAEMON.to_owned())
    }

    /// The lock of a process that carries out one run beside the daemon.
    pub fn single(directory: &Path) -> Result<Self, LedgerError> {
        Self::take(directory, format!("fire-{}", uuid::Uuid::now_v7().simple()))
    }

    /// The name that this holder's runs carry in the ledger.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn take(directory: &Path, name: String) -> Result<Self, LedgerError> {
        let path = lock_path(directory, &name);
        let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
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
        file.set_len(0).and_then(|()| write!(file, "pid {}", std::process::id())).map_err(unusable)?;
        Ok(Self { name, path, _file: file })
    }
}

impl Drop for ExecutorLock {
    fn drop(&mut self) {
        // The daemon's file stays, so that nobody can lock a file that is about to disappear.
        if self.name != DAEMON {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// True where the process that signed as `name` still lives.
pub fn is_alive(directory: &Path, name: &str) -> bool {
    File::open(lock_path(directory, name))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.lock"))
}

#[cfg(test)]
mod tests {
    use super::{ExecutorLock, is_alive};
    use crate::ledger::error::LedgerError;

    #[test]
    fn a_second_daemon_is_refused_and_told_who_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let first = ExecutorLock::daemon(directory.path()).unwrap();
        let Err(LedgerError::Held { holder, .. }) = ExecutorLock::daemon(directory.path()) else { panic!("accepted") };
        assert_eq!(holder, format!("pid {}", std::process::id()));
        assert!(is_alive(directory.path(), first.name()));
        drop(first);
        assert!(!is_alive(directory.path(), "daemon"));
        ExecutorLock::daemon(directory.path()).unwrap();
    }

    #[test]
    fn fire_works_beside_the_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let _daemon = ExecutorLock::daemon(directory.path()).unwrap();
        let fire = ExecutorLock::single(directory.path()).unwrap();
        assert!(is_alive(directory.path(), fire.name()));
    }
}
