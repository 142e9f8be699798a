//! Floor 3: the outbox worker. Takes mails from the ledger, oldest first, makes one attempt each, and writes down what
//! came of it before the next. One message is in memory at a time.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::domain::instant::rfc3339;
use crate::ledger::lock::OutboxLock;
use crate::ledger::outbox::QueuedMail;
use crate::ledger::{Ledger, LedgerError};
use crate::mail::retry::Retry;
use crate::mail::settings::{Address, MailSettings};
use crate::mail::transport::{Courier, DeliveryError, Receipt};

/// Before each mail of a backlog but the first, so that what an outage has left does not look like an attack.
const PAUSE_IN_BACKLOG: Duration = Duration::from_secs(1);
/// A mail that has waited longer, or was tried before, is of a backlog. Longer than the daemon may take to notice what
/// another process has left.
const FRESH: TimeDelta = TimeDelta::minutes(2);
/// For so long after its end a mail's words stay in the ledger: as long as `mail queue` shows one that was sent.
const WORDS_KEPT: TimeDelta = TimeDelta::days(7);
/// Pause before what came of an attempt is written once more.
const PAUSE_BEFORE_REWRITE: Duration = Duration::from_secs(10);

/// How often, and how far apart, it is looked whether another process has ended its deliveries.
const MOST_LOOKS: u32 = 50;
const PAUSE_BEFORE_LOOK: Duration = Duration::from_millis(200);

/// Sends what is queued.
#[derive(Debug, Clone)]
pub struct Mailer {
    pub ledger: Ledger,
    pub clock: Clock,
    /// Cancelled when offhours is being stopped: the mail under way is finished, and no other is begun.
    pub shutdown: CancellationToken,
}

impl Mailer {
    /// Makes one attempt for each mail that is due and gives the instant of the next that will be. Where another process
    /// is delivering for longer than a moment, it is left to that.
    pub async fn deliver_due(&self, settings: &MailSettings) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let Some(_only) = self.take_turn().await? else { return Ok(Some(self.clock.now())) };
        let mut courier = Courier::default();
        let (began, mut tried_any) = (self.clock.now(), false);
        let next = loop {
            if self.shutdown.is_cancelled() {
                break None;
            }
            let now = self.clock.now();
            let Some((mail, message)) = self.ledger.read(move |tx| tx.due_mail(now)).await? else {
                break self.ledger.read(|tx| tx.next_mail_at()).await?;
            };
            if tried_any && is_of_backlog(&mail, began) && !self.pause(PAUSE_IN_BACKLOG).await {
                break None;
            }
            if mail.useless_from.is_some_and(|useless_from| useless_from <= now) {
                drop(message);
                self.let_go(&mail, now).await?;
                continue;
            }
            let attempt = match Address::parse(&mail.recipient) {
                Ok(recipient) => caught(courier.deliver(settings, &recipient, &message)).await,
                Err(error) => Err(DeliveryError::Address(error)),
            };
            drop(message);
            self.write_down(&mail, attempt).await;
            tried_any = true;
        };
        courier.rest().await;
        self.drop_old_words().await;
        Ok(next)
    }

    /// Gives up a notice that could not be sent before what it announces.
    async fn let_go(&self, mail: &QueuedMail, now: DateTime<Utc>) -> Result<(), LedgerError> {
        let (id, last) = (mail.id, mail.last_error.as_deref());
        let why = last.map_or_else(String::new, |error| format!("; at the last attempt {error}"));
        let reason = format!("too late: what it announces is about to begin or has begun{why}");
        warn!(mail = id, "mail {id} to {} is not sent any more: {reason}", mail.recipient);
        self.ledger.write(move |tx| tx.mail_useless(id, &reason, now)).await
    }

    /// Drops what nobody looks at any more. A failure costs nothing but room.
    async fn drop_old_words(&self) {
        let before = self.clock.now() - WORDS_KEPT;
        let dropping = async {
            if self.ledger.read(move |tx| tx.has_old_words(before)).await? {
                self.ledger.write(move |tx| tx.drop_old_words(before)).await?;
            }
            Ok::<_, LedgerError>(())
        };
        if let Err(failure) = dropping.await {
            warn!(error = &failure as &dyn std::error::Error, "the words of old mails could not be dropped");
        }
    }

    /// False where offhours is being stopped.
    async fn pause(&self, duration: Duration) -> bool {
        self.shutdown.run_until_cancelled(self.clock.pause(duration)).await.is_some()
    }

    async fn take_turn(&self) -> Result<Option<OutboxLock>, LedgerError> {
        for _ in 0..MOST_LOOKS {
            if let Some(turn) = OutboxLock::take(self.ledger.directory())? {
                return Ok(Some(turn));
            }
            if !self.pause(PAUSE_BEFORE_LOOK).await {
                break;
            }
        }
        Ok(None)
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
            if !self.pause(PAUSE_BEFORE_REWRITE).await {
                return;
            }
        }
    }

    /// Why an attempt failed and when the next one is; none where the mail is given up.
    fn fate(&self, mail: &QueuedMail, error: &DeliveryError) -> (String, Option<DateTime<Utc>>) {
        let (id, now) = (mail.id, self.clock.now());
        let (next, fate) = match error.retry_after(mail.attempts + 1, now - mail.created_at) {
            Retry::After(pause) => {
                let next = now + pause;
                (Some(next), format!("next attempt at {}", rfc3339(next)))
            }
            Retry::GiveUp => (None, "it is given up; see `offhours mail queue`".to_owned()),
        };
        let reason = error.to_string();
        warn!(mail = id, "mail {id} to {} was not delivered: {reason}; {fate}", mail.recipient);
        (reason, next)
    }
}

fn is_of_backlog(mail: &QueuedMail, began: DateTime<Utc>) -> bool {
    mail.attempts > 0 || mail.created_at < began - FRESH
}

/// A panic must neither end the worker nor meet it at its next mail again: it is a failed attempt like any other.
async fn caught(attempt: impl Future<Output = Result<Receipt, DeliveryError>>) -> Result<Receipt, DeliveryError> {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or(Err(DeliveryError::Panic))
}

#[cfg(test)]
mod tests {
    use super::caught;
    use crate::mail::transport::DeliveryError;

    #[tokio::test]
    async fn e18_a_panic_is_a_failed_attempt() {
        let attempt = caught(async { panic!("a fault of a library") });
        assert!(matches!(attempt.await, Err(DeliveryError::Panic)));
    }
}
