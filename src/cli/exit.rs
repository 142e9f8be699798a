//! Exit codes, and the last words of a command that failed.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::aicore;
use crate::config::Faults;
use crate::daemon::DaemonError;
use crate::domain::failure::FailureCode;
use crate::executor::FireError;
use crate::ledger::LedgerError;
use crate::rehearsal::RehearsalError;
use crate::rehearsal::demo::DemoError;

/// How a command ended. The comments of the variants are the texts of the manual page, as `clap` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Exit {
    /// All is well.
    Well = 0,
    /// A run ended `partial`, `failed` or `blocked`; something could not be listed, written or mailed; `status` found something
    /// wrong; or a question was answered with no.
    Problem = 1,
    /// The command line is not valid.
    Usage = 2,
    /// The configuration or the service key has faults; with `check --strict`, also for warnings.
    Config = 3,
    /// AI Core could not be reached, or refused the credentials.
    AiCore = 4,
    /// The ledger or the state directory cannot be used, belongs to another user, or does not exist yet.
    Ledger = 5,
    /// Another instance holds the state directory.
    Held = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{0}")]
    Config(#[from] Faults),
    #[error(transparent)]
    AiCore(#[from] aicore::Error),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The disk was full when the daemon started: it starts once there is room.
    #[error(transparent)]
    NoRoom(LedgerError),
    /// A value on the command line.
    #[error("{message}")]
    Usage {
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    #[error("{what}")]
    Io { what: String, source: std::io::Error },
    /// The daemon could not start.
    #[error(transparent)]
    Daemon(DaemonError),
    /// A rule could not be fired.
    #[error(transparent)]
    Fire(FireError),
    /// A rehearsal could not be held.
    #[error(transparent)]
    Rehearsal(RehearsalError),
    /// Something that is needed for this command is not configured.
    #[error("{0}")]
    Missing(String),
    /// A mail could not be delivered, or not be made.
    #[error("{what}")]
    Mail { what: String, source: Box<dyn Error + Send + Sync> },
}

impl From<DaemonError> for CommandError {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Ledger(error) => Self::Ledger(error),
            other => Self::Daemon(other),
        }
    }
}

impl From<FireError> for CommandError {
    fn from(error: FireError) -> Self {
        match error {
            FireError::Ledger(error) => Self::Ledger(error),
            other => Self::Fire(other),
        }
    }
}

impl From<RehearsalError> for CommandError {
    fn from(error: RehearsalError) -> Self {
        match error {
            RehearsalError::Ledger(error) => Self::Ledger(error),
            RehearsalError::Io { what, source } => Self::Io { what, source },
            RehearsalError::Beat(_) => Self::Rehearsal(error),
        }
    }
}

impl From<DemoError> for CommandError {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Rehearsal(error) => error.into(),
            DemoError::Config(faults) => Self::Config(faults),
            DemoError::Occupied(_) => Self::usage(error.to_string()),
            other => Self::Missing(other.to_string()),
        }
    }
}

impl CommandError {
    /// A value on the command line that means nothing.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// Something that went wrong with a file or a socket.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Missing(_) => Exit::Config,
            Self::AiCore(error) if error.code() == FailureCode::Key => Exit::Config,
            Self::AiCore(_) => Exit::AiCore,
            Self::Ledger(LedgerError::Held { .. }) => Exit::Held,
            Self::Ledger(_) => Exit::Ledger,
            Self::Usage { .. } => Exit::Usage,
            Self::NoRoom(_)
            | Self::Io { .. }
            | Self::Rehearsal(_)
            | Self::Daemon(_)
            | Self::Fire(_)
            | Self::Mail { .. } => Exit::Problem,
        }
    }

    /// The last words: what failed, why, and what to do. Faults of files stand for themselves. `arguments` are those of this
    /// process, for a command that does the same.
    pub(crate) fn last_words(&self, arguments: impl Iterator<Item = OsString>) -> String {
        if let Self::Config(faults) = self {
            return faults.to_string();
        }
        let mut words = format!("error: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = write!(words, "\n  because {error}");
            cause = error.source();
        }
        let hint = match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::Ledger(LedgerError::Held { .. }) => Some(
                "stop that one first; where two configurations are wanted, each needs its own `state_dir`".to_owned(),
            ),
            Self::Ledger(LedgerError::Missing(place)) => Some(elsewhere(place, arguments)),
            Self::Ledger(error) => error.somebody_elses().map(|place| as_its_owner(place, arguments)),
            _ => None,
        };
        if let Some(hint) = hint {
            let _ = write!(words, "\n  hint: {hint}");
        }
        words
    }
}

/// Where the ledger may be that is not in `place`.
fn elsewhere(place: &Path, arguments: impl Iterator<Item = OsString>) -> String {
    if Path::new("/etc/offhours/offhours.toml").exists() && !is_the_services(place) {
        return format!("the systemd service has another: `sudo offhoursctl {}`", typed(arguments));
    }
    "if another user's daemon uses this configuration, run this as that user, or set a `state_dir` of your own in it"
        .to_owned()
}

fn is_the_services(place: &Path) -> bool {
    ["/var/lib/offhours", "/var/lib/private/offhours"].iter().any(|service| Path::new(service) == place)
}

/// The command that was typed, without a configuration.
fn typed(arguments: impl Iterator<Item = OsString>) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut arguments = arguments.map(|word| word.to_string_lossy().into_owned()).peekable();
    while let Some(word) = arguments.next() {
        if word == "--config" {
            arguments.next();
        } else if !word.starts_with("--config=") {
            words.push(word);
        }
    }
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| "COMMAND…".to_owned())
}

/// How to do the same as the user whose ledger it is.
fn as_its_owner(place: &Path, arguments: impl Iterator<Item = OsString>) -> String {
    let command = typed(arguments);
    if is_the_services(place) {
        format!("it is the ledger of the systemd service: `sudo offhoursctl {command}` does this as the service")
    } else {
        format!(
            "run `offhours {command}` as the user to whom it belongs; for the systemd service that is `sudo offhoursctl {command}`"
        )
    }
}
