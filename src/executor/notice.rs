//! The mail before a stop: what will be stopped, when, and how to say "not tonight". A firing is announced once.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::{info, warn};

use crate::domain::instant::rfc3339;
use crate::domain::plan::{Decision, DecisionContext, Planned};
use crate::domain::rule::Rule;
use crate::executor::survey::{Surveyed, Surveyor};
use crate::executor::{Executor, run_mails};
use crate::ledger::LedgerError;
use crate::ledger::announced::Announcement;
use crate::ledger::outbox::NewMail;
use crate::report::{self, ReportContext};

/// A notice that would leave later than this before its firing is not sent: nobody can act on it, and the mail of the run
/// follows.
const LEAST_WARNING: TimeDelta = TimeDelta::minutes(1);

impl Executor {
    /// The firings whose notice is due and was not sent.
    pub async fn notices_due(&self) -> Result<Vec<(Arc<Rule>, DateTime<Utc>)>, LedgerError> {
        let now = self.clock.now();
        let mut due = Vec::new();
        for rule in &self.config.rules {
            let Some(notice) = rule.notice else { continue };
            let Some(at) = rule.schedule.next_firing(now).filter(|at| *at - notice <= now) else { continue };
            let name = rule.name.to_string();
            let last = self.ledger.read(move |tx| tx.newest_announcement(Announcement::Notice, &name)).await?;
            if last.is_none_or(|last| last < at) {
                due.push((Arc::clone(rule), at));
            }
        }
        Ok(due)
    }

    /// Announces the firing of `rule` at `at`. A tenant that cannot be asked is asked again by the next call.
    pub async fn announce(&self, rule: &Arc<Rule>, at: DateTime<Utc>) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let Some(settings) = &self.config.mail else { return Ok(()) };
        let Some(planned) = self.foresee(rule, at).await? else { return Ok(()) };
        let mails = if planned.is_empty() {
            Vec::new()
        } else {
            let context = ReportContext::new(settings.locale, &rule.schedule.zone, now);
            let context = ReportContext { command: &self.config.command, ..context };
            let content = report::notice(&rule.name, at, rule.schedule.off_window(at), &planned, &context);
            run_mails::mails(settings, &run_mails::recipients(settings, &rule.to), &content, now)
        };
        let useless_from = at - LEAST_WARNING;
        // To look at a tenant takes its time.
        let now = self.clock.now();
        if now >= useless_from {
            warn!(rule = %rule.name, "the stop of rule {} at {} was not announced: it is too near", rule.name, rfc3339(at));
            return Ok(());
        }
        let mails: Vec<NewMail> =
            mails.into_iter().map(|mail| NewMail { useless_from: Some(useless_from), ..mail }).collect();
        let name = rule.name.to_string();
        info!(rule = %rule.name, "announced the stop of rule {} at {}", rule.name, rfc3339(at));
        self.ledger
            .write(move |tx| {
                if tx.announce(Announcement::Notice, &name, at)? {
                    tx.enqueue(&mails, now)?;
                }
                Ok(())
            })
            .await
    }

    /// What `rule` would stop at `at`, as far as the tenant shows it now; none where it cannot be asked.
    async fn foresee(&self, rule: &Arc<Rule>, at: DateTime<Utc>) -> Result<Option<Vec<Planned>>, LedgerError> {
        let Some(connection) = self.config.connections.get(&rule.connection) else { return Ok(None) };
        let holds = self.ledger.read(move |tx| tx.holds_in(at, at)).await?;
        let decisions = DecisionContext { rule, protect: &self.config.protect, holds: &holds, scheduled: at, now: at };
        let mut stops = Vec::new();
        let mut take = |surveyed: Surveyed| {
            stops.extend(surveyed.planned.into_iter().filter(|planned| planned.decision == Decision::Stop));
        };
        let seen = match self.tenants.tenant(connection) {
            Ok(tenant) => {
                let (reader, clock, prices) = (&tenant.reader, &self.clock, &self.config.prices);
                Surveyor { reader, clock, prices, decisions }.survey(&mut take).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = seen {
            warn!(rule = %rule.name, %error, "the stop of rule {} could not be announced yet", rule.name);
            return Ok(None);
        }
        Ok(Some(stops))
    }
}
