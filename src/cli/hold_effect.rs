//! What a hold would do: asked before it is written down, so that a name with a typing error is no hold. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::aicore::{Options, Reader};
use crate::cli::Session;
use crate::config::Outline;
use crate::domain::hold::{Hold, Target};
use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::kept_on::{KeptOn, windows_let_pass};
use crate::domain::plan::{Decision, Planned, Question};
use crate::domain::rule::{Mode, Rule};
use crate::executor::survey::{Surveyed, Surveyor};
use crate::ledger::{Ledger, LedgerError};

/// Nobody waits longer for an answer; the hold is taken all the same.
const LONGEST_LOOK: Duration = Duration::from_secs(20);
/// What runs have met within this time is known, also while AI Core cannot be asked.
const REMEMBERED: TimeDelta = TimeDelta::days(31);

/// What a hold would do.
#[derive(Debug, Default)]
pub struct Effect {
    /// What a rule would stop without it.
    pub kept: Vec<KeptOn>,
    /// The firings that it lets pass, in order.
    pub firings: Vec<(DateTime<Utc>, RuleName)>,
    /// The first firing after its end, of the rules that it concerns.
    pub next_stop: Option<(DateTime<Utc>, RuleName)>,
    /// Why a deployment that it covers would be left anyway: the first such reason.
    pub left_anyway: Option<String>,
    /// Why it could not be looked everywhere.
    pub doubts: Vec<String>,
    /// Names of the target's kind that there are.
    pub names: BTreeSet<String>,
}

impl Effect {
    /// True where the hold's target was met.
    pub fn knows(&self, target: &Target) -> bool {
        self.names.contains(target.name())
    }
}

/// Looks at what `hold` covers, as the rules and AI Core are now.
pub async fn effect(session: &Session, outline: &Outline, ledger: &Ledger, hold: &Hold) -> Result<Effect, LedgerError> {
    let mut look = Look { session, outline, hold, now: session.now(), found: Effect::default() };
    let (target, since) = (hold.target.clone(), look.now - REMEMBERED);
    look.found.names = ledger.read(move |tx| tx.names_like(&target, since)).await?;
    if let Target::Rule(_) = hold.target {
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
    found: Effect,
}

impl Look<'_> {
    async fn at_all_rules(&mut self) {
        let mut readers: BTreeMap<&ConnectionName, Option<Reader>> = BTreeMap::new();
        let outline = self.outline;
        for rule in outline.rules() {
            if matches!(&self.hold.target, Target::Rule(name) if *name != rule.name) {
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

    async fn at_rule(&mut self, rule: &Rule, reader: &Reader) {
        let Some(next) = rule.schedule.next_firing(self.now) else { return };
        let question = Question { rule, protect: self.outline.protect(), holds: &[], scheduled: next, now: next };
        let surveyor = Surveyor { reader, clock: &self.session.clock, prices: self.outline.prices(), question };
        let windows = windows_let_pass(&rule.schedule, self.now, self.hold.until);
        let mut concerned = matches!(self.hold.target, Target::Rule(_)) && rule.mode == Mode::Enforce;
        let mut meet = |surveyed: Surveyed| {
            self.found.names.extend(name_of_group(&self.hold.target, &surveyed));
            for planned in surveyed.planned {
                self.found.names.extend(names_of(&self.hold.target, &planned));
                if self.hold.covers(&rule.name, &planned.deployment, self.now) {
                    match &planned.decision {
                        Decision::Stop if rule.mode == Mode::Observe => {
                            let observes = || format!("rule {} observes and stops nothing", rule.name);
                            self.found.left_anyway.get_or_insert_with(observes);
                        }
                        Decision::Stop => {
                            concerned = true;
                            keep(&mut self.found.kept, planned, &windows);
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

fn keep(kept: &mut Vec<KeptOn>, planned: Planned, windows: &[crate::domain::schedule::OffWindow]) {
    let Planned { deployment, rate, .. } = planned;
    let same = |one: &&mut KeptOn| {
        one.deployment.id == deployment.id && one.deployment.resource_group == deployment.resource_group
    };
    if let Some(known) = kept.iter_mut().find(same) {
        return known.add(windows);
    }
    let mut one = KeptOn { deployment, rate, windows: Vec::new() };
    one.add(windows);
    kept.push(one);
}

fn name_of_group(target: &Target, surveyed: &Surveyed) -> Option<String> {
    matches!(target, Target::ResourceGroup(_)).then(|| surveyed.group.id.to_string())
}

fn names_of(target: &Target, planned: &Planned) -> Vec<String> {
    let deployment = &planned.deployment;
    match target {
        Target::Deployment(_) => vec![deployment.id.to_string()],
        Target::Configuration(_) => {
            let name = deployment.configuration_name.clone();
            name.into_iter().chain([deployment.configuration_id.clone()]).collect()
        }
        Target::ResourceGroup(_) | Target::Rule(_) => Vec::new(),
    }
}
