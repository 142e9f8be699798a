//! What every command is given, and the runtimes that commands run on.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use tracing::warn;

use crate::cli::exit::CommandError;
use crate::clock::Clock;
use crate::config::{self, Config, Outline};

/// What every command is given.
#[derive(Debug)]
pub(super) struct Session {
    pub(crate) config: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) clock: Clock,
}

impl Session {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// As much of the configuration as was understood: holds and history need the ledger, not the rules. Faults are said
    /// and do not keep the command from its work; what the daemon does goes by what it has read.
    pub(crate) fn outline(&self) -> Result<Outline, CommandError> {
        Ok(said(config::outline(&config::find(self.config.as_deref())?, self.now())?))
    }

    /// The same for a command that asks nobody but the ledger: who may not read the keys may use it.
    pub(crate) fn outline_without_secrets(&self) -> Result<Outline, CommandError> {
        Ok(said(config::outline_without_secrets(&config::find(self.config.as_deref())?, self.now())?))
    }

    /// The configuration, with its warnings in the log.
    pub(crate) fn config(&self) -> Result<Config, CommandError> {
        let (config, warnings) = config::load(&config::find(self.config.as_deref())?)?;
        for warning in &warnings {
            warn!("{warning}");
        }
        Ok(config)
    }
}

/// `outline`, with its warnings and faults in the log.
fn said(outline: Outline) -> Outline {
    for warning in &outline.warnings {
        warn!("{warning}");
    }
    if let Some(faults) = &outline.faults {
        warn!(
            "the configuration on disk has faults, and a running daemon continues with what it read before:\n{faults}"
        );
    }
    outline
}

/// Runs asynchronous work to its end.
pub(super) fn on_threads<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CommandError::io("cannot start the runtime"))?
        .block_on(work)
}

/// Runs an asynchronous command on one thread, where virtual time is possible.
pub(super) fn in_virtual_time<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::io("cannot start the runtime"))?
        .block_on(work)
}
