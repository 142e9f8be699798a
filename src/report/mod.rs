//! Floor 1: reports. Values become text: subject, plain text, HTML, CSV, JSON and tables for a terminal.
//!
//! Runs come in by way of a [`RunVisitor`](crate::domain::visit::RunVisitor): [`Digest`] keeps what a period comes to,
//! [`CsvWriter`], [`JsonWriter`] and [`HistoryTable`] write each row when it is told, so that a year of them takes no more
//! memory than a day.
//!
//! Every figure comes from [`Row::avoided`](crate::domain::run::Row::avoided), rounded once; every total is a
//! [`sum::Sum`] of such figures. Text and HTML are two renderings of one page, so that they cannot differ. What a rule in
//! observe mode would have done is shown by itself and never part of a total.
//!
//! Names come from a tenant that others write to: [`clean`] takes from them what could do harm, the template escapes
//! the rest, and no subject contains any.

mod by_rule;
pub mod clean;
mod counting;
mod csv;
mod detail;
mod digest;
pub mod form;
pub mod grid;
mod history;
mod holds;
mod html;
mod json;
mod leaks;
mod left;
mod notice;
mod observed;
mod once;
mod page;
mod parcel;
mod parts;
mod period;
mod pieces;
mod run;
mod shares;
mod still_on;
mod subject;
pub mod sum;
pub mod table;
mod text;
mod trend;
mod unpriced;

use chrono::{DateTime, Utc};

use crate::domain::earlier::Precedents;
use crate::domain::locale::Locale;
use crate::domain::zone::Zone;
use crate::report::form::Form;
use crate::report::page::Page;

pub use crate::report::csv::{CsvForm, CsvWriter};
pub use crate::report::detail::run_detail;
pub use crate::report::digest::Digest;
pub use crate::report::history::HistoryTable;
pub use crate::report::json::JsonWriter;
pub use crate::report::notice::notice;
pub use crate::report::observed::{LONG_ENOUGH, Observed};
pub use crate::report::parcel::{LARGEST_ATTACHMENTS, Parcel};
pub use crate::report::parts::amount;
pub use crate::report::period::{Period, PeriodReport, period_report};
pub use crate::report::run::{headline, run_report};
pub use crate::report::table::run_summary;
pub use crate::report::trend::{Trend, TrendPoint};

/// The media type of a CSV file.
pub const CSV: &str = "text/csv; charset=utf-8";
/// At most so many rows stand in a mail; the CSV has them all.
const MOST_ROWS: usize = 200;
/// At most so many bytes of HTML: Gmail clips a message at about 102 kB, and hides its end behind a link.
const LARGEST_HTML: usize = 100_000;
/// At most so many bytes of plain text.
const LARGEST_TEXT: usize = 80_000;

/// For whom a report is written, and when.
#[derive(Debug, Clone, Copy)]
pub struct ReportContext<'a> {
    /// In whose form numbers and dates are written.
    pub locale: Locale,
    /// Whose wall clock is shown.
    pub zone: &'a Zone,
    /// Now.
    pub now: DateTime<Utc>,
    /// Said above everything else: that this is a rehearsal, for instance.
    pub banner: Option<&'a str>,
    /// How people type a command, without the command itself: `offhours`, `sudo offhoursctl`.
    pub command: &'a str,
    /// What a person has to do besides what the figures themselves ask for.
    pub needs: &'a [String],
    /// What earlier runs say about the run that is told of.
    pub precedents: Option<&'a Precedents>,
    /// The week of a rule that has observed for so long.
    pub observed: Option<&'a Observed>,
    /// Said near the end: reports that could not be delivered, reserved nodes that go on costing.
    pub notes: &'a [String],
}

impl<'a> ReportContext<'a> {
    /// Without banner and notes.
    pub fn new(locale: Locale, zone: &'a Zone, now: DateTime<Utc>) -> Self {
        Self {
            locale,
            zone,
            now,
            banner: None,
            command: "offhours",
            needs: &[],
            precedents: None,
            observed: None,
            notes: &[],
        }
    }

    /// How values are written for this reader.
    pub fn form(&self) -> Form<'a> {
        Form { locale: self.locale, zone: self.zone }
    }
}

/// A mail's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// One line, without any name that a tenant's users chose.
    pub subject: String,
    /// The plain-text part, 72 columns wide.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// Files that go with it.
    pub attachments: Vec<AttachedFile>,
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Renders the page that `build` makes for a number of rows, with fewer rows until it is small enough.
fn fitted(build: impl Fn(usize) -> Page, attachments: Vec<AttachedFile>) -> Content {
    let mut rows = MOST_ROWS;
    loop {
        let page = build(rows);
        let (text, html) = (text::render(&page), html::render(&page));
        if (text.len() <= LARGEST_TEXT && html.len() <= LARGEST_HTML) || rows == 0 {
            return Content { subject: page.subject, text, html, attachments };
        }
        rows /= 2;
    }
}
