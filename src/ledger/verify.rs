//! Is a ledger whole? SQLite's own checks first, then what must hold in every ledger that offhours wrote.

use std::ops::ControlFlow;
use std::path::Path;

use chrono::DateTime;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use crate::domain::run::{DeploymentResult, Run};
use crate::domain::visit::RunVisitor;
use crate::ledger::error::LedgerError;
use crate::ledger::file::{BUSY_TIMEOUT, FILE, FLAGS, opening_failed};
use crate::ledger::migrations::{bring_up_to_date, known_version, version};
use crate::ledger::place::{self, Presence};
use crate::ledger::runs::RunFilter;
use crate::ledger::settlements::NOT_LISTED;
use crate::ledger::tx::Tx;

/// What a ledger holds, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerVerdict {
    pub runs: i64,
    pub(crate) deployments: i64,
    pub mails: i64,
    /// Sentences, one for each fault; none where it is whole.
    pub faults: Vec<String>,
}

impl LedgerVerdict {
    /// True where nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What must hold, and how many rows break it.
const INVARIANTS: [(&str, &str); 8] = [
    (
        "runs that are over and have no result",
        "SELECT count(*) FROM run WHERE NOT open AND (result IS NULL OR finished_at IS NULL)",
    ),
    (
        "rules with more than one run under way",
        "SELECT count(*) FROM (SELECT 1 FROM run WHERE open GROUP BY rule HAVING count(*) > 1)",
    ),
    ("off windows that end before they begin", "SELECT count(*) FROM run WHERE window_to < window_from"),
    (
        "deployments of runs that are over and have no outcome",
        "SELECT count(*) FROM deployment JOIN run ON run.id = run WHERE NOT open AND outcome IS NULL",
    ),
    (
        "confirmed stops without an instant",
        "SELECT count(*) FROM deployment WHERE outcome = 'stopped' AND confirmed_at IS NULL",
    ),
    (
        "figures that count where nothing was confirmed",
        "SELECT count(*) FROM deployment WHERE outcome <> 'stopped' AND state IN ('projected', 'settled')",
    ),
    ("stops that wait for a second look and are not on its list", NOT_LISTED),
    ("mails neither waiting nor done", "SELECT count(*) FROM mail WHERE (state = 'queued') <> (done_at IS NULL)"),
];

/// Looks at the ledger in `directory` and changes nothing.
pub(crate) fn verify_in(directory: &Path) -> Result<LedgerVerdict, LedgerError> {
    let missing = || LedgerError::Missing(directory.to_owned());
    let place = place::look(directory)?.ok_or_else(missing)?;
    if !place::has(&place.join(FILE))? {
        return Err(missing());
    }
    let _presence = Presence::shared(&place)?;
    verify(&place.join(FILE))
}

/// Looks at the ledger in `file`, which may be a copy of whatever version, and changes nothing.
pub fn verify(file: &Path) -> Result<LedgerVerdict, LedgerError> {
    let failed = |error| opening_failed(file, error);
    let mut connection = untouched(file)?;
    let found = version(&connection, file)?;
    if found == known_version() {
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        return Tx(connection.transaction().map_err(failed)?).verdict().map_err(|error| error.of_file(file));
    }
    if found == 0 {
        return Ok(LedgerVerdict { faults: vec!["there is no ledger in it".to_owned()], ..LedgerVerdict::default() });
    }
    // One of an earlier version is brought up to date, looked at, and left as it was: nothing is committed.
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    bring_up_to_date(&tx, file)?;
    Tx(tx).verdict().map_err(|error| error.of_file(file))
}

/// Opens `file` so that its log stays where it is, even if nobody else has it open at the end.
pub(super) fn untouched(file: &Path) -> Result<Connection, LedgerError> {
    let failed = |error| opening_failed(file, error);
    let unusable = |source| LedgerError::Directory { path: place::parent(file).to_owned(), source };
    let file = place::without_links(file).map_err(unusable)?;
    if file.is_symlink() {
        return Err(LedgerError::NotOurs { path: file, what: "a link" });
    }
    let connection = Connection::open_with_flags(&file, FLAGS).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let has_log = place::beside(&file, "-wal").exists();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log).map_err(failed)?;
    Ok(connection)
}

/// Wants every row read, and nothing of it.
struct Nobody;

impl RunVisitor for Nobody {
    fn row(&mut self, _: &Run, _: &DeploymentResult) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Tx<'_> {
    fn verdict(&self) -> Result<LedgerVerdict, LedgerError> {
        let mut faults = self.lines("PRAGMA integrity_check", |row| row.get(0))?;
        faults.retain(|line| line != "ok");
        if !faults.is_empty() {
            // What is read from damaged pages proves nothing.
            return Ok(LedgerVerdict { faults, ..LedgerVerdict::default() });
        }
        let orphans = self.lines("PRAGMA foreign_key_check", |row| {
            Ok(format!("a row of `{}` refers to a row that does not exist", row.get::<_, String>(0)?))
        })?;
        faults.extend(orphans);
        for (what, query) in INVARIANTS {
            let rows = self.count(query)?;
            if rows > 0 {
                faults.push(format!("{what}: {rows}"));
            }
        }
        // Every word, instant and amount, through the readers that everybody uses.
        let read = self
            .open_runs()
            .and_then(|_runs| self.each_run(&RunFilter::default(), &mut Nobody))
            .and_then(|()| self.outbox(DateTime::UNIX_EPOCH))
            .and_then(|_| self.cursors());
        faults.extend(read.err().map(|error| error.to_string()));
        Ok(LedgerVerdict {
            runs: self.count("SELECT count(*) FROM run")?,
            deployments: self.count("SELECT count(*) FROM deployment")?,
            mails: self.count("SELECT count(*) FROM mail")?,
            faults,
        })
    }

    fn count(&self, query: &str) -> Result<i64, LedgerError> {
        Ok(self.0.query_row(query, [], |row| row.get(0))?)
    }

    fn lines(
        &self,
        query: &str,
        line: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<String>,
    ) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.0.prepare(query)?;
        let lines = statement.query_map([], line)?.collect::<Result<_, _>>()?;
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::verify;
    use crate::ledger::file::FILE;
    use crate::ledger::handle::Ledger;

    #[test]
    fn a_ledger_whose_rows_contradict_each_other_is_not_whole() {
        let directory = tempfile::tempdir().unwrap();
        drop(Ledger::open(directory.path()).unwrap());
        let file = directory.path().join(FILE);
        assert!(verify(&file).unwrap().is_whole());
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = off;
                 INSERT INTO run (rule, scheduled_at, connection, mode, trigger, window_from, window_to, started_at, open, executor)
                 VALUES ('r', 0, 'dev', 'enforce', 'schedule', 1, 0, 0, 1, 'x');
                 INSERT INTO settlement (run, resource_group, id, settled_at, ended_by, node_hours, state)
                 VALUES (9, 'dev-a', 'd001', 0, 'window-end', '0', 'settled');",
            )
            .unwrap();
        drop(connection);
        let faults = verify(&file).unwrap().faults;
        assert_eq!(
            faults,
            ["a row of `settlement` refers to a row that does not exist", "off windows that end before they begin: 1"]
        );
    }
}
