//! The state of a tenant. It changes when it is asked, never by a timer: [`World::catch_up`] lets everything happen
//! that was due by then, in order.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::deployment::Status;
use crate::simulator::fleet::{Fleet, FleetGroup, Tenant};
use crate::simulator::live::{Event, Live};
use crate::simulator::spec::Spec;

/// A tenant now.
#[derive(Debug)]
pub(super) struct World {
    pub(super) tenant: Tenant,
    pub(super) groups: Vec<FleetGroup>,
    pub(super) base_url: String,
    pub(super) start: DateTime<Utc>,
    lives: Vec<Live>,
    /// Group and configuration id, to a deployment that shows what comes of it.
    configurations: BTreeMap<(String, String), Spec>,
    made: u64,
}

impl World {
    pub(super) fn new(fleet: Fleet, base_url: String, start: DateTime<Utc>) -> Self {
        let mut configurations = BTreeMap::new();
        for spec in &fleet.deployments {
            let key = (spec.group.clone(), spec.configuration_id.clone());
            configurations.entry(key).or_insert_with(|| spec.clone());
        }
        let lives = fleet.deployments.into_iter().map(|spec| Live::from_fleet(spec, start)).collect();
        Self { tenant: fleet.tenant, groups: fleet.groups, base_url, start, lives, configurations, made: 0 }
    }

    /// Lets everything happen that was due by `now`.
    pub(super) fn catch_up(&mut self, now: DateTime<Utc>) {
        let due = |(index, live): (usize, &Live)| {
            let (at, event) = live.next_event().filter(|(at, _)| *at <= now)?;
            Some((at, index, event))
        };
        while let Some((at, index, event)) =
            self.lives.iter().enumerate().filter_map(due).min_by_key(|one| (one.0, one.1))
        {
            self.lives[index].happen(event, at);
            if event == Event::StopEnds
                && let Some(after) = self.tenant.tidied_after
            {
                self.lives[index].plan_leaving(at + after);
            }
            if event == Event::Redeploy {
                let id = self.new_id();
                let spec = self.lives[index].replacement(id);
                self.lives.push(Live::created(spec, at, self.start));
            }
        }
        // Nothing comes of what is gone, and a year of redeployments would be walked through at each request.
        self.lives.retain(|live| !live.gone || live.next_event().is_some());
    }

    /// The deployments of a group that the API shows at `now`, in the order in which they came.
    pub(super) fn visible<'a>(&'a self, group: &'a str, now: DateTime<Utc>) -> impl Iterator<Item = &'a Live> {
        self.lives.iter().filter(move |live| live.spec.group == group && live.is_visible(now))
    }

    /// One deployment, where the API shows it at `now`.
    pub(super) fn find(&self, group: &str, id: &str, now: DateTime<Utc>) -> Option<&Live> {
        self.lives.iter().find(|live| live.spec.group == group && live.spec.id == id && live.is_visible(now))
    }

    /// The same, to change it.
    pub(super) fn find_mut(&mut self, group: &str, id: &str, now: DateTime<Utc>) -> Option<&mut Live> {
        let wanted = |live: &&mut Live| live.spec.group == group && live.spec.id == id && live.is_visible(now);
        self.lives.iter_mut().find(wanted)
    }

    /// Every deployment that the API shows at `now`: group, id and status.
    pub(super) fn statuses(&self, now: DateTime<Utc>) -> Vec<(String, String, Status)> {
        let shown = self.lives.iter().filter(|live| live.is_visible(now));
        shown.map(|live| (live.spec.group.clone(), live.spec.id.clone(), live.status.clone())).collect()
    }

    /// What a deployment made from a configuration is like; none where the group has no such configuration.
    pub(super) fn configuration(&self, group: &str, id: &str) -> Option<&Spec> {
        self.configurations.get(&(group.to_owned(), id.to_owned()))
    }

    /// Somebody creates a deployment. Its id is given back.
    pub(super) fn create(&mut self, spec: Spec, at: DateTime<Utc>) -> String {
        let id = spec.id.clone();
        let key = (spec.group.clone(), spec.configuration_id.clone());
        self.configurations.entry(key).or_insert_with(|| spec.clone());
        if !self.groups.iter().any(|group| group.id == spec.group) {
            self.groups.push(FleetGroup::new(&spec.group));
        }
        self.lives.push(Live::created(spec, at, self.start));
        id
    }

    /// Puts a deployment in place as a fleet would have had it from the start.
    pub(super) fn place(&mut self, spec: Spec) {
        let live = Live::from_fleet(spec.clone(), self.start);
        self.create(spec, self.start);
        if let Some(last) = self.lives.last_mut() {
            *last = live;
        }
    }

    /// Somebody deletes a deployment outright, whatever its status. False where it is not there.
    pub(super) fn remove(&mut self, group: &str, id: &str, now: DateTime<Utc>) -> bool {
        let found = self.find_mut(group, id, now);
        found.map(|live| live.happen(Event::Leave, now)).is_some()
    }

    /// An id as the API gives: `d` and 15 hexadecimal digits. The n-th is the same in every simulation.
    pub(super) fn new_id(&mut self) -> String {
        self.made += 1;
        // The finalizer of SplitMix64: neighbours look unrelated.
        let mut x = self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("d{:015x}", (x ^ (x >> 31)) >> 4)
    }
}
