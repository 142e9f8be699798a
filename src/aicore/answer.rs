//! What an unwanted answer says: AI Core's code, message and request id, and how long it wants to be left alone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderName, RETRY_AFTER};
use serde_json::Value;

use crate::aicore::error::{CallName, Error, ErrorResponse, NoAnswer};
use crate::aicore::http::Reply;
use crate::domain::plain_text::clean_name;

/// Where the platform puts a request's id when the body has none.
const REQUEST_ID_HEADERS: [&str; 3] = ["x-request-id", "x-correlation-id", "x-vcap-request-id"];
/// AI Core's code for "current status cannot be changed".
const STATUS_CANNOT_BE_CHANGED: &str = "01010076";

impl ErrorResponse {
    /// Reads a reply. Texts that repeat `token` are dropped: a confused server may echo what it was sent.
    pub(super) fn of(reply: &Reply, token: &str, now: DateTime<Utc>) -> Self {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        let mut answer = Self::of_error(body.get("error").unwrap_or(&Value::Null));
        answer.status = reply.status;
        answer.is_json = reply.is_json() && body.is_object();
        answer.retry_after = reply.header(RETRY_AFTER).and_then(|text| retry_after(text, now));
        answer.request_id = answer.request_id.or_else(|| request_id_header(reply));
        for text in [&mut answer.request_id, &mut answer.code, &mut answer.message] {
            *text = text.take().filter(|text| !text.contains("Bearer ") && !shares(text, token));
        }
        answer
    }

    /// Reads AI Core's `{"code","message","requestId"}`; nothing of it is required.
    pub(super) fn of_error(error: &Value) -> Self {
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(clean_name).filter(|text| !text.is_empty());
        Self {
            status: 0,
            is_json: true,
            request_id: text("requestId").or_else(|| text("requestID")),
            code: text("code"),
            message: text("message"),
            retry_after: None,
        }
    }

    /// True where AI Core says that a deployment's status does not allow the change.
    pub(super) fn is_about_status(&self) -> bool {
        self.code.as_deref() == Some(STATUS_CANNOT_BE_CHANGED)
            || self.message.as_deref().is_some_and(|message| message.contains("cannot be changed"))
    }

    /// True where it says that there is no such deployment.
    pub(super) fn is_not_found(&self) -> bool {
        let says =
            |text: &Option<String>| text.as_deref().is_some_and(|text| text.to_lowercase().contains("not found"));
        self.status == 404 || self.code.as_deref() == Some("404") || says(&self.message) || says(&self.code)
    }
}

/// The error that a status other than the wanted one means for `asked`. 401 is the session's business.
pub(super) fn refusal(asked: CallName, answer: ErrorResponse) -> Error {
    let is_change = asked.is_change();
    let asked = Box::new(asked);
    match answer.status {
        403 => Error::Forbidden { asked, answer: answer.into() },
        // A gateway that does not know the route answers 404 as well, as text.
        404 if answer.is_json || !is_change => Error::NotFound { asked, answer: answer.into() },
        400 | 409 | 412 if is_change => Error::Precondition { asked, answer: answer.into() },
        429 => Error::RateLimited { asked, pause: answer.retry_after, answer: Some(answer.into()) },
        408 | 500.. => Error::Unreachable { asked, trouble: NoAnswer::Status(answer).into() },
        300..400 => odd(asked, answer, "a redirect, which is never followed"),
        200..300 => odd(asked, answer, "not the one status that means success"),
        _ => odd(asked, answer, "not an answer this call has"),
    }
}

fn odd(asked: Box<CallName>, answer: ErrorResponse, found: &'static str) -> Error {
    Error::UnexpectedResponse { asked, answer: answer.into(), found }
}

/// Seconds or an HTTP date; a past date, zero and anything else are no wish at all.
pub fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    let pause = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now.into()).ok()?,
    };
    Some(pause).filter(|pause| !pause.is_zero())
}

fn request_id_header(reply: &Reply) -> Option<String> {
    REQUEST_ID_HEADERS.iter().find_map(|name| reply.header(HeaderName::from_static(name))).map(clean_name)
}

/// True where `text` holds a piece of the token that is long enough to matter.
fn shares(text: &str, token: &str) -> bool {
    const PIECE: usize = 12;
    let pieces = token.as_bytes().windows(PIECE.min(token.len().max(1)));
    pieces.into_iter().any(|piece| text.as_bytes().windows(piece.len()).any(|part| part == piece))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::{retry_after, shares};

    #[test]
    fn a11_retry_after_is_seconds_or_a_date_and_nonsense_is_no_wish() {
        let now: DateTime<Utc> = "2026-11-23T18:00:00Z".parse().unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(" 86400 ", now), Some(Duration::from_secs(86_400)));
        assert_eq!(retry_after("Mon, 23 Nov 2026 18:01:30 GMT", now), Some(Duration::from_secs(90)));
        for text in ["Mon, 23 Nov 2026 17:00:00 GMT", "0", "-1", "soon", "", "1.5", "99999999999999999999999"] {
            assert_eq!(retry_after(text, now), None, "{text}");
        }
    }

    #[test]
    fn an_echoed_token_is_noticed() {
        assert!(shares("no scope in eyJhbGciOiJSUzI1NiJ9", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"));
        assert!(!shares("current status UNKNOWN cannot be changed", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"));
        assert!(!shares("anything", ""));
    }
}
