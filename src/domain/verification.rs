//! Watching asked-for stops until AI Core itself says STOPPED. Pure: lists go in, verdicts come out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::deployment::{Deployment, Status};
use crate::domain::id::DeploymentId;

/// Pause before the first look. Some stops are over at once, and a person may be waiting for `offhours fire`.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two looks.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How far AI Core's clock and ours may differ before its times are not believed.
pub(crate) const PLAUSIBLE_SKEW: TimeDelta = TimeDelta::minutes(2);

/// The pause before look number `round` (from 0): each twice as long as the one before, up to [`LONGEST_PAUSE`]. A stop
/// of two minutes is seen at the tenth look.
pub(crate) fn pause_before(round: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(round)).min(LONGEST_PAUSE)
}

/// What became of a stop that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopVerdict {
    /// AI Core says STOPPED; counted from this instant.
    Stopped(DateTime<Utc>),
    /// It is DEAD: off, but not by an orderly stop.
    Dead,
    /// It was STOPPING and is RUNNING or PENDING again.
    CameBack(Status),
}

/// What one list of a group told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Observation {
    /// Deployments whose watch is over.
    pub(crate) verdicts: Vec<(DeploymentId, StopVerdict)>,
    /// Watched deployments that were not listed.
    pub(crate) missing: Vec<DeploymentId>,
}

/// The deployments of one resource group that were asked to stop and are not confirmed yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    open: BTreeMap<DeploymentId, Target>,
}

#[derive(Debug, Clone)]
struct Target {
    requested_at: DateTime<Utc>,
    seen_stopping: bool,
    last_seen: Option<Status>,
}

impl Watch {
    /// Begins to watch `id`, asked to stop at `requested_at`.
    pub(crate) fn add(&mut self, id: DeploymentId, requested_at: DateTime<Utc>) {
        self.open.insert(id, Target { requested_at, seen_stopping: false, last_seen: None });
    }

    /// True once there is nothing left to confirm.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn ids(&self) -> BTreeSet<DeploymentId> {
        self.open.keys().cloned().collect()
    }

    /// Ends the watch; what is left stays unconfirmed. Each with the status it was last seen in.
    pub(crate) fn into_unconfirmed(self) -> impl Iterator<Item = (DeploymentId, Option<Status>)> {
        self.open.into_iter().map(|(id, target)| (id, target.last_seen))
    }

    /// Takes a whole list of the group, seen at `now`. A verdict ends the watch of its deployment. What is missing from
    /// the list is still watched: a look at the deployment itself must tell.
    pub(crate) fn observe(&mut self, listed: &[Deployment], now: DateTime<Utc>) -> Observation {
        let by_id: BTreeMap<&DeploymentId, &Deployment> = listed.iter().map(|d| (&d.id, d)).collect();
        let ids: Vec<DeploymentId> = self.open.keys().cloned().collect();
        let mut observation = Observation::default();
        for id in ids {
            match by_id.get(&id) {
                Some(deployment) => {
                    observation.verdicts.extend(self.observe_one(deployment, now).map(|verdict| (id, verdict)));
                }
                None => observation.missing.push(id),
            }
        }
        observation
    }

    /// Takes one deployment, seen at `now`. A verdict ends its watch.
    pub(crate) fn observe_one(&mut self, deployment: &Deployment, now: DateTime<Utc>) -> Option<StopVerdict> {
        let verdict = self.judge(deployment, now)?;
        self.open.remove(&deployment.id);
        Some(verdict)
    }

    /// Ends the watch of a deployment that is gone.
    pub(crate) fn forget(&mut self, id: &DeploymentId) {
        self.open.remove(id);
    }

    fn judge(&mut self, deployment: &Deployment, now: DateTime<Utc>) -> Option<StopVerdict> {
        let target = self.open.get_mut(&deployment.id)?;
        target.last_seen = Some(deployment.status.clone());
        match &deployment.status {
            Status::Stopped => {
                let confirmed_at = confirmed_at(deployment, target.requested_at, now);
                Some(StopVerdict::Stopped(confirmed_at))
            }
            Status::Stopping => {
                target.seen_stopping = true;
                None
            }
            Status::Dead => Some(StopVerdict::Dead),
            Status::Running | Status::Pending if target.seen_stopping => {
                Some(StopVerdict::CameBack(deployment.status.clone()))
            }
            // Not begun yet, or a word we do not know: only time can tell.
            _ => None,
        }
    }
}

/// AI Core's `completionTime` where it is present and plausible, else the moment at which STOPPED was seen.
///
/// Plausible means: neither before the request nor after the look, give or take the difference of two clocks. It
/// never moves the confirmation before the request itself.
pub(crate) fn confirmed_at(
    deployment: &Deployment,
    requested_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
) -> DateTime<Utc> {
    match deployment.completed_at {
        Some(at) if at >= requested_at - PLAUSIBLE_SKEW && at <= seen_at + PLAUSIBLE_SKEW => {
            at.clamp(requested_at, seen_at.max(requested_at))
        }
        _ => seen_at,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::{FIRST_PAUSE, LONGEST_PAUSE, StopVerdict, Watch, pause_before};
    use crate::domain::deployment::{Deployment, Status};
    use crate::domain::id::{DeploymentId, ResourceGroup};

    fn utc(time: &str) -> DateTime<Utc> {
        format!("2026-11-23T{time}Z").parse().unwrap()
    }

    fn seen(status: &str, completed: Option<&str>) -> Deployment {
        Deployment {
            id: DeploymentId::new("d001").unwrap(),
            resource_group: ResourceGroup::new("dev-a").unwrap(),
            configuration_id: "c1".to_owned(),
            configuration_name: None,
            scenario_id: None,
            executable_id: None,
            status: Status::from(status),
            target_status: None,
            created_at: None,
            modified_at: None,
            completed_at: completed.map(utc),
            ttl: None,
            nodes: Vec::new(),
        }
    }

    fn watch(steps: &[(&str, Option<&str>, &str)]) -> Option<StopVerdict> {
        let mut watch = Watch::default();
        watch.add(DeploymentId::new("d001").unwrap(), utc("18:00:01"));
        let mut verdicts = steps.iter().flat_map(|(status, completed, now)| {
            let listed = if status.is_empty() { Vec::new() } else { vec![seen(status, *completed)] };
            watch.observe(&listed, utc(now)).verdicts
        });
        verdicts.next().map(|(_, verdict)| verdict)
    }

    #[test]
    fn a_stop_counts_from_what_ai_core_says() {
        let at = |time| Some(StopVerdict::Stopped(utc(time)));
        assert_eq!(watch(&[("STOPPING", None, "18:00:05"), ("STOPPED", Some("18:00:40"), "18:01:00")]), at("18:00:40"));
        assert_eq!(watch(&[("STOPPED", None, "18:01:00")]), at("18:01:00"), "no completionTime: the look counts");
        assert_eq!(watch(&[("STOPPED", Some("12:00:00"), "18:01:00")]), at("18:01:00"), "an implausible one as well");
        assert_eq!(watch(&[("STOPPED", Some("18:30:00"), "18:01:00")]), at("18:01:00"));
        assert_eq!(watch(&[("STOPPED", Some("17:59:30"), "18:01:00")]), at("18:00:01"), "never before the request");
    }

    #[test]
    fn a26_what_is_not_a_stop_is_not_taken_for_one() {
        assert_eq!(watch(&[("RUNNING", None, "18:00:05"), ("STOPPING", None, "18:05:00")]), None);
        assert_eq!(watch(&[("HIBERNATING", None, "18:00:05")]), None);
        assert_eq!(watch(&[("DEAD", None, "18:00:05")]), Some(StopVerdict::Dead));
        assert_eq!(watch(&[("", None, "18:00:05")]), None, "missing is not stopped");
        let back = watch(&[("STOPPING", None, "18:00:05"), ("RUNNING", None, "18:00:10")]);
        assert_eq!(back, Some(StopVerdict::CameBack(Status::Running)));
    }

    #[test]
    fn looks_grow_apart() {
        let looks_within = |seconds| {
            let pauses = (0..40).map(pause_before);
            let at = pauses.scan(Duration::ZERO, |waited, pause| {
                *waited += pause;
                Some(*waited)
            });
            at.filter(|at| *at <= Duration::from_secs(seconds)).count()
        };
        assert_eq!(pause_before(0), FIRST_PAUSE);
        assert_eq!((looks_within(1), looks_within(120)), (2, 9));
        assert_eq!(pause_before(1_000_000), LONGEST_PAUSE);
    }
}
