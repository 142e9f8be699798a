//! A mail as bytes: a [`letter`], rendered once with its date for all who get it, and before it each recipient's
//! [`head`]. Sent as it is however often it is tried.

use chrono::{DateTime, Utc};
use lettre::message::header::{
    ContentDisposition, ContentTransferEncoding, ContentType, Date, From, HeaderName, HeaderValue, Headers,
    MIME_VERSION_1_0, MessageId, Subject, To,
};
use lettre::message::{Mailboxes, MultiPart, SinglePart};

use crate::domain::plain_text::clean;
use crate::mail::settings::{Address, BadAddress};

/// What a mail says, in both forms.
#[derive(Debug, Clone, Copy)]
pub struct MailBody<'a> {
    /// The subject; control characters are taken out.
    pub subject: &'a str,
    pub text: &'a str,
    pub html: &'a str,
    pub attachments: &'a [Attachment<'a>],
}

/// A file that goes with a mail.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    pub name: &'a str,
    /// Its media type, such as `text/csv; charset=utf-8`.
    pub content_type: &'a str,
    pub bytes: &'a [u8],
}

/// Why a mail cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A sender or recipient that is none.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// A message id with characters that would end the header.
    #[error("`{}` is not a valid message id", .0.escape_debug())]
    MessageId(String),
    /// A media type that is none.
    #[error("`{}` is not a valid media type", .0.escape_debug())]
    ContentType(String),
}

/// What is the same for all who get a mail: everything but the lines of [`head`], which stand before it. `id` tells it
/// from every other letter.
pub fn letter(from: &Address, body: &MailBody<'_>, date: DateTime<Utc>, id: &str) -> Result<Vec<u8>, MailError> {
    let mut headers = Headers::new();
    headers.set(From::from(Mailboxes::from(from.mailbox()?)));
    headers.set(Date::new(date.into()));
    headers.set(Subject::from(clean(body.subject)));
    // Out-of-office notes must not answer (RFC 3834), nor Exchange.
    headers.insert_raw(fixed("Auto-Submitted", "auto-generated"));
    headers.insert_raw(fixed("X-Auto-Response-Suppress", "All"));
    headers.set(MIME_VERSION_1_0);
    let mut bytes = headers.to_string().into_bytes();
    bytes.append(&mut parts(body, id)?.formatted());
    Ok(bytes)
}

/// The lines that make a letter the mail of one recipient. `message_id` is given with or without its angle brackets.
pub fn head(to: &Address, message_id: &str) -> Result<Vec<u8>, MailError> {
    let id = message_id.trim_start_matches('<').trim_end_matches('>');
    let well_formed = !id.is_empty() && id.len() <= 200 && id.bytes().all(|b| b.is_ascii_graphic() && b != b'<');
    if !well_formed {
        return Err(MailError::MessageId(message_id.chars().take(80).collect()));
    }
    let mut headers = Headers::new();
    headers.set(To::from(Mailboxes::from(to.mailbox()?)));
    headers.set(MessageId::from(format!("<{id}>")));
    Ok(headers.to_string().into_bytes())
}

fn parts(body: &MailBody<'_>, id: &str) -> Result<MultiPart, MailError> {
    // The boundary hangs on the id, which nobody who names a deployment can guess.
    let boundary = |part: &str| {
        let unique: String = id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        format!("=_{part}_{unique}")
    };
    let alternative = MultiPart::alternative()
        .boundary(boundary("body"))
        .singlepart(readable(ContentType::TEXT_PLAIN, body.text))
        .singlepart(readable(ContentType::TEXT_HTML, body.html));
    if body.attachments.is_empty() {
        return Ok(alternative);
    }
    let mut mixed = MultiPart::mixed().boundary(boundary("all")).multipart(alternative);
    for attachment in body.attachments {
        mixed = mixed.singlepart(attached(attachment)?);
    }
    Ok(mixed)
}

/// Quoted-printable, whatever is in it: short lines, no bare line end, no control characters (RFC 2045, 6.7).
fn readable(content_type: ContentType, text: &str) -> SinglePart {
    // lettre would move the rest of the text for each line feed that it makes a line end.
    let lines = text.replace("\r\n", "\n").replace('\n', "\r\n");
    SinglePart::builder().header(content_type).header(ContentTransferEncoding::QuotedPrintable).body(lines)
}

/// Base64, whatever is in it: lettre's own choice for ASCII is to leave it as it is, line feeds included.
fn attached(attachment: &Attachment<'_>) -> Result<SinglePart, MailError> {
    let content_type = ContentType::parse(attachment.content_type)
        .map_err(|_| MailError::ContentType(attachment.content_type.chars().take(80).collect()))?;
    let name: String = clean(attachment.name).replace('/', "_");
    Ok(SinglePart::builder()
        .header(content_type)
        .header(ContentDisposition::attachment(&name))
        .header(ContentTransferEncoding::Base64)
        .body(attachment.bytes.to_vec()))
}

fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}
