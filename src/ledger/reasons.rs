//! Reasons in columns: a code that can be asked for, and the data of that reason as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::domain::deployment::Status;
use crate::domain::failure::FailureCode;
use crate::domain::reason::{Reason, ReasonCode, ReasonKind};
use crate::domain::run::LeftKind;
use crate::ledger::columns::NamedColumns;
use crate::ledger::error::LedgerError;
use crate::ledger::values::wrong;

/// Under this code the reasons of [`FailureCode`] are one variant.
const FAILURE: &str = "failure";

/// `reason_code` and `reason_detail`.
pub(super) fn columns(reason: Option<&Reason>) -> Result<(Option<&'static str>, Option<String>), LedgerError> {
    let Some(reason) = reason else { return Ok((None, None)) };
    let value = serde_json::to_value(reason).map_err(|error| wrong(error, "a reason"))?;
    Ok((Some(reason.kind().code()), value.get("detail").map(Value::to_string)))
}

/// The reason of a row of `deployment`.
pub(super) fn reason(columns: &impl NamedColumns) -> Result<Option<Reason>, LedgerError> {
    let Some(code) = columns.get::<Option<String>>("reason_code")? else { return Ok(None) };
    let detail: Option<String> = columns.get("reason_detail")?;
    let tag = if code.parse::<FailureCode>().is_ok() { FAILURE } else { &code };
    let value = match detail.as_deref().map(serde_json::from_str::<Value>) {
        None => json!({ "code": tag }),
        Some(detail) => json!({ "code": tag, "detail": detail.map_err(|_| wrong(&code, "a reason"))? }),
    };
    serde_json::from_value(value).map(Some).map_err(|_| wrong(code, "a reason"))
}

/// `reason_code` and `status` of a row of `left_out`.
pub(super) fn kind_columns(kind: &LeftKind) -> (&'static str, &str) {
    let status = match &kind.reason {
        ReasonKind::InStatus(_, status) => status.as_str(),
        ReasonKind::Plain(_) | ReasonKind::Failure(_) => "",
    };
    (kind.reason.code(), status)
}

/// The same, read back.
pub(super) fn kind(code: &str, status: &str) -> Result<ReasonKind, LedgerError> {
    if let Ok(code) = code.parse() {
        return Ok(ReasonKind::Failure(code));
    }
    let code: ReasonCode = code.parse().map_err(|_| wrong(code, "a reason"))?;
    Ok(if status.is_empty() { ReasonKind::Plain(code) } else { ReasonKind::InStatus(code, Status::from(status)) })
}

pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| wrong(error, "a reason"))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|_| wrong(text, "a reason"))
}
