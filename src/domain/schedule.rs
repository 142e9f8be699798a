//! When a rule fires, how long its off window lasts, and which firings are due.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::domain::cron::Cron;
use crate::domain::zone::Zone;

/// A firing that starts at most this late still counts as on time.
pub(crate) const ON_TIME: TimeDelta = TimeDelta::seconds(60);
/// Without `until`, a late firing still runs within this time.
pub const CATCH_UP_WITHOUT_UNTIL: TimeDelta = TimeDelta::minutes(15);
/// Instants are whole seconds.
const SECOND: TimeDelta = TimeDelta::seconds(1);
/// At most so many missed instants are named; older ones are only passed over.
pub const MOST_MISSED: usize = 100;

/// The `stop`, `until`, `timezone`, `holidays` and `skip` of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// When the rule fires.
    pub stop: Cron,
    /// When the deployments are wanted again.
    pub until: Option<Cron>,
    /// Where both are read.
    pub zone: Zone,
    /// Local dates on which `until` does not occur.
    pub holidays: BTreeSet<NaiveDate>,
    /// Local dates on which the rule does not stop.
    pub skip: BTreeSet<NaiveDate>,
}

/// The time in which a deployment should not run: from a firing's instant to the next `until`, in elapsed UTC time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffWindow {
    /// The firing's scheduled instant.
    pub from: DateTime<Utc>,
    /// The end, not included.
    pub to: DateTime<Utc>,
}

/// What has come due since a rule was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The newest firing, where it may still run.
    pub run: Option<DueFiring>,
    /// Firings that are too late, oldest first; at most [`MOST_MISSED`] of them.
    pub missed: Vec<DateTime<Utc>>,
}

/// A firing that should run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueFiring {
    pub at: DateTime<Utc>,
    /// False where it starts so late that it is a catch-up.
    pub on_time: bool,
}

impl Schedule {
    /// The first firing after `after`; dates in `skip` do not fire.
    pub fn next_firing(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.stop.next_after_except(after, &self.zone, &self.skip)
    }

    /// All firings after `after`, strictly increasing.
    pub fn firings(&self, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_firing(after), |at| self.next_firing(*at))
    }

    /// The off window that begins at `from`. Without `until` it ends at the next firing; with neither it is empty.
    pub fn off_window(&self, from: DateTime<Utc>) -> OffWindow {
        let to = match &self.until {
            Some(until) => until.next_after_except(from, &self.zone, &self.holidays),
            None => self.next_firing(from),
        };
        OffWindow { from, to: to.unwrap_or(from) }
    }

    /// What came due after `after` (the last instant that was dealt with) and up to `now`.
    ///
    /// At most one firing runs: the newest, if its off window has not ended, or, without `until`, within
    /// [`CATCH_UP_WITHOUT_UNTIL`]. All others are missed.
    pub fn due(&self, after: DateTime<Utc>, now: DateTime<Utc>) -> Due {
        let mut instants = self.newest_firings(after, now);
        let Some(newest) = instants.pop_back() else { return Due::default() };
        let late = now - newest;
        let may_run =
            if self.until.is_some() { now < self.off_window(newest).to } else { late <= CATCH_UP_WITHOUT_UNTIL };
        let run = may_run.then_some(DueFiring { at: newest, on_time: late <= ON_TIME });
        if !may_run {
            instants.push_back(newest);
            // The newest may be one too many.
            if instants.len() > MOST_MISSED {
                instants.pop_front();
            }
        }
        Due { run, missed: instants.into() }
    }

    /// The newest firings in (after, now], oldest first; one more than are named where there are so many.
    fn newest_firings(&self, after: DateTime<Utc>, now: DateTime<Utc>) -> VecDeque<DateTime<Utc>> {
        let mut newest = VecDeque::new();
        let mut until = now;
        while newest.len() <= MOST_MISSED
            && let Some(at) = self.last_firing(after, until)
        {
            newest.push_front(at);
            until = at - SECOND;
        }
        newest
    }

    /// The last firing in (after, until]. Years of firings, or of skipped dates, are halved until it is found, and not
    /// walked through.
    fn last_firing(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let comes_after = |from: DateTime<Utc>| self.next_firing(from).filter(|at| *at <= until);
        let mut last = comes_after(after)?;
        // Nearly always it came a moment ago.
        let recently = until - ON_TIME;
        if recently > last {
            last = comes_after(recently).unwrap_or(last);
        }
        let mut none_after = until;
        while none_after - last >= SECOND {
            let middle = last + SECOND * i32::try_from((none_after - last).num_seconds() / 2).unwrap_or(i32::MAX);
            match comes_after(middle) {
                Some(at) => last = at,
                None => none_after = middle,
            }
        }
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{MOST_MISSED, Schedule};
    use crate::domain::cron::Cron;
    use crate::domain::zone::Zone;

    fn schedule(stop: &str, until: Option<&str>) -> Schedule {
        Schedule {
            stop: Cron::parse(stop).unwrap(),
            until: until.map(|text| Cron::parse(text).unwrap()),
            zone: Zone::new("Europe/Berlin", jiff::tz::TimeZone::get("Europe/Berlin").unwrap()),
            holidays: ["2026-12-25", "2026-12-26"].iter().map(|d| d.parse().unwrap()).collect(),
            skip: ["2026-12-31".parse().unwrap()].into(),
        }
    }

    fn evenings() -> Schedule {
        schedule("0 19 * * MON-FRI", Some("0 7 * * MON-FRI"))
    }

    /// Berlin wall-clock time, in winter unless the month says otherwise.
    fn berlin(text: &str) -> DateTime<Utc> {
        let zone = evenings().zone;
        zone.resolve(text.parse().unwrap()).first()
    }

    #[test]
    fn an_off_window_is_measured_in_elapsed_time() {
        let weekend = schedule("0 18 * * FRI", Some("0 8 * * MON"));
        let hours = |from| {
            let window = weekend.off_window(from);
            (window.to - window.from).num_hours()
        };
        assert_eq!(hours(berlin("2026-03-20T18:00:00")), 62);
        assert_eq!(hours(berlin("2026-03-27T18:00:00")), 61);
        assert_eq!(hours(berlin("2026-10-23T18:00:00")), 63);
    }

    #[test]
    fn on_a_holiday_the_deployments_stay_off() {
        let window = evenings().off_window(berlin("2026-12-24T19:00:00"));
        assert_eq!(window.to, berlin("2026-12-28T07:00:00"), "the 25th is a Friday and a holiday");
    }

    #[test]
    fn a_skipped_date_does_not_fire() {
        let next = evenings().next_firing(berlin("2026-12-30T19:00:00"));
        assert_eq!(next, Some(berlin("2027-01-01T19:00:00")));
    }

    #[test]
    fn what_is_due() {
        struct Case {
            name: &'static str,
            after: &'static str,
            now: &'static str,
            run: Option<(&'static str, bool)>,
            missed: usize,
        }
        let case = |name, after, now, run, missed| Case { name, after, now, run, missed };
        let monday = Some(("2026-11-23T19:00:00", true));
        let late = Some(("2026-11-23T19:00:00", false));
        let cases = [
            case("nothing before its time", "2026-11-23T12:00:00", "2026-11-23T18:59:59", None, 0),
            case("on the second", "2026-11-23T12:00:00", "2026-11-23T19:00:00", monday, 0),
            case("a minute late is on time", "2026-11-23T12:00:00", "2026-11-23T19:01:00", monday, 0),
            case("in the night it is a catch-up", "2026-11-23T12:00:00", "2026-11-24T06:59:59", late, 0),
            case("when they are wanted again it is missed", "2026-11-23T12:00:00", "2026-11-24T07:00:00", None, 1),
            case("asleep from Friday 18:59 to Monday 08:00", "2026-11-20T18:59:00", "2026-11-23T08:00:00", None, 1),
            case("down for a week: one runs", "2026-11-16T12:00:00", "2026-11-23T20:00:00", late, 5),
            case("the clock went back", "2026-11-23T19:00:00", "2026-11-23T18:30:00", None, 0),
            case("not again", "2026-11-23T19:00:00", "2026-11-23T19:00:01", None, 0),
        ];
        for case in cases {
            let due = evenings().due(berlin(case.after), berlin(case.now));
            let run = due.run.map(|firing| (firing.at, firing.on_time));
            assert_eq!(run, case.run.map(|(at, on_time)| (berlin(at), on_time)), "{}", case.name);
            assert_eq!(due.missed.len(), case.missed, "{}", case.name);
        }
    }

    #[test]
    fn without_until_a_late_firing_runs_for_a_quarter_of_an_hour() {
        let nightly = schedule("0 19 * * *", None);
        let due = |now: &str| nightly.due(berlin("2026-11-23T12:00:00"), berlin(now)).run.is_some();
        assert!(due("2026-11-23T19:15:00"));
        assert!(!due("2026-11-23T19:15:01"));
    }

    #[test]
    fn years_of_seconds_are_not_walked_through() {
        let busy = schedule("* * * * * *", None);
        let now = berlin("2026-11-23T12:00:00");
        let due = busy.due(now - TimeDelta::days(3650), now);
        assert_eq!(due.run.map(|firing| firing.at), Some(now));
        assert_eq!(due.missed.len(), MOST_MISSED);
        assert_eq!(due.missed.last(), Some(&(now - TimeDelta::seconds(1))));
    }
}
