//! A list in JSON whose entries are printed as they come, in the form in which a whole one would be. One that breaks off
//! is not closed, so that nobody takes it for all there is.

use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value;

use crate::cli::exit::CommandError;
use crate::cli::output::judge;

/// A list on its way to standard output.
pub(crate) struct JsonList {
    out: BufWriter<Stdout>,
    is_empty: bool,
    /// What came of writing so far; after an error nothing more is written.
    written: io::Result<()>,
}

impl JsonList {
    pub(crate) fn begin() -> Self {
        let mut out = BufWriter::new(io::stdout());
        let written = out.write_all(b"[");
        Self { out, is_empty: true, written }
    }

    pub(crate) fn push(&mut self, value: &Value) {
        if self.written.is_ok() {
            let comma = if self.is_empty { "" } else { "," };
            let entry = format!("{value:#}").replace('\n', "\n  ");
            self.written = write!(self.out, "{comma}\n  {entry}");
            self.is_empty = false;
        }
    }

    pub(crate) fn end(mut self) -> Result<(), CommandError> {
        let close = if self.is_empty { "]\n" } else { "\n]\n" };
        judge(self.written.and_then(|()| self.out.write_all(close.as_bytes())).and_then(|()| self.out.flush()))
    }
}
