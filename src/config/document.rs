//! A TOML file, parsed. What the parser says is kept, the source line that it quotes is not: it may hold a misplaced
//! secret.

use toml::Spanned;
use toml::de::DeTable;

use crate::config::reading::{Place, Reading, clip};
use crate::config::source::Source;
use crate::domain::plain_text::clean;

/// Parses `source`. A file whose only fault is a key that stands twice is read on; after any other fault of syntax the
/// rest would be guesswork.
pub(super) fn parse<'a>(source: &'a Source, reading: &Reading) -> Option<Spanned<DeTable<'a>>> {
    let start = Place::start(reading, source);
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let mut readable = true;
    let mut last_line = 0;
    for error in errors {
        let span = error.span().unwrap_or(source.text().len()..source.text().len());
        let place = start.moved(span.start);
        if error.message() == "duplicate key" {
            let key = clip(source.text().get(span).unwrap_or("").trim_matches(['"', '\'']));
            place.fault(format!("`{key}` is a duplicate key"), "remove one of the two");
            continue;
        }
        readable = false;
        // One mistake often makes the parser stumble several times over one line.
        let line = place.origin().line;
        if line != last_line {
            place.fault(
                format!("broken TOML: {}", clean(error.message())),
                "put strings in quotes and each key on its own line",
            );
        }
        last_line = line;
    }
    if readable && table.get_ref().is_empty() {
        start.fault("this file is empty", "fill it, or remove it; `offhours.example.toml` and `schedules/` show how");
        readable = false;
    }
    readable.then_some(table)
}
