//! Who works on a state directory. A process that carries out runs holds a locked file for as long as it lives; the
//! kernel lets go of it however the process ends, so that a run without a living executor can be told from one that
//! is going on.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::ledger::error::LedgerError;

/// The lock of the one daemon that a state directory can have.
#[derive(Debug)]
pub struct DaemonLock {
    _file: File,
}

impl DaemonLock {
    /// Takes it, or says who has it.
    pub fn take(directory: &Path) -> Result<Self, LedgerError> {
        Ok(Self { _file: lock(directory, "daemon")? })
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
        let name = format!("executor-{}", uuid::Uuid::now_v7().simple());
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

/// True where the process that signed as `name` still lives.
pub fn is_alive(directory: &Path, name: &str) -> bool {
    File::open(lock_path(directory, name))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock(directory: &Path, name: &str) -> Result<File, LedgerError> {
    let unusable = |source| LedgerError::Directory { path: directory.to_owned(), source };
    let path = lock_path(directory, name);
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
    Ok(file)
}

fn lock_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.lock"))
}

#[cfg(test)]
mod tests {
    use super::{DaemonLock, ExecutorLock, is_alive};
    use crate::ledger::error::LedgerError;

    #[test]
    fn a_second_daemon_is_refused_and_told_who_is_there() {
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
}
