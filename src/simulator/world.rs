//! The state of a tenant. It changes when it is asked, never by a timer: [`World::catch_up`] lets everything happen
//! that was due by then, in order.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::deployment::Status;
use crate::simulator::fleet::{Fleet, FleetGroup, TenantSpec};
use crate::simulator::live::{Event, Live};
use crate::simulator::spec::Spec;

/// The how many-th deployment of the simulation.
type Place = u64;

#[derive(Debug)]
pub(super) struct World {
    pub(super) tenant: TenantSpec,
    pub(super) groups: Vec<FleetGroup>,
    pub(super) base_url: String,
    pub(super) start: DateTime<Utc>,
    /// By the order in which they came.
    lives: BTreeMap<Place, Live>,
    /// Which of them are in a group.
    places: BTreeMap<String, BTreeSet<Place>>,
    /// What is next for each that has something coming.
    agenda: BTreeSet<(DateTime<Utc>, Place)>,
    /// What may have been changed since the agenda was written.
    touched: BTreeMap<Place, Option<DateTime<Utc>>>,
    came: Place,
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
        let mut world = Self {
            tenant: fleet.tenant,
            groups: fleet.groups,
            base_url,
            start,
            lives: BTreeMap::new(),
            places: BTreeMap::new(),
            agenda: BTreeSet::new(),
            touched: BTreeMap::new(),
            came: 0,
            configurations,
            made: 0,
        };
        for spec in fleet.deployments {
            world.add(Live::from_fleet(spec, start));
        }
        world
    }

    fn add(&mut self, live: Live) {
        self.came += 1;
        self.places.entry(live.spec.group.clone()).or_default().insert(self.came);
        self.lives.insert(self.came, live);
        self.touched.insert(self.came, None);
    }

    /// Writes down what is next for each deployment that was changed.
    fn write_agenda(&mut self) {
        for (place, planned) in std::mem::take(&mut self.touched) {
            if let Some(at) = planned {
                self.agenda.remove(&(at, place));
            }
            let Some(live) = self.lives.get(&place) else { continue };
            if let Some((at, _)) = live.next_event() {
                self.agenda.insert((at, place));
            } else if live.gone {
                // Nothing comes of it, and a year of redeployments would be kept.
                self.places.entry(live.spec.group.clone()).or_default().remove(&place);
                self.lives.remove(&place);
            }
        }
    }

    /// Lets everything happen that was due by `now`.
    pub(super) fn catch_up(&mut self, now: DateTime<Utc>) {
        self.write_agenda();
        while let Some((at, place)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.agenda.pop_first();
            self.touched.insert(place, None);
            let tidied_after = self.tenant.tidied_after;
            let replaced = self.lives.get_mut(&place).and_then(|live| {
                let (_, event) = live.next_event()?;
                live.happen(event, at);
                if let (Event::StopEnds, Some(after)) = (event, tidied_after) {
                    live.plan_leaving(at + after);
                }
                (event == Event::Redeploy).then(|| live.clone())
            });
            if let Some(live) = replaced {
                let spec = live.replacement(self.new_id());
                self.add(Live::created(spec, at, self.start));
            }
            self.write_agenda();
        }
    }

    fn living_in<'a>(&'a self, group: &str) -> impl Iterator<Item = (Place, &'a Live)> {
        let places = self.places.get(group).into_iter().flatten();
        places.filter_map(|place| Some((*place, self.lives.get(place)?)))
    }

    /// The deployments of a group that the API shows at `now`, in the order in which they came.
    pub(super) fn visible<'a>(&'a self, group: &str, now: DateTime<Utc>) -> impl Iterator<Item = &'a Live> {
        self.living_in(group).map(|(_, live)| live).filter(move |live| live.is_visible(now))
    }

    /// One deployment, where the API shows it at `now`.
    pub(super) fn find(&self, group: &str, id: &str, now: DateTime<Utc>) -> Option<&Live> {
        self.visible(group, now).find(|live| live.spec.id == id)
    }

    pub(super) fn find_mut(&mut self, group: &str, id: &str, now: DateTime<Utc>) -> Option<&mut Live> {
        let (place, live) = self.living_in(group).find(|(_, live)| live.spec.id == id && live.is_visible(now))?;
        let planned = live.next_event().map(|(at, _)| at);
        self.touched.entry(place).or_insert(planned);
        self.lives.get_mut(&place)
    }

    /// Every deployment that the API shows at `now`: group, id and status.
    pub(super) fn statuses(&self, now: DateTime<Utc>) -> Vec<(String, String, Status)> {
        let shown = self.lives.values().filter(|live| live.is_visible(now));
        shown.map(|live| (live.spec.group.clone(), live.spec.id.clone(), live.status.clone())).collect()
    }

    /// What a deployment made from a configuration is like; none where the group has no such configuration.
    pub(super) fn configuration(&self, group: &str, id: &str) -> Option<&Spec> {
        self.configurations.get(&(group.to_owned(), id.to_owned()))
    }

    /// Somebody creates a deployment. Its id is given back.
    pub(super) fn create(&mut self, spec: Spec, at: DateTime<Utc>) -> String {
        let id = spec.id.clone();
        self.announce(&spec);
        self.add(Live::created(spec, at, self.start));
        id
    }

    /// A configuration and a group come into being with the first deployment that has them.
    fn announce(&mut self, spec: &Spec) {
        let key = (spec.group.clone(), spec.configuration_id.clone());
        self.configurations.entry(key).or_insert_with(|| spec.clone());
        if !self.groups.iter().any(|group| group.id == spec.group) {
            self.groups.push(FleetGroup::new(&spec.group));
        }
    }

    /// Puts a deployment in place as a fleet would have had it from the start.
    pub(super) fn place(&mut self, spec: Spec) {
        self.announce(&spec);
        self.add(Live::from_fleet(spec, self.start));
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
