//! Why a mail was not taken: what the server said, or how the way to it failed. Never contains a password.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use lettre::transport::smtp::Error as SmtpError;

use crate::domain::plain_text::shorten;
use crate::mail::login_failure::{Enhanced, LoginFailure};
use crate::mail::settings::BadAddress;
use crate::mail::wire::EndlessAnswer;
use crate::secret::SecretError;

/// A server's sentence is cut here: it goes into the ledger, the log and `mail queue`.
const LONGEST_TEXT: usize = 300;

/// Why one attempt to deliver failed.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The server said "later", or was not ready for any mail at all.
    #[error("the server said {code}: {text}")]
    Transient { code: u16, text: String },
    /// The server refused this mail or this recipient for good.
    #[error("refused for good with {code}: {text}")]
    Permanent { code: u16, text: String },
    /// The login was refused, is missing, or offers no way we know.
    #[error("{0}")]
    Auth(LoginFailure),
    /// The server does not take our name in EHLO, or a mail because of it.
    #[error(
        "the server refuses the name that this machine gives itself ({code}: {text}): set `hello` in `[mail]` to its full name"
    )]
    Hello { code: u16, text: String },
    /// The password cannot be read.
    #[error("the mail password cannot be read")]
    Password(#[source] SecretError),
    /// No TLS, or none to be trusted. Nothing was sent.
    #[error("no trustworthy TLS, so nothing was sent: {0}")]
    Tls(String),
    /// The server cannot be reached, or hung up.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server's answer was cut; nobody knows what it means.
    #[error("{}", EndlessAnswer)]
    Endless,
    /// The server was silent for longer than is allowed.
    #[error("the server was silent too long ({0})")]
    Timeout(Phase),
    /// A sender or recipient that is none.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The directory cannot be written.
    #[error("cannot write `{}`", path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// offhours itself failed.
    #[error("the attempt ended by a panic, which is a bug in offhours")]
    Panic,
}

/// Where in the conversation the time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, TLS, greeting and EHLO.
    Greeting,
    /// Login, sender, recipient.
    Command,
    Data,
    /// The answer after the mail's last dot. The server may have taken it.
    FinalReply,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "before its greeting",
            Self::Command => "after a command",
            Self::Data => "while the mail was being sent",
            Self::FinalReply => "after the mail was sent",
        })
    }
}

/// What was being asked when the server refused: the same code means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SmtpStep {
    Connect,
    Login,
    Envelope,
}

impl DeliveryError {
    pub(super) fn of(error: &SmtpError, step: SmtpStep) -> Self {
        if let Some(code) = error.status() {
            return Self::refused(code.into(), &text_of(error), step);
        }
        Self::of_connection(error)
    }

    /// Reads the error of a connection that broke, or never came to be.
    pub(super) fn of_connection(error: &(dyn Error + 'static)) -> Self {
        if let Some(tls) = cause::<rustls::Error>(error) {
            return Self::Tls(shorten(&tls.to_string(), LONGEST_TEXT));
        }
        if cause::<EndlessAnswer>(error).is_some() {
            return Self::Endless;
        }
        if cause::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Self::Timeout(Phase::Greeting);
        }
        Self::Unreachable(text_of(error))
    }

    /// Reads why there is no connection to a server.
    pub(super) fn no_way_to(host: &str, port: u16, error: &io::Error) -> Self {
        match Self::of_connection(error) {
            Self::Unreachable(why) => Self::Unreachable(format!("{host}:{port}: {why}")),
            other => other,
        }
    }

    pub(super) fn hung_up() -> Self {
        Self::Unreachable("it hung up".to_owned())
    }

    /// What a server's no means.
    pub(super) fn refused(code: u16, text: &str, step: SmtpStep) -> Self {
        let enhanced = Enhanced::of(text);
        // Some servers repeat the line they refuse, and at a login the password is in it.
        let harmless = if step == SmtpStep::Login {
            enhanced.map_or_else(String::new, |it| it.to_string())
        } else {
            shorten(text, LONGEST_TEXT)
        };
        match (code, step) {
            // RFC 4954: "authentication required" and its relatives concern the login, wherever they are said.
            (530 | 534 | 535 | 538, _) | (500..=599, SmtpStep::Login) => Self::Auth(LoginFailure {
                code: Some(code),
                enhanced,
                offered: None,
                has_login: step == SmtpStep::Login,
            }),
            (500..=599, _) if is_about_our_name(text) => Self::Hello { code, text: harmless },
            // A server that will not talk at all says nothing about this mail: it stays in the queue.
            (500..=599, SmtpStep::Envelope) => Self::Permanent { code, text: harmless },
            (_, SmtpStep::Login) => Self::Transient { code, text: format!("the login failed for now {harmless}") },
            _ => Self::Transient { code, text: harmless },
        }
    }
}

/// A server that wants another name says so when it refuses a recipient, too: Postfix and Exim name the command.
fn is_about_our_name(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("helo") || text.contains("ehlo")
}

/// The first error of this type, from under lettre's and io's wrapping.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(found) = this.downcast_ref::<E>() {
            return Some(found);
        }
        // `io::Error::source` passes over the error it wraps.
        let wrapped = this.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| wrapped.downcast_ref::<E>()) {
            return Some(found);
        }
        error = this.source();
    }
    None
}

/// The innermost sentence: for a refusal that is what the server said.
fn text_of(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    shorten(&innermost.to_string(), LONGEST_TEXT)
}
