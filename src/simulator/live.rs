//! What became of one deployment. Its changes are computed when somebody looks: each knows the instant of its next
//! event, and [`World`](super::world::World) lets them happen in order.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::deployment::{Status, Ttl};
use crate::simulator::spec::{Behaviour, Spec};

/// How long a new deployment is UNKNOWN.
const UNKNOWN_FOR: TimeDelta = TimeDelta::seconds(10);
/// How long a deletion that was asked for takes.
const DELETED_AFTER: TimeDelta = TimeDelta::seconds(5);
/// The platform deletes DEAD deployments after this time.
const DEAD_FOR: TimeDelta = TimeDelta::days(7);

#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) spec: Spec,
    pub(super) status: Status,
    pub(super) target_status: &'static str,
    pub(super) last_operation: &'static str,
    pub(super) latest_running_configuration_id: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) modified_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) completed_at: Option<DateTime<Utc>>,
    /// It is not there any more; kept because a replacement may still be due.
    pub(super) gone: bool,
    start_step: Option<DateTime<Utc>>,
    stop_ends: Option<DateTime<Utc>>,
    leaves: Option<DateTime<Utc>>,
    redeploys: Option<DateTime<Utc>>,
}

/// What happens to a deployment by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// UNKNOWN to PENDING, PENDING to RUNNING.
    Start,
    /// STOPPING ends.
    StopEnds,
    /// It is deleted.
    Leave,
    /// People deploy the same configuration again.
    Redeploy,
}

impl Live {
    /// The deployment as its fleet describes it, for a simulation that starts at `start`.
    pub(super) fn from_fleet(spec: Spec, start: DateTime<Utc>) -> Self {
        if let Some(moment) = spec.appears_at {
            return Self::created(spec, moment.from(start), start);
        }
        let created_at = spec.created.from(start);
        let status = spec.status.clone();
        let started = !matches!(status, Status::Unknown | Status::Pending);
        let over = matches!(status, Status::Stopped | Status::Dead | Status::Completed);
        let mut live = Self::blank(spec, status, created_at, start);
        live.started_at = started.then_some(created_at + live.spec.start_after);
        live.completed_at = over.then_some(created_at + live.spec.start_after * 2);
        live.modified_at = live.completed_at.or(live.started_at).unwrap_or(created_at).min(start);
        if live.status.is_off() {
            live.target_status = "STOPPED";
            live.plan_redeployment(start);
        }
        if live.status == Status::Stopping {
            live.stop_ends = stop_end(&live.spec, start);
        }
        if live.status == Status::Dead {
            live.plan_leaving(start + DEAD_FOR);
        }
        live
    }

    /// A deployment that somebody creates at `at`: UNKNOWN, then PENDING, then RUNNING.
    pub(super) fn created(spec: Spec, at: DateTime<Utc>, start: DateTime<Utc>) -> Self {
        let mut live = Self::blank(spec, Status::Unknown, at, start);
        live.start_step = Some(at + UNKNOWN_FOR.min(live.spec.start_after));
        live
    }

    fn blank(spec: Spec, status: Status, created_at: DateTime<Utc>, start: DateTime<Utc>) -> Self {
        let ttl = spec.ttl.as_deref().and_then(|text| text.parse::<Ttl>().ok());
        let leaves = [ttl.map(|ttl| created_at + ttl.0), spec.deleted_at.map(|moment| moment.from(start))];
        Self {
            status,
            target_status: "RUNNING",
            last_operation: "CREATE",
            latest_running_configuration_id: None,
            created_at,
            modified_at: created_at,
            started_at: None,
            completed_at: None,
            gone: false,
            start_step: None,
            stop_ends: None,
            leaves: leaves.into_iter().flatten().min(),
            redeploys: None,
            spec,
        }
    }

    /// True where the API shows it at `now`.
    pub(super) fn is_visible(&self, now: DateTime<Utc>) -> bool {
        !self.gone && self.created_at <= now
    }

    /// What happens next by itself, and when.
    pub(super) fn next_event(&self) -> Option<(DateTime<Utc>, Event)> {
        let alive = |at: Option<DateTime<Utc>>| at.filter(|_| !self.gone);
        [
            (alive(self.start_step), Event::Start),
            (alive(self.stop_ends), Event::StopEnds),
            (alive(self.leaves), Event::Leave),
            (self.redeploys, Event::Redeploy),
        ]
        .into_iter()
        .filter_map(|(at, event)| Some((at?, event)))
        .min_by_key(|(at, _)| *at)
    }

    /// Lets `event` happen at `at`. [`Event::Redeploy`] only ticks it off: the replacement is another deployment.
    pub(super) fn happen(&mut self, event: Event, at: DateTime<Utc>) {
        match event {
            Event::Start => self.start(at),
            Event::StopEnds => self.end_stop(at),
            Event::Leave => {
                (self.gone, self.leaves) = (true, None);
                self.modified_at = at;
            }
            Event::Redeploy => self.redeploys = None,
        }
    }

    /// Somebody asked for STOPPED, and may.
    pub(super) fn stop(&mut self, at: DateTime<Utc>) {
        self.change(Status::Stopping, at);
        self.target_status = "STOPPED";
        self.last_operation = "UPDATE";
        self.start_step = None;
        self.stop_ends = stop_end(&self.spec, at);
        self.plan_redeployment(at);
    }

    /// Somebody asked for DELETED, and may.
    pub(super) fn delete(&mut self, at: DateTime<Utc>) {
        self.target_status = "DELETED";
        self.last_operation = "DELETE";
        self.modified_at = at;
        self.start_step = None;
        self.plan_leaving(at + DELETED_AFTER);
    }

    /// Somebody gave it another configuration. It keeps its id.
    pub(super) fn reconfigure(&mut self, configuration_id: &str, name: Option<&str>, at: DateTime<Utc>) {
        let before = std::mem::replace(&mut self.spec.configuration_id, configuration_id.to_owned());
        self.latest_running_configuration_id = Some(before);
        self.spec.configuration_name = name.map(str::to_owned);
        self.last_operation = "UPDATE";
        self.modified_at = at;
    }

    /// What a new deployment from the same configuration is like.
    pub(super) fn replacement(&self, id: String) -> Spec {
        Spec { id, status: Status::Unknown, appears_at: None, deleted_at: None, ..self.spec.clone() }
    }

    fn start(&mut self, at: DateTime<Utc>) {
        if self.status == Status::Unknown {
            self.change(Status::Pending, at);
            self.start_step = Some((self.created_at + self.spec.start_after).max(at));
        } else {
            self.change(Status::Running, at);
            self.started_at = Some(at);
            self.start_step = None;
        }
    }

    fn end_stop(&mut self, at: DateTime<Utc>) {
        self.stop_ends = None;
        match self.spec.behaviour {
            Behaviour::Dies => {
                self.change(Status::Dead, at);
                self.completed_at = Some(at);
                self.plan_leaving(at + DEAD_FOR);
            }
            Behaviour::Vanishes => self.happen(Event::Leave, at),
            Behaviour::ComesBack => {
                self.change(Status::Running, at);
                self.target_status = "RUNNING";
                self.redeploys = None;
            }
            _ => {
                self.change(Status::Stopped, at);
                self.completed_at = Some(at);
            }
        }
    }

    fn change(&mut self, status: Status, at: DateTime<Utc>) {
        self.status = status;
        self.modified_at = at;
    }

    /// It is deleted then, if not before.
    pub(super) fn plan_leaving(&mut self, at: DateTime<Utc>) {
        self.leaves = Some(self.leaves.map_or(at, |other| other.min(at)));
    }

    fn plan_redeployment(&mut self, off_since: DateTime<Utc>) {
        self.redeploys = self.spec.redeployed.iter().filter_map(|again| again.next_after(off_since)).min();
    }
}

fn stop_end(spec: &Spec, asked: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if spec.behaviour == Behaviour::Stuck { None } else { asked.checked_add_signed(spec.stop_after) }
}
