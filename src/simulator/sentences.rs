//! A fleet written in Rust, one sentence per deployment: `Fleet::new().group("dev-a").running("d001", "infer.s")`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::deployment::Status;
use crate::simulator::fleet::{Bulk, Fleet, FleetGroup, configuration_id, usual_spelling};
use crate::simulator::spec::{Behaviour, Component, DetailsSpelling, Model, Moment, Redeployed, SLOW_STOP_AFTER, Spec};

impl Fleet {
    /// It says that it takes no bulk requests, and takes none.
    #[must_use]
    pub fn without_bulk(mut self) -> Self {
        self.tenant.bulk = Bulk::No;
        self
    }

    /// It says that it takes bulk requests, and answers them with `status`.
    #[must_use]
    pub fn refusing_bulk(mut self, status: u16) -> Self {
        (self.tenant.bulk, self.tenant.bulk_refusal) = (Bulk::Refuses, status);
        self
    }

    /// It has no `/lm/meta`.
    #[must_use]
    pub fn without_meta(mut self) -> Self {
        self.tenant.meta = false;
        self
    }

    /// Its tokens are good for so long.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.tenant.token_lifetime = lifetime;
        self
    }

    /// Each answer takes so long.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.tenant.latency = latency;
        self
    }
}

/// Groups and deployments. A deployment goes into the group named last.
impl Fleet {
    /// A resource group; the deployments that follow are in it.
    #[must_use]
    pub fn group(mut self, id: &str) -> Self {
        let known = self.groups.iter().position(|group| group.id == id);
        let group = known.map_or_else(|| FleetGroup::new(id), |at| self.groups.remove(at));
        self.groups.push(group);
        self
    }

    /// A label of the group.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        if let Some(group) = self.groups.last_mut() {
            group.labels.insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// Every request for the group is answered with 403.
    #[must_use]
    pub fn inaccessible(mut self) -> Self {
        if let Some(group) = self.groups.last_mut() {
            group.accessible = false;
        }
        self
    }

    /// A deployment that has been RUNNING one replica on `plan` for three days.
    #[must_use]
    pub fn running(self, id: &str, plan: &str) -> Self {
        self.many(1, |_| id.to_owned(), plan)
    }

    /// So many of them, with the ids `{prefix}001`, `{prefix}002`, …
    #[must_use]
    pub fn running_many(self, prefix: &str, count: usize, plan: &str) -> Self {
        self.many(count, |number| format!("{prefix}{number:03}"), plan)
    }

    /// A generative-AI deployment, billed by tokens.
    #[must_use]
    pub fn model(self, id: &str, model: &str) -> Self {
        self.running(id, "").scenario("foundation-models").each(|spec| {
            spec.components.clear();
            spec.model = Some(Model { name: model.to_owned(), version: "latest".to_owned() });
        })
    }

    /// A deployment in full.
    #[must_use]
    pub fn deployment(mut self, spec: Spec) -> Self {
        self.last = self.deployments.len()..self.deployments.len() + 1;
        self.deployments.push(spec);
        self
    }

    fn many(mut self, count: usize, id: impl Fn(usize) -> String, plan: &str) -> Self {
        let group = self.groups.last().map_or_else(|| "default".to_owned(), |group| group.id.clone());
        let first = self.deployments.len();
        for number in 1..=count {
            let mut spec = Spec::running(&group, &id(number), plan);
            spec.details = usual_spelling(self.deployments.len());
            self.deployments.push(spec);
        }
        self.last = first..self.deployments.len();
        self
    }
}

/// The deployment, or the many, named last.
impl Fleet {
    /// Changes anything about it.
    #[must_use]
    pub fn each(mut self, change: impl Fn(&mut Spec)) -> Self {
        for spec in self.deployments.get_mut(self.last.clone()).into_iter().flatten() {
            change(spec);
        }
        self
    }

    /// Its configuration's name; the id follows from it, so that two of one name are of one configuration.
    #[must_use]
    pub fn configuration(self, name: &str) -> Self {
        self.each(|spec| {
            spec.configuration_name = Some(name.to_owned());
            spec.configuration_id = configuration_id(name);
        })
    }

    /// Its scenario.
    #[must_use]
    pub fn scenario(self, id: &str) -> Self {
        self.each(|spec| spec.scenario_id = Some(id.to_owned()))
    }

    /// Its executable.
    #[must_use]
    pub fn executable(self, id: &str) -> Self {
        self.each(|spec| spec.executable_id = Some(id.to_owned()))
    }

    /// Replicas of its first component.
    #[must_use]
    pub fn replicas(self, min: u32, max: u32, running: u32) -> Self {
        self.each(|spec| {
            for component in spec.components.iter_mut().take(1) {
                (component.min, component.max, component.running) = (min, max, running);
            }
        })
    }

    /// One more component.
    #[must_use]
    pub fn component(self, name: &str, plan: &str, replicas: u32) -> Self {
        self.each(|spec| {
            spec.components.push(Component { name: name.to_owned(), ..Component::predictor(plan, replicas) });
        })
    }

    /// Its status at the start.
    #[must_use]
    pub fn status(self, status: &Status) -> Self {
        self.each(|spec| spec.status = status.clone())
    }

    /// When it was created.
    #[must_use]
    pub fn created(self, at: DateTime<Utc>) -> Self {
        self.each(|spec| spec.created = Moment::At(at))
    }

    /// How old it is at the start.
    #[must_use]
    pub fn aged(self, age: TimeDelta) -> Self {
        self.each(|spec| spec.created = Moment::Before(age))
    }

    /// Its time to live, as the API writes it.
    #[must_use]
    pub fn ttl(self, ttl: &str) -> Self {
        self.each(|spec| spec.ttl = Some(ttl.to_owned()))
    }

    /// How it takes a stop.
    #[must_use]
    pub fn behaviour(self, behaviour: Behaviour) -> Self {
        self.each(|spec| {
            spec.behaviour = behaviour;
            if behaviour == Behaviour::Slow {
                spec.stop_after = SLOW_STOP_AFTER;
            }
        })
    }

    /// How long it stays STOPPING.
    #[must_use]
    pub fn stop_after(self, wait: TimeDelta) -> Self {
        self.each(|spec| spec.stop_after = wait)
    }

    /// Somebody creates it only then.
    #[must_use]
    pub fn appears_at(self, moment: Moment) -> Self {
        self.each(|spec| spec.appears_at = Some(moment))
    }

    /// Somebody deletes it then.
    #[must_use]
    pub fn deleted_at(self, moment: Moment) -> Self {
        self.each(|spec| spec.deleted_at = Some(moment))
    }

    /// After a stop, people deploy its configuration again at the next of these instants, under a new id.
    #[must_use]
    pub fn redeployed(self, when: &Redeployed) -> Self {
        self.each(|spec| spec.redeployed.push(when.clone()))
    }

    /// How its `details` are spelt. By default every other deployment writes `backend_details`.
    #[must_use]
    pub fn details(self, spelling: DetailsSpelling) -> Self {
        self.each(|spec| spec.details = spelling)
    }
}
