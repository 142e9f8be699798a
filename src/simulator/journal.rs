//! What the simulator was asked, in order, and which of it nobody should have asked. Secrets never get in: no
//! `Authorization`, and no body of the token endpoint.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::simulator::answer::ChangeResult;
use crate::simulator::received::Received;
use crate::simulator::token;

/// A body that is not JSON is kept up to so many characters.
const MOST_TEXT: usize = 1_000;

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Entry {
    pub at: DateTime<Utc>,
    /// `GET`, `PATCH`, …
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// The header `AI-Resource-Group`.
    pub resource_group: Option<String>,
    pub(crate) content_type: Option<String>,
    /// The header `AI-Client-Type`.
    pub client_type: Option<String>,
    /// The body; a string where it is not JSON, none where there is none or it holds a secret.
    pub(crate) body: Option<Value>,
    /// The status answered; none where the client got no whole answer.
    pub status: Option<u16>,
    /// What it did, deployment by deployment, whatever was answered.
    pub effects: Vec<ChangeResult>,
    /// Why nobody should have asked this.
    pub violations: Vec<String>,
}

/// A request that nobody should have sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    pub(crate) at: DateTime<Utc>,
    /// Method, path and query.
    pub(crate) request: String,
    pub reason: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.at, self.request, self.reason)
    }
}

impl Entry {
    /// A request as it came, not answered yet.
    pub(super) fn new(received: &Received, at: DateTime<Utc>) -> Self {
        let header = |name| received.header(name).map(str::to_owned);
        let secret = token::is_token_path(&received.path);
        Self {
            at,
            method: received.method.to_string(),
            target: received.target(),
            resource_group: header("ai-resource-group"),
            content_type: header("content-type"),
            client_type: header("ai-client-type"),
            body: if secret || received.body.is_empty() { None } else { Some(readable(&received.body)) },
            status: None,
            effects: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// True for a PATCH.
    pub fn is_patch(&self) -> bool {
        self.method == "PATCH"
    }

    /// The ids whose target status a PATCH asked to change, single or bulk.
    pub fn patched_ids(&self) -> Vec<String> {
        let Some(body) = self.body.as_ref().filter(|_| self.is_patch()) else { return Vec::new() };
        if let Some(entries) = body.get("deployments").and_then(Value::as_array) {
            return entries.iter().filter_map(|one| Some(one.get("id")?.as_str()?.to_owned())).collect();
        }
        let path = self.target.split('?').next().unwrap_or("");
        path.rsplit('/').next().filter(|_| body.get("targetStatus").is_some()).map(str::to_owned).into_iter().collect()
    }

    /// What is wrong with having sent it.
    pub(super) fn violations(&self) -> impl Iterator<Item = Violation> + '_ {
        let request = format!("{} {}", self.method, self.target);
        self.violations.iter().map(move |reason| Violation {
            at: self.at,
            request: request.clone(),
            reason: reason.clone(),
        })
    }
}

fn readable(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).chars().take(MOST_TEXT).collect()))
}
