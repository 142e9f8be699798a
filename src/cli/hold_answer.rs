//! What `hold add` answers: the effect of the hold, in words and in JSON.

use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::hold_effect::HoldEffect;
use crate::domain::avoided::Money;
use crate::domain::hold::Hold;
use crate::domain::instant::rfc3339;
use crate::domain::kept_on::KeptOn;
use crate::domain::plain_text::shorten;
use crate::ledger::lock::Holder;
use crate::report::form::Form;

/// Names of more deployments than these are not printed.
const MOST_NAMES: usize = 5;

pub(crate) struct HoldAnswer<'a> {
    pub(crate) hold: &'a Hold,
    pub(crate) effect: &'a HoldEffect,
    /// Whether somebody reads the ledger it was written into.
    pub(crate) daemon: Option<Holder>,
    pub(crate) ledger: &'a Path,
}

impl HoldAnswer<'_> {
    /// For people: what is held, what that changes, and what speaks against its having any effect.
    pub(crate) fn text(&self, form: &Form<'_>) -> String {
        let Self { hold, effect, .. } = self;
        let mut text = format!("hold {}: {} is left until {}\n", hold.id, hold.target, form.instant(hold.until));
        let mut say = |word: &str, what: String| {
            let _ = writeln!(text, "  {word:<10} {what}");
        };
        if !effect.firings.is_empty() {
            say("keeps on", self.kept(form));
            say("at", self.firings(form));
            say("costs", self.cost(form));
        }
        if let Some((at, rule)) = &effect.next_stop {
            say("next stop", format!("{}, rule {rule}", form.instant(*at)));
        }
        match &self.daemon {
            Some(Holder { pid: Some(pid), .. }) => say("daemon", format!("runs (pid {pid}) and uses this ledger")),
            Some(_) => say("daemon", "runs and uses this ledger".to_owned()),
            None => {}
        }
        for warning in self.warnings() {
            let _ = writeln!(text, "warning: {warning}");
        }
        text
    }
    pub(crate) fn json(&self, mut hold: Value) -> Value {
        let cost = self.total();
        hold["covers"] = self
            .effect
            .kept
            .iter()
            .map(|kept| {
                let deployment = &kept.deployment;
                json!({
                    "resource_group": deployment.resource_group.as_str(),
                    "id": deployment.id.as_str(),
                    "configuration_id": deployment.configuration_id,
                    "configuration_name": deployment.configuration_name,
                })
            })
            .collect();
        hold["firings"] = self.effect.firings.iter().map(|(at, rule)| format!("{rule}@{}", rfc3339(*at))).collect();
        hold["cost"] = cost.map(|cost| cost.amount.to_string()).into();
        hold["currency"] = cost.map(|cost| cost.currency.code().to_owned()).into();
        hold["next_stop"] = self.effect.next_stop.as_ref().map(|(at, rule)| format!("{rule}@{}", rfc3339(*at))).into();
        hold["daemon_runs"] = self.daemon.is_some().into();
        hold["ledger"] = self.ledger.to_string_lossy().into();
        hold["warnings"] = self.warnings().into();
        hold
    }

    fn warnings(&self) -> Vec<String> {
        let Self { hold, effect, .. } = self;
        let mut warnings: Vec<String> = effect
            .doubts
            .iter()
            .map(|doubt| format!("not everything could be looked at: {}", shorten(doubt, 300)))
            .collect();
        if !effect.knows(&hold.target) {
            warnings
                .push(format!("{} was not found: the hold covers what has this name when a rule fires", hold.target));
        } else if effect.kept.is_empty() && effect.doubts.is_empty() {
            let why = effect.left_anyway.as_ref().map_or_else(String::new, |why| format!(" ({})", shorten(why, 120)));
            warnings.push(format!("no rule would stop anything that this hold covers{why}"));
        } else if effect.firings.is_empty() && effect.next_stop.is_some() {
            let only = "no rule fires before this hold ends: it only keeps `offhours fire` from stopping anything";
            warnings.push(only.to_owned());
        }
        if self.daemon.is_none() {
            warnings.push(format!("no daemon uses this ledger now (`{}`)", self.ledger.display()));
        }
        warnings
    }

    fn kept(&self, form: &Form<'_>) -> String {
        let kept = &self.effect.kept;
        let name = |one: &KeptOn| format!("{} ({})", shorten(one.deployment.configuration(), 40), one.deployment.id);
        let mut names: Vec<String> = kept.iter().take(MOST_NAMES).map(name).collect();
        if kept.len() > MOST_NAMES {
            names.push(format!("{} more", form.count(kept.len() - MOST_NAMES)));
        }
        let count = form.counted(kept.len(), "deployment");
        if names.is_empty() { count } else { format!("{count}: {}", names.join(", ")) }
    }

    fn firings(&self, form: &Form<'_>) -> String {
        let firings = &self.effect.firings;
        let has_come = |at: DateTime<Utc>| if at <= self.hold.created_at { ", which has come" } else { "" };
        let first = firings.first().map(|(at, rule)| format!("{}, rule {rule}{}", form.instant(*at), has_come(*at)));
        let more = firings.len().saturating_sub(1);
        let rest = if more == 0 { String::new() } else { format!(", and {} more", form.counted(more, "firing")) };
        first.unwrap_or_default() + &rest
    }

    fn cost(&self, form: &Form<'_>) -> String {
        match self.total() {
            Some(money) => format!("{} that stopping would avoid (estimate)", form.money(money)),
            None => "not known: not everything it keeps on has a price".to_owned(),
        }
    }

    /// All of it in one currency; none where something has no price.
    fn total(&self) -> Option<Money> {
        let mut all = Vec::new();
        for one in &self.effect.kept {
            all.extend(one.costs()?);
        }
        let first = *all.first()?;
        let sum = all.iter().filter(|money| money.currency == first.currency).map(|money| money.amount).sum();
        all.iter().all(|money| money.currency == first.currency).then_some(Money { amount: sum, ..first })
    }
}
