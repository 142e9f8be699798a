//! Which firings are due, for all rules together. Pure: it is told the time and what has been dealt with.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::id::RuleName;
use crate::domain::plausible::{BEHIND_RULE, Implausible};
use crate::domain::rule::Rule;
use crate::domain::schedule::Due;

/// All rules and how far each has been dealt with.
#[derive(Debug, Clone, Default)]
pub struct Agenda {
    entries: Vec<Entry>,
    /// The earliest of all next firings, so that a beat on which nothing is due costs one comparison.
    next: Option<DateTime<Utc>>,
    /// Made under a clock that cannot be right, so that where new rules begin means nothing.
    provisional: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    rule: Arc<Rule>,
    after: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
}

/// What a rule fires by. A rule whose stop time or zone changes starts afresh: the new time of a day that is over must
/// not fire as a catch-up.
pub fn fires_by(rule: &Rule) -> String {
    format!("{} {}", rule.schedule.stop, rule.schedule.zone)
}

impl Agenda {
    /// An agenda of `rules`. `cursors` says for each rule what it fired by and up to when it has been dealt with; a rule
    /// that is new, or fires by something else than before, begins at `now`.
    pub fn new(rules: &[Arc<Rule>], cursors: &BTreeMap<RuleName, (String, DateTime<Utc>)>, now: DateTime<Utc>) -> Self {
        let entries = rules.iter().map(|rule| {
            let known = cursors.get(&rule.name).filter(|(schedule, _)| *schedule == fires_by(rule));
            let after = known.map_or(now, |(_, after)| *after);
            Entry { after, next: rule.schedule.next_firing(after), rule: Arc::clone(rule) }
        });
        let mut agenda = Self { entries: entries.collect(), next: None, provisional: false };
        agenda.find_next();
        agenda
    }

    /// The same agenda, to be made anew once the clock is right.
    #[must_use]
    pub(crate) fn provisional(self) -> Self {
        Self { provisional: true, ..self }
    }

    /// True where the clock could not be right when it was made.
    pub(crate) fn is_provisional(&self) -> bool {
        self.provisional
    }

    /// Each rule and the instant up to which it has been dealt with.
    pub fn cursors(&self) -> impl Iterator<Item = (&Arc<Rule>, DateTime<Utc>)> {
        self.entries.iter().map(|entry| (&entry.rule, entry.after))
    }

    /// Fails where rules have been dealt with up to an instant that lies ahead of `now`: until then they do not fire.
    pub(crate) fn check(&self, now: DateTime<Utc>) -> Result<(), Implausible> {
        let ahead: Vec<&Entry> = self.entries.iter().filter(|entry| entry.after > now + BEHIND_RULE).collect();
        match ahead.iter().map(|entry| entry.after).max() {
            Some(until) => {
                let rules = ahead.iter().map(|entry| entry.rule.name.clone()).collect();
                Err(Implausible::BehindRules { now, until, rules })
            }
            None => Ok(()),
        }
    }

    /// Each rule and when it fires next: never before what it has been dealt with up to.
    pub fn next_firings(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&Arc<Rule>, Option<DateTime<Utc>>)> {
        self.entries.iter().map(move |entry| (&entry.rule, entry.rule.schedule.next_firing(entry.after.max(now))))
    }

    /// The earliest firing of all rules that has not been dealt with.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.next
    }

    /// What is due at `now`, by rule.
    pub fn due(&self, now: DateTime<Utc>) -> Vec<(Arc<Rule>, Due)> {
        if self.next.is_none_or(|next| now < next) {
            return Vec::new();
        }
        let due = |entry: &Entry| {
            let comes_due = entry.next.is_some_and(|next| next <= now);
            comes_due.then(|| (Arc::clone(&entry.rule), entry.rule.schedule.due(entry.after, now)))
        };
        self.entries.iter().filter_map(due).collect()
    }

    /// Everything of these rules up to their instant has been dealt with.
    pub fn advance(&mut self, dealt_with: &BTreeMap<RuleName, DateTime<Utc>>) {
        for entry in &mut self.entries {
            if let Some(&at) = dealt_with.get(&entry.rule.name) {
                entry.after = entry.after.max(at);
                entry.next = entry.rule.schedule.next_firing(entry.after);
            }
        }
        self.find_next();
    }

    fn find_next(&mut self) {
        self.next = self.entries.iter().filter_map(|entry| entry.next).min();
    }
}
