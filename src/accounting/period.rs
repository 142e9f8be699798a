//! The books of a period, drawn up from the ledger: the one way to its report, in whatever form.

use std::io::{self, Write};
use std::iter;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Utc};
use rust_decimal::Decimal;

use crate::config::Config;
use crate::domain::calendar_end::{CalendarEnd, calendar_ends};
use crate::domain::hold::Hold;
use crate::domain::money::Currency;
use crate::domain::period::{DateRange, Span};
use crate::domain::plural::plural;
use crate::domain::visit::RunVisitor;
use crate::domain::zone::Zone;
use crate::executor::tenants::Tenants;
use crate::ledger::announced::Announcement;
use crate::ledger::overview::unmatched;
use crate::ledger::runs::RunFilter;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::report::form::Form;
use crate::report::{CsvForm, CsvWriter, Digest, JsonWriter, Period, PeriodReport, Trend, TrendPoint};

/// Equally long periods that the trend shows, the report's own included.
const TREND_LENGTH: usize = 8;

/// Of which days books are drawn up, and as seen from where.
#[derive(Debug, Clone)]
pub struct Request {
    pub span: Span,
    pub zone: Zone,
    /// Seen from this instant.
    pub now: DateTime<Utc>,
    /// What is to be said beside the figures.
    pub notes: Vec<String>,
}

/// Why the rows of a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// They could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// They could not be passed on.
    #[error("the rows of the report could not be written")]
    Output(#[from] io::Error),
}

/// What a period's report is made from: what its runs come to, and a way to all their rows. The runs themselves are never
/// in memory together; who writes the rows reads them once more, from the same state of the ledger.
#[derive(Debug)]
pub struct Books<'a> {
    ledger: Option<&'a Tx<'a>>,
    dates: DateRange,
    period: Period,
    digest: Digest,
    trend: Trend,
    holds: Vec<Hold>,
    notes: Vec<String>,
    restates: Option<DateTime<Utc>>,
}

impl<'a> Books<'a> {
    /// Draws up the books and does `work` with them. Whatever is read on the way is read from one state of the ledger,
    /// beside everybody else who uses it, and on a thread that may wait.
    pub async fn with<T, E>(
        ledger: Option<&Ledger>,
        config: Arc<Config>,
        request: Request,
        work: impl FnOnce(Books<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
    {
        match ledger {
            Some(ledger) => ledger.read(move |tx| Ok(work(Books::open(Some(tx), &config, request)?))).await?,
            None => work(Books::open(None, &config, request)?),
        }
    }

    /// Draws up the books from what `ledger` shows.
    fn open(ledger: Option<&'a Tx<'a>>, config: &Config, request: Request) -> Result<Self, LedgerError> {
        let Request { span, zone, now, mut notes } = request;
        let dates = span.dates(zone.wall_clock(now).date());
        let (from, to) = dates.instants(&zone);
        let label = label(dates, &Form { locale: config.locale(), zone: &zone });
        let currency = config.prices.at(now).map(|period| period.currency);
        let mut digest = Digest::default();
        let mut books = (Vec::new(), None, vec![None; TREND_LENGTH - 1]);
        let mut month = None;
        let spans = trend_spans(dates);
        if let Some(tx) = ledger {
            tx.each_run(&RunFilter { since: Some(from), before: Some(to), rule: None }, &mut digest)?;
            for run in tx.under_way()?.iter().filter(|run| (from..to).contains(&run.firing.at)) {
                digest.meet_under_way();
                notes.push(format!("A run of rule {} is under way: it is counted with its end.", run.firing.rule));
            }
            let sent_at = tx.newest_announcement(Announcement::Period, &name(dates))?;
            let earlier = amounts(tx, &spans, &zone, currency)?;
            books = (tx.holds_in(from, to)?, sent_at, earlier);
            month = month_so_far(tx, dates, &zone, currency)?;
            notes.extend(undelivered(tx, from)?);
            notes.extend(unmatched_rules(tx, config, dates, from, to)?);
            let rules = config.rules.iter().map(|rule| &**rule);
            notes.extend(calendar_ends(rules, now).iter().map(CalendarEnd::sentence));
        }
        let (holds, sent_at, earlier) = books;
        let trend = Trend { month, ..trend(&digest, &spans, &earlier, currency) };
        let restates = sent_at.filter(|sent_at| digest.newest_change().is_some_and(|at| at > *sent_at));
        Ok(Self { ledger, dates, period: Period { label, from, to }, digest, trend, holds, notes, restates })
    }

    /// The report.
    pub fn report(&self) -> PeriodReport<'_> {
        PeriodReport {
            period: &self.period,
            digest: &self.digest,
            trend: &self.trend,
            holds: &self.holds,
            notes: &self.notes,
            restates: self.restates,
        }
    }

    /// What the ledger calls the period, so that a later report of it knows what it restates.
    pub(crate) fn name(&self) -> String {
        name(self.dates)
    }

    /// What files with its rows are called, without an ending.
    pub(crate) fn file_name(&self, zone: &Zone) -> String {
        self.period.file_name(zone)
    }

    /// The command that writes its rows into a file.
    pub(crate) fn by_hand(&self, format: &str) -> String {
        format!("offhours report --period {} --format {format} --output FILE", self.dates.span())
    }

    /// Says something more beside the figures.
    pub(crate) fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// Writes its rows as CSV.
    pub fn write_csv(&self, out: impl Write, form: CsvForm) -> Result<(), WriteError> {
        let mut csv = CsvWriter::with(form, out);
        self.tell(&mut csv)?;
        Ok(csv.finish()?)
    }

    /// Writes the report with all its rows as JSON.
    pub fn write_json(&self, out: impl Write) -> Result<(), WriteError> {
        let mut json = JsonWriter::period(&self.report(), out);
        self.tell(&mut json)?;
        Ok(json.finish()?)
    }

    /// Tells its runs, oldest first.
    pub fn tell(&self, visitor: &mut impl RunVisitor) -> Result<(), LedgerError> {
        let filter = RunFilter { since: Some(self.period.from), before: Some(self.period.to), rule: None };
        self.ledger.map_or(Ok(()), |tx| tx.each_run(&filter, visitor))
    }
}

fn name(dates: DateRange) -> String {
    format!("{}..{}", dates.from, dates.to)
}

/// The spans of the trend, oldest first; the last is the report's own.
fn trend_spans(dates: DateRange) -> Vec<DateRange> {
    let mut spans: Vec<DateRange> =
        iter::successors(Some(dates), |dates| Some(dates.before())).take(TREND_LENGTH).collect();
    spans.reverse();
    spans
}

/// Of the earlier periods only the sums are wanted, and only from the first run on.
fn amounts(
    tx: &Tx<'_>,
    spans: &[DateRange],
    zone: &Zone,
    currency: Option<Currency>,
) -> Result<Vec<Option<Decimal>>, LedgerError> {
    let instants: Vec<_> = spans.iter().map(|span| span.instants(zone)).collect();
    let ([(oldest, _), ..], Some((_, newest))) = (instants.as_slice(), instants.last()) else { return Ok(Vec::new()) };
    let first = tx.first_firing(*oldest, *newest)?;
    let earlier = instants.iter().take(spans.len() - 1);
    earlier
        .map(|(from, to)| match first {
            Some(first) if first < *to => tx.avoided_between(*from, *to, currency).map(Some),
            _ => Ok(None),
        })
        .collect()
}

/// What was avoided from the first of the month in which the period ends to its end; none where the period is longer, or
/// begins with the month.
fn month_so_far(
    tx: &Tx<'_>,
    dates: DateRange,
    zone: &Zone,
    currency: Option<Currency>,
) -> Result<Option<TrendPoint>, LedgerError> {
    let last = dates.to.pred_opt().unwrap_or(dates.from);
    let Some(first) = last.with_day(1).filter(|first| *first < dates.from) else { return Ok(None) };
    let (from, to) = DateRange { from: first, to: dates.to }.instants(zone);
    let amount = tx.avoided_between(from, to, currency)?;
    Ok(Some(TrendPoint::known(first.format("%B").to_string(), Some(amount))))
}

fn undelivered(tx: &Tx<'_>, since: DateTime<Utc>) -> Result<Option<String>, LedgerError> {
    let given_up = tx.mails_given_up(since)? as usize;
    let reports = plural(given_up, "report");
    Ok((given_up > 0).then(|| format!("{reports} could not be delivered: see `offhours mail queue`")))
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
fn unmatched_rules(
    tx: &Tx<'_>,
    config: &Config,
    dates: DateRange,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<String>, LedgerError> {
    let mut notes = Vec::new();
    let rules = config.rules.iter().filter(|_| (dates.to - dates.from).num_days() >= 7);
    for rule in rules {
        let matches = tx.matches(&rule.name, from, to)?;
        if matches.are_none() {
            notes.push(format!("Rule {} {}: check what it selects.", rule.name, unmatched(matches.runs)));
        }
    }
    Ok(notes)
}

/// The points of `spans`, of which the last is the report's own. `earlier` are the amounts of the others.
fn trend(digest: &Digest, spans: &[DateRange], earlier: &[Option<Decimal>], currency: Option<Currency>) -> Trend {
    let points = spans.iter().enumerate().map(|(index, dates)| {
        let label = short_label(*dates);
        if index + 1 < spans.len() {
            return TrendPoint::known(label, earlier.get(index).copied().flatten());
        }
        if digest.is_empty() && earlier.iter().all(Option::is_none) {
            return TrendPoint::known(label, None);
        }
        TrendPoint::of(label, digest.avoided(), currency)
    });
    Trend { currency, points: points.collect(), month: None }
}

fn short_label(dates: DateRange) -> String {
    if dates.is_month() {
        dates.from.format("%b").to_string()
    } else if dates.is_week() {
        dates.from.format("W%V").to_string()
    } else {
        dates.from.format("%-d %b").to_string()
    }
}

fn label(dates: DateRange, form: &Form<'_>) -> String {
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
