//! The clock as the ledger knows it: the newest instant that it has seen, what it holds ahead of a clock that is right
//! again, and how a person ends that.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::params;

use crate::domain::id::RuleName;
use crate::domain::run::Firing;
use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, parsed, to_ms};

/// No mail waits longer than this for its next attempt.
const LONGEST_PAUSE: TimeDelta = TimeDelta::days(1);

/// What a ledger holds ahead of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ahead {
    /// Rules, and up to when each was dealt with: until then they do not fire.
    pub(crate) rules: Vec<(RuleName, DateTime<Utc>)>,
    /// Firings recorded as missed or skipped whose time has not come.
    pub(crate) not_come: u32,
    /// Firings that were carried out before their time.
    pub(crate) carried_out: Vec<Firing>,
    pub(crate) reports: u32,
    /// Holds that are not in force yet, or that are although somebody ended them.
    pub(crate) holds: u32,
    pub(crate) mails: u32,
}

impl Ahead {
    /// True where there is nothing of it.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Tx<'_> {
    /// The newest instant the ledger knows of; the clock is not plausible long before it: nothing fires, or no report is
    /// sent, before it comes. Of what was claimed before a person trusted the clock, only that moment counts.
    pub fn newest_instant(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let newest: Option<i64> = self
            .0
            .prepare_cached(
                "SELECT max(at) FROM (
                   SELECT (SELECT started_at FROM run WHERE +id > (SELECT coalesce(max(run), 0) FROM clock_mark)
                           ORDER BY started_at DESC LIMIT 1) AS at
                   UNION ALL SELECT max(after) FROM cursor
                   UNION ALL SELECT max(at) FROM announced WHERE kind = 'report'
                   UNION ALL SELECT at FROM clock_mark)",
            )?
            .query_row([], |row| row.get(0))?;
        newest.map(from_ms).transpose()
    }

    /// What lies ahead of `now`. Notices are not in it: they are made ahead of their firing.
    pub(crate) fn ahead_of(&self, now: DateTime<Utc>) -> Result<Ahead, LedgerError> {
        let at = to_ms(now);
        let count = |query: &str| self.0.query_row(query, [at], |row| row.get(0));
        let cursors = self.cursors()?.into_iter().map(|(rule, cursor)| (rule, cursor.after));
        Ok(Ahead {
            rules: cursors.filter(|(_, after)| *after > now).collect(),
            not_come: count("SELECT count(*) FROM run WHERE scheduled_at > ?1 AND result IN ('missed', 'skipped')")?,
            carried_out: self.carried_out_after(now)?,
            reports: count("SELECT count(*) FROM announced WHERE kind = 'report' AND at > ?1")?,
            holds: count("SELECT count(*) FROM hold WHERE created_at > ?1 OR removed_at > ?1")?,
            mails: self.0.query_row(
                "SELECT count(*) FROM mail WHERE state = 'queued' AND (created_at > ?1 OR next_attempt_at > ?2)",
                [at, to_ms(now + LONGEST_PAUSE)],
                |row| row.get(0),
            )?,
        })
    }

    fn carried_out_after(&self, now: DateTime<Utc>) -> Result<Vec<Firing>, LedgerError> {
        let mut statement = self.0.prepare(
            "SELECT rule, scheduled_at FROM run
             WHERE scheduled_at > ?1 AND (result IS NULL OR result NOT IN ('missed', 'skipped')) ORDER BY scheduled_at",
        )?;
        let mut found = statement.query([to_ms(now)])?;
        let mut firings = Vec::new();
        while let Some(columns) = found.next()? {
            let rule = parsed(columns, "rule", "a rule name", str::parse)?;
            firings.push(Firing { rule, at: from_ms(columns.get("scheduled_at")?)? });
        }
        Ok(firings)
    }

    /// Takes everything that lies ahead of `now` as of now, and `now` as the newest instant: nothing is caught up by it.
    /// Firings that were carried out stay as they are; those that were only recorded are claimed when their time comes.
    pub fn trust_clock(&self, now: DateTime<Utc>) -> Result<(), LedgerError> {
        let at = to_ms(now);
        self.0.execute("DELETE FROM run WHERE scheduled_at > ?1 AND result IN ('missed', 'skipped')", [at])?;
        self.0.execute("UPDATE cursor SET after = ?1 WHERE after > ?1", [at])?;
        self.0.execute(
            "UPDATE OR REPLACE announced SET at = ?1 WHERE kind IN ('report', 'period', 'clock') AND at > ?1",
            [at],
        )?;
        self.0.execute(
            "UPDATE hold SET created_at = min(created_at, ?1), removed_at = min(removed_at, ?1)
             WHERE created_at > ?1 OR removed_at > ?1",
            [at],
        )?;
        self.0.execute(
            "UPDATE mail SET created_at = min(created_at, ?1), next_attempt_at = ?1
             WHERE state = 'queued' AND (created_at > ?1 OR next_attempt_at > ?2)",
            [at, to_ms(now + LONGEST_PAUSE)],
        )?;
        self.0.execute("UPDATE mail SET done_at = ?1 WHERE done_at > ?1", [at])?;
        self.0.execute(
            "INSERT INTO clock_mark (id, at, run) SELECT 1, ?1, coalesce(max(id), 0) FROM run WHERE true
             ON CONFLICT (id) DO UPDATE SET at = excluded.at, run = excluded.run",
            [at],
        )?;
        Ok(())
    }

    /// Forgets that firings of `rule` after `next`, its next one, were announced: no notice is made so far ahead.
    pub(crate) fn forget_notices(&self, rule: &RuleName, next: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0.execute(
            "DELETE FROM announced WHERE kind = 'notice' AND name = ?1 AND at > ?2",
            params![rule.as_str(), to_ms(next)],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Ahead;
    use crate::domain::hold::HoldTarget;
    use crate::domain::id::{ConnectionName, RuleName};
    use crate::domain::rule::Mode;
    use crate::domain::run::{Firing, RunResult, Trigger};
    use crate::domain::schedule::OffWindow;
    use crate::ledger::announced::Announcement;
    use crate::ledger::cursors::Cursor;
    use crate::ledger::error::LedgerError;
    use crate::ledger::handle::Ledger;
    use crate::ledger::outbox::{Letter, NewMail};
    use crate::ledger::runs::{Claim, NewRun};
    use crate::ledger::tx::Tx;

    fn now() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn later() -> DateTime<Utc> {
        now() + TimeDelta::days(200)
    }

    fn rule(name: &str) -> RuleName {
        RuleName::new(name).unwrap()
    }

    fn firing(name: &str, at: DateTime<Utc>, started_at: DateTime<Utc>) -> NewRun {
        NewRun {
            firing: Firing { rule: rule(name), at },
            connection: ConnectionName::new("dev").unwrap(),
            mode: Mode::Enforce,
            trigger: Trigger::CatchUp,
            off_window: OffWindow { from: at, to: at + TimeDelta::hours(12) },
            started_at,
            executor: "test".to_owned(),
        }
    }

    fn mail(id: &str) -> NewMail {
        let text = |text: &str| text.to_owned();
        let letter = Letter { id: text(id), bytes: b"m".as_slice().into() };
        NewMail {
            subject: text("s"),
            recipient: text("a@example.com"),
            message_id: text(id),
            head: Vec::new(),
            letter,
            useless_from: None,
        }
    }

    /// What a clock that was 200 days ahead for a moment leaves behind, beside what is as it should be.
    fn ahead(tx: &Tx<'_>) -> Result<(), LedgerError> {
        let cursor = |after| Cursor { schedule: "0 19 * * * UTC".to_owned(), after };
        tx.move_cursor(&rule("evenings"), &cursor(later()))?;
        tx.move_cursor(&rule("weekends"), &cursor(now() - TimeDelta::days(2)))?;
        for days in [-1, 1, 199] {
            let missed = firing("evenings", now() + TimeDelta::days(days), later());
            assert!(tx.record(&missed, RunResult::Missed, &[])?);
        }
        assert!(matches!(tx.claim(&firing("evenings", later(), later()))?, Claim::Taken(_)));
        for (at, rule) in [(now() + TimeDelta::hours(7), "evenings"), (later(), "evenings"), (later(), "other")] {
            tx.announce(Announcement::Notice, rule, at)?;
        }
        for at in [now() - TimeDelta::days(1), later() - TimeDelta::days(1), later()] {
            tx.announce(Announcement::Report, "daily", at)?;
        }
        let target = HoldTarget::Rule(rule("evenings"));
        tx.add_hold(&target, now() + TimeDelta::hours(20), "as it should be", "ann", now())?;
        tx.add_hold(&target, later() + TimeDelta::hours(12), "made ahead", "bob", later())?;
        assert!(tx.remove_hold(1, now() + TimeDelta::hours(19))?, "ended under a clock that was ahead");
        tx.enqueue(&[mail("<1>"), mail("<2>")], now())?;
        tx.mail_failed(1, "greylisted", Some(now() + TimeDelta::hours(6)), now())?;
        tx.mail_failed(2, "greylisted", Some(later()), later())?;
        tx.enqueue(&[mail("<3>")], later())
    }

    #[tokio::test]
    async fn t21_what_lies_ahead_of_a_clock_that_is_trusted_is_as_of_now() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        ledger.write(ahead).await.unwrap();
        let read = async |at| ledger.read(move |tx| Ok((tx.ahead_of(at)?, tx.newest_instant()?))).await.unwrap();
        let expected = Ahead {
            rules: vec![(rule("evenings"), later())],
            not_come: 2,
            carried_out: vec![Firing { rule: rule("evenings"), at: later() }],
            reports: 2,
            holds: 2,
            mails: 2,
        };
        assert_eq!(read(now()).await, (expected.clone(), Some(later())));

        let next = now() + TimeDelta::hours(7);
        ledger.write(move |tx| tx.forget_notices(&rule("evenings"), next)).await.unwrap();
        ledger.write(|tx| tx.trust_clock(now())).await.unwrap();
        let stays = Ahead { carried_out: expected.carried_out, ..Ahead::default() };
        assert_eq!(read(now()).await, (stays, Some(now())), "the clock is measured against the present");
        ledger
            .read(move |tx| {
                let cursors = tx.cursors()?;
                assert_eq!(cursors[&rule("evenings")].after, now(), "nothing is caught up");
                assert_eq!(cursors[&rule("weekends")].after, now() - TimeDelta::days(2));
                let newest = |what, name: &str| tx.newest_announcement(what, name);
                assert_eq!(newest(Announcement::Report, "daily")?, Some(now()));
                assert_eq!(newest(Announcement::Notice, "evenings")?, Some(next), "a notice is ahead of its firing");
                assert_eq!(newest(Announcement::Notice, "other")?, Some(later()), "nobody asked");
                let holds = tx.holds(now())?;
                assert_eq!(holds.iter().map(|hold| hold.reason.as_str()).collect::<Vec<_>>(), ["made ahead"]);
                let mails = tx.outbox(now())?;
                let due: Vec<_> = mails.iter().map(|mail| mail.next_attempt_at - now()).collect();
                assert_eq!(due, [TimeDelta::hours(6), TimeDelta::zero(), TimeDelta::zero()]);
                assert!(mails.iter().all(|mail| mail.created_at == now()));
                Ok(())
            })
            .await
            .unwrap();

        // The firings that were only recorded come in their time; the one that was carried out does not come again.
        for (at, claimed) in [(now() + TimeDelta::days(1), true), (later(), false)] {
            let claim = ledger.write(move |tx| {
                tx.0.execute("UPDATE run SET open = 0, result = 'done', finished_at = started_at", [])?;
                let new = NewRun { executor: "new".to_owned(), ..firing("evenings", at, at) };
                Ok(matches!(tx.claim(&new)?, Claim::Taken(_)))
            });
            assert_eq!(claim.await.unwrap(), claimed, "{at}");
        }
        assert_eq!(read(now()).await.1, Some(now() + TimeDelta::days(1)), "what is claimed from now on counts");
    }

    #[tokio::test]
    async fn t21_a_report_sent_ahead_of_time_speaks_against_the_clock_too() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let newest = async || ledger.read(|tx| tx.newest_instant()).await.unwrap();
        ledger.write(|tx| tx.announce(Announcement::Notice, "evenings", later())).await.unwrap();
        assert_eq!(newest().await, None, "a notice is ahead of its firing");
        ledger.write(|tx| tx.announce(Announcement::Report, "daily", later())).await.unwrap();
        assert_eq!(newest().await, Some(later()));
        ledger.write(|tx| tx.trust_clock(now())).await.unwrap();
        assert_eq!(newest().await, Some(now()));
    }

    #[tokio::test]
    async fn t21_a_clock_may_be_trusted_too_early_and_once_more() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        ledger.write(|tx| tx.trust_clock(later())).await.unwrap();
        assert_eq!(ledger.read(|tx| tx.newest_instant()).await.unwrap(), Some(later()));
        ledger.write(|tx| tx.trust_clock(now())).await.unwrap();
        assert_eq!(ledger.read(|tx| tx.newest_instant()).await.unwrap(), Some(now()));
    }
}
