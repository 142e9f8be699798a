//! A request, read as SAP's description allows it and no further. What it says of the request alone is checked here;
//! what depends on the tenant is [`carry_out`](super::carry_out)'s.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;

use crate::domain::words::words;
use crate::simulator::answer::ApiError;
use crate::simulator::query::{DeploymentFilter, GroupPage, List, Query};
use crate::simulator::received::{Received, checked};

/// One bulk request changes at most so many deployments.
const MOST_PER_BULK: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operation {
    In(String, GroupCall),
    Meta,
    Groups(GroupPage),
    Group(String),
    InstanceTypes,
    Nodes,
}

/// What is asked within a resource group.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum GroupCall {
    List(List),
    Count(DeploymentFilter),
    Show { id: String, only_status: bool },
    Create { configuration_id: String, ttl: Option<String> },
    Stop(String),
    Reconfigure { id: String, configuration_id: String },
    Change(Vec<(String, TargetStatus)>),
    Delete(String),
}

words! {
    /// What a bulk request may want of a deployment.
    pub(super) TargetStatus {
        Stopped = "STOPPED",
        Deleted = "DELETED",
    }
}

impl Operation {
    /// Reads a request to anything but the token endpoint.
    pub(super) fn read(received: &Received) -> Result<Self, ApiError> {
        let path = received.path.strip_prefix("/v2").ok_or_else(|| unknown(received))?;
        let parts: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let query = Query::read(received.query.as_deref());
        let get = received.method == Method::GET;
        match parts.as_slice() {
            ["lm", "deployments", rest @ ..] if rest.len() < 2 => {
                let call = GroupCall::read(received, rest.first().copied(), &query)?;
                let group = received.header("ai-resource-group").filter(|group| !group.is_empty());
                let missing = || ApiError::malformed("the header AI-Resource-Group is required");
                Ok(Self::In(group.ok_or_else(missing)?.to_owned(), call))
            }
            ["lm", "meta"] if get => query.only(&[]).map(|()| Self::Meta),
            ["admin", "resourceGroups"] if get => GroupPage::read(received, &query).map(Self::Groups),
            ["admin", "resourceGroups", id] if get => query.only(&[]).map(|()| Self::Group((*id).to_owned())),
            ["admin", "resources", "instanceTypes"] if get => query.only(&[]).map(|()| Self::InstanceTypes),
            ["admin", "resources", "nodes"] if get => query.only(&[]).map(|()| Self::Nodes),
            ["lm", "meta"]
            | ["admin", "resourceGroups"]
            | ["admin", "resourceGroups", _]
            | ["admin", "resources", "instanceTypes" | "nodes"] => Err(not_allowed(received)),
            _ => Err(unknown(received)),
        }
    }
}

impl GroupCall {
    fn read(received: &Received, id: Option<&str>, query: &Query) -> Result<Self, ApiError> {
        match (received.method.as_str(), id) {
            ("GET", None) => List::read(query).map(Self::List),
            ("GET", Some("$count")) => DeploymentFilter::read_alone(query).map(Self::Count),
            ("POST", None) => query.only(&[]).and_then(|()| create(received)),
            ("PATCH", None) => query.only(&[]).and_then(|()| bulk(received)),
            ("GET", Some(id)) => {
                let only_status = query.selects_status()?;
                query.only(&["$select"])?;
                Ok(Self::Show { id: checked(id)?, only_status })
            }
            ("PATCH", Some(id)) => query.only(&[]).and_then(|()| modify(received, checked(id)?)),
            ("DELETE", Some(id)) => query.only(&[]).and_then(|()| Ok(Self::Delete(checked(id)?))),
            _ => Err(not_allowed(received)),
        }
    }

    /// The deployments whose target status the request would change.
    pub(super) fn patched(&self) -> Vec<&str> {
        match self {
            Self::Stop(id) => vec![id],
            Self::Change(entries) => entries.iter().map(|(id, _)| id.as_str()).collect(),
            _ => Vec::new(),
        }
    }
}

fn create(received: &Received) -> Result<GroupCall, ApiError> {
    let body = received.object("application/json")?;
    let configuration_id = match body.get("configurationId").and_then(Value::as_str) {
        Some(id) => checked(id)?,
        None => return Err(ApiError::malformed("configurationId is required")),
    };
    let ttl = match body.get("ttl") {
        None | Some(Value::Null) => None,
        Some(Value::String(ttl)) if ttl.parse::<crate::domain::deployment::Ttl>().is_ok() => Some(ttl.clone()),
        Some(_) => return Err(ApiError::malformed("ttl must be a number followed by m, h or d")),
    };
    Ok(GroupCall::Create { configuration_id, ttl })
}

fn modify(received: &Received, id: String) -> Result<GroupCall, ApiError> {
    let body = received.object("application/json")?;
    match (body.get("targetStatus"), body.get("configurationId")) {
        (Some(_), Some(_)) => Err(ApiError::malformed("targetStatus and configurationId exclude each other")),
        (Some(status), None) if status == "STOPPED" => Ok(GroupCall::Stop(id)),
        (Some(_), None) => Err(ApiError::malformed("targetStatus must be STOPPED")),
        (None, Some(Value::String(other))) => Ok(GroupCall::Reconfigure { id, configuration_id: checked(other)? }),
        _ => Err(ApiError::malformed("targetStatus or configurationId is required")),
    }
}

fn bulk(received: &Received) -> Result<GroupCall, ApiError> {
    let body = received.object("application/merge-patch+json")?;
    let Some(entries) = body.get("deployments").and_then(Value::as_array) else {
        return Err(ApiError::malformed("deployments is required"));
    };
    if entries.is_empty() || entries.len() > MOST_PER_BULK {
        return Err(ApiError::malformed(format!("deployments must have 1 to {MOST_PER_BULK} entries")));
    }
    let changes = entries.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let ids: BTreeSet<&str> = changes.iter().map(|(id, _)| id.as_str()).collect();
    if ids.len() < changes.len() {
        return Err(ApiError::malformed("each deployment may be named once"));
    }
    Ok(GroupCall::Change(changes))
}

fn change(entry: &Value) -> Result<(String, TargetStatus), ApiError> {
    let id = entry.get("id").and_then(Value::as_str).ok_or_else(|| ApiError::malformed("id is required"))?;
    let target = match entry.get("targetStatus").and_then(Value::as_str) {
        Some("STOPPED") => TargetStatus::Stopped,
        Some("DELETED") => TargetStatus::Deleted,
        _ => return Err(ApiError::malformed("targetStatus must be STOPPED or DELETED")),
    };
    Ok((checked(id)?, target))
}

fn unknown(received: &Received) -> ApiError {
    ApiError { breaks: true, ..ApiError::not_found(format!("there is not a valid path {}", received.path)) }
}

fn not_allowed(received: &Received) -> ApiError {
    let message = format!("{} is not allowed for {}", received.method, received.path);
    ApiError { status: 405, ..ApiError::malformed(message) }
}

/// One part of a path with its percent signs resolved.
fn decoded(part: &str) -> String {
    // A plus means a plus in a path, and a space only in a query.
    let part = part.replace('+', "%2B").replace('&', "%26");
    let whole = format!("p={part}");
    url::form_urlencoded::parse(whole.as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}
