//! A request as it was received.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use serde_json::Value;

use crate::simulator::answer::ApiError;

#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    /// The value of a header, where it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    pub(super) fn content_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }

    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The body, where it must be an object of this content type.
    pub(super) fn object(&self, content_type: &str) -> Result<Value, ApiError> {
        if self.content_type().as_deref() != Some(content_type) {
            let message = format!("Content-Type must be {content_type}");
            return Err(ApiError { status: 415, ..ApiError::malformed(message) });
        }
        match serde_json::from_slice(&self.body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            _ => Err(ApiError::malformed("the body must be a JSON object")),
        }
    }
}

/// An id of the API, `^[\w.-]{4,64}$`.
pub(super) fn checked(id: &str) -> Result<String, ApiError> {
    let fits = (4..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if fits { Ok(id.to_owned()) } else { Err(ApiError::malformed("an id does not match ^[\\w.-]{4,64}$")) }
}
