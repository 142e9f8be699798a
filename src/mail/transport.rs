//! One attempt to deliver one mail to one recipient.

use crate::mail::settings::{Address, Delivery, MailSettings};
use crate::mail::{directory, smtp};

pub use crate::mail::delivery_error::{DeliveryError, Phase};
pub use crate::mail::login_failure::LoginFailure;
pub use crate::mail::receipt::Receipt;
pub(crate) use crate::mail::smtp::SmtpSession;

/// Delivers `bytes`, a head and a letter of [`crate::mail::message`], to `recipient`.
pub async fn deliver(settings: &MailSettings, recipient: &Address, bytes: &[u8]) -> Result<Receipt, DeliveryError> {
    let mut courier = Courier::default();
    let result = courier.deliver(settings, recipient, bytes).await;
    courier.rest().await;
    result
}

/// Delivers mails one after the other over one connection, which it opens when it needs it.
#[derive(Default)]
pub struct Courier {
    session: Option<(smtp::SmtpSession, crate::mail::settings::Smtp)>,
}

impl Courier {
    /// Delivers one mail. A broken or changed connection is replaced by a new one for the next mail, never for this one:
    /// whether a mail is tried again is the queue's question.
    pub async fn deliver(
        &mut self,
        settings: &MailSettings,
        recipient: &Address,
        bytes: &[u8],
    ) -> Result<Receipt, DeliveryError> {
        let server = match &settings.delivery {
            Delivery::Directory(directory) => return directory::write(directory, bytes),
            Delivery::Smtp(server) => server,
        };
        let mut session = match self.session.take() {
            Some((session, opened_to)) if opened_to == *server => session,
            Some((stale, _)) => {
                stale.close().await;
                smtp::SmtpSession::open(server).await?
            }
            None => smtp::SmtpSession::open(server).await?,
        };
        let result = session.send(&settings.from, recipient, bytes).await;
        if session.is_usable() {
            self.session = Some((session, server.clone()));
        }
        result
    }

    /// Hangs up; for when no mail is waiting any more.
    pub async fn rest(&mut self) {
        if let Some((session, _)) = self.session.take() {
            session.close().await;
        }
    }
}
