//! A copy of the ledger, made beside a running daemon.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::ledger::error::LedgerError;
use crate::ledger::file::{Access, FILE, connect};
use crate::ledger::place::{self, Presence};
use crate::ledger::verify::{LedgerVerdict, verify};

/// Copies the ledger in `directory` to `copy`, which must not exist, and verifies the copy. It is one consistent state,
/// on the disk when this returns, and readable by its owner only. Blocks for as long as it takes to write.
pub fn backup(directory: &Path, copy: &Path) -> Result<LedgerVerdict, LedgerError> {
    let failed = |source| LedgerError::Backup { path: copy.to_owned(), source };
    let missing = || LedgerError::Missing(directory.to_owned());
    let place = place::look(directory)?.ok_or_else(missing)?;
    let _presence = Presence::shared(&place)?;
    let ledger = place.join(FILE);
    // A missing ledger is an error and not an empty copy.
    if !place::has(&ledger)? {
        return Err(missing());
    }
    let connection = connect(&ledger, Access::Write)?;
    let copy = place::without_links(copy).map_err(failed)?;
    // Reserved under its final name; written beside it, so that a half-written copy is never seen there.
    new_file(&copy).map_err(failed)?;
    let unfinished = Unfinished { part: part_of(&copy), copy, done: false };
    let made = || -> Result<LedgerVerdict, LedgerError> {
        let _ = fs::remove_file(&unfinished.part);
        // SQLite writes into an empty file, and keeps its mode.
        new_file(&unfinished.part).map_err(failed)?;
        let name = unfinished.part.to_str().ok_or_else(|| failed(ErrorKind::InvalidFilename.into()))?;
        connection.execute("VACUUM INTO ?1", [name]).map_err(|error| LedgerError::from(error).of_file(&ledger))?;
        fs::File::open(&unfinished.part).and_then(|file| file.sync_all()).map_err(failed)?;
        let verdict = verify(&unfinished.part)?;
        fs::rename(&unfinished.part, &unfinished.copy).map_err(failed)?;
        place::sync(place::parent(&unfinished.copy)).map_err(failed)?;
        Ok(verdict)
    };
    let verdict = made()?;
    unfinished.finish();
    Ok(verdict)
}

/// Makes an empty file that is surely new, and no link to one.
pub(super) fn new_file(path: &Path) -> std::io::Result<()> {
    place::options().write(true).create_new(true).open(path).map(drop)
}

fn part_of(copy: &Path) -> PathBuf {
    let mut name = copy.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// A copy under way. Dropped before it is done, it leaves nothing behind.
struct Unfinished {
    part: PathBuf,
    copy: PathBuf,
    done: bool,
}

impl Unfinished {
    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.part);
            let _ = fs::remove_file(&self.copy);
        }
    }
}
