//! Runs as CSV: one row per deployment and off window, for a spreadsheet or a controller's own sums.
//!
//! What a run left without a row is in none. In the exact form times are RFC 3339 UTC and numbers have a decimal point
//! whatever the locale, so that any program reads them; in the other one a German Excel opens it by a double click.

use std::io::{self, Write};
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::domain::avoided::Avoided;
use crate::domain::instant::rfc3339_exact;
use crate::domain::money::Charge;
use crate::domain::plain_text::clean;
use crate::domain::run::{DeploymentResult, EndedBy, Run};
use crate::domain::visit::RunVisitor;
use crate::domain::zone::Zone;
use crate::report::counted_hours::CountedHours;

const COLUMNS: [&str; 36] = [
    "firing",
    "rule",
    "connection",
    "mode",
    "trigger",
    "result",
    "scheduled_for",
    "off_window_from",
    "off_window_to",
    "resource_group",
    "deployment",
    "configuration_id",
    "configuration_name",
    "scenario_id",
    "nodes",
    "outcome",
    "reason",
    "requested_at",
    "confirmed_at",
    "counted_from",
    "counted_to",
    "node_hours",
    "capacity_units",
    "avoided_cost",
    "currency",
    "state",
    "ended_by",
    "projected_cost",
    "leak_deployment",
    "leak_node_hours",
    "leak_cost",
    "would_avoid_node_hours",
    "would_avoid_cost",
    "capacity_unit_price",
    "price_source",
    "price_valid_from",
];

/// The media type of a CSV file.
pub const CSV: &str = "text/csv; charset=utf-8";

/// How values are written.
#[derive(Debug, Clone)]
pub enum CsvForm {
    /// For programs.
    Exact,
    /// For an Excel that is set to German: semicolons, decimal commas, a byte order mark, and times on the wall clock of
    /// this zone, without it.
    Excel(Zone),
}

impl CsvForm {
    fn number(&self, value: Decimal) -> String {
        let number = value.to_string();
        match self {
            Self::Exact => number,
            Self::Excel(_) => number.replace('.', ","),
        }
    }

    fn instant(&self, at: DateTime<Utc>) -> String {
        match self {
            Self::Exact => rfc3339_exact(at),
            Self::Excel(zone) => zone.wall_clock(at).format("%Y-%m-%d %H:%M:%S").to_string(),
        }
    }

    fn cost(&self, avoided: Option<&Avoided>) -> String {
        avoided.and_then(|avoided| avoided.cost).map(|money| self.number(money.amount)).unwrap_or_default()
    }
}

/// Writes the runs that it is told as CSV with a header. What an observing rule would have avoided stands in columns of
/// its own.
pub struct CsvWriter<W: Write> {
    records: ::csv::Writer<W>,
    form: CsvForm,
    once: CountedHours,
    failure: Option<io::Error>,
}

impl<W: Write> CsvWriter<W> {
    /// Begins with the header, in the exact form.
    pub fn new(out: W) -> Self {
        Self::with(CsvForm::Exact, out)
    }

    /// Begins with the header.
    pub fn with(form: CsvForm, mut out: W) -> Self {
        let mut failure = None;
        let delimiter = match &form {
            CsvForm::Exact => b',',
            CsvForm::Excel(_) => {
                failure = out.write_all("\u{feff}".as_bytes()).err();
                b';'
            }
        };
        let mut writer = ::csv::WriterBuilder::new();
        let mut records = writer.delimiter(delimiter).terminator(::csv::Terminator::CRLF).from_writer(out);
        let failure = failure.or_else(|| records.write_record(COLUMNS).err().map(io::Error::from));
        Self { records, form, once: CountedHours::default(), failure }
    }

    /// Everything is written, unless something could not be.
    pub fn finish(mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)?;
        self.records.flush()
    }
}

impl<W: Write> RunVisitor for CsvWriter<W> {
    fn row(&mut self, run: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        let would = row.would_stop().then(|| self.once.count(run, row));
        match self.records.write_record(record(run, row, would.as_ref(), &self.form)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error.into());
                ControlFlow::Break(())
            }
        }
    }
}

fn record(run: &Run, row: &DeploymentResult, would: Option<&Avoided>, form: &CsvForm) -> [String; 36] {
    let instant = |at: DateTime<Utc>| form.instant(at);
    let number = |value: Decimal| form.number(value);
    let cost = |avoided: Option<&Avoided>| form.cost(avoided);
    let avoided = row.avoided();
    let leak = row.settlement.as_ref().and_then(|settlement| settlement.leak.as_ref());
    let price = match &row.rate.charge {
        Charge::Metered { price, .. } => price.as_ref(),
        _ => None,
    };
    let currency = avoided.cost.or(would.and_then(|would| would.cost)).map(|money| money.currency);
    let currency = currency.or(price.map(|price| price.currency));
    [
        run.firing.to_string(),
        run.firing.rule.to_string(),
        run.connection.to_string(),
        run.mode.as_str().to_owned(),
        run.trigger.to_string(),
        run.result.to_string(),
        instant(run.firing.at),
        instant(run.off_window.from),
        instant(run.off_window.to),
        cell(row.resource_group.as_str()),
        cell(row.id.as_str()),
        cell(&row.configuration_id),
        cell(row.configuration_name.as_deref().unwrap_or_default()),
        cell(row.scenario_id.as_deref().unwrap_or_default()),
        cell(&row.nodes.iter().map(|n| format!("{}:{}", n.plan, n.count)).collect::<Vec<_>>().join(" ")),
        row.outcome.to_string(),
        cell(&row.sentence()),
        row.requested_at.map(instant).unwrap_or_default(),
        row.confirmed_at.map(instant).unwrap_or_default(),
        avoided.from.map(instant).unwrap_or_default(),
        avoided.to.map(instant).unwrap_or_default(),
        number(avoided.node_hours),
        avoided.capacity_units.map(number).unwrap_or_default(),
        cost(Some(avoided)),
        currency.map(|currency| currency.code().to_owned()).unwrap_or_default(),
        avoided.state.as_str().to_owned(),
        row.settlement.as_ref().map(|settlement| ended_by(&settlement.ended_by)).unwrap_or_default(),
        cost(Some(&row.projected)),
        leak.map(|leak| cell(leak.id.as_str())).unwrap_or_default(),
        leak.map(|leak| number(leak.cost.node_hours)).unwrap_or_default(),
        cost(leak.map(|leak| &leak.cost)),
        would.map(|would| number(would.node_hours)).unwrap_or_default(),
        cost(would),
        price.map(|price| number(price.amount)).unwrap_or_default(),
        price.map(|price| cell(&price.source)).unwrap_or_default(),
        price.map(|price| price.valid_from.to_string()).unwrap_or_default(),
    ]
}

fn ended_by(ended_by: &EndedBy) -> String {
    ended_by.as_str().to_owned()
}

/// A cell of a CSV file: cleaned, and never taken for a formula by a spreadsheet.
pub(crate) fn cell(text: &str) -> String {
    let starts_formula = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '＝' | '＋' | '－' | '＠');
    // Judged before cleaning too, which takes a leading tab away.
    let formula = text.starts_with(starts_formula);
    let text = clean(text);
    if formula || text.starts_with(starts_formula) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_spreadsheet_sees_text_and_no_formula() {
        for (text, seen) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'=1"),
            ("\u{200b}=1", "'=1"),
            ("\r\nx", "'x"),
            ("a=1", "a=1"),
        ] {
            assert_eq!(cell(text), seen, "{text:?}");
        }
    }
}
