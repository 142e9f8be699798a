//! A mail's bytes: what any server takes and any client reads.
use chrono::{DateTime, Utc};
use offhours::mail::message::{Attachment, MailBody, MailError, head, letter};
use offhours::mail::settings::Address;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn date() -> DateTime<Utc> {
    "2026-11-23T18:04:00Z".parse().unwrap()
}

fn rendered(subject: &str, text: &str, attachments: &[Attachment<'_>]) -> String {
    let html = format!("<p>{}</p>", "ü".repeat(2_000));
    let body = MailBody { subject, text, html: &html, attachments };
    let head = head(&address("finops@example.com"), "<id-1@h>").unwrap();
    let letter = letter(&address("offhours <offhours@example.com>"), &body, date(), "id-1").unwrap();
    String::from_utf8([head, letter].concat()).unwrap()
}

fn header<'a>(mail: &'a str, name: &str) -> Vec<&'a str> {
    let head = mail.split("\r\n\r\n").next().unwrap();
    head.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

#[test]
fn the_headers_are_those_of_an_automatic_mail() {
    let mail = rendered("offhours: 12 stopped, EUR 184.20 avoided (estimate) · dev-evenings", "12 stopped", &[]);
    assert_eq!(header(&mail, "From"), ["offhours <offhours@example.com>"]);
    assert_eq!(header(&mail, "To"), ["finops@example.com"]);
    assert_eq!(header(&mail, "Date"), ["Mon, 23 Nov 2026 18:04:00 +0000"]);
    assert_eq!(header(&mail, "Message-ID"), ["<id-1@h>"]);
    assert_eq!(header(&mail, "Auto-Submitted"), ["auto-generated"]);
    assert_eq!(header(&mail, "X-Auto-Response-Suppress"), ["All"]);
    assert_eq!(header(&mail, "MIME-Version"), ["1.0"]);
    assert!(mail.contains("Content-Type: multipart/alternative"));
    assert!(!mail.contains("multipart/mixed"));
}

#[test]
fn every_line_is_short_ascii_and_ends_in_crlf() {
    let long = format!("{}\nümlaut\n{}", "x".repeat(5_000), "€".repeat(3_000));
    let csv = b"a,b\r\n\xff\xfe\r\n".repeat(400);
    let attachment = Attachment { name: "offhours.csv", content_type: "text/csv; charset=utf-8", bytes: &csv };
    let mail = rendered(&"ä".repeat(400), &long, &[attachment]);
    assert!(mail.is_ascii());
    assert!(mail.contains("multipart/mixed") && mail.contains("multipart/alternative"));
    assert!(mail.contains("Content-Disposition: attachment; filename=\"offhours.csv\""));
    assert!(mail.ends_with("\r\n"));
    for line in mail.split("\r\n") {
        assert!(line.len() < 998 && !line.contains(['\r', '\n']), "{line:?}");
    }
}

#[test]
fn the_same_mail_has_the_same_bytes() {
    let attachment = Attachment { name: "a.csv", content_type: "text/csv", bytes: b"a" };
    assert_eq!(rendered("s", "t", &[attachment]), rendered("s", "t", &[attachment]));
}

#[test]
fn a28_a_subject_cannot_add_headers() {
    let mail = rendered("hello\r\nBcc: everyone@example.com\r\n\r\nbody", "12 stopped", &[]);
    assert!(header(&mail, "Bcc").is_empty());
    assert_eq!(header(&mail, "Subject"), ["hello Bcc: everyone@example.com body"]);
    let named = Attachment { name: "a\r\nX-Bad: 1/../b.csv", content_type: "text/csv", bytes: b"a" };
    let mail = rendered("s", "t", &[named]);
    assert!(!mail.contains("\r\nX-Bad"), "{mail}");
}

#[test]
fn a_message_id_that_would_end_its_header_is_refused() {
    for id in ["", "<>", "a b@h", "a\r\nX: y", "a<b@h", "ü@h"] {
        let refused = head(&address("b@example.com"), id);
        assert!(matches!(refused, Err(MailError::MessageId(_))), "{id:?}");
    }
}

#[test]
fn a_file_of_no_known_type_is_refused() {
    let attachments = [Attachment { name: "a", content_type: "no type", bytes: b"" }];
    let body = MailBody { subject: "s", text: "t", html: "h", attachments: &attachments };
    assert!(matches!(letter(&address("a@example.com"), &body, date(), "1"), Err(MailError::ContentType(_))));
}
