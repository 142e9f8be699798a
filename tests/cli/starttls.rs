//! TLS to a mail server, with somebody between it and offhours who adds answers in clear. What the server itself says
//! inside TLS decides.

use crate::process::bench::{Bench, Said, fleet, idle_rule};
use crate::support::smtp::{Act, FLOOD, Sink, certificate};

/// Yes to everything that a mail needs: EHLO, MAIL, RCPT, DATA, the mail.
macro_rules! forged {
    () => {
        "250-forged\r\n250 8BITMIME\r\n250 2.1.0 fine\r\n250 2.1.5 fine\r\n354 go on\r\n250 2.0.0 taken"
    };
}
const FORGED: &str = forged!();
const OFFER: &str = "250-sink\r\n250 STARTTLS";

/// What `mail test` says of a server that follows `script`, trusting its certificate.
fn mail_test(scheme: &str, start: impl AsyncFnOnce() -> Sink) -> (Said, Sink) {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let sink = bench.runtime.block_on(start());
    bench.configure(&format!(
        "[mail]\nfrom = \"offhours@example.com\"\nto = [\"a@example.com\"]\nsmtp = \"{scheme}://localhost:{}\"\n",
        sink.port
    ));
    let mut command = bench.command(&["mail", "test"]);
    let said = Said::of(command.env("SSL_CERT_FILE", certificate()).output().unwrap());
    bench.judge();
    (said, sink)
}

/// The server refuses the recipient, but only inside TLS can it be heard.
fn refusing(act: impl Fn(&str) -> Option<Act> + Send + Sync + 'static) -> (Said, Sink) {
    mail_test("smtp+starttls", async || {
        Sink::start(move |_, step| act(step).or(step.starts_with("RCPT").then_some(Act::Say("550 5.1.1 nobody here"))))
            .await
    })
}

#[track_caller]
fn nothing_was_sent(said: Said, sink: &Sink, why: &str) {
    let said = said.ends(1);
    assert!(
        said.out.contains("not sent: no trustworthy TLS, so nothing was sent") && said.out.contains(why),
        "{}",
        said.out
    );
    assert!(!sink.lines().iter().any(|line| line.starts_with("MAIL")), "{:?}", sink.lines());
    assert!(sink.sent().is_empty());
}

#[test]
fn e12_inside_tls_the_servers_own_answer_decides() {
    let offers = |step: &str| match step {
        step if step.starts_with("EHLO") => Some(Act::Say(OFFER)),
        "STARTTLS" => Some(Act::Protect { said: "220 go", late: "" }),
        _ => None,
    };
    let (said, sink) = mail_test("smtp+starttls", async || Sink::start(move |_, step| offers(step)).await);
    assert!(said.ends(0).out.contains("a@example.com: sent (250 2.0.0 taken)"));
    assert_eq!(sink.mails().len(), 1);
    let (said, sink) = refusing(offers);
    assert!(said.ends(1).out.contains("a@example.com: not sent: refused for good with 550: 5.1.1 nobody here"));
    assert!(sink.mails().is_empty());
}

#[test]
fn e12_answers_in_the_packet_of_the_yes_to_starttls_are_not_believed() {
    let (said, sink) = refusing(|step| match step {
        step if step.starts_with("EHLO") => Some(Act::Say(OFFER)),
        "STARTTLS" => Some(Act::Protect { said: concat!("220 go\r\n", forged!()), late: "" }),
        _ => None,
    });
    nothing_was_sent(said, &sink, "continued without TLS after it had agreed to begin it");
}

#[test]
fn e12_answers_right_after_the_yes_to_starttls_are_not_believed() {
    let (said, sink) = refusing(|step| match step {
        step if step.starts_with("EHLO") => Some(Act::Say(OFFER)),
        "STARTTLS" => Some(Act::Protect { said: "220 go", late: FORGED }),
        _ => None,
    });
    nothing_was_sent(said, &sink, "not TLS");
}

/// Even half a line: it would stand before the server's first answer inside TLS.
#[test]
fn e12_a_piece_of_an_answer_is_not_believed() {
    let (said, sink) = refusing(|step| match step {
        step if step.starts_with("EHLO") => Some(Act::Say(OFFER)),
        "STARTTLS" => Some(Act::Protect { said: "220 go\r\n250-AUTH PLAIN", late: "" }),
        _ => None,
    });
    nothing_was_sent(said, &sink, "continued without TLS after it had agreed to begin it");
}

/// All answers before the first question.
#[test]
fn e12_answers_to_what_was_not_asked_yet_are_not_believed() {
    let (said, sink) = refusing(|step| match step {
        "GREETING" => Some(Act::Say(concat!("220 sink\r\n250-sink\r\n250 STARTTLS\r\n220 go\r\n", forged!()))),
        step if step.starts_with("EHLO") => Some(Act::Pass),
        "STARTTLS" => Some(Act::Protect { said: "", late: "" }),
        _ => None,
    });
    nothing_was_sent(said, &sink, "continued without TLS after it had agreed to begin it");
}

/// A server that is trusted may be broken: what it says inside TLS is not read for ever either.
#[test]
fn e13_an_answer_without_an_end_is_cut_inside_tls() {
    for at in ["GREETING", "EHLO", "RCPT"] {
        let flood = move |step: &str| step.starts_with(at).then_some(Act::Flood("250 "));
        let (said, sink) = mail_test("smtps", async || Sink::start_protected(move |_, step| flood(step)).await);
        assert!(said.ends(1).out.contains("not sent: an answer of the server is longer than"), "{at}");
        let taken = sink.journal.lock().unwrap().flooded;
        assert!(taken < FLOOD / 2, "{at}: {taken} bytes were taken");
    }
    let (said, sink) = mail_test("smtps", async || Sink::start_protected(|_, _| None).await);
    said.ends(0);
    assert_eq!(sink.mails().len(), 1);
}
