//! What a hold would do: asked before it is written down, so that a name with a typing error is no hold. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::aicore::{Options, Reader};
use crate::cli::session::Session;
use crate::config::Outline;
use crate::domain::agenda::fires_by;
use crate::domain::hold::{Hold, HoldTarget};
use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::kept_on::{KeptOn, windows_let_pass};
use crate::domain::plan::{Decision, DecisionContext, Planned};
use crate::domain::rule::{Mode, Rule};
use crate::domain::schedule::OffWindow;
use crate::executor::survey::{Surveyed, Surveyor};
use crate::ledger::cursors::Cursor;
use crate::ledger::runs::OpenRun;
use crate::ledger::{Ledger, LedgerError};

/// Nobody waits longer for an answer; the hold is taken all the same.
const LONGEST_LOOK: Duration = Duration::from_secs(20);
/// What runs have met within this time is known, also while AI Core cannot be asked.
const REMEMBERED: TimeDelta = TimeDelta::days(31);

#[derive(Debug, Default)]
pub(crate) struct HoldEffect {
    /// What a rule would stop without it.
    pub(crate) kept: Vec<KeptOn>,
    /// The firings that it lets pass, in order: also those that are due or under way.
    pub(crate) firings: Vec<(DateTime<Utc>, RuleName)>,
    /// The first firing after its end, of the rules that it concerns.
    pub(crate) next_stop: Option<(DateTime<Utc>, RuleName)>,
    /// Why a deployment that it covers would be left anyway: the first such reason.
    pub(crate) left_anyway: Option<String>,
    /// Why it could not be looked everywhere.
    pub(crate) doubts: Vec<String>,
    /// The option under which the target's name would have been met.
    pub(crate) option: Option<&'static str>,
    /// Names of the target's kind that there are.
    pub(crate) names: BTreeSet<String>,
}

impl HoldEffect {
    /// True where the hold's target was met.
    pub(crate) fn knows(&self, target: &HoldTarget) -> bool {
        self.names.contains(target.name())
    }
}

/// Looks at what `hold` covers, as the rules and AI Core are now.
pub(crate) async fn effect(
    session: &Session,
    outline: &Outline,
    ledger: &Ledger,
    hold: &Hold,
) -> Result<HoldEffect, LedgerError> {
    let now = session.now();
    let (target, since) = (hold.target.clone(), now - REMEMBERED);
    let (names, open, cursors) =
        ledger.read(move |tx| Ok((tx.names_like(&target, since)?, tx.open_runs()?, tx.cursors()?))).await?;
    let mut look =
        Look { session, outline, hold, now, open, cursors, found: HoldEffect { names, ..HoldEffect::default() } };
    if let HoldTarget::Rule(_) = hold.target {
        look.found.names.extend(outline.rules().iter().map(|rule| rule.name.to_string()));
    }
    if outline.faults.is_some() {
        look.found.doubts.push("the configuration on disk has faults: see `offhours check`".to_owned());
    }
    if tokio::time::timeout(LONGEST_LOOK, look.at_all_rules()).await.is_err() {
        let seconds = LONGEST_LOOK.as_secs();
        look.found.doubts.push(format!("AI Core did not show everything within {seconds} seconds"));
    }
    Ok(look.found)
}

struct Look<'a> {
    session: &'a Session,
    outline: &'a Outline,
    hold: &'a Hold,
    now: DateTime<Utc>,
    /// Runs that are not over, and how far each rule has been dealt with.
    open: Vec<OpenRun>,
    cursors: BTreeMap<RuleName, Cursor>,
    found: HoldEffect,
}

impl Look<'_> {
    async fn at_all_rules(&mut self) {
        let mut readers: BTreeMap<&ConnectionName, Option<Reader>> = BTreeMap::new();
        let outline = self.outline;
        for rule in outline.rules() {
            if matches!(&self.hold.target, HoldTarget::Rule(name) if *name != rule.name) {
                continue;
            }
            let reader = readers.entry(&rule.connection).or_insert_with(|| self.connect(&rule.connection));
            if let Some(reader) = reader {
                self.at_rule(rule, reader).await;
            }
        }
        self.found.firings.sort();
        self.found.firings.dedup();
    }

    fn connect(&mut self, name: &ConnectionName) -> Option<Reader> {
        let connection = self.outline.connections().get(name)?;
        let options = Options { clock: self.session.clock.clone(), ..Options::default() };
        match Reader::connect(connection.key.clone(), options) {
            Ok(reader) => Some(reader),
            Err(error) => {
                self.found.doubts.push(format!("connection {name}: {error}"));
                None
            }
        }
    }

    /// The off windows of the firings that have come and whose stops a hold still keeps from being asked for.
    fn begun(&self, rule: &Rule) -> Vec<OffWindow> {
        let of_rule = self.open.iter().filter(|run| run.claim.firing.rule == rule.name);
        let mut windows: Vec<OffWindow> = of_rule.map(|run| run.claim.off_window).collect();
        let cursor = self.cursors.get(&rule.name).filter(|cursor| cursor.schedule == fires_by(rule));
        let due = cursor.and_then(|cursor| rule.schedule.due(cursor.after, self.now).run);
        windows.extend(due.map(|firing| rule.schedule.off_window(firing.at)));
        // After its window a run only watches what it has asked for.
        windows.retain(|window| self.now < window.to);
        windows
    }

    async fn at_rule(&mut self, rule: &Rule, reader: &Reader) {
        let Some(next) = rule.schedule.next_firing(self.now) else { return };
        let decisions =
            DecisionContext { rule, protect: self.outline.protect(), holds: &[], scheduled: next, now: next };
        let surveyor = Surveyor { reader, clock: &self.session.clock, prices: self.outline.prices(), decisions };
        let mut windows = windows_let_pass(&rule.schedule, self.now, self.hold.until);
        windows.splice(0..0, self.begun(rule));
        let observes = || format!("rule {} observes and stops nothing", rule.name);
        if matches!(self.hold.target, HoldTarget::Rule(_)) && rule.mode == Mode::Observe {
            self.found.left_anyway.get_or_insert_with(observes);
        }
        let mut concerned = matches!(self.hold.target, HoldTarget::Rule(_)) && rule.mode == Mode::Enforce;
        let mut meet = |surveyed: Surveyed| {
            self.found.names.extend(name_of_group(&self.hold.target, &surveyed));
            for planned in surveyed.planned {
                self.found.names.extend(names_of(&self.hold.target, &planned));
                self.found.option = self.found.option.or_else(|| option_of(self.hold.target.name(), &planned));
                if self.hold.covers(&rule.name, &planned.deployment, self.now) {
                    match &planned.decision {
                        Decision::Stop if rule.mode == Mode::Observe => {
                            self.found.left_anyway.get_or_insert_with(observes);
                        }
                        Decision::Stop => {
                            concerned = true;
                            keep(&mut self.found.kept, planned, &windows, self.now);
                        }
                        Decision::Leave(reason) => {
                            self.found.left_anyway.get_or_insert_with(|| reason.to_string());
                        }
                    }
                }
            }
        };
        match surveyor.survey(&mut meet).await {
            Ok(gaps) => {
                let failed = gaps.failed.iter().map(|(group, error)| format!("resource group `{}`: {error}", group.id));
                self.found.doubts.extend(failed);
            }
            Err(error) => self.found.doubts.push(format!("connection {}: {error}", rule.connection)),
        }
        if concerned {
            self.found.firings.extend(windows.iter().map(|window| (window.from, rule.name.clone())));
            let after = rule.schedule.next_firing(self.hold.until.max(self.now) - TimeDelta::seconds(1));
            let next = after.map(|at| (at, rule.name.clone()));
            self.found.next_stop = [self.found.next_stop.take(), next].into_iter().flatten().min();
        }
    }
}

/// Keeps what is still ahead of the windows; a firing leaves what was created after it.
fn keep(kept: &mut Vec<KeptOn>, planned: Planned, windows: &[OffWindow], now: DateTime<Utc>) {
    let Planned { deployment, rate, .. } = planned;
    let was_there = |window: &&OffWindow| deployment.created_at.is_none_or(|at| at <= window.from);
    let ahead = |window: &OffWindow| OffWindow { from: window.from.max(now), ..*window };
    let windows: Vec<OffWindow> = windows.iter().filter(was_there).map(ahead).collect();
    let same = |one: &&mut KeptOn| {
        one.deployment.id == deployment.id && one.deployment.resource_group == deployment.resource_group
    };
    if let Some(known) = kept.iter_mut().find(same) {
        return known.add(&windows);
    }
    let mut one = KeptOn { deployment, rate, windows: Vec::new() };
    one.add(&windows);
    kept.push(one);
}

/// The option that would have held `planned` by this name.
fn option_of(name: &str, planned: &Planned) -> Option<&'static str> {
    let deployment = &planned.deployment;
    if name == deployment.id.as_str() {
        Some("--deployment")
    } else if name == deployment.configuration() || name == deployment.configuration_id {
        Some("--configuration")
    } else {
        (name == deployment.resource_group.as_str()).then_some("--resource-group")
    }
}

fn name_of_group(target: &HoldTarget, surveyed: &Surveyed) -> Option<String> {
    matches!(target, HoldTarget::ResourceGroup(_)).then(|| surveyed.group.id.to_string())
}

fn names_of(target: &HoldTarget, planned: &Planned) -> Vec<String> {
    let deployment = &planned.deployment;
    match target {
        HoldTarget::Deployment(_) => vec![deployment.id.to_string()],
        HoldTarget::Configuration(_) => {
            let name = deployment.configuration_name.clone();
            name.into_iter().chain([deployment.configuration_id.clone()]).collect()
        }
        HoldTarget::ResourceGroup(_) | HoldTarget::Rule(_) => Vec::new(),
    }
}
