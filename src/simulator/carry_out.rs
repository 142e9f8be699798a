//! What a call does to the tenant, and what is answered.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::domain::deployment::Status;
use crate::simulator::answer::{Answer, ApiError, ChangeResult};
use crate::simulator::call::{GroupCall, Operation, TargetStatus};
use crate::simulator::fleet::Bulk;
use crate::simulator::query::{DeploymentFilter, GroupPage, List};
use crate::simulator::spec::{Behaviour, Spec};
use crate::simulator::wire;
use crate::simulator::world::World;

/// A continue token is good for so long.
const TOKEN_FOR: TimeDelta = TimeDelta::minutes(15);
/// Resource groups are so much older than the simulation.
const GROUP_AGE: TimeDelta = TimeDelta::days(90);

/// The request whose answer is being made: what errors name.
pub(super) struct RequestContext<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) request_id: &'a str,
    pub(super) target: &'a str,
}

impl World {
    /// Does what `call` asks for.
    pub(super) fn carry_out(&mut self, call: Operation, context: &RequestContext<'_>) -> Answer {
        self.catch_up(context.now);
        let answer = match call {
            Operation::In(group, call) => self.accessible(&group).and_then(|()| self.in_group(&group, call, context)),
            Operation::Meta if self.tenant.meta => Ok(Answer::json(200, wire::meta(&self.tenant))),
            Operation::Meta => Err(ApiError::not_found("there is no meta endpoint")),
            Operation::Groups(page) => self.list_groups(&page, context.now),
            Operation::Group(id) => self.show_group(&id),
            Operation::InstanceTypes => Ok(Answer::json(200, self.instance_types())),
            Operation::Nodes => Ok(Answer::json(200, self.nodes())),
        };
        answer.unwrap_or_else(|error| error.answer(context.request_id, context.target))
    }

    fn accessible(&self, group: &str) -> Result<(), ApiError> {
        let known = self.groups.iter().find(|known| known.id == group);
        if known.is_some_and(|known| known.accessible) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!("access to resource group {group} is denied")))
    }

    fn in_group(&mut self, group: &str, call: GroupCall, context: &RequestContext<'_>) -> Result<Answer, ApiError> {
        match call {
            GroupCall::List(list) => Ok(self.list(group, &list, context.now)),
            GroupCall::Count(filter) => Ok(Answer::json(200, json!(self.count(group, &filter, context.now)))),
            GroupCall::Show { id, only_status } => self.show(group, &id, only_status, context.now),
            GroupCall::Create { configuration_id, ttl } => self.make(group, &configuration_id, ttl, context.now),
            GroupCall::Stop(id) => Ok(self.change_one(group, &id, TargetStatus::Stopped, context)),
            GroupCall::Delete(id) => Ok(self.change_one(group, &id, TargetStatus::Deleted, context)),
            GroupCall::Reconfigure { id, configuration_id } => {
                self.reconfigure(group, &id, &configuration_id, context.now)
            }
            GroupCall::Change(changes) => self.change_many(group, &changes, context),
        }
    }

    fn list(&self, group: &str, list: &List, now: DateTime<Utc>) -> Answer {
        let found = self.visible(group, now).filter(|live| list.filter.matches(live));
        let page = found.skip(list.skip).take(list.top);
        let resources: Vec<Value> = if list.only_status {
            page.map(wire::status_only).collect()
        } else {
            page.map(|live| wire::deployment(live, &self.base_url)).collect()
        };
        Answer::json(200, json!({"count": resources.len(), "resources": resources}))
    }

    fn count(&self, group: &str, filter: &DeploymentFilter, now: DateTime<Utc>) -> usize {
        self.visible(group, now).filter(|live| filter.matches(live)).count()
    }

    fn show(&self, group: &str, id: &str, only_status: bool, now: DateTime<Utc>) -> Result<Answer, ApiError> {
        let live = self.find(group, id, now).ok_or_else(|| ApiError::no_deployment(id))?;
        let body = if only_status { wire::status_only(live) } else { wire::deployment_alone(live, &self.base_url) };
        Ok(Answer::json(200, body))
    }

    fn make(
        &mut self,
        group: &str,
        configuration_id: &str,
        ttl: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<Answer, ApiError> {
        let missing = || ApiError { breaks: false, ..ApiError::malformed("the configuration does not exist") };
        let like = self.configuration(group, configuration_id).ok_or_else(missing)?.clone();
        let spec = Spec {
            id: self.new_id(),
            ttl: ttl.clone(),
            appears_at: None,
            deleted_at: None,
            redeployed: Vec::new(),
            ..like
        };
        let id = self.create(spec, now);
        let url = wire::deployment_url(&id, &self.base_url);
        let mut body = json!({"id": id, "message": "Deployment scheduled", "deploymentUrl": url, "status": "UNKNOWN"});
        if let Some(ttl) = ttl {
            body["ttl"] = json!(ttl);
        }
        let mut answer = Answer::json(202, body);
        answer.headers.push(("location".to_owned(), format!("{}/v2/lm/deployments/{id}", self.base_url)));
        Ok(answer)
    }

    fn reconfigure(
        &mut self,
        group: &str,
        id: &str,
        configuration_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Answer, ApiError> {
        let missing = || ApiError { breaks: false, ..ApiError::malformed("the configuration does not exist") };
        let name = self.configuration(group, configuration_id).ok_or_else(missing)?.configuration_name.clone();
        let live = self.find_mut(group, id, now).ok_or_else(|| ApiError::no_deployment(id))?;
        if !live.status.can_be_stopped() {
            return Err(ApiError::status(live.status.as_str()));
        }
        let before = Some(live.status.to_string());
        live.reconfigure(configuration_id, name.as_deref(), now);
        let effect = ChangeResult { id: id.to_owned(), before, asked: configuration_id.to_owned(), refused: None };
        Ok(Answer::json(202, json!({"id": id, "message": "Deployment modification scheduled"})).with(vec![effect]))
    }

    fn change_one(&mut self, group: &str, id: &str, target: TargetStatus, context: &RequestContext<'_>) -> Answer {
        let (result, effect) = self.change(group, id, target, context.now);
        let message = match target {
            TargetStatus::Stopped => "Deployment modification scheduled",
            TargetStatus::Deleted => "Deployment deletion scheduled",
        };
        let answer = match result {
            Ok(()) => Answer::json(202, json!({"id": id, "message": message})),
            Err(error) => error.answer(context.request_id, context.target),
        };
        answer.with(vec![effect])
    }

    fn change_many(
        &mut self,
        group: &str,
        changes: &[(String, TargetStatus)],
        context: &RequestContext<'_>,
    ) -> Result<Answer, ApiError> {
        if self.tenant.bulk != Bulk::Yes {
            let refused = ApiError::malformed("Bulk updates are not enabled for this tenant");
            return Err(ApiError { status: self.tenant.bulk_refusal, breaks: false, ..refused });
        }
        let mut entries = Vec::new();
        let mut effects = Vec::new();
        for (id, target) in changes {
            let (result, effect) = self.change(group, id, *target, context.now);
            entries.push(match result {
                Ok(()) => json!({"id": id, "message": "Deployment modification scheduled"}),
                Err(error) => json!({"id": id, "error": error.body(context.request_id, context.target)}),
            });
            effects.push(effect);
        }
        Ok(Answer::json(202, json!({"deployments": entries})).with(effects))
    }

    fn change(
        &mut self,
        group: &str,
        id: &str,
        target: TargetStatus,
        now: DateTime<Utc>,
    ) -> (Result<(), ApiError>, ChangeResult) {
        let live = self.find_mut(group, id, now);
        let before = live.as_ref().map(|live| live.status.to_string());
        let result = live.ok_or_else(|| ApiError::no_deployment(id)).and_then(|live| {
            if live.spec.behaviour == Behaviour::Forbidden {
                return Err(ApiError::forbidden(format!("changing deployment {id} is denied")));
            }
            let allowed = match target {
                TargetStatus::Stopped => live.status.can_be_stopped() && live.spec.behaviour != Behaviour::Refuses,
                TargetStatus::Deleted => matches!(live.status, Status::Stopped | Status::Dead | Status::Unknown),
            };
            match target {
                _ if !allowed => return Err(ApiError::status(live.status.as_str())),
                TargetStatus::Stopped => live.stop(now),
                TargetStatus::Deleted => live.delete(now),
            }
            Ok(())
        });
        let refused = result.as_ref().err().map(|error| error.code.to_owned());
        (result, ChangeResult { id: id.to_owned(), before, asked: target.as_str().to_owned(), refused })
    }

    fn list_groups(&self, page: &GroupPage, now: DateTime<Utc>) -> Result<Answer, ApiError> {
        if page.continued.is_some_and(|given| now - given > TOKEN_FOR || given > now) {
            let expired = ApiError::not_found("ResourceExpired: start the list again without the continueToken");
            return Err(ApiError { status: 410, ..expired });
        }
        let created = self.start - GROUP_AGE;
        let matches = |(key, value, equal): &(String, String, bool), labels: &std::collections::BTreeMap<_, _>| {
            (labels.get(key) == Some(value)) == *equal
        };
        let found = self.groups.iter().filter(|group| page.labels.iter().all(|one| matches(one, &group.labels)));
        let found: Vec<Value> = found.map(|group| wire::group(group, created)).collect();
        let size = page.page_size.or(page.top).unwrap_or(usize::MAX);
        let end = page.skip.saturating_add(size);
        let more = end < found.len();
        let resources: Vec<Value> = found.into_iter().skip(page.skip).take(size).collect();
        let mut answer = Answer::json(200, json!({"count": resources.len(), "resources": resources}));
        if let Some(size) = page.page_size.filter(|_| more) {
            answer.headers.push(("link".to_owned(), self.next_link(page, &GroupPage::token(end, size, now))));
        }
        Ok(answer)
    }

    fn next_link(&self, page: &GroupPage, token: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(selector) = &page.selector {
            query.append_pair("labelSelector", selector);
        }
        query.append_pair("continueToken", token);
        format!("<{}/v2/admin/resourceGroups?{}>; rel=\"next\"", self.base_url, query.finish())
    }

    fn show_group(&self, id: &str) -> Result<Answer, ApiError> {
        let group = self.groups.iter().find(|group| group.id == id);
        let missing = || ApiError::not_found(format!("Resource group {id} not found"));
        Ok(Answer::json(200, wire::group(group.ok_or_else(missing)?, self.start - GROUP_AGE)))
    }

    fn instance_types(&self) -> Value {
        let types = self.tenant.instance_types.iter().map(|(name, one)| {
            // The API writes a number; its digits are kept.
            let units: Value = serde_json::from_str(&one.billable_units_per_hour.to_string()).unwrap_or(Value::Null);
            let body = json!({"memory": one.memory, "cpu": one.cpu, "gpu": one.gpu, "billableUnitsPerHour": units});
            (name.clone(), body)
        });
        json!({"instanceTypes": types.collect::<serde_json::Map<_, _>>()})
    }

    fn nodes(&self) -> Value {
        let plans = self.tenant.reserved_nodes.iter();
        let plans = plans.map(|(plan, count)| (plan.clone(), json!({"provisioned": count, "requested": count})));
        json!({"resourcePlans": plans.collect::<serde_json::Map<_, _>>()})
    }
}
