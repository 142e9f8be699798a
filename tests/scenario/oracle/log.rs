//! The tenant's log of a week, and what it says of how offhours behaved.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::hold::HoldTarget;
use offhours::domain::rule::Mode;
use offhours::domain::run::Run;
use offhours::simulator::{Behaviour, Entry};

use crate::scenario::oracle::week::{Rule, Week};
use crate::scenario::oracle::witness::{Answer, Key, Notes};
use crate::scenario::stage::is_a_persons;
use crate::scenario::year::life::{Held, Lived};

/// What was listed may be so old when a stop is asked for, and so are the labels that were read with it; the last look at
/// them may take as long as a request may.
const OLD_LABELS: TimeDelta = TimeDelta::seconds(90);
/// No off window is longer.
const LONGEST_WINDOW: TimeDelta = TimeDelta::days(12);

/// One deployment that the tenant was asked to stop.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: DateTime<Utc>,
    pub key: Key,
    /// By somebody else than offhours.
    pub by_a_person: bool,
    /// What it was when it accepted; none where it did not.
    pub accepted_as: Option<String>,
}

/// A whole list of one group that a round of settling got, as surely as can be.
#[derive(Debug, Clone)]
pub struct Look {
    pub at: DateTime<Utc>,
    pub present: BTreeSet<String>,
    pub off: BTreeSet<String>,
}

pub struct Log<'a> {
    pub week: &'a Week,
    pub lived: &'a Lived,
    pub runs: &'a [Run],
    pub notes: &'a Notes,
    pub journal: &'a [Entry],
    pub asked: Vec<Asked>,
    /// By group, in their order.
    pub looks: BTreeMap<String, Vec<Look>>,
}

impl<'a> Log<'a> {
    pub fn new(week: &'a Week, lived: &'a Lived, runs: &'a [Run], notes: &'a Notes, journal: &'a [Entry]) -> Self {
        let asked = journal.iter().flat_map(asked).collect();
        Self { week, lived, runs, notes, journal, asked, looks: looks(lived, notes, journal) }
    }

    /// The looks at a group from `from` to `to`.
    pub fn looks(&self, group: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> impl Iterator<Item = &Look> {
        let looks = self.looks.get(group).into_iter().flatten();
        looks.filter(move |look| from <= look.at && look.at <= to)
    }

    /// The run that had asked: the last that had written it down before the request came.
    pub fn run_of(&self, asked: &Asked) -> Option<&'a Run> {
        let wrote = |run: &&Run| {
            let row = run.deployments.iter().find(|row| row.id.as_str() == asked.key.1);
            let requested_at = row.filter(|row| row.resource_group.as_str() == asked.key.0)?.requested_at?;
            let is_it = requested_at <= asked.at && asked.at <= run.finished_at + TimeDelta::minutes(1);
            is_it.then_some(requested_at)
        };
        self.runs.iter().filter_map(|run| Some((wrote(&run)?, run))).max_by_key(|(at, _)| *at).map(|(_, run)| run)
    }

    fn rule_of(&self, run: &Run) -> &'a Rule {
        self.week.rules.iter().find(|rule| rule.name == run.firing.rule.as_str()).unwrap()
    }

    /// Nothing was asked for that nobody may ask for.
    pub fn is_as_promised(&self) {
        self.every_run_has_the_window_of_its_diary();
        let mut accepted = BTreeSet::new();
        for asked in self.asked.iter().filter(|asked| !asked.by_a_person) {
            let run = self.run_of(asked).unwrap_or_else(|| panic!("no run wrote down {asked:?}"));
            let rule = self.rule_of(run);
            let (at, window) = (asked.at, run.off_window);
            assert!(run.mode == Mode::Enforce && !rule.observes, "an observing rule asked: {asked:?}");
            assert!(rule.selects(&asked.key.0), "{} does not mean {asked:?}", rule.name);
            assert!(window.from <= at && at < window.to, "outside {window:?} of {}: {asked:?}", run.firing);
            assert!(rule.diary.is_off(at), "outside the off window of {}: {asked:?}", rule.name);
            let held = self.lived.holds.iter().find(|hold| hold.from < at && at < hold.to && covers(hold, run, asked));
            assert!(held.is_none(), "in spite of {held:?}: {asked:?}");
            let opted_out = self
                .notes
                .opted_out
                .iter()
                .find(|(group, from, to)| *group == asked.key.0 && *from + OLD_LABELS < at && at < *to);
            assert!(opted_out.is_none(), "in spite of the label of {opted_out:?}: {asked:?}");
            assert!(!accepted.contains(&asked.key), "it had accepted its stop: {asked:?}");
            if asked.accepted_as.is_some() && !self.comes_back(&asked.key) {
                accepted.insert(asked.key.clone());
            }
        }
    }

    fn every_run_has_the_window_of_its_diary(&self) {
        for run in self.runs {
            let (at, diary) = (run.firing.at, &self.rule_of(run).diary);
            let end = match &diary.until {
                Some(until) => until.instants(at, at + LONGEST_WINDOW).pop_first(),
                None => diary.stop.instants(at, at + LONGEST_WINDOW).pop_first(),
            };
            assert_eq!((run.off_window.from, Some(run.off_window.to)), (at, end), "{}", run.firing);
        }
    }

    /// By its configuration: a replacement is like what it replaces.
    fn comes_back(&self, key: &Key) -> bool {
        let configuration = self.notes.seen.get(key).map(|seen| seen.configuration.as_str());
        self.week
            .fleet
            .deployments
            .iter()
            .any(|spec| Some(spec.configuration_id.as_str()) == configuration && spec.behaviour == Behaviour::ComesBack)
    }
}

fn asked(entry: &Entry) -> impl Iterator<Item = Asked> + '_ {
    let (group, by_a_person) = (entry.resource_group.clone().unwrap_or_default(), is_a_persons(entry));
    entry.patched_ids().into_iter().map(move |id| {
        let done = entry.effects.iter().find(|one| one.id == id && one.refused.is_none());
        let accepted_as = done.map(|effect| effect.before.clone().unwrap());
        Asked { at: entry.at, key: (group.clone(), id), by_a_person, accepted_as }
    })
}

fn covers(hold: &Held, run: &Run, asked: &Asked) -> bool {
    match &hold.target {
        HoldTarget::Rule(rule) => *rule == run.firing.rule,
        HoldTarget::ResourceGroup(group) => group.as_str() == asked.key.0,
        HoldTarget::Deployment(id) => id.as_str() == asked.key.1,
        HoldTarget::Configuration(name) => {
            let row = run.deployments.iter().find(|row| row.id.as_str() == asked.key.1);
            row.is_some_and(|row| row.configuration_name.as_ref() == Some(name))
        }
    }
}

/// The lists that rounds got which came to their end.
fn looks(lived: &Lived, notes: &Notes, journal: &[Entry]) -> BTreeMap<String, Vec<Look>> {
    let lists: Vec<&Answer> = notes.answers.iter().filter(|answer| answer.is_list).collect();
    let is_list = |entry: &&Entry| {
        entry.method == "GET" && entry.target.split('?').next().is_some_and(|path| path.ends_with("/lm/deployments"))
    };
    let requests: Vec<&Entry> = journal.iter().filter(is_list).collect();
    let mut looks: BTreeMap<String, Vec<Look>> = BTreeMap::new();
    let rounds = lived.rounds.lock().unwrap().clone();
    for (from, to) in rounds {
        let mut heard: BTreeMap<&str, (usize, Look)> = BTreeMap::new();
        for answer in lists.iter().filter(|answer| from <= answer.at && answer.at <= to) {
            let look = Look { at: answer.at, present: BTreeSet::new(), off: BTreeSet::new() };
            let (count, look) = heard.entry(&answer.group).or_insert((0, look));
            *count += 1;
            // A list may come in several pages, at one instant.
            look.at = answer.at;
            look.present.extend(answer.present.iter().cloned());
            look.off.extend(answer.off.iter().cloned());
        }
        for (group, (count, look)) in heard {
            let asked = requests
                .iter()
                .filter(|one| one.resource_group.as_deref() == Some(group) && from <= one.at && one.at <= to);
            // Where one request of the round met a fault, nobody knows which list was believed.
            if asked.count() == count {
                looks.entry(group.to_owned()).or_default().push(look);
            }
        }
    }
    looks
}
