//! What the tenant knows itself: what was deployed and when it was off, as its world was seen every few minutes, and
//! every whole answer that it gave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use offhours::clock::Clock;
use offhours::simulator::{Fault, Simulator};
use serde_json::{Value, json};

use crate::scenario::oracle::week::GROUPS;

/// Group and id.
pub type Key = (String, String);

/// One deployment, as far as the tenant's world was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    pub configuration: String,
    /// In whole seconds, as AI Core tells it.
    pub created: DateTime<Utc>,
    pub expires: Option<DateTime<Utc>>,
    /// Since when it is STOPPED, in whole seconds.
    pub off_since: Option<DateTime<Utc>>,
    pub last: DateTime<Utc>,
    /// When it was first seen that it is not there any more.
    pub gone_by: Option<DateTime<Utc>>,
}

/// A whole answer to a question about deployments.
#[derive(Debug, Clone)]
pub struct Answer {
    pub at: DateTime<Utc>,
    pub group: String,
    /// True for a list, false for one deployment.
    pub is_list: bool,
    pub present: BTreeSet<String>,
    pub off: BTreeSet<String>,
}

/// Whose `completionTime` the tenant does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    Nobodys,
    /// Of every other deployment it tells none.
    Half,
    /// Of all it tells one that cannot be right.
    Nonsense(&'static str),
}

impl Silence {
    pub fn covers(self, id: &str) -> bool {
        match self {
            Self::Nobodys => false,
            Self::Half => id.bytes().map(u32::from).sum::<u32>().is_multiple_of(2),
            Self::Nonsense(_) => true,
        }
    }
}

#[derive(Debug, Default)]
pub struct Notes {
    pub seen: BTreeMap<Key, Seen>,
    pub answers: Vec<Answer>,
    /// Labels that keep a group on, now.
    labels: BTreeMap<&'static str, (String, String)>,
    /// Group, from and to: when labels said that nothing may be stopped.
    pub opted_out: Vec<(&'static str, DateTime<Utc>, DateTime<Utc>)>,
}

/// Takes notes.
#[derive(Clone)]
pub struct Witness {
    notes: Arc<Mutex<Notes>>,
    clock: Clock,
    pub silence: Silence,
}

impl Witness {
    pub fn new(clock: Clock, silence: Silence) -> Self {
        Self { notes: Arc::default(), clock, silence }
    }

    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Looks at the tenant's world.
    pub fn look(&self, simulator: &Simulator) {
        let now = self.now();
        let there = simulator.statuses();
        let mut notes = self.notes();
        for (group, id, status) in &there {
            let Some(snapshot) = simulator.deployment(group, id) else { continue };
            let instant = |key: &str| Some(snapshot.json[key].as_str()?.parse::<DateTime<Utc>>().unwrap());
            let created = instant("createdAt").unwrap();
            let off_since = instant("completionTime").filter(|_| status.as_str() == "STOPPED");
            let key = (group.clone(), id.clone());
            let seen = notes.seen.entry(key).or_insert_with(|| Seen {
                configuration: snapshot.configuration_id.clone(),
                created,
                expires: snapshot.json["ttl"].as_str().map(|ttl| created + hours(ttl)),
                off_since: None,
                last: now,
                gone_by: None,
            });
            seen.last = now;
            seen.off_since = seen.off_since.or(off_since);
        }
        let there: BTreeSet<Key> = there.into_iter().map(|(group, id, _)| (group, id)).collect();
        for (_, seen) in notes.seen.iter_mut().filter(|(key, _)| !there.contains(*key)) {
            seen.gone_by.get_or_insert(now);
        }
    }

    /// Listens to the tenant's answers about `group`, and keeps back of them what the tenant does not tell.
    fn listens_to(&self, group: &'static str) -> Fault {
        let witness = self.clone();
        Fault::on("GET", "").group(group).always().rewrites(move |body| witness.hear(group, body))
    }

    /// Listens to every answer.
    pub fn ears(&self) -> impl Iterator<Item = Fault> + '_ {
        GROUPS.into_iter().map(|group| self.listens_to(group))
    }

    fn hear(&self, group: &str, body: &mut Value) {
        let is_list = body["resources"].is_array();
        let mut answer =
            Answer { at: self.now(), group: group.to_owned(), is_list, present: BTreeSet::new(), off: BTreeSet::new() };
        let deployments: Vec<&mut Value> = match body.get_mut("resources").and_then(Value::as_array_mut) {
            Some(list) => list.iter_mut().collect(),
            None => Vec::new(),
        };
        for deployment in deployments {
            self.hear_one(deployment, &mut answer);
        }
        if !is_list && body["id"].is_string() && body["status"].is_string() {
            self.hear_one(body, &mut answer);
        }
        self.notes().answers.push(answer);
    }

    fn hear_one(&self, deployment: &mut Value, answer: &mut Answer) {
        let id = deployment["id"].as_str().unwrap_or_default().to_owned();
        if deployment["status"] == "STOPPED" {
            answer.off.insert(id.clone());
        }
        if self.silence.covers(&id)
            && let Some(fields) = deployment.as_object_mut().filter(|fields| fields.contains_key("completionTime"))
        {
            match self.silence {
                Silence::Nonsense(text) => drop(fields.insert("completionTime".to_owned(), json!(text))),
                _ => drop(fields.remove("completionTime")),
            }
        }
        answer.present.insert(id);
    }

    /// Shows the labels that people have set meanwhile.
    pub fn labels(&self) -> impl Iterator<Item = Fault> + '_ {
        let paths = [String::new()].into_iter().chain(GROUPS.map(|group| format!("/{group}")));
        paths.map(|path| {
            let witness = self.clone();
            let show = move |body: &mut Value| match body.get_mut("resources").and_then(Value::as_array_mut) {
                Some(groups) => groups.iter_mut().for_each(|group| witness.show_label(group)),
                None => witness.show_label(body),
            };
            Fault::on("GET", &format!("/admin/resourceGroups{path}")).always().rewrites(show)
        })
    }

    fn show_label(&self, group: &mut Value) {
        let label = group["resourceGroupId"].as_str().and_then(|id| self.notes().labels.get(id).cloned());
        if let (Some((key, value)), Some(list)) = (label, group["labels"].as_array_mut()) {
            list.push(json!({"key": key, "value": value}));
        }
    }

    /// Somebody labels a group so that it is left alone until `until`, or takes the label away.
    pub fn label(&self, group: &'static str, label: Option<(&str, String)>, until: DateTime<Utc>) {
        let now = self.now();
        let mut notes = self.notes();
        for (_, _, to) in notes.opted_out.iter_mut().filter(|(other, ..)| *other == group) {
            *to = now.min(*to);
        }
        match label {
            Some((key, value)) => {
                notes.labels.insert(group, (key.to_owned(), value));
                notes.opted_out.push((group, now, until));
            }
            None => drop(notes.labels.remove(group)),
        }
    }
}

/// A time to live of this test: in hours.
fn hours(ttl: &str) -> chrono::TimeDelta {
    chrono::TimeDelta::hours(ttl.trim_end_matches('h').parse().unwrap())
}
