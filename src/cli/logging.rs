//! Where log lines go: the journal with fields where standard error is the journal, else text, or JSON on request.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::cli::args::LogFormat;

/// Starts logging to standard error. `level` holds unless `RUST_LOG` says otherwise: a level, or levels of modules.
pub(crate) fn start(format: LogFormat, level: LevelFilter) {
    let asked: Option<Targets> = std::env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    let usual = || Targets::new().with_default(LevelFilter::WARN).with_target("offhours", level);
    let filter = asked.unwrap_or_else(usual);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed(),
        LogFormat::Auto if is_the_journal() => match tracing_journald::layer() {
            Ok(journal) => journal.boxed(),
            Err(_) => text(),
        },
        LogFormat::Auto | LogFormat::Text => text(),
    };
    // An error means that a subscriber is set already, as in tests.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}

fn text() -> Box<dyn Layer<Registry> + Send + Sync> {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt::layer().with_target(false).with_ansi(colours).with_writer(std::io::stderr).boxed()
}

/// True where `$JOURNAL_STREAM` names our own standard error; children of a service inherit the variable too.
fn is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() else { return false };
    std::fs::File::from(stderr)
        .metadata()
        .is_ok_and(|metadata| stream == format!("{}:{}", metadata.dev(), metadata.ino()))
}
