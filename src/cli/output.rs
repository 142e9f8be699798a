//! Standard output: text and JSON, and readers that close their end early.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::exit::Failure;

/// Prints text. A reader that has gone away (`| head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Io { what: "cannot write to standard output".to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Io { what: "cannot write JSON".to_owned(), source: error.into() })?;
    print(&(text + "\n"))
}
