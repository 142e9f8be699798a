//! Mails to send: one row per recipient, its bytes rendered once, so that every attempt sends the same.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row as Columns, params};

use crate::ledger::Tx;
use crate::ledger::error::LedgerError;
use crate::ledger::values::{instant, optional_instant, to_ms, wrong};

/// A mail for one recipient, not yet in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMail {
    /// For lists and logs; the bytes carry it too.
    pub subject: String,
    /// One address.
    pub recipient: String,
    /// Fixed for ever: a mail that arrives twice can be told by it.
    pub message_id: String,
    /// The whole message.
    pub bytes: Vec<u8>,
}

/// How a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailState {
    /// Waiting for its next attempt.
    Queued,
    /// Accepted by the server.
    Sent,
    /// Given up.
    Dead,
}

impl MailState {
    /// The word in ledger, JSON and terminal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Dead => "dead",
        }
    }
}

/// A mail in the outbox, without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedMail {
    /// Its number.
    pub id: i64,
    /// Its subject.
    pub subject: String,
    /// Its one recipient.
    pub recipient: String,
    /// Its Message-ID.
    pub message_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How it stands.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it will be tried next, while queued.
    pub next_attempt_at: DateTime<Utc>,
    /// What the last attempt came to.
    pub last_error: Option<String>,
    /// When it was sent or given up.
    pub done_at: Option<DateTime<Utc>>,
}

impl Tx<'_> {
    /// Puts mails into the outbox, due at once. One that is there already, told by its Message-ID, stays as it is: after
    /// a commit that failed at the very end, nobody knows whether it was written.
    pub fn enqueue(&self, mails: &[NewMail], now: DateTime<Utc>) -> Result<(), LedgerError> {
        let mut insert = self.0.prepare_cached(
            "INSERT INTO mail (subject, recipient, message_id, bytes, created_at, state, next_attempt_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?5) ON CONFLICT (message_id) DO NOTHING",
        )?;
        for mail in mails {
            insert.execute(params![mail.subject, mail.recipient, mail.message_id, mail.bytes, to_ms(now)])?;
        }
        Ok(())
    }

    /// The oldest mail that is due, with its bytes.
    pub fn due_mail(&self, now: DateTime<Utc>) -> Result<Option<(QueuedMail, Vec<u8>)>, LedgerError> {
        self.0
            .prepare_cached(
                // The inner query keeps the bytes of a long backlog out of the sorting.
                "SELECT * FROM mail WHERE id =
                 (SELECT id FROM mail WHERE state = 'queued' AND next_attempt_at <= ?1 ORDER BY created_at, id LIMIT 1)",
            )?
            .query_row([to_ms(now)], |columns| Ok((mail(columns), columns.get("bytes")?)))
            .optional()?
            .map(|(mail, bytes)| Ok((mail?, bytes)))
            .transpose()
    }

    /// When the next queued mail is due.
    pub fn next_mail_at(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let next: Option<i64> =
            self.0.query_row("SELECT min(next_attempt_at) FROM mail WHERE state = 'queued'", [], |row| row.get(0))?;
        next.map(crate::ledger::values::from_ms).transpose()
    }

    /// The server has accepted it.
    pub fn mail_sent(&self, id: i64, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0.execute(
            "UPDATE mail SET state = 'sent', attempts = attempts + 1, last_error = NULL, done_at = ?2 WHERE id = ?1",
            params![id, to_ms(now)],
        )?;
        Ok(())
    }

    /// It was not accepted, and is tried again at `next` or given up.
    pub fn mail_failed(
        &self,
        id: i64,
        error: &str,
        next: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.0.execute(
            "UPDATE mail SET attempts = attempts + 1, last_error = ?2,
                    state = CASE WHEN ?3 IS NULL THEN 'dead' ELSE 'queued' END,
                    next_attempt_at = coalesce(?3, next_attempt_at),
                    done_at = CASE WHEN ?3 IS NULL THEN ?4 END
             WHERE id = ?1",
            params![id, error, next.map(to_ms), to_ms(now)],
        )?;
        Ok(())
    }

    /// The outbox: everything queued or given up, and what was sent since `since`, oldest first.
    pub fn outbox(&self, since: DateTime<Utc>) -> Result<Vec<QueuedMail>, LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT id, subject, recipient, message_id, created_at, state, attempts, next_attempt_at, last_error, done_at
             FROM mail WHERE id IN (SELECT id FROM mail WHERE state = 'queued'
                                    UNION ALL SELECT id FROM mail WHERE state = 'dead'
                                    UNION ALL SELECT id FROM mail WHERE state = 'sent' AND done_at >= ?1)
             ORDER BY created_at, id",
        )?;
        let mut found = statement.query([to_ms(since)])?;
        let mut mails = Vec::new();
        while let Some(columns) = found.next()? {
            mails.push(mail(columns)?);
        }
        Ok(mails)
    }

    /// How many mails were given up since `since`.
    pub fn mails_given_up(&self, since: DateTime<Utc>) -> Result<u32, LedgerError> {
        Ok(self.0.query_row(
            "SELECT count(*) FROM mail WHERE state = 'dead' AND done_at >= ?1",
            [to_ms(since)],
            |row| row.get(0),
        )?)
    }
}

fn mail(columns: &Columns<'_>) -> Result<QueuedMail, LedgerError> {
    let word: String = columns.get("state")?;
    let state = [MailState::Queued, MailState::Sent, MailState::Dead].into_iter().find(|state| state.as_str() == word);
    Ok(QueuedMail {
        id: columns.get("id")?,
        subject: columns.get("subject")?,
        recipient: columns.get("recipient")?,
        message_id: columns.get("message_id")?,
        created_at: instant(columns, "created_at")?,
        state: state.ok_or_else(|| wrong(word, "the state of a mail"))?,
        attempts: columns.get("attempts")?,
        next_attempt_at: instant(columns, "next_attempt_at")?,
        last_error: columns.get("last_error")?,
        done_at: optional_instant(columns, "done_at")?,
    })
}
