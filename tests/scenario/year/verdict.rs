//! What must hold at the end of a span, by the ledger's own tables and by what the tenant received.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::hold::HoldTarget;
use offhours::domain::run::{Run, RunResult};
use offhours::simulator::Entry;

use crate::scenario::stage::Stage;
use crate::scenario::year::chances::SLEPT_OVER;
use crate::scenario::year::life::{Held, Lived};
use crate::scenario::year::tenant::{self, Rule};

/// The last look at the holds is so long before a request at most.
const LAST_LOOK: TimeDelta = TimeDelta::seconds(2);

/// One deployment that the tenant was asked to stop.
struct Asked {
    at: DateTime<Utc>,
    group: String,
    id: String,
    accepted: bool,
}

/// Everything that is looked at.
pub struct Verdict<'a> {
    rules: &'a [Rule],
    lived: &'a Lived,
    runs: Vec<Run>,
    journal: Vec<Entry>,
    asked: Vec<Asked>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl<'a> Verdict<'a> {
    pub fn new(stage: &Stage, rules: &'a [Rule], lived: &'a Lived, to: DateTime<Utc>) -> Self {
        let journal = stage.simulator.journal();
        let asked = journal.iter().flat_map(asked).collect();
        Self { rules, lived, runs: stage.history(), asked, journal, from: stage.from, to }
    }

    pub fn speak(&self, stage: &Stage) {
        self.every_firing_of_the_diaries_stands_in_the_ledger_once(stage);
        self.every_stop_lies_in_an_off_window();
        self.no_stop_breaks_a_hold();
        self.what_is_on_its_way_off_is_not_asked_again();
        self.much_has_happened();
    }

    fn every_firing_of_the_diaries_stands_in_the_ledger_once(&self, stage: &Stage) {
        let open: i64 =
            stage.database().query_row("SELECT count(*) FROM run WHERE open", [], |row| row.get(0)).unwrap();
        assert_eq!(open, 0, "runs that nobody concluded");
        let mut written: BTreeMap<&str, Vec<DateTime<Utc>>> = BTreeMap::new();
        for run in &self.runs {
            assert!(
                run.result != RunResult::Interrupted,
                "{} was interrupted for good: {}",
                run.firing,
                run.sentence()
            );
            written.entry(run.firing.rule.as_str()).or_default().push(run.firing.at);
        }
        for rule in self.rules {
            let expected: Vec<_> = rule.diary.firings(self.from, self.to).into_iter().collect();
            // In order of their instants, so that one that stands there twice is seen.
            let written = written.remove(rule.name.as_str()).unwrap_or_default();
            assert_eq!(written, expected, "firings of {}", rule.name);
        }
        assert!(written.is_empty(), "firings of rules that nobody wrote: {:?}", written.keys());
    }

    fn every_stop_lies_in_an_off_window(&self) {
        for asked in &self.asked {
            let mut rules = self.rules.iter().filter(|rule| rule.groups.contains(&asked.group));
            let (at, group, id) = (asked.at, &asked.group, &asked.id);
            assert!(rules.any(|rule| rule.diary.is_off(at)), "{id} in {group} was asked to stop at {at}");
        }
    }

    /// A hold on a rule leaves other rules free, so it is looked up which run asked.
    fn no_stop_breaks_a_hold(&self) {
        for asked in &self.asked {
            let run = self.run_of(asked);
            for hold in self.lived.holds.iter().filter(|hold| hold.from + LAST_LOOK < asked.at && asked.at < hold.to) {
                assert!(
                    !covers(hold, run, asked),
                    "{} was asked to stop at {} in spite of {hold:?}",
                    asked.id,
                    asked.at
                );
            }
        }
    }

    /// The run that had asked: the last that wrote it down before the request came.
    fn run_of(&self, asked: &Asked) -> &Run {
        let earliest = asked.at - TimeDelta::days(9);
        let begin = self.runs.partition_point(|run| run.firing.at < earliest);
        let end = self.runs.partition_point(|run| run.firing.at <= asked.at);
        let wrote_it_down = |run: &&Run| {
            let row = |row: &offhours::domain::run::DeploymentResult| {
                row.id.as_str() == asked.id && row.requested_at.is_some_and(|at| at <= asked.at)
            };
            run.started_at <= asked.at
                && run.finished_at >= asked.at - TimeDelta::minutes(1)
                && run.deployments.iter().any(row)
        };
        let found = self.runs[begin..end].iter().rev().find(wrote_it_down);
        found.unwrap_or_else(|| panic!("no run wrote down that {} was asked to stop at {}", asked.id, asked.at))
    }

    fn what_is_on_its_way_off_is_not_asked_again(&self) {
        let mut off = BTreeSet::new();
        for asked in self.asked.iter().filter(|asked| !tenant::is_asked_again(&asked.group)) {
            let (id, at) = (&asked.id, asked.at);
            let again =
                || format!("{id} was asked once more at {at}, when it had accepted its stop: {}", self.story(asked));
            assert!(!off.contains(id), "{}", again());
            if asked.accepted {
                off.insert(id);
            }
        }
    }

    /// What the tenant was asked for a group around a request.
    fn story(&self, asked: &Asked) -> String {
        let near = |entry: &&Entry| {
            entry.resource_group.as_ref() == Some(&asked.group) && (entry.at - asked.at).abs() < TimeDelta::minutes(5)
        };
        let line = |entry: &Entry| {
            let Entry { at, method, target, status, effects, .. } = entry;
            format!("\n{at} {method} {target} {status:?} {:?} {effects:?}", entry.patched_ids())
        };
        self.journal.iter().filter(near).map(line).collect()
    }

    /// A span in which nothing went wrong proves nothing. None of this depends on the seed.
    fn much_has_happened(&self) {
        let count = |result: RunResult| self.runs.iter().filter(|run| run.result == result).count();
        let struck = self.journal.iter().filter(|entry| entry.status.is_none_or(|status| status >= 400)).count();
        let held = self.runs.iter().flat_map(|run| &run.deployments).filter(|row| row.hold().is_some()).count();
        let accepted = self.asked.iter().filter(|asked| asked.accepted).count();
        println!(
            "{} firings: {} done, {} partial, {} failed, {} missed, {} skipped; {} requests, {struck} without a good \
             answer; {} stops asked for, {accepted} accepted; {} holds, {held} deployments held; {} processes, {} pieces of work \
             cut off, {} resumed",
            self.runs.len(),
            count(RunResult::Done),
            count(RunResult::Partial),
            count(RunResult::Failed),
            count(RunResult::Missed),
            count(RunResult::Skipped),
            self.journal.len(),
            self.asked.len(),
            self.lived.holds.len(),
            self.lived.processes,
            self.lived.cut_off,
            self.runs.iter().filter(|run| run.resumed).count(),
        );
        let slept_over: DateTime<Utc> = SLEPT_OVER.parse().unwrap();
        let lunch = tenant::lunch();
        let missed = self.runs.iter().find(|run| run.firing.rule.as_str() == lunch.name && run.firing.at == slept_over);
        assert_eq!(missed.unwrap().result, RunResult::Missed);
        assert!(struck * 200 > self.journal.len(), "{struck} of {} requests met a fault", self.journal.len());
        assert!(held > 0, "no hold was honoured");
        assert!(accepted > self.runs.len() / 4, "{accepted} stops in {} runs", self.runs.len());
    }
}

fn asked(entry: &Entry) -> impl Iterator<Item = Asked> + '_ {
    let accepted: BTreeSet<&str> =
        entry.effects.iter().filter(|one| one.refused.is_none()).map(|one| one.id.as_str()).collect();
    let group = entry.resource_group.clone().unwrap_or_default();
    entry.patched_ids().into_iter().map(move |id| Asked {
        at: entry.at,
        group: group.clone(),
        accepted: accepted.contains(id.as_str()),
        id,
    })
}

fn covers(hold: &Held, run: &Run, asked: &Asked) -> bool {
    match &hold.target {
        HoldTarget::Rule(rule) => *rule == run.firing.rule,
        HoldTarget::ResourceGroup(group) => group.as_str() == asked.group,
        HoldTarget::Deployment(id) => id.as_str() == asked.id,
        HoldTarget::Configuration(name) => {
            let row = run.deployments.iter().find(|row| row.id.as_str() == asked.id);
            row.is_some_and(|row| row.configuration_name.as_ref() == Some(name))
        }
    }
}
