//! What metrics tell of the ledger: read now and then, because runs of other processes are in it too.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveTime, Utc};
use tokio::time::Instant;

use crate::config::Config;
use crate::domain::rule::Mode;
use crate::executor::Executor;
use crate::ledger::{LedgerError, Tx};
use crate::monitor::ledger_gauges::{AvoidedThisMonth, LedgerGauges, Mails};
use crate::monitor::vitals::Vitals;

/// A month of a large tenant is not added up at each look.
const BETWEEN_SUMS: Duration = Duration::from_secs(300);

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub(super) struct GaugeReader {
    avoided: Option<(Instant, AvoidedThisMonth)>,
}

impl GaugeReader {
    /// Reads the ledger for `vitals`, where anybody can ask for them.
    pub(super) async fn look(&mut self, executor: &Executor, vitals: &Vitals) -> Result<(), LedgerError> {
        if executor.config.monitoring.listen.is_none() {
            return Ok(());
        }
        let (config, now) = (executor.config.clone(), executor.clock.now());
        let known = self.avoided.filter(|(at, _)| at.elapsed() < BETWEEN_SUMS);
        let read = executor.ledger.read(move |tx| {
            let mut ends = BTreeMap::new();
            let mut books = books(tx, &config, now)?;
            for rule in &config.rules {
                if let Some(at) = tx.last_end(&rule.name)? {
                    ends.insert(rule.name.clone(), at);
                }
            }
            books.avoided = known.map_or_else(|| avoided(tx, &config, now), |(_, avoided)| Ok(avoided))?;
            Ok((ends, books))
        });
        // What was true once would look like what is true now.
        let (ends, books) = read.await.inspect_err(|_| vitals.ledger(None))?;
        self.avoided = Some((known.map_or_else(Instant::now, |(at, _)| at), books.avoided));
        vitals.last_runs(ends);
        vitals.ledger(Some(books));
        Ok(())
    }
}

fn books(tx: &Tx<'_>, config: &Config, now: DateTime<Utc>) -> Result<LedgerGauges, LedgerError> {
    let mut results = BTreeMap::new();
    for rule in &config.rules {
        if let Some(result) = tx.last_run(&rule.name)?.and_then(|last| last.result) {
            results.insert(rule.name.clone(), result);
        }
    }
    let counts = tx.mail_counts(now)?;
    Ok(LedgerGauges {
        read_at: now,
        observes: config.rules.iter().map(|rule| (rule.name.clone(), rule.mode == Mode::Observe)).collect(),
        results,
        mails: Mails { queued: counts.waiting.into(), dead: counts.given_up.into(), oldest: tx.oldest_waiting_mail()? },
        holds: tx.holds(now)?.len(),
        still_on: tx.still_on(now)?,
        avoided: AvoidedThisMonth::default(),
    })
}

/// Since the month began where the configuration is at home.
fn avoided(tx: &Tx<'_>, config: &Config, now: DateTime<Utc>) -> Result<AvoidedThisMonth, LedgerError> {
    let zone = config.zone_or_utc();
    let today = zone.wall_clock(now).date();
    let first = today.with_day(1).unwrap_or(today).and_time(NaiveTime::MIN);
    let from = zone.resolve(first).first();
    let currency = config.prices.at(now).map(|period| period.currency);
    let sum = |currency| tx.avoided_between(from, now, Some(currency)).map(|amount| (amount, currency));
    let cost = currency.map(sum);
    Ok(AvoidedThisMonth { node_hours: tx.avoided_between(from, now, None)?, cost: cost.transpose()? })
}
