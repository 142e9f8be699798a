//! A mail's content, small enough for the programs that show it.

use crate::report::page::Page;
use crate::report::{html, text};

/// At most so many rows stand in a mail; the CSV has them all.
pub(super) const MOST_ROWS: usize = 200;
/// At most so many bytes of HTML: Gmail clips a message at about 102 kB, and hides its end behind a link.
const LARGEST_HTML: usize = 100_000;
/// At most so many bytes of plain text.
const LARGEST_TEXT: usize = 80_000;

/// A mail's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// One line, without any name that a tenant's users chose.
    pub subject: String,
    /// The plain-text part, 72 columns wide.
    pub text: String,
    pub html: String,
    pub attachments: Vec<AttachedFile>,
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedFile {
    pub name: String,
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// Renders the page that `build` makes for a number of rows, with fewer rows until it is small enough.
pub(super) fn fitted(build: impl Fn(usize) -> Page, attachments: Vec<AttachedFile>) -> Content {
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
