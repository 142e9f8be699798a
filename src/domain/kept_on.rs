//! What a hold keeps on: which off windows it lets pass, and what those would have avoided.

use chrono::{DateTime, Utc};

use crate::domain::avoided::{Avoided, Basis, Money};
use crate::domain::deployment::Deployment;
use crate::domain::money::HourlyRate;
use crate::domain::schedule::{OffWindow, Schedule};

/// More firings than these are not looked at; a year of a rule that fires every hour has fewer.
const MOST_FIRINGS: usize = 10_000;

/// A deployment that would be stopped without the hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptOn {
    pub(crate) deployment: Deployment,
    /// What an hour of it costs.
    pub(crate) rate: HourlyRate,
    /// The off windows in which it stays on, in order; none overlaps another.
    pub(crate) windows: Vec<OffWindow>,
}

/// The off windows of the firings after `now` and before `until`. A hold that ends inside one lets all of it pass: the
/// firing is over.
pub(crate) fn windows_let_pass(schedule: &Schedule, now: DateTime<Utc>, until: DateTime<Utc>) -> Vec<OffWindow> {
    let firings = schedule.firings(now).take_while(|at| *at < until).take(MOST_FIRINGS);
    firings.map(|at| schedule.off_window(at)).collect()
}

impl KeptOn {
    /// Adds the windows of one more rule; what two rules share counts once.
    pub(crate) fn add(&mut self, windows: &[OffWindow]) {
        self.windows.extend_from_slice(windows);
        self.windows.sort_by_key(|window| (window.from, window.to));
        let mut apart: Vec<OffWindow> = Vec::with_capacity(self.windows.len());
        for window in self.windows.drain(..) {
            match apart.last_mut() {
                Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
                _ => apart.push(window),
            }
        }
        self.windows = apart;
    }

    /// What each window costs that passes; none where that has no price.
    pub(crate) fn costs(&self) -> Option<Vec<Money>> {
        let cost =
            |window: &OffWindow| Avoided::count(&self.rate, *window, window.from, window.to, Basis::Projected).cost;
        self.windows.iter().map(cost).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::windows_let_pass;
    use crate::domain::cron::Cron;
    use crate::domain::schedule::Schedule;
    use crate::domain::zone::Zone;

    #[test]
    fn a_hold_lets_the_whole_window_pass_in_which_it_ends_and_none_that_begins_later() {
        let schedule = Schedule {
            stop: Cron::parse("0 19 * * *").unwrap(),
            until: Some(Cron::parse("0 7 * * *").unwrap()),
            zone: Zone::utc(),
            holidays: std::collections::BTreeSet::new(),
            skip: std::collections::BTreeSet::new(),
        };
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        let now = at("2026-11-23T12:00:00Z");
        let windows = |until: &str| {
            let windows = windows_let_pass(&schedule, now, at(until));
            windows.iter().map(|window| (window.from.to_rfc3339(), window.to.to_rfc3339())).collect::<Vec<_>>()
        };
        assert_eq!(windows("2026-11-23T19:00:00Z"), []);
        let one = [("2026-11-23T19:00:00+00:00".to_owned(), "2026-11-24T07:00:00+00:00".to_owned())];
        assert_eq!(windows("2026-11-23T19:00:01Z"), one);
        assert_eq!(windows("2026-11-24T19:00:00Z"), one);
        assert_eq!(windows("2026-11-25T00:00:00Z").len(), 2);
    }
}
