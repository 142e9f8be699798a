//! The report of a period, drawn up from the ledger.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::config::Config;
use crate::domain::hold::Hold;
use crate::domain::id::RuleName;
use crate::domain::money::Currency;
use crate::domain::period::{Dates, Span};
use crate::domain::rule::Mode;
use crate::domain::run::Run;
use crate::domain::zone::Zone;
use crate::executor::tenants::Tenants;
use crate::ledger::announced::Announcement;
use crate::ledger::runs::Filter;
use crate::ledger::{Ledger, LedgerError};
use crate::report::form::{Form, plural};
use crate::report::sum::Sum;
use crate::report::{Period, PeriodReport, Trend, TrendPoint};

/// Equally long periods that the trend shows, the report's own included.
const TREND_LENGTH: usize = 8;

/// What a period's report is made from.
#[derive(Debug, Clone)]
pub struct Books {
    period: Period,
    runs: Vec<Run>,
    trend: Trend,
    holds: Vec<Hold>,
    notes: Vec<String>,
    name: String,
    restates: Option<DateTime<Utc>>,
}

impl Books {
    /// Draws up the books of `span`, as seen at `now` in `zone`.
    pub async fn open(
        ledger: Option<&Ledger>,
        config: &Config,
        span: Span,
        zone: &Zone,
        now: DateTime<Utc>,
        mut notes: Vec<String>,
    ) -> Result<Self, LedgerError> {
        let dates = span.dates(zone.wall_clock(now).date());
        let mut spans: Vec<Dates> =
            std::iter::successors(Some(dates), |dates| Some(dates.before())).take(TREND_LENGTH).collect();
        spans.reverse();
        let (from, to) = dates.instants(zone);
        let earlier: Vec<(DateTime<Utc>, DateTime<Utc>)> =
            spans.iter().filter(|span| **span != dates).map(|span| span.instants(zone)).collect();
        let oldest = earlier.first().map_or(from, |(from, _)| *from);
        let currency = currency(config, now);
        let name = format!("{}..{}", dates.from, dates.to);
        let (runs, holds, given_up, sent_at, amounts) = match ledger {
            Some(ledger) => {
                let filter = Filter { since: Some(from), before: Some(to), rule: None };
                let name = name.clone();
                ledger
                    .read(move |tx| {
                        let sent_at = tx.newest_announcement(Announcement::Period, &name)?;
                        // Of the earlier periods only the sums are wanted, and only from the first run on.
                        let first = tx.first_firing(oldest, to)?;
                        let known = |(from, to): &(DateTime<Utc>, DateTime<Utc>)| match first {
                            Some(first) if first < *to => tx.avoided_between(*from, *to, currency).map(Some),
                            _ => Ok(None),
                        };
                        let amounts: Vec<Option<Decimal>> = earlier.iter().map(known).collect::<Result<_, _>>()?;
                        let (holds, given_up) = (tx.holds_in(from, to)?, tx.mails_given_up(from)?);
                        Ok((tx.history(&filter)?, holds, given_up, sent_at, amounts))
                    })
                    .await?
            }
            None => (Vec::new(), Vec::new(), 0, None, Vec::new()),
        };
        if given_up > 0 {
            let reports = plural(given_up as usize, &given_up.to_string(), "report");
            notes.push(format!("{reports} could not be delivered: see `offhours mail queue`"));
        }
        notes.extend(barren_rules(ledger, config, dates, from, to).await?);
        let trend = trend(&runs, &spans, &amounts, currency);
        let restates = sent_at.filter(|sent_at| changed_since(&runs, *sent_at));
        let locale = config.locale();
        let label = label(dates, &Form { locale, zone });
        Ok(Self { period: Period { label, from, to }, runs, trend, holds, notes, name, restates })
    }

    /// The report.
    pub fn report(&self) -> PeriodReport<'_> {
        PeriodReport {
            period: &self.period,
            runs: &self.runs,
            trend: &self.trend,
            holds: &self.holds,
            notes: &self.notes,
            restates: self.restates,
        }
    }

    /// What the ledger calls the period, so that a later report of it knows what it restates.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its runs, for the CSV.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }
}

/// True where a run ended or a cost was settled after `sent_at`.
fn changed_since(runs: &[Run], sent_at: DateTime<Utc>) -> bool {
    let settled_later = |run: &Run| {
        let mut settlements = run.deployments.iter().filter_map(|row| row.settlement.as_ref());
        settlements.any(|settlement| settlement.at > sent_at)
    };
    runs.iter().any(|run| run.finished_at > sent_at || settled_later(run))
}

/// A sentence for each tenant that keeps nodes reserved: no stop avoids their cost.
pub async fn reserved_nodes(config: &Config, tenants: &Tenants) -> Vec<String> {
    let mut notes = Vec::new();
    for connection in config.connections.values() {
        let Ok(tenant) = tenants.tenant(connection) else { continue };
        // Where they cannot be read, nothing is said about them: no figure depends on it.
        let reserved = tenant.reader.reserved_nodes().await.unwrap_or_default();
        let nodes: Vec<String> =
            reserved.iter().filter(|(_, count)| **count > 0).map(|(plan, count)| format!("{count} × {plan}")).collect();
        if !nodes.is_empty() {
            notes.push(format!(
                "Connection {} keeps nodes reserved ({}): they go on costing, stopped or not.",
                connection.name,
                nodes.join(", ")
            ));
        }
    }
    notes
}

/// A sentence for each rule that fired in a week or longer and met nothing that it selects: it is likely to be wrong.
async fn barren_rules(
    ledger: Option<&Ledger>,
    config: &Config,
    dates: Dates,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<String>, LedgerError> {
    let Some(ledger) = ledger.filter(|_| (dates.to - dates.from).num_days() >= 7) else { return Ok(Vec::new()) };
    let rules: Vec<RuleName> = config.rules.iter().map(|rule| rule.name.clone()).collect();
    ledger
        .read(move |tx| {
            let mut notes = Vec::new();
            for rule in rules {
                let matches = tx.matches(&rule, from, to)?;
                if matches.are_none() {
                    let runs = if matches.runs == 1 {
                        "its one run".to_owned()
                    } else {
                        format!("all its {} runs", matches.runs)
                    };
                    notes.push(format!("Rule {rule} matched no deployment in {runs}: check what it selects."));
                }
            }
            Ok(notes)
        })
        .await
}

fn currency(config: &Config, now: DateTime<Utc>) -> Option<Currency> {
    config.prices.at(now).map(|period| period.currency)
}

/// The points of `spans`, of which the last is the report's own. `earlier` are the amounts of the others.
fn trend(runs: &[Run], spans: &[Dates], earlier: &[Option<Decimal>], currency: Option<Currency>) -> Trend {
    let points = spans.iter().enumerate().map(|(index, dates)| {
        let label = short_label(*dates);
        if index + 1 < spans.len() {
            return TrendPoint::known(label, earlier.get(index).copied().flatten());
        }
        if runs.is_empty() && earlier.iter().all(Option::is_none) {
            return TrendPoint::known(label, None);
        }
        let own = runs.iter().filter(|run| run.mode == Mode::Enforce);
        TrendPoint::of(label, &Sum::of(own.flat_map(|run| &run.deployments)), currency)
    });
    Trend { currency, points: points.collect() }
}

fn short_label(dates: Dates) -> String {
    if dates.is_month() {
        dates.from.format("%b").to_string()
    } else if dates.is_week() {
        dates.from.format("W%V").to_string()
    } else {
        dates.from.format("%-d %b").to_string()
    }
}

fn label(dates: Dates, form: &Form<'_>) -> String {
    let last = dates.to.pred_opt().unwrap_or(dates.from);
    if dates.is_month() {
        dates.from.format("%B %Y").to_string()
    } else if dates.from == last {
        form.day(last)
    } else if dates.is_week() {
        format!("week {}, {} to {}", dates.from.format("%V"), form.day(dates.from), form.day(last))
    } else {
        format!("{} to {}", form.day(dates.from), form.day(last))
    }
}
