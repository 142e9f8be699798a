//! What `[mail]` means.

use std::fmt;
use std::path::PathBuf;

pub use crate::domain::locale::Locale;
use crate::domain::plain_text::has_control;
use crate::secret::SecretSource;

/// `[mail]`, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct MailSettings {
    pub delivery: Delivery,
    pub from: Address,
    /// Recipients of every mail.
    pub to: Vec<Address>,
    /// In whose form dates and numbers are written.
    pub locale: Locale,
}

/// How a mail leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    Smtp(Smtp),
    /// As `.eml` files in this directory.
    Directory(PathBuf),
}

/// An SMTP server.
#[derive(Debug, Clone, PartialEq)]
pub struct Smtp {
    /// How the connection is protected.
    pub security: Security,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port; the scheme's default is filled in: 465, 587, 25.
    pub port: u16,
    /// The login, where there is one.
    pub login: Option<Login>,
    /// The name that this machine gives itself; its own full name, or its address, where it is left out.
    pub hello: Option<String>,
}

/// How an SMTP connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// `smtps://`: TLS from the first byte.
    Tls,
    /// `smtp+starttls://`: TLS before anything else, or nothing at all.
    StartTls,
    /// `smtp://`: none; loopback only.
    None,
}

/// A login; its password is read at each connection, so that a changed one is picked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    pub username: String,
    pub password: SecretSource,
}

/// A mail address, with or without a name: `offhours <offhours@example.com>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

/// Why a text is not a valid mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid mail address: write `name@example.com` or `Name <name@example.com>`", .0.chars().take(80).flat_map(char::escape_debug).collect::<String>())]
pub struct BadAddress(String);

impl BadAddress {
    /// An address that this server cannot be given: it has letters beyond ASCII, and the server does not do SMTPUTF8.
    pub(super) fn beyond_ascii(address: &str) -> Self {
        Self(format!("{address} (beyond ASCII, which this server does not take)"))
    }
}

impl Address {
    /// Reads an address. Control characters, line ends above all, are refused.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let valid = !has_control(text) && text.parse::<lettre::message::Mailbox>().is_ok();
        if valid { Ok(Self(text.trim().to_owned())) } else { Err(BadAddress(text.to_owned())) }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As lettre knows it. It was read once already, so that a failure here is not expected.
    pub(super) fn mailbox(&self) -> Result<lettre::message::Mailbox, BadAddress> {
        self.0.parse().map_err(|_| BadAddress(self.0.clone()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
