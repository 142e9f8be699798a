//! The oracle: for each row of the ledger, what the tenant's own log says that it avoided; to the cent, in every form.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::avoided::Avoided;
use offhours::domain::rule::Mode;
use offhours::domain::run::{DeploymentResult, EndedBy, Outcome, Run, Settlement};
use offhours::simulator::Entry;
use rust_decimal::Decimal;

use crate::scenario::oracle::log::{Asked, Log};
use crate::scenario::oracle::reckoning::{Between, Figure};
use crate::scenario::oracle::witness::{Answer, Key, Seen, Silence};

/// An answer that met a delay comes so long after its request.
const SLOWEST_ANSWER: TimeDelta = TimeDelta::seconds(60);

/// What was looked at.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Rows that count time, and how many of them leave no room at all.
    pub counted: usize,
    pub exact: usize,
    /// Stops that were accepted, came true inside their window and rightly count nothing.
    pub for_nothing: usize,
    pub cents: i128,
}

pub struct Oracle<'a> {
    pub log: &'a Log<'a>,
    pub silence: Silence,
}

impl Oracle<'_> {
    /// Judges each row. Gives the cents of each that has some, and what was looked at.
    pub fn judge(&self) -> (BTreeMap<(String, Key), i128>, Tally) {
        let (mut amounts, mut tally) = (BTreeMap::new(), Tally::default());
        let mut counted: BTreeSet<Key> = BTreeSet::new();
        for run in self.log.runs {
            for row in &run.deployments {
                let key = (row.resource_group.to_string(), row.id.to_string());
                let judged =
                    self.row(run, row, &key).unwrap_or_else(|why| panic!("{}", self.story(run, row, &key, &why)));
                let Judged::Counts { figure, is_exact, some_time } = judged else {
                    tally.for_nothing += usize::from(judged == Judged::ForNothing);
                    continue;
                };
                assert!(!some_time || counted.insert(key.clone()), "{}", self.story(run, row, &key, "counted twice"));
                tally.counted += usize::from(some_time);
                tally.exact += usize::from(some_time && is_exact);
                if let Some(cents) = figure.cents {
                    tally.cents += cents;
                    amounts.insert((run.firing.to_string(), key), cents);
                }
            }
        }
        (amounts, tally)
    }

    fn row(&self, run: &Run, row: &DeploymentResult, key: &Key) -> Result<Judged, String> {
        let counted = counted(row);
        if run.mode == Mode::Observe {
            return if counts_nothing(counted) {
                Ok(Judged::Nothing)
            } else {
                Err("an observing rule counts".to_owned())
            };
        }
        let ours = self.accepted(run, key, false);
        let Some((from, to)) = counted.from.zip(counted.to) else {
            if !counts_nothing(counted) {
                return Err("figures without instants".to_owned());
            }
            return match ours {
                Some(_) => self.may_count_nothing(run, row, key),
                None => Ok(Judged::Nothing),
            };
        };
        // Where a person's request came between ours and its answer, nobody can know whose stop it was.
        let stop = ours.or_else(|| self.accepted(run, key, true).filter(|_| row.requested_at.is_some()));
        let is_earlier = row.outcome == Outcome::Unconfirmed && row.requested_at.is_none();
        let stop = stop.or_else(|| self.accepted_before(run, key).filter(|_| is_earlier));
        let stop = stop.ok_or("counts without an accepted stop")?;
        let seen = self.seen(key)?;
        let begins_exactly = self.begins_well(run, row, key, stop, from)?;
        let ends_exactly = self.ends_well(run, row, key, seen, (from, to))?;
        let figure = self.figure(run, row, seen, stop, (from, to))?;
        Ok(Judged::Counts { figure, is_exact: begins_exactly && ends_exactly, some_time: from < to })
    }

    /// The newest stop that an earlier run had asked for: what was still on its way off when this run began counts in its
    /// window, where it counts in no other.
    fn accepted_before(&self, run: &Run, key: &Key) -> Option<&Asked> {
        let earlier = self.log.asked.iter().filter(|asked| asked.key == *key && asked.at < run.started_at);
        earlier
            .filter(|asked| asked.accepted_as.is_some() && self.log.run_of(asked).is_some())
            .max_by_key(|asked| asked.at)
    }

    fn seen(&self, key: &Key) -> Result<&Seen, String> {
        self.log.notes.seen.get(key).ok_or_else(|| "the tenant never had it".to_owned())
    }

    /// The stop that was accepted for this run, or of a person while it ran.
    fn accepted(&self, run: &Run, key: &Key, by_a_person: bool) -> Option<&Asked> {
        self.log.asked.iter().find(|asked| {
            let is_the_runs = || {
                if by_a_person {
                    run.started_at <= asked.at && asked.at <= run.finished_at
                } else {
                    self.log.run_of(asked).is_some_and(|other| other.firing == run.firing)
                }
            };
            asked.key == *key && asked.accepted_as.is_some() && asked.by_a_person == by_a_person && is_the_runs()
        })
    }

    /// Counting begins when AI Core reports STOPPED, at its own time where it tells one, else when somebody saw it.
    fn begins_well(
        &self,
        run: &Run,
        row: &DeploymentResult,
        key: &Key,
        stop: &Asked,
        from: DateTime<Utc>,
    ) -> Result<bool, String> {
        // What an earlier run had asked for has no request of this one.
        let requested_at = row.requested_at.unwrap_or(stop.at);
        if requested_at > stop.at && !stop.by_a_person {
            return Err(format!("written down at {requested_at}, after the tenant was asked"));
        }
        let seen = self.seen(key)?;
        let Some(off_since) = seen.off_since else {
            // It was off for so short a time that the witness never saw it.
            let gone_by = seen.gone_by.ok_or("counts, and was never STOPPED")?;
            let may = Between(stop.at, gone_by);
            return if may.has(from) { Ok(false) } else { Err(format!("does not begin in {may:?}")) };
        };
        // Whole seconds may lie before the request, which is never counted from.
        let earliest = off_since.max(requested_at).max(run.off_window.from);
        if from == earliest {
            return Ok(true);
        }
        if !self.silence.covers(&key.1) {
            return Err(format!("does not begin at {earliest}, when it was STOPPED"));
        }
        if from < earliest {
            return Err(format!("begins before it was STOPPED at {off_since}"));
        }
        if self.was_seen_off_at(key, from) { Ok(false) } else { Err("begins when nobody saw it STOPPED".to_owned()) }
    }

    fn was_seen_off_at(&self, key: &Key, at: DateTime<Utc>) -> bool {
        let shows_it = |answer: &Answer| answer.at == at && answer.group == key.0 && answer.off.contains(&key.1);
        let is_slow = |entry: &Entry| {
            let is_of_group = entry.method == "GET" && entry.resource_group.as_ref() == Some(&key.0);
            is_of_group && entry.at < at && at <= entry.at + SLOWEST_ANSWER && entry.status == Some(200)
        };
        self.log.notes.answers.iter().any(shows_it) || self.log.journal.iter().any(is_slow)
    }

    /// It ends at the first of: the window's end, time to live, a replacement, a deletion as of when it was last seen.
    fn ends_well(
        &self,
        run: &Run,
        row: &DeploymentResult,
        key: &Key,
        seen: &Seen,
        (from, to): Span,
    ) -> Result<bool, String> {
        let window = run.off_window;
        let planned = seen.expires.map_or(window.to, |expires| expires.min(window.to));
        let Some(settlement) = &row.settlement else {
            let end = planned.max(from);
            return if to == end { Ok(true) } else { Err(format!("is not projected to {end}")) };
        };
        let replaced = self.replaced(run, key, seen, settlement);
        let natural = Between(replaced.0.min(planned).max(from), replaced.1.min(planned).max(from));
        if settlement.ended_by == EndedBy::Deletion {
            let gone_by = seen.gone_by.ok_or("ended by a deletion, and is still there")?;
            if seen.expires.is_some_and(|expires| expires <= settlement.at) {
                return Err("ended by a deletion, and its time to live was over".to_owned());
            }
            let looks = self.log.looks(&key.0, run.finished_at, settlement.at);
            let last = looks.filter(|look| look.present.contains(&key.1)).map(|look| look.at).max();
            let may = Between(last.map_or(from, |last| last.max(from)), gone_by.min(natural.1).max(from));
            return if may.has(to) { Ok(may.0 == to) } else { Err(format!("ended by a deletion, but not in {may:?}")) };
        }
        if !natural.has(to) {
            return Err(format!("does not end in {natural:?}"));
        }
        // What the platform itself would have deleted by then may have been deleted before by a person.
        let excused = settlement.ended_by == EndedBy::Ttl;
        match seen.gone_by.filter(|gone_by| *gone_by <= settlement.at && *gone_by < to) {
            Some(gone_by) if !excused || self.log.looks(&key.0, gone_by.max(run.finished_at), to).next().is_some() => {
                Err(format!("goes on after {gone_by}, when it had been deleted"))
            }
            _ => Ok(natural.is_exact()),
        }
    }

    /// When the first replacement was made: at the latest the first that a round has seen, at the earliest the first there was.
    fn replaced(&self, run: &Run, key: &Key, seen: &Seen, settlement: &Settlement) -> Between {
        let mut made = Between(DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MAX_UTC);
        for (other_key, other) in &self.log.notes.seen {
            let replaces = other_key.0 == key.0 && other_key.1 != key.1 && other.configuration == seen.configuration;
            if !replaces || other.created <= run.off_window.from || other.created >= run.off_window.to {
                continue;
            }
            made.0 = made.0.min(other.created);
            let mut looks = self.log.looks(&key.0, run.finished_at.max(other.created), settlement.at);
            if looks.any(|look| look.present.contains(&other_key.1)) {
                made.1 = made.1.min(other.created);
            }
        }
        made
    }

    /// The figures between two instants, which must be the ledger's.
    fn figure(
        &self,
        run: &Run,
        row: &DeploymentResult,
        seen: &Seen,
        stop: &Asked,
        (from, to): Span,
    ) -> Result<Figure, String> {
        let machine = &self.log.week.machines[&seen.configuration];
        let was_running = stop.accepted_as.as_deref() == Some("RUNNING");
        let ms = i128::from((to - from).num_milliseconds());
        let figure = |knows| Figure::of(machine, was_running, &self.log.week.prices, knows, ms);
        let ledgers = in_whole_numbers(counted(row));
        if ledgers == figure(true) || (ledgers == figure(false) && self.could_not_ask_for_units(run)) {
            return Ok(ledgers);
        }
        Err(format!("{ledgers:?} stands in the ledger, and {:?} is right", figure(true)))
    }

    fn could_not_ask_for_units(&self, run: &Run) -> bool {
        let mut asked = self.log.journal.iter().filter(|entry| entry.target.ends_with("/instanceTypes"));
        asked.any(|entry| run.started_at <= entry.at && entry.at <= run.finished_at && entry.status != Some(200))
    }

    /// A stop that was accepted, of a row that counts nothing.
    fn may_count_nothing(&self, run: &Run, row: &DeploymentResult, key: &Key) -> Result<Judged, String> {
        let seen = self.seen(key)?;
        let window = run.off_window;
        let Some(off_since) = seen.off_since else { return Ok(Judged::Nothing) };
        let planned = seen.expires.map_or(window.to, |expires| expires.min(window.to));
        if off_since.max(row.requested_at.unwrap_or(window.from)) >= planned {
            return Ok(Judged::Nothing);
        }
        let shown_by = |end| {
            let mut looks = self.log.looks(&key.0, run.finished_at.max(off_since), end);
            looks.find(|look| look.off.contains(&key.1)).map(|look| look.at)
        };
        let shown_at = match (row.outcome, &row.settlement) {
            (Outcome::Stopped, _) => return Err("a confirmed stop counts nothing".to_owned()),
            (Outcome::Unconfirmed, Some(settlement)) if settlement.ended_by == EndedBy::CountedElsewhere => None,
            // Where the tenant tells no time, only a look inside the window is worth something.
            (Outcome::Unconfirmed, Some(settlement)) if self.silence.covers(&key.1) => {
                shown_by(settlement.at.min(window.to - TimeDelta::milliseconds(1)))
            }
            (Outcome::Unconfirmed, Some(settlement)) => shown_by(settlement.at),
            // Not looked at again yet.
            (Outcome::Unconfirmed, None) => shown_by(DateTime::<Utc>::MAX_UTC).filter(|at| *at >= window.to),
            (Outcome::Gone, _) if seen.gone_by.is_none() => return Err("`gone`, and still there".to_owned()),
            (Outcome::AlreadyOff, _) => return Err("offhours took its own stop for somebody else's".to_owned()),
            // It arrived when it was given up, or was deleted before it could be seen off.
            _ => None,
        };
        match shown_at {
            Some(at) => Err(format!("counts nothing, and was seen STOPPED at {at}: since {off_since}")),
            None => Ok(Judged::ForNothing),
        }
    }

    fn story(&self, run: &Run, row: &DeploymentResult, key: &Key, why: &str) -> String {
        let near = |entry: &&Entry| {
            let is_asked = entry.patched_ids().contains(&key.1) || entry.target.ends_with(&key.1);
            is_asked && entry.resource_group.as_ref() == Some(&key.0)
        };
        let line = |entry: &Entry| {
            let Entry { at, method, target, status, effects, .. } = entry;
            format!("\n{at} {method} {target} {status:?} {effects:?}")
        };
        let log: String = self.log.journal.iter().filter(near).map(line).collect();
        let looks = self.log.looks(&key.0, run.off_window.from, DateTime::<Utc>::MAX_UTC);
        let looks: Vec<_> =
            looks.take(60).map(|look| (look.at, look.present.contains(&key.1), look.off.contains(&key.1))).collect();
        format!(
            "{key:?} of {}: {why}\n{row:#?}\nwindow {:?}, run from {} to {}\nthe tenant: {:?}\nits log:{log}\nlooks \
             (there, off): {looks:?}",
            run.firing,
            run.off_window,
            run.started_at,
            run.finished_at,
            self.log.notes.seen.get(key)
        )
    }
}

type Span = (DateTime<Utc>, DateTime<Utc>);

/// What is to be said of a row.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Nothing,
    /// Nothing, although its stop came true inside its window.
    ForNothing,
    Counts {
        figure: Figure,
        is_exact: bool,
        some_time: bool,
    },
}

fn counted(row: &DeploymentResult) -> &Avoided {
    match &row.settlement {
        Some(settlement) => &settlement.avoided,
        None => &row.projected,
    }
}

fn counts_nothing(avoided: &Avoided) -> bool {
    avoided.node_hours.is_zero() && avoided.cost.is_none_or(|cost| cost.amount.is_zero())
}

fn in_whole_numbers(avoided: &Avoided) -> Figure {
    let scaled = |number: Decimal, places: u32| {
        let number = (number * Decimal::from(10_u64.pow(places))).normalize();
        assert_eq!(number.scale(), 0, "more than {places} places");
        number.mantissa()
    };
    Figure {
        node_hours: scaled(avoided.node_hours, 6),
        capacity_units: avoided.capacity_units.map(|units| scaled(units, 6)),
        cents: avoided.cost.map(|cost| scaled(cost.amount, 2)),
    }
}
