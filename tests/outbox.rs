//! The outbox under everything that servers answer and whatever dies in between: no mail is lost, none is sent after
//! its end, and none twice but where a crash came between the server's acceptance and our note of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by where it failed")]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::ledger::Ledger;
use offhours::ledger::outbox::{MailState, NewMail, QueuedMail};
use offhours::mail::retry::{GIVE_UP_AFTER, Retry};
use offhours::mail::transport::{DeliveryError, Phase};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A run leaves mails for so many recipients; with `true` it is told twice, as after a commit of unknown end.
    Mails(usize, bool),
    /// Minutes pass.
    Pass(i64),
    /// The oldest mail that is due is tried, and this comes of it.
    Try(Answer),
    /// Another process opens the ledger.
    Restart,
}

/// What comes of an attempt.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Accepted,
    AcceptedThenKilled,
    Greylisted,
    Refused,
    BadLogin,
    BadCertificate,
    Silence,
    KilledBefore,
}

impl Answer {
    fn error(self) -> Option<DeliveryError> {
        let text = || "no".to_owned();
        Some(match self {
            Self::Greylisted => DeliveryError::Transient { code: 451, text: text() },
            Self::Refused => DeliveryError::Permanent { code: 550, text: text() },
            Self::BadLogin => DeliveryError::Auth { code: Some(535), text: text() },
            Self::BadCertificate => DeliveryError::Tls(text()),
            Self::Silence => DeliveryError::Timeout(Phase::Greeting),
            Self::Accepted | Self::AcceptedThenKilled | Self::KilledBefore => return None,
        })
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = prop_oneof![
        4 => Just(Answer::Accepted),
        1 => Just(Answer::AcceptedThenKilled),
        2 => Just(Answer::Greylisted),
        1 => Just(Answer::Refused),
        1 => Just(Answer::BadLogin),
        1 => Just(Answer::BadCertificate),
        1 => Just(Answer::Silence),
        1 => Just(Answer::KilledBefore),
    ];
    let step = prop_oneof![
        2 => (1..4_usize, any::<bool>()).prop_map(|(recipients, twice)| Step::Mails(recipients, twice)),
        2 => prop_oneof![1..60_i64, 60..3_000_i64].prop_map(Step::Pass),
        6 => answer.prop_map(Step::Try),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

/// What is known of a mail from outside.
#[derive(Debug, Default)]
struct Seen {
    accepted: usize,
    /// Crashes between an acceptance and its note.
    unnoted: usize,
    refused: bool,
    ended: bool,
    not_before: Option<DateTime<Utc>>,
}

struct Stage {
    directory: TempDir,
    runtime: Runtime,
    ledger: Ledger,
    now: DateTime<Utc>,
    seen: BTreeMap<String, Seen>,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        let now = "2026-11-23T18:00:00Z".parse().unwrap();
        Self { directory, runtime, ledger, now, seen: BTreeMap::new() }
    }

    fn restart(&mut self) {
        self.ledger = Ledger::open(self.directory.path()).unwrap();
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Mails(recipients, twice) => self.enqueue(*recipients, *twice),
            Step::Pass(minutes) => self.now += TimeDelta::minutes(*minutes),
            Step::Try(answer) => drop(self.attempt(*answer)),
            Step::Restart => self.restart(),
        }
    }

    fn enqueue(&mut self, recipients: usize, twice: bool) {
        let first = self.seen.len();
        let mail = |n: usize| NewMail {
            subject: format!("mail {n}"),
            recipient: format!("r{n}@example.com"),
            message_id: format!("<{n:04}@offhours>"),
            bytes: format!("bytes of <{n:04}@offhours>").into_bytes(),
        };
        let mails: Vec<NewMail> = (first..first + recipients).map(mail).collect();
        self.seen.extend(mails.iter().map(|mail| (mail.message_id.clone(), Seen::default())));
        let now = self.now;
        for _ in 0..=usize::from(twice) {
            let mails = mails.clone();
            self.runtime.block_on(self.ledger.write(move |tx| tx.enqueue(&mails, now))).unwrap();
        }
    }

    /// Tries the mail that is due, as the mailer does. False where none is.
    fn attempt(&mut self, answer: Answer) -> bool {
        let now = self.now;
        let due = self.runtime.block_on(self.ledger.read(move |tx| tx.due_mail(now))).unwrap();
        let Some((mail, bytes)) = due else { return false };
        assert_eq!(bytes, format!("bytes of {}", mail.message_id).into_bytes(), "the same bytes on every attempt");
        let seen = self.seen.get_mut(&mail.message_id).unwrap();
        assert!(!seen.ended, "{} is at its end", mail.message_id);
        assert!(seen.not_before.is_none_or(|at| now >= at), "tried before its time");
        if let Answer::Accepted | Answer::AcceptedThenKilled = answer {
            seen.accepted += 1;
        }
        match (answer, answer.error()) {
            (Answer::AcceptedThenKilled, _) => {
                seen.unnoted += 1;
                self.restart();
            }
            (Answer::KilledBefore, _) => self.restart(),
            (_, None) => {
                seen.ended = true;
                self.runtime.block_on(self.ledger.write(move |tx| tx.mail_sent(mail.id, now))).unwrap();
            }
            (_, Some(error)) => {
                let next = match error.retry_after(mail.attempts + 1, now - mail.created_at) {
                    Retry::After(pause) => Some(now + pause),
                    Retry::GiveUp => None,
                };
                seen.refused |= matches!(error, DeliveryError::Permanent { .. });
                (seen.ended, seen.not_before) = (next.is_none(), next);
                let write = self.ledger.write(move |tx| tx.mail_failed(mail.id, "no", next, now));
                self.runtime.block_on(write).unwrap();
            }
        }
        true
    }

    fn outbox(&self) -> Vec<QueuedMail> {
        self.runtime.block_on(self.ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH))).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_mail_comes_to_one_end(steps in steps()) {
        let mut stage = Stage::new();
        for step in &steps {
            stage.take(step);
        }
        // The server takes everything from now on.
        for _ in 0..8 {
            while stage.attempt(Answer::Accepted) {}
            stage.now += TimeDelta::hours(6);
        }
        let outbox = stage.outbox();
        prop_assert_eq!(outbox.len(), stage.seen.len(), "none is lost, none is there twice");
        for mail in outbox {
            let seen = &stage.seen[&mail.message_id];
            match mail.state {
                MailState::Sent => prop_assert_eq!(seen.accepted, 1 + seen.unnoted),
                MailState::Dead => {
                    let age = mail.done_at.unwrap() - mail.created_at;
                    prop_assert!(seen.refused || age >= GIVE_UP_AFTER, "given up after {age}");
                    prop_assert_eq!(seen.accepted, seen.unnoted);
                }
                MailState::Queued => prop_assert!(false, "{} waits for ever", mail.message_id),
            }
        }
    }
}
