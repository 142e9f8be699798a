//! A mail as bytes: rendered once, with its date and its message id, and sent as it is however often it is tried.

use chrono::{DateTime, Utc};
use lettre::Message;
use lettre::message::header::{ContentDisposition, ContentType, HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};

use crate::mail::settings::{Address, BadAddress};

/// A subject is cut here; longer ones are folded by some servers and dropped by others.
const LONGEST_SUBJECT: usize = 200;

/// What a mail says, in both forms.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// The subject; control characters are taken out.
    pub subject: &'a str,
    /// The plain-text part.
    pub text: &'a str,
    /// The HTML part.
    pub html: &'a str,
    /// Files that go with it.
    pub attachments: &'a [Attachment<'a>],
}

/// A file that goes with a mail.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its media type, such as `text/csv; charset=utf-8`.
    pub content_type: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// Why a mail cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A sender or recipient that is none.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// A message id with characters that would end the header.
    #[error("`{}` is no message id", .0.escape_debug())]
    MessageId(String),
    /// A media type that is none.
    #[error("`{}` is no media type", .0.escape_debug())]
    ContentType(String),
    /// lettre refuses the whole.
    #[error("the mail cannot be put together")]
    Build(#[from] lettre::error::Error),
}

/// Renders a mail to one recipient. `message_id` is given with or without its angle brackets, and must be the same
/// whenever the same mail is rendered.
pub fn render(
    from: &Address,
    to: &Address,
    body: &Body<'_>,
    date: DateTime<Utc>,
    message_id: &str,
) -> Result<Vec<u8>, MailError> {
    let id = message_id.trim_start_matches('<').trim_end_matches('>');
    let well_formed = !id.is_empty() && id.len() <= 200 && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<');
    if !well_formed {
        return Err(MailError::MessageId(message_id.chars().take(80).collect()));
    }
    let builder = Message::builder()
        .from(from.mailbox()?)
        .to(to.mailbox()?)
        .date(date.into())
        .subject(one_line(body.subject))
        .message_id(Some(format!("<{id}>")))
        // Out-of-office notes must not answer (RFC 3834), nor Exchange.
        .raw_header(fixed("Auto-Submitted", "auto-generated"))
        .raw_header(fixed("X-Auto-Response-Suppress", "All"));
    // The boundary hangs on the id, which nobody who names a deployment can guess.
    let boundary = |part: &str| {
        let unique: String = id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        format!("=_{part}_{unique}")
    };
    let alternative = MultiPart::alternative()
        .boundary(boundary("body"))
        .singlepart(SinglePart::plain(body.text.to_owned()))
        .singlepart(SinglePart::html(body.html.to_owned()));
    if body.attachments.is_empty() {
        return Ok(builder.multipart(alternative)?.formatted());
    }
    let mut mixed = MultiPart::mixed().boundary(boundary("all")).multipart(alternative);
    for attachment in body.attachments {
        mixed = mixed.singlepart(attached(attachment)?);
    }
    Ok(builder.multipart(mixed)?.formatted())
}

fn attached(attachment: &Attachment<'_>) -> Result<SinglePart, MailError> {
    let content_type = ContentType::parse(attachment.content_type)
        .map_err(|_| MailError::ContentType(attachment.content_type.chars().take(80).collect()))?;
    let name: String = attachment.name.chars().map(|c| if c.is_control() || c == '/' { '_' } else { c }).collect();
    Ok(SinglePart::builder()
        .header(content_type)
        .header(ContentDisposition::attachment(&name))
        .body(attachment.bytes.to_vec()))
}

fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// lettre encodes line ends in headers; this is the second lock on that door.
fn one_line(subject: &str) -> String {
    subject.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_SUBJECT).collect()
}
