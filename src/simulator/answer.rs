//! An answer before it becomes HTTP: a status, headers and JSON; and the errors of the API, in its shape.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
    /// Per deployment, what the request came to.
    pub(super) effects: Vec<ChangeResult>,
}

/// What one request came to for one deployment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChangeResult {
    pub id: String,
    /// Its status when the request came; none where it is not there.
    pub before: Option<String>,
    /// What was asked for: `STOPPED`, `DELETED`, or a configuration.
    pub(crate) asked: String,
    /// The code of the error with which it was refused; none where it was done.
    pub refused: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// True where the request breaks SAP's description, whatever the state of the tenant.
    pub(super) breaks: bool,
}

impl Answer {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body, effects: Vec::new() }
    }

    pub(super) fn with(mut self, effects: Vec<ChangeResult>) -> Self {
        self.effects = effects;
        self
    }
}

impl ApiError {
    /// The request itself is wrong.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self { status: 400, code: "01010001", message: message.into(), breaks: true }
    }
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { status: 404, code: "01010052", message: message.into(), breaks: false }
    }

    pub(super) fn no_deployment(id: &str) -> Self {
        Self::not_found(format!("Deployment ID {id} not found"))
    }

    /// The deployment's status does not allow it. Code and text are SAP's.
    pub(super) fn status(status: &str) -> Self {
        let message = format!("Invalid Request, Current status {status} cannot be changed.");
        Self { status: 412, code: "01010076", message, breaks: false }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: 403, code: "01010003", message: message.into(), breaks: false }
    }

    /// The error alone, as in an entry of a bulk answer.
    pub(super) fn body(&self, request_id: &str, target: &str) -> Value {
        json!({"code": self.code, "message": self.message, "requestId": request_id, "target": target})
    }

    pub(super) fn answer(&self, request_id: &str, target: &str) -> Answer {
        Answer::json(self.status, json!({"error": self.body(request_id, target)}))
    }
}
