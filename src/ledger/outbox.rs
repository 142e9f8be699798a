//! Mails to send: one row per recipient, and what several recipients are sent kept once. Both are rendered once, so that
//! every attempt sends the same bytes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row as Columns, params};

use crate::domain::words::words;
use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{instant, optional_instant, parsed, to_ms};

/// Mails whose words are dropped in one transaction.
const DROPPED_AT_ONCE: u32 = 10;

/// A mail for one recipient, not yet in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMail {
    /// For lists and logs; the letter carries it too.
    pub subject: String,
    pub recipient: String,
    /// Fixed for ever: a mail that arrives twice can be told by it.
    pub message_id: String,
    /// The message's first lines, which name the recipient.
    pub head: Vec<u8>,
    pub letter: Letter,
    /// From when on it must not be sent any more; none where it is worth reading at any time.
    pub useless_from: Option<DateTime<Utc>>,
}

/// What several recipients are sent. Clones share the bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// No other letter has it.
    pub id: String,
    /// The message without the lines that name a recipient.
    pub bytes: Arc<[u8]>,
}

impl NewMail {
    /// The whole message.
    pub fn message(&self) -> Vec<u8> {
        [&self.head, &self.letter.bytes[..]].concat()
    }
}

words! {
    /// How a mail stands.
    pub MailState {
        /// Waiting for its next attempt.
        Queued = "queued",
        /// Accepted by the server.
        Sent = "sent",
        Dead = "dead",
    }
}

/// A mail in the outbox, without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedMail {
    pub id: i64,
    pub subject: String,
    pub recipient: String,
    pub message_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    pub state: MailState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it will be tried next, while queued.
    pub next_attempt_at: DateTime<Utc>,
    /// What the last attempt came to.
    pub last_error: Option<String>,
    /// When it was sent or given up.
    pub done_at: Option<DateTime<Utc>>,
    /// From when on it must not be sent any more.
    pub(crate) useless_from: Option<DateTime<Utc>>,
}

impl Tx<'_> {
    /// Puts mails into the outbox, due at once. One that is there already, told by its Message-ID, stays as it is: after
    /// a commit that failed at the very end, nobody knows whether it was written.
    pub fn enqueue(&self, mails: &[NewMail], now: DateTime<Utc>) -> Result<(), LedgerError> {
        let mut letter =
            self.0.prepare_cached("INSERT INTO letter (id, bytes) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING")?;
        let mut insert = self.0.prepare_cached(
            "INSERT INTO mail (subject, recipient, message_id, bytes, letter, created_at, state, next_attempt_at, useless_from)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?6, ?7) ON CONFLICT (message_id) DO NOTHING",
        )?;
        let mut written = None;
        for NewMail { subject, recipient, message_id, head, letter: Letter { id, bytes }, useless_from } in mails {
            // Handing its bytes over for each of its mails would copy them each time.
            if written.replace(id) != Some(id) {
                letter.execute(params![id, &bytes[..]])?;
            }
            insert.execute(params![subject, recipient, message_id, head, id, to_ms(now), useless_from.map(to_ms)])?;
        }
        Ok(())
    }

    /// The oldest mail that is due, with its message.
    pub fn due_mail(&self, now: DateTime<Utc>) -> Result<Option<(QueuedMail, Vec<u8>)>, LedgerError> {
        self.0
            .prepare_cached(
                // The inner query keeps the bytes of a long backlog out of the sorting. A mail of version 1 has no
                // letter: its own bytes are the whole message.
                "SELECT mail.*, letter.bytes AS rest FROM mail LEFT JOIN letter ON letter.id = mail.letter WHERE mail.id =
                 (SELECT id FROM mail WHERE state = 'queued' AND next_attempt_at <= ?1 ORDER BY created_at, id LIMIT 1)",
            )?
            .query_row([to_ms(now)], |columns| Ok((mail(columns), message(columns)?)))
            .optional()?
            .map(|(mail, message)| Ok((mail?, message)))
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

    /// It is given up without an attempt: nobody needs it any more.
    pub(crate) fn mail_useless(&self, id: i64, why: &str, now: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0.execute(
            "UPDATE mail SET state = 'dead', last_error = ?2, done_at = ?3 WHERE id = ?1",
            params![id, why, to_ms(now)],
        )?;
        Ok(())
    }

    /// The outbox: everything queued or given up, and what was sent since `since`, oldest first.
    pub fn outbox(&self, since: DateTime<Utc>) -> Result<Vec<QueuedMail>, LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT id, subject, recipient, message_id, created_at, state, attempts, next_attempt_at, last_error, done_at,
                    useless_from
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

    /// Whether mails that came to their end before `before` still have their words.
    pub(crate) fn has_old_words(&self, before: DateTime<Utc>) -> Result<bool, LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM mail WHERE done_at < ?1 AND done_at IS NOT NULL AND length(bytes) > 0)",
        )?;
        Ok(statement.query_row([to_ms(before)], |row| row.get(0))?)
    }

    /// Drops the words of mails that came to their end before `before`, the oldest first, of a few at a time, and the
    /// letters that no mail needs any more. What is said of the mails elsewhere stays.
    pub(crate) fn drop_old_words(&self, before: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0.execute(
            "UPDATE mail SET bytes = x'', letter = NULL WHERE id IN
             (SELECT id FROM mail WHERE done_at < ?1 AND done_at IS NOT NULL AND length(bytes) > 0
              ORDER BY done_at LIMIT ?2)",
            params![to_ms(before), DROPPED_AT_ONCE],
        )?;
        self.0.execute("DELETE FROM letter WHERE id NOT IN (SELECT letter FROM mail WHERE letter IS NOT NULL)", [])?;
        Ok(())
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

/// A mail's own bytes, then its letter's.
fn message(columns: &Columns<'_>) -> rusqlite::Result<Vec<u8>> {
    let (head, rest) = (columns.get_ref("bytes")?.as_blob()?, columns.get_ref("rest")?.as_blob_or_null()?);
    Ok([head, rest.unwrap_or_default()].concat())
}

fn mail(columns: &Columns<'_>) -> Result<QueuedMail, LedgerError> {
    Ok(QueuedMail {
        id: columns.get("id")?,
        subject: columns.get("subject")?,
        recipient: columns.get("recipient")?,
        message_id: columns.get("message_id")?,
        created_at: instant(columns, "created_at")?,
        state: parsed(columns, "state", "the state of a mail", str::parse)?,
        attempts: columns.get("attempts")?,
        next_attempt_at: instant(columns, "next_attempt_at")?,
        last_error: columns.get("last_error")?,
        done_at: optional_instant(columns, "done_at")?,
        useless_from: optional_instant(columns, "useless_from")?,
    })
}
