//! Faults between offhours and a mail server, and what each comes to (see `tests/FAULTS.md`).

use std::path::Path;
use std::time::Duration;

use crate::support::smtp::{Act, FLOOD, Sink};
use chrono::{DateTime, TimeDelta, Utc};
use offhours::clock::Clock;
use offhours::ledger::Ledger;
use offhours::ledger::outbox::{Letter, NewMail};
use offhours::mail::message::{MailBody, head, letter};
use offhours::mail::retry::Retry;
use offhours::mail::settings::{Address, Delivery, Locale, Login, MailSettings, Security, Smtp};
use offhours::mail::transport::{Courier, DeliveryError, LoginFailure, Phase, Receipt, deliver};
use offhours::mailer::Mailer;
use offhours::secret::SecretSource;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "correct horse battery staple";
/// `\0offhours\0correct horse battery staple`, as AUTH PLAIN wants it.
const PLAIN: &str = "AUTH PLAIN AG9mZmhvdXJzAGNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU=";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn settings(delivery: Delivery) -> MailSettings {
    MailSettings {
        delivery,
        from: address("offhours <offhours@example.com>"),
        to: vec![address("finops@example.com")],
        locale: Locale::En,
    }
}

fn server(port: u16, security: Security) -> Smtp {
    Smtp { security, host: "127.0.0.1".to_owned(), port, login: None, hello: None }
}

fn plain(sink: &Sink) -> MailSettings {
    settings(Delivery::Smtp(server(sink.port, Security::None)))
}

/// With a login, whose password stands in a file with a line end.
fn with_login(sink: &Sink, directory: &Path) -> MailSettings {
    use std::os::unix::fs::PermissionsExt;
    let file = directory.join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let login = Login { username: "offhours".to_owned(), password: SecretSource::File(file) };
    settings(Delivery::Smtp(Smtp { login: Some(login), ..server(sink.port, Security::None) }))
}

fn mail(to: &str, text: &str) -> Vec<u8> {
    let body = MailBody { subject: "offhours: 12 stopped", text, html: "<p>12 stopped</p>", attachments: &[] };
    let date: DateTime<Utc> = "2026-11-23T18:04:00Z".parse().unwrap();
    let from = address("offhours <offhours@example.com>");
    let head = head(&address(to), "0193-run-1@offhours.example.com").unwrap();
    [head, letter(&from, &body, date, "0193-run-1").unwrap()].concat()
}

async fn send(settings: &MailSettings) -> Result<String, DeliveryError> {
    let to = address("finops@example.com");
    deliver(settings, &to, &mail("finops@example.com", "12 stopped")).await.map(|receipt| receipt.reply)
}

fn waits(error: &DeliveryError, attempts: u32) -> i64 {
    match error.retry_after(attempts, TimeDelta::hours(1)) {
        Retry::After(wait) => wait.num_minutes(),
        Retry::GiveUp => panic!("given up: {error}"),
    }
}

/// A mail arrives byte for byte, in one envelope with one recipient, and the server's answer is kept.
#[tokio::test]
async fn a_mail_arrives_as_it_was_rendered() {
    let sink = Sink::start(|_, _| None).await;
    let bytes = mail("finops@example.com", ".a line that begins with a dot\n..\n.\nend");
    let receipt = deliver(&plain(&sink), &address("FinOps <finops@example.com>"), &bytes).await.unwrap();
    assert_eq!(receipt.reply, "250 2.0.0 taken");
    assert_eq!(sink.mails(), [("finops@example.com".to_owned(), bytes)]);
    let lines = sink.lines();
    assert_eq!(lines[1..], ["MAIL FROM:<offhours@example.com>", "RCPT TO:<finops@example.com>", "DATA", "QUIT"]);
}

/// e01: greylisting.
#[tokio::test]
async fn e01_greylisting_is_asked_again_and_delivers_once() {
    let sink = Sink::start(|connection, step| {
        (connection == 1 && step.starts_with("RCPT")).then_some(Act::Say("451 4.7.1 greylisted, come back"))
    })
    .await;
    let error = send(&plain(&sink)).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Transient { code: 451, text } if text.contains("greylisted")), "{error:?}");
    assert!(waits(&error, 1) >= 5);
    send(&plain(&sink)).await.unwrap();
    assert_eq!(sink.mails().len(), 1);
}

/// e02: one recipient of three is refused; the two others get their mail, over the same connection.
#[tokio::test]
async fn e02_a_refused_recipient_costs_nobody_else_their_mail() {
    let sink = Sink::start(|_, step| step.contains("gone@").then_some(Act::Say("550 5.1.1 no such user"))).await;
    let settings = plain(&sink);
    let mut courier = Courier::default();
    let mut refused = Vec::new();
    for to in ["a@example.com", "gone@example.com", "b@example.com"] {
        if let Err(error) = courier.deliver(&settings, &address(to), &mail(to, "12 stopped")).await {
            assert_eq!(error.retry_after(1, TimeDelta::zero()), Retry::GiveUp);
            refused.push(to);
        }
    }
    courier.rest().await;
    assert_eq!(refused, ["gone@example.com"]);
    let delivered: Vec<String> = sink.mails().into_iter().map(|(to, _)| to).collect();
    assert_eq!(delivered, ["a@example.com", "b@example.com"]);
    assert_eq!(sink.connections(), 1);
}

/// e03: the content is refused after the final dot.
#[tokio::test]
async fn e03_a_refusal_after_the_dot_is_for_good_and_keeps_its_reason() {
    for (reply, expected) in [("552 5.3.4 too large", 552), ("554 5.6.0 looks like spam", 554)] {
        let sink = Sink::start(move |_, step| (step == "DOT").then_some(Act::Say(reply))).await;
        let error = send(&plain(&sink)).await.unwrap_err();
        assert!(matches!(&error, DeliveryError::Permanent { code, .. } if *code == expected), "{error:?}");
        assert_eq!(error.retry_after(1, TimeDelta::zero()), Retry::GiveUp);
        assert!(error.to_string().contains(&reply[10..]), "{error}");
    }
}

/// e04: nobody listens.
#[tokio::test]
async fn e04_a_server_that_is_down_is_tried_again_within_35_minutes() {
    let sink = Sink::start(|_, _| None).await;
    let mut settings = plain(&sink);
    let Delivery::Smtp(server) = &mut settings.delivery else { unreachable!() };
    // Bound and closed again: nobody listens there.
    server.port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = send(&settings).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)), "{error:?}");
    assert!((30..35).contains(&waits(&error, 9)));
}

/// e05: the connection drops after the final dot. The mail is sent again with the same bytes, so that its Message-ID
/// lets the receiver see the double.
#[tokio::test]
async fn e05_a_drop_after_the_dot_sends_the_same_bytes_again() {
    let sink = Sink::start(|connection, step| (connection == 1 && step == "DOT").then_some(Act::Drop)).await;
    let error = send(&plain(&sink)).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)), "{error:?}");
    assert!(matches!(error.retry_after(1, TimeDelta::zero()), Retry::After(_)));
    send(&plain(&sink)).await.unwrap();
    let sent = sink.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    assert!(String::from_utf8_lossy(&sent[0]).contains("\r\nMessage-ID: <0193-run-1@offhours.example.com>\r\n"));
}

/// Stops the clock for as long as the value lives: it moves only when told to. Tokio's paused clock alone would run
/// ahead whenever a socket has nothing to read yet.
fn stop_the_clock() -> std::sync::mpsc::Sender<()> {
    tokio::time::pause();
    let (alive, ended) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || {
        let _ = ended.recv();
    });
    alive
}

/// Moves the clock, and lets everybody see it.
async fn pass(duration: Duration) {
    tokio::time::advance(duration).await;
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// e06: silence in each phase ends after that phase's own time, and not before.
#[tokio::test]
async fn e06_each_phase_has_its_own_limit() {
    let _stopped = stop_the_clock();
    let cases = [
        ("GREETING", Phase::Greeting, 5),
        ("AUTH", Phase::Command, 5),
        ("MAIL", Phase::Command, 5),
        ("RCPT", Phase::Command, 5),
        ("DATA", Phase::Data, 2),
        ("DOT", Phase::FinalReply, 10),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (at, phase, limit) in cases {
        let sink = Sink::start(move |_, step| step.starts_with(at).then_some(Act::Silence)).await;
        let settings = with_login(&sink, directory.path());
        let sending = tokio::spawn(async move { send(&settings).await });
        sink.reached(at).await;
        pass(Duration::from_secs(limit * 60 - 1)).await;
        assert!(!sending.is_finished(), "{at}: too early");
        pass(Duration::from_secs(2)).await;
        let error = sending.await.unwrap().unwrap_err();
        assert!(matches!(error, DeliveryError::Timeout(at) if at == phase), "{at}: {error:?}");
        assert!(sink.mails().is_empty());
    }
}

/// e06: a greeting that drips never ends, and does not keep anybody waiting for ever.
#[tokio::test]
async fn e06_a_dripping_greeting_ends_after_five_minutes() {
    let _stopped = stop_the_clock();
    let sink = Sink::start(|_, step| (step == "GREETING").then_some(Act::Drip(Duration::from_secs(20)))).await;
    let settings = plain(&sink);
    let sending = tokio::spawn(async move { send(&settings).await });
    sink.reached("GREETING").await;
    for _ in 0..16 {
        pass(Duration::from_secs(20)).await;
    }
    let error = sending.await.unwrap().unwrap_err();
    assert!(matches!(error, DeliveryError::Timeout(Phase::Greeting)), "{error:?}");
}

/// e06: a server that stops taking the mail's bytes.
#[tokio::test]
async fn e06_a_mail_that_is_not_read_ends_after_two_minutes() {
    let _stopped = stop_the_clock();
    let sink = Sink::start(|_, step| (step == "DATA").then_some(Act::Deaf("354 go on"))).await;
    let settings = plain(&sink);
    let large = b"a long report\r\n".repeat(1_000_000);
    let sending = tokio::spawn(async move { deliver(&settings, &address("finops@example.com"), &large).await });
    sink.reached("DATA").await;
    // Until the buffers between them are full the mail moves on, and its limit with it.
    for _ in 0..60 {
        pass(Duration::from_secs(60)).await;
        if sending.is_finished() {
            break;
        }
    }
    let error = sending.await.unwrap().unwrap_err();
    assert!(matches!(error, DeliveryError::Timeout(Phase::Data)), "{error:?}");
}

/// e06: a server that scans for nine minutes has taken the mail; asking again would double it.
#[tokio::test]
async fn e06_a_final_reply_after_nine_minutes_is_a_success() {
    let _stopped = stop_the_clock();
    let nine = Duration::from_secs(9 * 60);
    let sink = Sink::start(move |_, step| (step == "DOT").then_some(Act::Late(nine, "250 2.0.0 taken at last"))).await;
    let settings = plain(&sink);
    let sending = tokio::spawn(async move { send(&settings).await });
    sink.reached("DOT").await;
    pass(nine + Duration::from_millis(1)).await;
    assert_eq!(sending.await.unwrap().unwrap(), "250 2.0.0 taken at last");
    assert_eq!(sink.mails().len(), 1);
}

/// e07: STARTTLS is wanted and not offered: nothing is sent in clear, no login above all.
#[tokio::test]
async fn e07_without_starttls_nothing_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Sink::start(|_, _| None).await;
    let mut settings = with_login(&sink, directory.path());
    let Delivery::Smtp(server) = &mut settings.delivery else { unreachable!() };
    server.security = Security::StartTls;
    let error = send(&settings).await.unwrap_err();
    assert!(matches!(&error, DeliveryError::Tls(why) if why.contains("does not offer STARTTLS")), "{error:?}");
    assert!((60..63).contains(&waits(&error, 1)));
    let lines = sink.lines();
    assert!(lines.iter().all(|line| line.starts_with("EHLO")), "{lines:?}");
}

/// e07, e08: a server that says yes to STARTTLS, or listens where TLS is expected, and then speaks clear text.
#[tokio::test]
async fn e07_e08_clear_text_instead_of_tls_sends_nothing() {
    let offer = Act::Say("250-sink\r\n250 STARTTLS");
    for security in [Security::StartTls, Security::Tls] {
        let offer = offer.clone();
        let sink = Sink::start(move |_, step| match step {
            step if step.starts_with("EHLO") => Some(offer.clone()),
            "STARTTLS" => Some(Act::SayAndDrop("220 go\r\n250 this is no handshake")),
            _ => None,
        })
        .await;
        let error = send(&settings(Delivery::Smtp(server(sink.port, security)))).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Tls(_) | DeliveryError::Unreachable(_)), "{security:?}: {error:?}");
        assert!(!sink.lines().iter().any(|line| line.starts_with("MAIL") || line.starts_with("AUTH")));
    }
}

#[tokio::test]
async fn clear_text_to_another_machine_is_refused_before_connecting() {
    let smtp =
        Smtp { security: Security::None, host: "mail.example.com".to_owned(), port: 25, login: None, hello: None };
    let error = send(&settings(Delivery::Smtp(smtp))).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Tls(_)), "{error:?}");
}

/// e09: the login is refused.
#[tokio::test]
async fn e09_a_refused_login_waits_and_never_shows_the_password() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Sink::start(|_, step| step.starts_with("AUTH").then_some(Act::Say("535 5.7.8 bad credentials"))).await;
    let error = send(&with_login(&sink, directory.path())).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Auth(LoginFailure { code: Some(535), .. })), "{error:?}");
    assert_eq!((waits(&error, 1), waits(&error, 2), waits(&error, 20)), (15, 30, 360));
    assert!(!format!("{error} {error:?}").contains("correct horse"));
    assert_eq!(sink.lines()[1], PLAIN, "one line end after the password is no part of it");
    assert!(sink.mails().is_empty());
}

#[tokio::test]
async fn e31_a_login_that_microsoft_has_switched_off_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let said = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant";
    let sink = Sink::start(move |_, step| step.starts_with("AUTH").then_some(Act::Say(said))).await;
    let error = send(&with_login(&sink, directory.path())).await.unwrap_err().to_string();
    assert!(error.starts_with("the login was refused (535 5.7.139): Microsoft 365 has switched off"), "{error}");
}

#[tokio::test]
async fn e31_a_login_that_fails_for_now_is_tried_again_as_other_troubles_are() {
    let directory = tempfile::tempdir().unwrap();
    let said = "454 4.7.0 Temporary authentication failure";
    let sink = Sink::start(move |_, step| step.starts_with("AUTH").then_some(Act::Say(said))).await;
    let error = send(&with_login(&sink, directory.path())).await.unwrap_err();
    assert_eq!(error.to_string(), "the server said 454: the login failed for now 4.7.0");
    assert!(waits(&error, 1) < 10);
}

#[tokio::test]
async fn e31_no_password_is_sent_to_a_server_that_offers_no_way_to_take_it() {
    let directory = tempfile::tempdir().unwrap();
    for (offer, wanted) in [
        ("250-sink\r\n250 AUTH XOAUTH2", "the server offers only XOAUTH2"),
        ("250-sink\r\n250 8BITMIME", "the server offers none on this port"),
    ] {
        let sink = Sink::start(move |_, step| step.starts_with("EHLO").then_some(Act::Say(offer))).await;
        let error = send(&with_login(&sink, directory.path())).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(!sink.lines().iter().any(|line| line.starts_with("AUTH")), "{:?}", sink.lines());
    }
}

#[tokio::test]
async fn e32_the_name_in_ehlo_is_a_full_one_or_the_one_that_is_set() {
    let sink = Sink::start(|_, _| None).await;
    send(&plain(&sink)).await.unwrap();
    let own = sink.lines()[0].strip_prefix("EHLO ").unwrap().to_owned();
    assert!(own.contains('.') || own == "[IPv6:::1]", "{own}");
    let hello = Some("reports.example.com".to_owned());
    send(&settings(Delivery::Smtp(Smtp { hello, ..server(sink.port, Security::None) }))).await.unwrap();
    assert!(sink.lines().contains(&"EHLO reports.example.com".to_owned()), "{:?}", sink.lines());
}

#[tokio::test]
async fn e32_a_server_that_wants_another_name_loses_no_mail() {
    let said = "504 5.5.2 <vm-17>: Helo command rejected: need fully-qualified hostname";
    let sink = Sink::start(move |_, step| step.starts_with("RCPT").then_some(Act::Say(said))).await;
    let error = send(&plain(&sink)).await.unwrap_err();
    assert!(waits(&error, 1) >= 5, "it is tried again");
    assert!(error.to_string().ends_with("set `hello` in `[mail]` to its full name"), "{error}");
}

#[tokio::test]
async fn e33_a_scheme_that_is_not_the_ports_says_which_one_is() {
    let clear = Sink::start(|_, _| None).await;
    let error = send(&settings(Delivery::Smtp(server(clear.port, Security::Tls)))).await.unwrap_err();
    assert!(error.to_string().contains("then write `smtp+starttls://`"), "{error}");
    // Both would wait for the other one to begin.
    let protected = Sink::start_protected(|_, _| None).await;
    let began = std::time::Instant::now();
    let error = send(&settings(Delivery::Smtp(server(protected.port, Security::StartTls)))).await.unwrap_err();
    let wanted = format!("write `smtps://127.0.0.1:{}`", protected.port);
    assert!(error.to_string().contains(&wanted), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// Some servers repeat what they refuse.
#[tokio::test]
async fn e09_a_server_that_repeats_the_login_gives_no_password_away() {
    const ECHO: &str = "535 5.7.8 no such user: AUTH PLAIN AG9mZmhvdXJzAGNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU=";
    let directory = tempfile::tempdir().unwrap();
    let sink = Sink::start(|_, step| step.starts_with("AUTH").then_some(Act::Say(ECHO))).await;
    let error = send(&with_login(&sink, directory.path())).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("AG9m"), "{error}");
    assert!(error.to_string().contains("535"), "{error}");
}

#[tokio::test]
async fn the_password_is_read_at_each_connection() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Sink::start(|_, _| None).await;
    let settings = with_login(&sink, directory.path());
    send(&settings).await.unwrap();
    std::fs::write(directory.path().join("password"), "new").unwrap();
    send(&settings).await.unwrap();
    let logins: Vec<String> = sink.lines().into_iter().filter(|line| line.starts_with("AUTH")).collect();
    assert_eq!(logins[0], PLAIN);
    assert_ne!(logins[1], PLAIN);
    std::fs::remove_file(directory.path().join("password")).unwrap();
    let error = send(&settings).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Password(_)) && waits(&error, 1) == 15, "{error:?}");
}

/// A server that wants a login says so at MAIL: that is not the mail's fault, and does not lose it.
#[tokio::test]
async fn a_missing_login_is_no_refusal_of_the_mail() {
    let sink = Sink::start(|_, step| step.starts_with("MAIL").then_some(Act::Say("530 5.7.0 log in first"))).await;
    let error = send(&plain(&sink)).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Auth(LoginFailure { code: Some(530), .. })), "{error:?}");
}

/// A server that refuses to talk at all (a block list, maintenance) says nothing about this mail.
#[tokio::test]
async fn a_refusal_in_the_greeting_keeps_the_mail() {
    let sink = Sink::start(|_, step| (step == "GREETING").then_some(Act::Say("554 5.7.1 no service for you"))).await;
    let error = send(&plain(&sink)).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Transient { code: 554, .. }), "{error:?}");
}

/// e10: many mails go over one connection, and a server that ends it gets a new one for the next mail.
#[tokio::test]
async fn e10_many_mails_share_a_connection_until_the_server_ends_it() {
    let sink = Sink::start(|connection, step| {
        (connection == 1 && step.contains("third@")).then_some(Act::SayAndDrop("421 4.7.0 too many, bye"))
    })
    .await;
    let settings = plain(&sink);
    let mut courier = Courier::default();
    let mut failed = 0;
    for to in ["first@example.com", "second@example.com", "third@example.com", "fourth@example.com"] {
        match courier.deliver(&settings, &address(to), &mail(to, "12 stopped")).await {
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, DeliveryError::Transient { code: 421, .. }), "{error:?}");
                failed += 1;
            }
        }
    }
    courier.rest().await;
    assert_eq!((failed, sink.mails().len(), sink.connections()), (1, 3, 2));
}

/// e10: what waited through an outage leaves in its order, one mail a second.
#[tokio::test(start_paused = true)]
async fn e10_a_backlog_leaves_oldest_first_and_one_mail_a_second() {
    const MAILS: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let start: DateTime<Utc> = "2026-11-23T18:04:00Z".parse().unwrap();
    let ledger = Ledger::open(&directory.path().join("state")).unwrap();
    let queued: Vec<NewMail> = (0..MAILS)
        .map(|n| NewMail {
            subject: format!("report {n}"),
            recipient: "finops@example.com".to_owned(),
            message_id: format!("<{n}@offhours>"),
            head: Vec::new(),
            letter: Letter { id: n.to_string(), bytes: mail("finops@example.com", "12 stopped").into() },
            useless_from: None,
        })
        .collect();
    ledger.write(move |tx| tx.enqueue(&queued, start - TimeDelta::hours(5))).await.unwrap();
    let clock = Clock::Virtual { start, origin: tokio::time::Instant::now() };
    let mailer = Mailer { ledger: ledger.clone(), clock, shutdown: CancellationToken::new() };
    let settings = settings(Delivery::Directory(directory.path().join("outbox")));
    assert_eq!(mailer.deliver_due(&settings).await.unwrap(), None, "none is left");
    let mut sent = ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH)).await.unwrap();
    sent.sort_by_key(|mail| mail.done_at);
    assert_eq!(sent.len(), MAILS);
    let subjects: Vec<_> = sent.iter().map(|mail| mail.subject.clone()).collect();
    assert_eq!(subjects, (0..MAILS).map(|n| format!("report {n}")).collect::<Vec<_>>());
    let pauses = sent.windows(2).map(|two| two[1].done_at.unwrap() - two[0].done_at.unwrap());
    assert!(pauses.into_iter().all(|pause| pause >= TimeDelta::seconds(1)));
}

/// e15: the mails of one run go over one connection.
#[tokio::test]
async fn e15_fifty_recipients_of_a_run_share_a_connection() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let to: Vec<String> = (0..50).map(|n| format!("r{n}@example.com")).collect();
    let mails = mails_with(Vec::new(), &to.iter().map(String::as_str).collect::<Vec<_>>());
    let now = Clock::System.now();
    ledger.write(move |tx| tx.enqueue(&mails, now)).await.unwrap();
    let sink = Sink::start(|_, _| None).await;
    let mailer = Mailer { ledger, clock: Clock::System, shutdown: CancellationToken::new() };
    assert_eq!(mailer.deliver_due(&plain(&sink)).await.unwrap(), None, "none is left");
    let arrived: Vec<String> = sink.mails().into_iter().map(|(to, _)| to).collect();
    assert_eq!(arrived, to);
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn a_directory_gets_one_file_per_mail() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = directory.path().join("outbox");
    let settings = settings(Delivery::Directory(outbox.clone()));
    let written = send(&settings).await.unwrap();
    assert_eq!(send(&settings).await.unwrap(), written, "the same mail is the same file");
    let names: Vec<String> =
        std::fs::read_dir(&outbox).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["20261123T180400Z-0193-run-1@offhours_example_com.eml"]);
    assert_eq!(std::fs::read(written).unwrap(), mail("finops@example.com", "12 stopped"));
}

/// A mail as runs and reports make it, with these files.
fn mails_with(attachments: Vec<offhours::report::AttachedFile>, to: &[&str]) -> Vec<NewMail> {
    let content = offhours::report::Content {
        subject: "offhours: 12 stopped".to_owned(),
        text: format!(
            "12 stopped\nby a reason of {}\r\nin \u{1} lines\rof all kinds\n.\n\n",
            "many words ".repeat(400)
        ),
        html: format!("<p>12 stopped</p>\n<p>{}</p>\0", "x".repeat(20_000)),
        attachments,
    };
    let to: Vec<Address> = to.iter().map(|text| address(text)).collect();
    let sink_only = settings(Delivery::Directory("unused".into()));
    offhours::executor::run_mails::mails(&sink_only, &to, &content, "2026-11-23T18:04:00Z".parse().unwrap())
}

/// e14: whatever is in a report, a server that takes nothing but CRLF and lines of 998 octets takes it, and the files
/// arrive as they were.
#[tokio::test]
async fn e14_a_strict_server_takes_every_text_and_every_file() {
    let json = format!("{{\n  \"rows\": [{}]\n}}\n", "{\"id\":\"d001\",\"outcome\":\"stopped\"},".repeat(500));
    let files = [
        ("report.json", "application/json", json.into_bytes()),
        ("report.csv", "text/csv; charset=utf-8", b"a,b\r\n1,\"x\ny\"\r\n".repeat(9)),
        ("report.html", "text/html; charset=utf-8", "<p>\u{fc}\n\r</p>".repeat(300).into_bytes()),
        ("short.json", "application/json", b"{}\n".to_vec()),
        ("empty.csv", "text/csv", Vec::new()),
    ];
    let attachments = files.clone().map(|(name, content_type, bytes)| offhours::report::AttachedFile {
        name: name.to_owned(),
        content_type: content_type.to_owned(),
        bytes,
    });
    let mails = mails_with(attachments.into(), &["\u{fc}nal <finops@example.com>", "b@example.com"]);
    let sink = Sink::start(|_, _| None).await;
    for mail in &mails {
        let sent = deliver(&plain(&sink), &address(&mail.recipient), &mail.message()).await;
        assert_eq!(sent.map_err(|error| error.to_string()), Ok(Receipt { reply: "250 2.0.0 taken".to_owned() }));
    }
    for (_, mail) in sink.mails() {
        let mail = String::from_utf8(mail).unwrap();
        for (name, content_type, bytes) in &files {
            let (head, body) = part(&mail, name);
            assert!(head.contains(&format!("Content-Type: {content_type}")), "{head}");
            assert!(head.contains("Content-Transfer-Encoding: base64"), "{head}");
            assert!(body.split("\r\n").all(|line| line.len() <= 76), "{name}");
            assert_eq!(decoded(body), *bytes, "{name}");
        }
    }
}

/// Head and body of the part that carries the file `name`.
fn part<'a>(mail: &'a str, name: &str) -> (&'a str, &'a str) {
    let at = mail.find(&format!("filename=\"{name}\"")).unwrap();
    let begin = mail[..at].rfind("\r\n--").unwrap();
    let (head, rest) = mail[begin..].split_once("\r\n\r\n").unwrap();
    (head, &rest[..rest.find("\r\n--").unwrap()])
}

/// Base64, read by the book.
fn decoded(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut filled, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.bytes().filter(|byte| !b"\r\n=".contains(byte)) {
        let value = LETTERS.iter().position(|known| *known == letter).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        filled += 6;
        if filled >= 8 {
            filled -= 8;
            bytes.push((bits >> filled).to_be_bytes()[3]);
        }
    }
    bytes
}

/// e13: an answer without an end is not read to its end, wherever it comes.
#[tokio::test]
async fn e13_an_answer_without_an_end_is_cut() {
    for (at, begin, security) in [
        ("GREETING", "220 ", Security::None),
        ("GREETING", "220-sink\r\n220 ", Security::StartTls),
        ("EHLO", "250-sink\r\n250-", Security::None),
        ("EHLO", "250-", Security::StartTls),
        ("STARTTLS", "220 ", Security::StartTls),
        ("RCPT", "250 ", Security::None),
        ("DOT", "250 ", Security::None),
    ] {
        let sink = Sink::start(move |_, step| match step {
            step if step.starts_with(at) => Some(Act::Flood(begin)),
            step if step.starts_with("EHLO") => Some(Act::Say("250-sink\r\n250 STARTTLS")),
            _ => None,
        })
        .await;
        let error = send(&settings(Delivery::Smtp(server(sink.port, security)))).await.unwrap_err();
        assert!(error.to_string().contains("an answer of the server is longer than"), "{at}, {security:?}: {error:?}");
        assert!(matches!(error.retry_after(1, TimeDelta::zero()), Retry::After(_)));
        let taken = sink.journal.lock().unwrap().flooded;
        // What the two sides' buffers hold; none of it is ours.
        assert!(taken < FLOOD / 2, "{at}, {security:?}: {taken} bytes were taken");
    }
}
