//! The report of a period, drawn up from the ledger.

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::domain::hold::Hold;
use crate::domain::money::Currency;
use crate::domain::period::{Dates, Span};
use crate::domain::rule::Mode;
use crate::domain::run::Run;
use crate::domain::zone::Zone;
use crate::ledger::runs::Filter;
use crate::ledger::{Ledger, LedgerError};
use crate::report::form::Form;
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
        let oldest = spans.first().map_or(from, |dates| dates.instants(zone).0);
        let (runs, holds, given_up) = match ledger {
            Some(ledger) => {
                let filter = Filter { since: Some(oldest), before: Some(to), rule: None };
                ledger
                    .read(move |tx| Ok((tx.history(&filter)?, tx.holds_in(from, to)?, tx.mails_given_up(from)?)))
                    .await?
            }
            None => (Vec::new(), Vec::new(), 0),
        };
        if given_up > 0 {
            notes.push(format!("{given_up} reports could not be delivered: see `offhours mail queue`"));
        }
        let trend = trend(&runs, &spans, zone, currency(config, now));
        let runs = runs.into_iter().filter(|run| run.firing.at >= from).collect();
        let locale = config.locale();
        let label = label(dates, &Form { locale, zone });
        Ok(Self { period: Period { label, from, to }, runs, trend, holds, notes })
    }

    /// The report.
    pub fn report(&self) -> PeriodReport<'_> {
        PeriodReport {
            period: &self.period,
            runs: &self.runs,
            trend: &self.trend,
            holds: &self.holds,
            notes: &self.notes,
            restates: None,
        }
    }

    /// Its runs, for the CSV.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }
}

fn currency(config: &Config, now: DateTime<Utc>) -> Option<Currency> {
    config.prices.at(now).map(|period| period.currency)
}

fn trend(runs: &[Run], spans: &[Dates], zone: &Zone, currency: Option<Currency>) -> Trend {
    let first = runs.first().map(|run| run.firing.at);
    let points = spans.iter().map(|dates| {
        let (from, to) = dates.instants(zone);
        let label = short_label(*dates);
        if first.is_none_or(|first| first >= to) {
            return TrendPoint { label, amount: None };
        }
        let own = runs.iter().filter(|run| run.mode == Mode::Enforce && run.firing.at >= from && run.firing.at < to);
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
