//! Standard output: text and JSON, and readers that close their end early.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::fd::AsFd;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use serde::{Serialize, Serializer as _};
use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;

use crate::cli::exit::CommandError;
use crate::report::grid::Screen;

type Json = Serializer<Stdout, PrettyFormatter<'static>>;
/// Standard output, for what is written while it is made.
pub(crate) type Stdout = BufWriter<StdoutLock<'static>>;

/// Of a terminal that does not say how wide it is.
const USUAL_COLUMNS: usize = 80;
/// In fewer no table can be read.
const FEWEST_COLUMNS: usize = 40;

/// Standard output of this process; on one thread at a time.
pub(crate) fn stdout() -> Stdout {
    BufWriter::new(io::stdout().lock())
}

/// Where standard output goes: how wide it is, and whether colours are wanted (`NO_COLOR` says that they are not).
pub(crate) fn screen() -> Screen {
    screen_of(&io::stdout())
}

pub(crate) fn screen_of(stream: &(impl RawStream + AsFd)) -> Screen {
    let columns = || terminal_size::terminal_size_of(stream).map_or(USUAL_COLUMNS, |(width, _)| width.0.into());
    Screen {
        columns: stream.is_terminal().then(|| columns().max(FEWEST_COLUMNS)),
        has_colour: AutoStream::choice(stream) != ColorChoice::Never,
    }
}

pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = anstream::stdout().lock();
    judge(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    write_json(|json| value.serialize(json))
}

/// Prints values as one list in JSON. Each is made when its turn comes, so that they are never in memory together.
pub(crate) fn print_json_list(values: impl IntoIterator<Item = impl Serialize>) -> Result<(), CommandError> {
    write_json(|json| json.collect_seq(values))
}

fn write_json(write: impl FnOnce(&mut Json) -> serde_json::Result<()>) -> Result<(), CommandError> {
    let mut json = Serializer::pretty(stdout());
    let written = write(&mut json).map_err(io::Error::from).and_then(|()| {
        let mut stdout = json.into_inner();
        stdout.write_all(b"\n")?;
        stdout.flush()
    });
    judge(written)
}

/// A reader that has gone away (`| head`) is no failure.
pub(super) fn judge(written: io::Result<()>) -> Result<(), CommandError> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(CommandError::io("cannot write to standard output")),
    }
}
