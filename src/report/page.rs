//! What a mail says, before it becomes text or HTML: both are made from this, so both carry the same figures. All
//! strings are cleaned and formatted already; escaping is left to the HTML template.

use serde::Serialize;

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Page {
    pub(super) subject: String,
    /// What a mailbox shows beside the subject.
    pub(super) preheader: String,
    /// True where a person has to look: the accent is another one.
    pub(super) alert: bool,
    /// True where nothing was stopped and the figures say what would have been.
    pub(super) conditional: bool,
    /// What the mail is about: a rule, a period.
    pub(super) about: String,
    pub(super) when: String,
    /// Said above everything else, such as that this is a rehearsal.
    pub(super) banner: Option<String>,
    pub(super) headline: String,
    pub(super) lead: Vec<String>,
    /// What needs a person; empty where nothing does.
    pub(super) needs: Vec<String>,
    /// Said where nothing does.
    pub(super) calm: &'static str,
    pub(super) figure: Option<Figure>,
    pub(super) facts: Vec<Fact>,
    pub(super) sections: Vec<ReportSection>,
    pub(super) footer: Vec<String>,
}

/// The amount that the mail is about.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    /// One for each currency.
    pub(super) amounts: Vec<String>,
    pub(super) caption: String,
    pub(super) details: Vec<String>,
}

/// A number worth its place in the strip under the figure.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fact {
    pub(super) value: String,
    pub(super) label: String,
    /// True where it is bad news.
    pub(super) alert: bool,
}

/// A part of the mail under its own heading.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ReportSection {
    pub(super) heading: String,
    pub(super) intro: Vec<String>,
    pub(super) body: SectionBody,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum SectionBody {
    Bars {
        bars: Vec<Bar>,
    },
    Chart {
        columns: Vec<Column>,
    },
    Table(Table),
    List {
        items: Vec<String>,
    },
    /// Lines to copy.
    Commands {
        lines: Vec<String>,
    },
}

/// One bar; its length is a share of the longest.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) percent: u32,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Column {
    pub(super) label: String,
    pub(super) value: String,
    /// None where nothing is known of that time.
    pub(super) percent: Option<u32>,
    /// True for the time the report is about.
    pub(super) current: bool,
}

/// Rows of a few columns; the last column holds figures.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Table {
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// What the rows that are left out come to, so that the rows add up: a label and its figure.
    pub(super) rest: Option<(String, String)>,
    /// The last row: a label and its figure.
    pub(super) total: Option<(String, String)>,
    /// Said where rows are left out.
    pub(super) more: Option<String>,
}

/// A cell: what it says, and smaller under it where it belongs.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Cell {
    pub(super) main: String,
    pub(super) sub: String,
}

impl Cell {
    pub(super) fn new(main: impl Into<String>, sub: impl Into<String>) -> Self {
        Self { main: main.into(), sub: sub.into() }
    }
}

impl ReportSection {
    pub(super) fn new(heading: impl Into<String>, body: SectionBody) -> Self {
        Self { heading: heading.into(), intro: Vec::new(), body }
    }

    pub(super) fn intro(mut self, sentence: impl Into<String>) -> Self {
        self.intro.push(sentence.into());
        self
    }
}
