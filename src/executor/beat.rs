//! From "what is due?" to claimed firings, in one transaction: runs, missed and skipped firings, their mails, and how
//! far each rule has been dealt with.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use crate::config::OnDisk;
use crate::domain::agenda::{Agenda, fires_by};
use crate::domain::earlier::Precedents;
use crate::domain::id::RuleName;
use crate::domain::plausible::{Implausible, plausible};
use crate::domain::plural::plural;
use crate::domain::rule::Rule;
use crate::domain::run::{Firing, Run, RunResult, Trigger};
use crate::domain::run_reason::RunReason;
use crate::domain::schedule::Due;
use crate::executor::Executor;
use crate::executor::run_mails::{self, Told};
use crate::ledger::LedgerError;
use crate::ledger::cursors::Cursor;
use crate::ledger::outbox::NewMail;
use crate::ledger::runs::{Claim, NewRun, OpenRun};

/// Why nothing could be claimed.
#[derive(Debug, thiserror::Error)]
pub enum BeatError {
    /// The clock cannot be right.
    #[error(transparent)]
    Clock(#[from] Implausible),
    /// The ledger was taken away while we ran. Also said where nothing is due: what is held in the new one would be missed.
    #[error(transparent)]
    TakenAway(LedgerError),
    /// The ledger cannot be written; without a claim nothing is stopped. The firings stay due.
    #[error("a firing is due and could not be claimed")]
    Ledger(#[from] LedgerError),
}

/// What a beat has written down.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claimed {
    pub runs: Vec<OpenRun>,
    /// Firings that are not carried out: missed and skipped ones.
    pub recorded: Vec<(RuleName, RunResult)>,
}

/// What is to be written for one due rule, prepared before the transaction.
struct Entries {
    rule: Arc<Rule>,
    run: Option<(NewRun, Vec<NewMail>)>,
    missed: Vec<NewRun>,
    missed_mails: Vec<NewMail>,
    dealt_with: DateTime<Utc>,
}

impl Executor {
    /// The agenda of the configuration's rules, from the ledger's cursors. Rules that are new or changed begin now;
    /// those that are gone are forgotten, so that nothing of them is caught up when they return.
    pub async fn agenda(&self) -> Result<Agenda, LedgerError> {
        let (cursors, newest) = self.ledger.read(|tx| Ok((tx.cursors()?, tx.newest_instant()?))).await?;
        let known = cursors.iter().map(|(rule, cursor)| (rule.clone(), (cursor.schedule.clone(), cursor.after)));
        let now = self.clock.now();
        let agenda = Agenda::new(&self.config.rules, &known.collect(), now);
        if plausible(now, self.built, newest).is_err() {
            // A rule that began in 1970 would have missed everything since.
            return Ok(agenda.provisional());
        }
        let wanted: BTreeMap<RuleName, Cursor> = agenda
            .cursors()
            .map(|(rule, after)| (rule.name.clone(), Cursor { schedule: fires_by(rule), after }))
            .collect();
        if wanted != cursors {
            self.ledger
                .write(move |tx| {
                    cursors
                        .keys()
                        .filter(|rule| !wanted.contains_key(*rule))
                        .try_for_each(|rule| tx.drop_cursor(rule))?;
                    wanted
                        .iter()
                        .filter(|(rule, cursor)| cursors.get(*rule) != Some(*cursor))
                        .try_for_each(|(rule, cursor)| tx.move_cursor(rule, cursor))
                })
                .await?;
        }
        Ok(agenda)
    }

    /// Fails where the clock cannot be right, or where rules wait for an instant up to which a wrong one has dealt with
    /// them. What a person has set right in the ledger since is taken over.
    pub async fn check_clock(&self, agenda: &mut Agenda) -> Result<(), BeatError> {
        let now = self.clock.now();
        let newest = self.ledger.read(|tx| tx.newest_instant()).await?;
        plausible(now, self.built, newest)?;
        if agenda.check(now).is_err() {
            *agenda = self.agenda().await?;
        }
        Ok(agenda.check(now)?)
    }

    /// Claims what is due and gives the runs to carry out. Until the claims are on the disk nothing has happened.
    pub async fn beat(&self, agenda: &mut Agenda) -> Result<Claimed, BeatError> {
        self.ledger.in_place().map_err(BeatError::TakenAway)?;
        let now = self.clock.now();
        if agenda.is_provisional() {
            let newest = self.ledger.read(|tx| tx.newest_instant()).await?;
            plausible(now, self.built, newest)?;
            *agenda = self.agenda().await?;
            info!("the clock is plausible now ({now}): rules that are new begin here");
        }
        let due = agenda.due(now);
        if due.is_empty() {
            return Ok(Claimed::default());
        }
        let newest = self.ledger.read(|tx| tx.newest_instant()).await?;
        plausible(now, self.built, newest)?;
        let entries: Vec<Entries> = due.into_iter().filter_map(|(rule, due)| self.entries(rule, &due, now)).collect();
        let dealt_with = entries.iter().map(|entry| (entry.rule.name.clone(), entry.dealt_with)).collect();
        let claimed = self.ledger.write(move |tx| claim_all(tx, entries, now)).await?;
        agenda.advance(&dealt_with);
        Ok(claimed)
    }

    fn entries(&self, rule: Arc<Rule>, due: &Due, now: DateTime<Utc>) -> Option<Entries> {
        let dealt_with = due.run.map(|firing| firing.at).or_else(|| due.missed.last().copied())?;
        let missed: Vec<NewRun> =
            due.missed.iter().map(|at| self.claim_of(&rule, *at, Trigger::CatchUp, now)).collect();
        let missed_mails = missed.last().map_or_else(Vec::new, |newest| {
            self.mails(
                &rule,
                &newest.ended(RunResult::Missed, vec![missed_reason(missed.len(), now)], newest.started_at),
            )
        });
        let run = due.run.map(|firing| {
            let trigger = if firing.on_time { Trigger::Schedule } else { Trigger::CatchUp };
            let claim = self.claim_of(&rule, firing.at, trigger, now);
            let skipped = claim.ended(RunResult::Skipped, vec![RunReason::Skipped], claim.started_at);
            let mails = self.mails(&rule, &skipped);
            (claim, mails)
        });
        Some(Entries { rule, run, missed, missed_mails, dealt_with })
    }

    /// The claim of `rule` at `at`.
    pub(super) fn claim_of(&self, rule: &Rule, at: DateTime<Utc>, trigger: Trigger, now: DateTime<Utc>) -> NewRun {
        NewRun {
            firing: Firing { rule: rule.name.clone(), at },
            connection: rule.connection.clone(),
            mode: rule.mode,
            trigger,
            off_window: rule.schedule.off_window(at),
            started_at: now,
            executor: self.name.to_string(),
        }
    }

    fn mails(&self, rule: &Rule, run: &Run) -> Vec<NewMail> {
        let told =
            Told { run, precedents: &Precedents::default(), observed: None, is_news: true, on_disk: &OnDisk::Same };
        run_mails::run_mails(&self.config, Some(rule), told, self.clock.now())
    }
}

fn claim_all(tx: &crate::ledger::Tx<'_>, entries: Vec<Entries>, now: DateTime<Utc>) -> Result<Claimed, LedgerError> {
    let mut claimed = Claimed::default();
    for entry in entries {
        let mut newly_missed = false;
        for missed in &entry.missed {
            let reason = missed_reason(1, now);
            if tx.record(missed, RunResult::Missed, &[reason])? {
                newly_missed = true;
                claimed.recorded.push((missed.firing.rule.clone(), RunResult::Missed));
            }
        }
        if newly_missed {
            let firings = plural(entry.missed.len(), "firing");
            warn!(rule = %entry.rule.name, "missed {firings} of rule {}: noticed when the time had passed", entry.rule.name);
            tx.enqueue(&entry.missed_mails, now)?;
        }
        if let Some((claim, mails)) = entry.run {
            match tx.claim(&claim)? {
                Claim::Taken(id) => claimed.runs.push(OpenRun { id, claim }),
                Claim::Skipped => {
                    warn!(rule = %entry.rule.name, "skipped {}: the rule's previous run is still going", claim.firing);
                    tx.enqueue(&mails, now)?;
                    claimed.recorded.push((claim.firing.rule, RunResult::Skipped));
                }
                Claim::Duplicate => {
                    info!(rule = %entry.rule.name, "{} was claimed before; nothing to do", claim.firing);
                }
            }
        }
        let cursor = Cursor { schedule: fires_by(&entry.rule), after: entry.dealt_with };
        tx.move_cursor(&entry.rule.name, &cursor)?;
    }
    Ok(claimed)
}

fn missed_reason(firings: usize, noticed: DateTime<Utc>) -> RunReason {
    RunReason::Missed { noticed, earlier: firings.saturating_sub(1) }
}
