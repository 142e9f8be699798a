//! Floor 3: the outbox worker. Takes mails from the ledger, oldest first, makes one attempt each, and writes down what
//! came of it before the next.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::ledger::outbox::QueuedMail;
use crate::ledger::{Ledger, LedgerError};
use crate::mail::retry::Retry;
use crate::mail::settings::{Address, Settings};
use crate::mail::transport::{Courier, DeliveryError, Receipt};

/// At most one mail a second, so that an outage's backlog does not look like an attack.
const PAUSE_BETWEEN_MAILS: Duration = Duration::from_secs(1);
/// Pause before what came of an attempt is written once more.
const PAUSE_BEFORE_REWRITE: Duration = Duration::from_secs(10);

/// Sends what is queued.
#[derive(Debug, Clone)]
pub struct Mailer {
    /// Where the outbox is.
    pub ledger: Ledger,
    /// The time.
    pub clock: Clock,
}

impl Mailer {
    /// Makes one attempt for each mail that is due and gives the instant of the next that will be.
    pub async fn deliver_due(&self, settings: &Settings) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let mut courier = Courier::default();
        let next = loop {
            let now = self.clock.now();
            let Some((mail, bytes)) = self.ledger.read(move |tx| tx.due_mail(now)).await? else {
                break self.ledger.read(|tx| tx.next_mail_at()).await?;
            };
            let attempt = match Address::parse(&mail.recipient) {
                Ok(recipient) => courier.deliver(settings, &recipient, &bytes).await,
                Err(error) => Err(DeliveryError::Address(error)),
            };
            self.write_down(&mail, attempt).await;
            self.clock.pause(PAUSE_BETWEEN_MAILS).await;
        };
        courier.rest().await;
        Ok(next)
    }

    /// Writes down what came of an attempt, again and again until it is on the disk: a mail whose delivery is not written
    /// down would be sent once more, and on a full disk once a minute.
    async fn write_down(&self, mail: &QueuedMail, attempt: Result<Receipt, DeliveryError>) {
        let attempt = attempt.map(drop).map_err(|error| self.fate(mail, &error));
        if attempt.is_ok() {
            info!(mail = mail.id, "sent mail {} to {}: {}", mail.id, mail.recipient, mail.subject);
        }
        let (id, now) = (mail.id, self.clock.now());
        loop {
            let attempt = attempt.clone();
            let written = self.ledger.write(move |tx| match attempt {
                Ok(()) => tx.mail_sent(id, now),
                Err((reason, next)) => tx.mail_failed(id, &reason, next, now),
            });
            let Err(error) = written.await else { return };
            error!(
                mail = id,
                error = &error as &dyn std::error::Error,
                "what came of mail {id} could not be written; no other is sent until it is"
            );
            self.clock.pause(PAUSE_BEFORE_REWRITE).await;
        }
    }

    /// Why an attempt failed and when the next one is; none where the mail is given up.
    fn fate(&self, mail: &QueuedMail, error: &DeliveryError) -> (String, Option<DateTime<Utc>>) {
        let (id, now) = (mail.id, self.clock.now());
        let (next, fate) = match error.retry_after(mail.attempts + 1, now - mail.created_at) {
            Retry::After(pause) => {
                let next = now + pause;
                (Some(next), format!("next attempt at {}", next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)))
            }
            Retry::GiveUp => (None, "it is given up; see `offhours mail queue`".to_owned()),
        };
        let reason = error.to_string();
        warn!(mail = id, "mail {id} to {} was not delivered: {reason}; {fate}", mail.recipient);
        (reason, next)
    }
}
