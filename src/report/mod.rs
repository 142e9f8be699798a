//! Floor 1: reports. Values become text: subject, plain text, HTML, CSV, JSON and tables for a terminal.
//!
//! Runs come in by way of a [`RunVisitor`](crate::domain::visit::RunVisitor): [`Digest`] keeps what a period comes to,
//! [`CsvWriter`], [`JsonWriter`] and [`HistoryTable`] write each row when it is told, so that a year of them takes no more
//! memory than a day.
//!
//! Every figure comes from [`DeploymentResult::avoided`](crate::domain::run::DeploymentResult::avoided), rounded once; every total is a
//! [`sum::Sum`] of such figures. Text and HTML are two renderings of one page, so that they cannot differ. What a rule in
//! observe mode would have done is shown by itself and never part of a total.
//!
//! Names come from a tenant that others write to: [`clean`](crate::domain::plain_text::clean) takes from them what could do harm, the template escapes
//! the rest, and no subject contains any.

mod by_rule;
mod content;
mod context;
mod counted_hours;
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
mod json_stream;
mod leaks;
mod left;
mod notice;
mod observed;
mod page;
mod parcel;
mod parts;
mod period;
mod run;
mod shares;
mod still_on;
mod subject;
pub mod sum;
pub mod table;
mod text;
mod trend;
mod unpriced;

pub use crate::report::content::{AttachedFile, Content};
pub use crate::report::context::ReportContext;
pub use crate::report::csv::{CSV, CsvForm, CsvWriter};
pub(crate) use crate::report::detail::run_detail;
pub use crate::report::digest::Digest;
pub use crate::report::history::HistoryTable;
pub use crate::report::json::JsonWriter;
pub use crate::report::notice::notice;
pub(crate) use crate::report::observed::LONG_ENOUGH;
pub use crate::report::observed::Observed;
pub use crate::report::parcel::LARGEST_ATTACHMENTS;
pub(crate) use crate::report::parcel::Parcel;
pub use crate::report::parts::amount;
pub use crate::report::period::{Period, PeriodReport, period_report};
pub(crate) use crate::report::run::headline;
pub use crate::report::run::run_report;
pub use crate::report::table::run_summary;
pub use crate::report::trend::{Trend, TrendPoint};
