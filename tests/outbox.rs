//! The outbox under everything that servers answer and whatever dies in between: no mail is lost, none is sent after
//! its end, and none twice but where a crash came between the server's acceptance and our note of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::clock::Clock;
use offhours::executor::run_mails;
use offhours::ledger::outbox::{Letter, MailState, NewMail, QueuedMail};
use offhours::ledger::{FILE, Ledger};
use offhours::mail::retry::{GIVE_UP_AFTER, Retry};
use offhours::mail::settings::{Address, Delivery, Locale, MailSettings};
use offhours::mail::transport::{DeliveryError, LoginFailure, Phase};
use offhours::mailer::Mailer;
use offhours::report::{AttachedFile, Content};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

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
            Self::BadLogin => {
                DeliveryError::Auth(LoginFailure { code: Some(535), enhanced: None, offered: None, has_login: true })
            }
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
    message: Vec<u8>,
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
        let letter = Letter { id: first.to_string(), bytes: format!(" of run {first}").into_bytes().into() };
        let mail = |n: usize| NewMail {
            subject: format!("mail {n}"),
            recipient: format!("r{n}@example.com"),
            message_id: format!("<{n:04}@offhours>"),
            head: format!("bytes of <{n:04}@offhours>").into_bytes(),
            letter: letter.clone(),
            useless_from: None,
        };
        let mails: Vec<NewMail> = (first..first + recipients).map(mail).collect();
        let seen = |mail: &NewMail| Seen { message: mail.message(), ..Seen::default() };
        self.seen.extend(mails.iter().map(|mail| (mail.message_id.clone(), seen(mail))));
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
        let seen = self.seen.get_mut(&mail.message_id).unwrap();
        assert_eq!(bytes, seen.message, "the same bytes on every attempt");
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

/// An outbox whose mails go to files, on a clock that moves only by what is waited for.
struct Paced {
    home: TempDir,
    mailer: Mailer,
    start: DateTime<Utc>,
}

impl Paced {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let start = "2026-11-23T18:00:00Z".parse().unwrap();
        let clock = Clock::Virtual { start, origin: tokio::time::Instant::now() };
        let ledger = Ledger::open(&home.path().join("state")).unwrap();
        Self { home, mailer: Mailer { ledger, clock, shutdown: CancellationToken::new() }, start }
    }

    /// A mail to each of so many recipients, made this long ago.
    async fn queue(&self, recipients: usize, ago: TimeDelta) {
        let to: Vec<Address> = (0..recipients).map(|n| Address::parse(&format!("r{n}@example.com")).unwrap()).collect();
        let at = self.start - ago;
        let mails = run_mails::mails(&self.settings(), &to, &content(Vec::new()), at);
        self.mailer.ledger.write(move |tx| tx.enqueue(&mails, at)).await.unwrap();
    }

    fn settings(&self) -> MailSettings {
        MailSettings {
            delivery: Delivery::Directory(self.home.path().join("mails")),
            from: Address::parse("offhours@example.com").unwrap(),
            to: Vec::new(),
            locale: Locale::En,
        }
    }

    /// The mails that were written, in no order.
    fn arrived(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.home.path().join("mails")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Delivers what is due; after how many seconds each mail left, and after how many all was over.
    async fn deliver(&self) -> (Vec<i64>, i64) {
        self.mailer.deliver_due(&self.settings()).await.unwrap();
        let seconds = |at: DateTime<Utc>| (at - self.start).num_seconds();
        let mut outbox = self.mailer.ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH)).await.unwrap();
        outbox.sort_by_key(|mail| mail.done_at);
        (outbox.iter().filter_map(|mail| mail.done_at).map(seconds).collect(), seconds(self.mailer.clock.now()))
    }
}

fn content(attachments: Vec<AttachedFile>) -> Content {
    let (text, html) = ("12 stopped\n".to_owned(), "<p>12 stopped</p>\n".to_owned());
    Content { subject: "offhours: 12 stopped".to_owned(), text, html, attachments }
}

#[tokio::test(start_paused = true)]
async fn e15_nobody_waits_after_the_only_mail() {
    let outbox = Paced::new();
    outbox.queue(1, TimeDelta::zero()).await;
    assert_eq!(outbox.deliver().await, (vec![0], 0));
}

#[tokio::test(start_paused = true)]
async fn e15_fifty_recipients_of_a_run_that_just_ended_wait_for_nothing() {
    let outbox = Paced::new();
    outbox.queue(50, TimeDelta::seconds(3)).await;
    assert_eq!(outbox.deliver().await, (vec![0; 50], 0));
}

/// What waited through an outage is paced, what is new need not wait for it, and nobody waits after the last.
#[tokio::test(start_paused = true)]
async fn e15_a_pause_stands_between_the_mails_of_a_backlog_only() {
    let outbox = Paced::new();
    outbox.queue(3, TimeDelta::hours(5)).await;
    outbox.queue(2, TimeDelta::zero()).await;
    assert_eq!(outbox.deliver().await, (vec![0, 1, 2, 2, 2], 2));
}

/// A mail that was tried before is of a backlog, however young it is.
#[tokio::test(start_paused = true)]
async fn e15_a_second_attempt_is_paced() {
    let outbox = Paced::new();
    outbox.queue(3, TimeDelta::zero()).await;
    let start = outbox.start;
    let fail = outbox.mailer.ledger.write(move |tx| {
        tx.mail_failed(2, "451 later", Some(start), start)?;
        tx.mail_failed(3, "451 later", Some(start), start)
    });
    fail.await.unwrap();
    assert_eq!(outbox.deliver().await, (vec![0, 1, 2], 2));
}

/// e16: a report for fifty recipients lies in the ledger once, and is in memory once.
#[tokio::test(start_paused = true)]
async fn e16_what_goes_to_fifty_recipients_is_kept_once() {
    const SIZE: usize = 3 << 20;
    let outbox = Paced::new();
    let file = AttachedFile {
        name: "report.json".to_owned(),
        content_type: "application/json".to_owned(),
        bytes: (0..=250).cycle().take(SIZE).collect(),
    };
    let to: Vec<Address> = (0..50).map(|n| Address::parse(&format!("r{n}@example.com")).unwrap()).collect();
    let at = outbox.start;
    let mails = run_mails::mails(&outbox.settings(), &to, &content(vec![file]), at);
    assert_eq!(mails.len(), 50);
    assert!(mails.iter().all(|mail| Arc::ptr_eq(&mail.letter.bytes, &mails[0].letter.bytes)));
    let whole: BTreeMap<String, Vec<u8>> =
        mails.iter().take(2).map(|mail| (mail.message_id.clone(), mail.message())).collect();
    outbox.mailer.ledger.write(move |tx| tx.enqueue(&mails, at)).await.unwrap();
    let ledger = outbox.home.path().join("state");
    let kept: u64 = std::fs::read_dir(&ledger).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    // Base64 makes four bytes of three; the database and its log may both hold it.
    assert!(kept < 3 * SIZE as u64, "{kept} bytes");
    outbox.deliver().await;
    let arrived = outbox.arrived();
    assert_eq!(arrived.len(), 50);
    assert!(whole.values().all(|message| arrived.contains(message)), "put together as it was rendered");
}

/// e16: what version 1 has left in the outbox is sent as it is.
#[tokio::test(start_paused = true)]
async fn e16_a_mail_of_version_one_leaves_byte_for_byte() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ledger-v1.sqlite3");
    let (home, start) = (tempfile::tempdir().unwrap(), "2026-11-23T18:06:00Z".parse().unwrap());
    std::fs::copy(golden, home.path().join(FILE)).unwrap();
    let ledger = Ledger::open(home.path()).unwrap();
    let clock = Clock::Virtual { start, origin: tokio::time::Instant::now() };
    let outbox = Paced { mailer: Mailer { ledger, clock, shutdown: CancellationToken::new() }, home, start };
    outbox.deliver().await;
    assert_eq!(outbox.arrived(), [b"Subject: 2\r\n\r\nbody\r\n"]);
}

/// e16: a week after its end a mail is a line in a list. What still waits keeps its words.
#[tokio::test(start_paused = true)]
async fn e16_words_are_dropped_a_week_after_the_last_of_their_mails() {
    let outbox = Paced::new();
    outbox.queue(2, TimeDelta::zero()).await;
    let later = outbox.start + TimeDelta::days(30);
    let fail = outbox.mailer.ledger.write(move |tx| tx.mail_failed(2, "451 later", Some(later), later));
    fail.await.unwrap();
    for (days, letters, with_words) in [(0, 1, 2), (6, 1, 2), (2, 1, 1), (22, 1, 1), (8, 0, 0)] {
        tokio::time::advance(Duration::from_secs(days * 24 * 3600)).await;
        outbox.deliver().await;
        let ledger = rusqlite::Connection::open(outbox.home.path().join("state").join(FILE)).unwrap();
        let count = |query: &str| ledger.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM letter"), letters, "{days}");
        assert_eq!(count("SELECT count(*) FROM mail WHERE length(bytes) > 0"), with_words, "{days}");
    }
    let outbox = outbox.mailer.ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH)).await.unwrap();
    assert_eq!(outbox.iter().map(|mail| mail.state).collect::<Vec<_>>(), [MailState::Sent; 2]);
}
