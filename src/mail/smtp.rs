//! One conversation with an SMTP server, each part of it with its own limit.
//!
//! lettre's `send` knows no limits, and loses a mail for all recipients with one refusal, so the commands are given one by
//! one here.

use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::domain::loopback::is_loopback;
use crate::mail::delivery_error::{DeliveryError, Phase, SmtpStep};
use crate::mail::dial::dial;
use crate::mail::login_failure::{LoginFailure, Offered};
use crate::mail::receipt::Receipt;
use crate::mail::settings::{Address, BadAddress, Login, Security, Smtp};
use crate::mail::wire::Wire;
use crate::mail::{hello, starttls, tls};

/// Connecting, TLS, greeting and EHLO together (RFC 5321, 4.5.3.2.1).
const GREETING_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Each command.
const COMMAND_LIMIT: Duration = Duration::from_secs(5 * 60);
/// `DATA`'s answer, and each piece of the mail.
const DATA_LIMIT: Duration = Duration::from_secs(2 * 60);
/// The answer after the final dot: a server that scans the mail may take long, and asking again would double the mail.
const FINAL_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Saying goodbye; the mail is delivered by then.
const QUIT_LIMIT: Duration = Duration::from_secs(5);
const PIECE: usize = 16 * 1024;

/// An open conversation. It carries any number of mails, one after the other.
pub(crate) struct SmtpSession {
    connection: AsyncSmtpConnection,
    /// False after the conversation broke, or the server announced its end.
    usable: bool,
    /// True where an envelope may be half open.
    begun: bool,
}

impl SmtpSession {
    /// Connects, protects the connection as `smtp` says, and logs in. Nothing goes over the wire in clear but to the
    /// loopback.
    pub(crate) async fn open(smtp: &Smtp) -> Result<Self, DeliveryError> {
        let connection =
            timeout(GREETING_LIMIT, connect(smtp)).await.map_err(|_| DeliveryError::Timeout(Phase::Greeting))??;
        let mut session = Self { connection, usable: true, begun: false };
        if let Some(login) = &smtp.login {
            session.log_in(login).await?;
        }
        Ok(session)
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), DeliveryError> {
        let secret = login.password.read().map_err(DeliveryError::Password)?;
        let password = secret.expose_secret();
        let password = password.strip_suffix('\n').map_or(password, |line| line.strip_suffix('\r').unwrap_or(line));
        let server = self.connection.server_info();
        let has = |mechanism| server.supports_auth_mechanism(mechanism);
        if !DEFAULT_MECHANISMS.iter().any(|known| has(*known)) {
            let offered = if has(Mechanism::Xoauth2) { Offered::OnlyXoauth2 } else { Offered::Nothing };
            let failure = LoginFailure { code: None, enhanced: None, offered: Some(offered), has_login: true };
            return Err(DeliveryError::Auth(failure));
        }
        let credentials = Credentials::new(login.username.clone(), password.to_owned());
        timeout(COMMAND_LIMIT, self.connection.auth(DEFAULT_MECHANISMS, &credentials))
            .await
            .map_err(|_| DeliveryError::Timeout(Phase::Command))?
            .map_err(|error| DeliveryError::of(&error, SmtpStep::Login))?;
        Ok(())
    }

    /// Sends `bytes` as they are to one recipient.
    pub(crate) async fn send(&mut self, from: &Address, to: &Address, bytes: &[u8]) -> Result<Receipt, DeliveryError> {
        let (from, to) = (from.mailbox()?.email, to.mailbox()?.email);
        if self.begun {
            self.command(Rset, COMMAND_LIMIT, Phase::Command).await?;
        }
        self.begun = true;
        let mut parameters = Vec::new();
        if !(from.to_string().is_ascii() && to.to_string().is_ascii()) {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(DeliveryError::Address(BadAddress::beyond_ascii(to.as_ref())));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        self.command(Mail::new(Some(from), parameters), COMMAND_LIMIT, Phase::Command).await?;
        self.command(Rcpt::new(to, Vec::new()), COMMAND_LIMIT, Phase::Command).await?;
        self.command(Data, DATA_LIMIT, Phase::Data).await?;
        let reply = self.data(bytes).await?;
        self.begun = false;
        Ok(Receipt { reply: format!("{} {}", reply.code(), reply.message().collect::<Vec<_>>().join(" ")) })
    }

    /// True where another mail may follow.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Ends the conversation politely, where it still goes on.
    pub(crate) async fn close(mut self) {
        if self.usable {
            // The mails are delivered; what the server says to this changes nothing.
            let _ = timeout(QUIT_LIMIT, self.connection.quit()).await;
        }
    }

    async fn command(
        &mut self,
        command: impl std::fmt::Display,
        limit: Duration,
        phase: Phase,
    ) -> Result<Response, DeliveryError> {
        let answer = timeout(limit, self.connection.command(command)).await;
        let result = match answer {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => DeliveryError::of(&error, SmtpStep::Envelope),
            Err(_) => DeliveryError::Timeout(phase),
        };
        Err(self.broken_by(result))
    }

    /// Sends the mail in pieces, and waits for the answer to its final dot with a limit of its own.
    async fn data(&mut self, bytes: &[u8]) -> Result<Response, DeliveryError> {
        // lettre ends the mail with CRLF, dot, CRLF: without its own last line end it arrives byte for byte.
        let bytes = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        let (moved, mut progress) = watch::channel(());
        let pieces = bytes.chunks(PIECE).inspect(move |_| {
            moved.send_replace(());
        });
        let result = {
            let sending = self.connection.message_iter(pieces);
            tokio::pin!(sending);
            let mut phase = Phase::Data;
            loop {
                let limit = if phase == Phase::Data { DATA_LIMIT } else { FINAL_LIMIT };
                tokio::select! {
                    biased;
                    result = &mut sending => break result.map_err(|error| DeliveryError::of(&error, SmtpStep::Envelope)),
                    // The pieces, and with them the sender, are dropped once the last one is written.
                    moved = progress.changed(), if phase == Phase::Data => {
                        if moved.is_err() { phase = Phase::FinalReply; }
                    }
                    () = sleep(limit) => break Err(DeliveryError::Timeout(phase)),
                }
            }
        };
        result.map_err(|error| self.broken_by(error))
    }

    /// Remembers whether the conversation can go on after `error`.
    fn broken_by(&mut self, error: DeliveryError) -> DeliveryError {
        self.usable = match &error {
            DeliveryError::Transient { code, .. } => *code != 421,
            DeliveryError::Permanent { .. } => true,
            _ => false,
        };
        error
    }
}

async fn connect(smtp: &Smtp) -> Result<AsyncSmtpConnection, DeliveryError> {
    let host = smtp.host.as_str();
    if smtp.security == Security::None && !is_loopback(host) {
        return Err(DeliveryError::Tls(format!("`smtp://` is for the loopback only, not for `{host}`")));
    }
    let stream = dial(host, smtp.port).await.map_err(|error| DeliveryError::no_way_to(host, smtp.port, &error))?;
    let local = stream.local_addr().map_err(|error| DeliveryError::of_connection(&error))?;
    let client = hello::name(smtp.hello.as_deref(), local);
    let wire: Box<dyn AsyncTokioStream> = match smtp.security {
        Security::None => Box::new(Wire::new(stream)),
        Security::Tls => Box::new(Wire::new(tls::protect(stream, host, smtp.port).await?)),
        Security::StartTls => {
            let stream = starttls::agree_or_tell(stream, smtp, &client).await?;
            Box::new(Wire::greeted(tls::protect(stream, host, smtp.port).await?))
        }
    };
    let connection = AsyncSmtpConnection::connect_with_transport(wire, &client).await;
    connection.map_err(|error| DeliveryError::of(&error, SmtpStep::Connect))
}
