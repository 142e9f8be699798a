//! The half of a connection that can stop, and nothing else: `STOPPED` is the one target status this program can write.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::aicore::admin;
use crate::aicore::error::{CallName, Error, ErrorResponse, NoAnswer};
use crate::aicore::http::Reply;
use crate::aicore::session::{ApiCall, ApiSession, Unread, unread};
use crate::aicore::stop_batch::StopBatch;
use crate::aicore::wanted::StillWanted;
use crate::domain::id::{DeploymentId, ResourceGroup};

/// The only target status there is.
const STOPPED: &str = "STOPPED";
/// The bulk change is a merge patch, the single one is not.
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// Stops deployments of one tenant. A clone shares what was learnt about bulk changes.
#[derive(Clone)]
pub struct Stopper {
    session: Arc<ApiSession>,
    bulk: Arc<Bulk>,
    still_wanted: Option<StillWanted>,
}

/// What is known about bulk changes.
#[derive(Default)]
struct Bulk {
    capability: OnceCell<bool>,
    was_refused: AtomicBool,
}

/// What came of a bulk stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkAnswer {
    /// For each id that was answered for; a missing one may or may not stop, so look.
    pub answers: BTreeMap<DeploymentId, Result<(), Error>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    target_status: &'static str,
}

#[derive(Serialize)]
struct BulkStop<'a> {
    deployments: Vec<BulkEntry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BulkEntry<'a> {
    id: &'a str,
    target_status: &'static str,
}

impl Stopper {
    pub(super) fn new(session: Arc<ApiSession>) -> Self {
        Self { session, bulk: Arc::default(), still_wanted: None }
    }

    /// The same stopper, whose stops are taken back ([`Error::Withdrawn`]) where they are no longer wanted when they are
    /// sent, each time that they are: a request can stand long at the client's limiter, and a host can sleep.
    #[must_use]
    pub(crate) fn while_wanted(&self, still_wanted: StillWanted) -> Self {
        Self { still_wanted: Some(still_wanted), ..self.clone() }
    }

    /// Whether this tenant takes bulk changes. It is asked once; after a bulk change was refused, the answer is no.
    pub async fn can_stop_in_bulk(&self) -> Result<bool, Error> {
        if self.bulk.was_refused.load(Ordering::Acquire) {
            return Ok(false);
        }
        let can = self.bulk.capability.get_or_try_init(|| admin::can_stop_in_bulk(&self.session)).await?;
        Ok(*can && !self.bulk.was_refused.load(Ordering::Acquire))
    }

    /// Asks for all of `batch` to stop, in one request. An error says nothing about single ids: where its outcome is
    /// unknown look at each, else stop them singly.
    pub async fn stop_in_bulk(&self, group: &ResourceGroup, batch: &StopBatch) -> Result<BulkAnswer, Error> {
        let deployments = batch.ids().iter().map(|id| BulkEntry { id: id.as_str(), target_status: STOPPED }).collect();
        let call = ApiCall::patch("/lm/deployments", MERGE_PATCH, bytes(&BulkStop { deployments }));
        let call = call.within(group).while_wanted(self.still_wanted.clone());
        let asked = call.asked();
        match self.session.send(&call, |reply| BulkAnswer::read(&reply.body, batch, &asked)).await {
            Err(error) => Err(self.judge(error, batch)),
            answer => answer,
        }
    }

    /// Asks for one deployment to stop. Ok means that AI Core will, not that it has.
    pub async fn stop(&self, group: &ResourceGroup, id: &DeploymentId) -> Result<(), Error> {
        let body = bytes(&Stop { target_status: STOPPED });
        let call = ApiCall::patch(format!("/lm/deployments/{id}"), JSON, body)
            .within(group)
            .while_wanted(self.still_wanted.clone());
        self.session.send(&call, |reply| accepted(reply, id)).await
    }

    /// Tells a tenant without bulk changes from one that minds an entry, and remembers it.
    fn judge(&self, error: Error, batch: &StopBatch) -> Error {
        match error {
            Error::Precondition { asked, answer } if answer.status == 400 && !is_about_entries(&answer, batch) => {
                self.refused(asked, answer)
            }
            Error::NotFound { asked, answer } => self.refused(asked, answer),
            Error::UnexpectedResponse { asked, answer, .. } if matches!(answer.status, 404 | 405 | 415) => {
                self.refused(asked, answer)
            }
            Error::Unreachable { asked, trouble } => match *trouble {
                NoAnswer::Status(answer) if answer.status == 501 => self.refused(asked, answer.into()),
                trouble => Error::Unreachable { asked, trouble: trouble.into() },
            },
            error => error,
        }
    }

    fn refused(&self, asked: Box<CallName>, answer: Box<ErrorResponse>) -> Error {
        if !self.bulk.was_refused.swap(true, Ordering::AcqRel) {
            tracing::info!("this tenant takes no bulk changes: deployments are stopped singly from now on");
        }
        Error::BulkRefused { asked, answer }
    }
}

impl BulkAnswer {
    /// What `body`, a 202 to the bulk stop of `batch`, says of each id; none where it is no such answer.
    pub fn of(body: &[u8], batch: &StopBatch) -> Option<Self> {
        let asked = ApiCall::patch("/lm/deployments", MERGE_PATCH, Vec::new()).asked();
        Self::read(body, batch, &asked).ok()
    }

    fn read(body: &[u8], batch: &StopBatch, asked: &CallName) -> Result<Self, Unread> {
        let body = json(body)?;
        let entries = body.get("deployments").and_then(Value::as_array);
        let entries = entries.ok_or(Unread::Odd("JSON without `deployments`"))?;
        let wanted: BTreeMap<&str, &DeploymentId> = batch.ids().iter().map(|id| (id.as_str(), id)).collect();
        let mut answers: BTreeMap<DeploymentId, Result<(), Error>> = BTreeMap::new();
        let mut foreign = 0;
        for entry in entries {
            let Some(&id) = entry.get("id").and_then(Value::as_str).and_then(|id| wanted.get(id)) else {
                foreign += 1;
                continue;
            };
            let error = entry.get("error").filter(|error| !error.is_null()).map(|error| entry_error(error, id, asked));
            match error {
                Some(error) => drop(answers.insert(id.clone(), Err(error))),
                None if entry.get("message").is_some() => drop(answers.entry(id.clone()).or_insert(Ok(()))),
                None => {}
            }
        }
        if foreign > 0 {
            tracing::warn!("a bulk answer had {foreign} entries for deployments that were not asked for: ignored");
        }
        Ok(Self { answers })
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopper").field(&self.session.base()).finish()
    }
}

/// True where a 400 is about deployments, not about bulk changes as such.
fn is_about_entries(answer: &ErrorResponse, batch: &StopBatch) -> bool {
    let names_one = |message: &String| batch.ids().iter().any(|id| message.contains(id.as_str()));
    answer.is_about_status() || answer.message.as_ref().is_some_and(names_one)
}

fn bytes(body: &impl Serialize) -> Vec<u8> {
    // Plain structs of texts cannot fail to become JSON; an empty body would be refused.
    serde_json::to_vec(body).unwrap_or_default()
}

fn json(body: &[u8]) -> Result<Value, Unread> {
    serde_json::from_slice(body).map_err(|error| unread(&error))
}

fn accepted(reply: &Reply, id: &DeploymentId) -> Result<(), Unread> {
    let body = json(&reply.body)?;
    let is_ours = body.get("id").and_then(Value::as_str) == Some(id.as_str());
    let has_error = body.get("error").is_some_and(|error| !error.is_null());
    if is_ours && !has_error { Ok(()) } else { Err(Unread::Odd("not an acceptance of this stop")) }
}

fn entry_error(error: &Value, id: &DeploymentId, asked: &CallName) -> Error {
    let answer = ErrorResponse::of_error(error);
    let asked = Box::new(CallName { path: format!("{}/{id}", asked.path), ..asked.clone() });
    if answer.is_not_found() {
        Error::NotFound { asked, answer: answer.into() }
    } else {
        Error::Precondition { asked, answer: answer.into() }
    }
}
