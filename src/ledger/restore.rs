//! Puts a backup in the ledger's place.
//!
//! An older ledger does not know what happened since: firings, stops, and holds that people added. Each of these doubts
//! resolves to not stopping. No firing that came due before the restore is caught up; a run that was under way is not
//! resumed; holds are carried over from the ledger that was there, where it can be read. That one is not tried again with its
//! log, because SQLite would write the log of the one into the other.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::domain::hold::Hold;
use crate::domain::plausible::{Implausible, plausible};
use crate::domain::reason::{NotWatched, Reason};
use crate::domain::run_reason::{Interruption, RunReason};
use crate::ledger::backup::new_file;
use crate::ledger::error::LedgerError;
use crate::ledger::file::{FILE, FLAGS, opening_failed};
use crate::ledger::lock::DaemonLock;
use crate::ledger::migrations::migrate;
use crate::ledger::place::{self, COMPANIONS, Presence, beside};
use crate::ledger::reasons;
use crate::ledger::runs::RunId;
use crate::ledger::tx::Tx;
use crate::ledger::values::to_ms;
use crate::ledger::verify::{LedgerVerdict, untouched, verify};

/// The new ledger, complete, while the old one is taken away. As long as it has this name nobody opens a ledger here.
pub(super) const PART: &str = "ledger.sqlite3.restoring";
/// The same while it is being written.
const COPYING: &str = "ledger.sqlite3.copying";

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub verdict: LedgerVerdict,
    /// Where the ledger that was there is now; none where there was none.
    pub kept: Option<PathBuf>,
    /// What was changed in the copy.
    pub changes: Changes,
}

/// What makes an older ledger one that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Runs that were under way when the backup was made.
    pub interrupted: usize,
    /// Holds of the ledger that was there and are not in the backup; none where that ledger cannot be read.
    pub holds: Option<usize>,
    /// Mails that wait in the backup, and may have been sent since.
    pub waiting_mails: u32,
}

/// Puts the ledger in `copy` in the place of the one in `directory`. Refused while anybody uses that one. `built` is when
/// the program was built: a clock that shows less, or less than the backup, cannot say where rules begin anew.
pub fn restore(
    directory: &Path,
    copy: &Path,
    now: DateTime<Utc>,
    built: DateTime<Utc>,
) -> Result<Restored, LedgerError> {
    let failed = |source| LedgerError::Restore { path: copy.to_owned(), source };
    let place = place::make(directory)?;
    let _daemon = DaemonLock::take(&place)?;
    let _alone = Presence::alone(&place)?;
    let copy = fs::canonicalize(copy).map_err(failed)?;
    let verdict = verify(&copy)?;
    if !verdict.is_whole() {
        return Err(LedgerError::Unsound { path: copy, faults: verdict.faults });
    }
    let earlier = holds_in_force(&place, now);
    let copying = Copying::begin(&place).map_err(failed)?;
    copying.fill(&copy)?;
    let changes = adapt(&copying.path, earlier.as_deref(), now, built)?;
    let verdict = verify(&copying.path)?;
    let part = copying.complete(&place).map_err(failed)?;
    // From here on whoever opens a ledger is told that it is not complete, until it is.
    let unusable = |source| LedgerError::Directory { path: place.clone(), source };
    let kept = put_aside(&place, now).map_err(unusable)?;
    fs::rename(part, place.join(FILE)).and_then(|()| place::sync(&place)).map_err(unusable)?;
    Ok(Restored { verdict, kept, changes })
}

/// The holds of the ledger that is there, or was there before a restore that was cut short. None where it cannot be read,
/// and nobody knows.
fn holds_in_force(place: &Path, now: DateTime<Utc>) -> Option<Vec<Hold>> {
    let there = [FILE, PART].map(|name| place.join(name)).into_iter().find(|path| path.exists());
    let Some(there) = there else { return Some(Vec::new()) };
    let mut connection = untouched(&there).ok()?;
    Tx(connection.transaction().ok()?).holds(now).ok()
}

/// The new ledger on its way. Dropped before it is complete, it leaves nothing behind.
struct Copying {
    path: PathBuf,
    complete: bool,
}

impl Copying {
    fn begin(place: &Path) -> std::io::Result<Self> {
        let copying = Self { path: place.join(COPYING), complete: false };
        copying.remove();
        new_file(&copying.path)?;
        Ok(copying)
    }

    /// Writes all that `copy` holds, its log included.
    fn fill(&self, copy: &Path) -> Result<(), LedgerError> {
        let name = self.path.to_str().ok_or(ErrorKind::InvalidFilename);
        let name = name.map_err(|kind| LedgerError::Restore { path: copy.to_owned(), source: kind.into() })?;
        let written = untouched(copy)?.execute("VACUUM INTO ?1", [name]);
        written.map(drop).map_err(|error| LedgerError::from(error).of_file(copy))
    }

    /// Gives it the name under which it counts, once it is on the disk.
    fn complete(mut self, place: &Path) -> std::io::Result<PathBuf> {
        let part = place.join(PART);
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, &part)?;
        place::sync(place)?;
        self.complete = true;
        Ok(part)
    }

    fn remove(&self) {
        for file in files(&self.path) {
            let _ = fs::remove_file(file);
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if !self.complete {
            self.remove();
        }
    }
}

/// Makes an older ledger of this version one that begins now.
fn adapt(
    file: &Path,
    earlier: Option<&[Hold]>,
    now: DateTime<Utc>,
    built: DateTime<Utc>,
) -> Result<Changes, LedgerError> {
    let failed = |source| opening_failed(file, source);
    let mut connection = Connection::open_with_flags(file, FLAGS).map_err(failed)?;
    for (pragma, value) in [("journal_mode", "delete"), ("synchronous", "full"), ("foreign_keys", "on")] {
        connection.pragma_update(None, pragma, value).map_err(failed)?;
    }
    migrate(&mut connection, file)?;
    let tx = Tx(connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?);
    believe(now, built, tx.newest_instant()?)?;
    let changes = Changes {
        interrupted: tx.close_open_runs(now)?,
        holds: earlier.map(|earlier| tx.carry_over(earlier, now)).transpose()?,
        waiting_mails: tx.waiting_mails()?,
    };
    tx.begin_anew(now)?;
    tx.0.commit()?;
    Ok(changes)
}

/// A clock that is far ahead of an old backup may well be right: a person says so by restoring it.
fn believe(now: DateTime<Utc>, built: DateTime<Utc>, newest: Option<DateTime<Utc>>) -> Result<(), LedgerError> {
    match plausible(now, built, newest) {
        Err(implausible @ (Implausible::BeforeBuild { .. } | Implausible::BeforeLedger { .. })) => {
            Err(implausible.into())
        }
        _ => Ok(()),
    }
}

impl Tx<'_> {
    /// Concludes what the backup shows under way. Whether its stops came true the second look will tell.
    fn close_open_runs(&self, now: DateTime<Utc>) -> Result<usize, LedgerError> {
        let (code, detail) = reasons::columns(Some(&Reason::NotWatched(NotWatched::Restored)))?;
        let of_run = reasons::to_json(&[RunReason::Interrupted(Interruption::Restored)])?;
        let open = self.open_runs()?;
        for RunId(id) in open.iter().map(|run| run.id) {
            self.0.execute(
                "UPDATE deployment SET outcome = 'unconfirmed', reason_code = ?2, reason_detail = ?3
                 WHERE run = ?1 AND outcome IS NULL",
                params![id, code, detail],
            )?;
            self.0.execute(
                "UPDATE run SET open = 0, result = 'interrupted', reasons = ?2, finished_at = ?3 WHERE id = ?1",
                params![id, of_run, to_ms(now)],
            )?;
            self.expect_settlement(RunId(id))?;
        }
        Ok(open.len())
    }

    /// Adds those of `earlier` that are not in force here. One that was removed since the backup is in force again: it
    /// keeps something on, and can be removed once more.
    fn carry_over(&self, earlier: &[Hold], now: DateTime<Utc>) -> Result<usize, LedgerError> {
        let known = self.holds(now)?;
        let is_known = |hold: &Hold| known.iter().any(|known| Hold { id: known.id, ..hold.clone() } == *known);
        let mut count = 0;
        for hold in earlier.iter().filter(|hold| !is_known(hold)) {
            self.add_hold(&hold.target, hold.until, &hold.reason, &hold.by, hold.created_at)?;
            count += 1;
        }
        Ok(count)
    }

    /// No rule catches up what came due before `now`.
    fn begin_anew(&self, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0.execute("UPDATE cursor SET after = ?1", [to_ms(now)])?;
        Ok(())
    }

    fn waiting_mails(&self) -> Result<u32, LedgerError> {
        Ok(self.0.query_row("SELECT count(*) FROM mail WHERE state = 'queued'", [], |row| row.get(0))?)
    }
}

/// A database and what SQLite keeps beside it.
fn files(ledger: &Path) -> impl Iterator<Item = PathBuf> {
    std::iter::once("").chain(COMPANIONS).map(|ending| beside(ledger, ending))
}

/// Renames the ledger that is there, with its log, to a name with the date. Nothing is ever deleted.
fn put_aside(place: &Path, now: DateTime<Utc>) -> std::io::Result<Option<PathBuf>> {
    let is_there = |ledger: &Path| files(ledger).any(|file| file.symlink_metadata().is_ok());
    let ledger = place.join(FILE);
    if !is_there(&ledger) {
        return Ok(None);
    }
    let dated = beside(&ledger, &now.format(".%Y-%m-%dT%H%M%SZ").to_string());
    let mut names = std::iter::once(dated.clone()).chain((2_u32..).map(|n| beside(&dated, &format!(".{n}"))));
    let Some(kept) = names.find(|name| !is_there(name)) else { return Err(ErrorKind::AlreadyExists.into()) };
    for (from, to) in files(&ledger).zip(files(&kept)) {
        match fs::rename(from, to) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    place::sync(place)?;
    Ok(Some(kept))
}
