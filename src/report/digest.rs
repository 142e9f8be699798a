//! What the runs of a period come to: the sums, and as many of the rows as a mail shows. A year of runs goes by, and what
//! is kept of it does not grow with it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use crate::domain::avoided::Avoided;
use crate::domain::plain_text::clean;
use crate::domain::reason::Reason;
use crate::domain::rule::Mode;
use crate::domain::run::{DeploymentResult, Firing, Outcome, Run, RunResult};
use crate::domain::run_reason::RunReason;
use crate::domain::tally::Tally;
use crate::domain::visit::RunVisitor;
use crate::report::by_rule::ByRule;
use crate::report::content::MOST_ROWS;
use crate::report::counted_hours::CountedHours;
use crate::report::counting::PricesUsed;
use crate::report::holds::Held;
use crate::report::leaks::{CutShort, Leaks};
use crate::report::left::Left;
use crate::report::parts;
use crate::report::shares::Shares;
use crate::report::still_on::StillOn;
use crate::report::sum::Sum;
use crate::report::unpriced::Unpriced;

/// What was told of a period. Its sums are those that every form of the report shows.
#[derive(Debug, Default)]
pub struct Digest {
    /// Of the runs that were allowed to stop something.
    pub(super) tally: Tally,
    pub(super) sum: Sum,
    /// What observing rules would have avoided; in no other sum.
    pub(super) would: Sum,
    pub(super) enforced: RunLines,
    pub(super) observed: RunLines,
    /// Runs in earnest at which a person has to look.
    pub(super) problems: RunLines,
    pub(super) enforced_by_rule: ByRule,
    pub(super) observed_by_rule: ByRule,
    /// What the deployments that rules wanted off, and those that holds kept on, would have cost in their off windows.
    pub(super) potential: Sum,
    /// How runs ended that did not go through.
    pub(super) troubles: BTreeMap<RunResult, usize>,
    pub(super) by_rule: Shares,
    pub(super) by_group: Shares,
    pub(super) by_plan: Shares,
    pub(super) still_on: StillOn,
    pub(super) leaks: Leaks,
    pub(super) cut_short: CutShort,
    pub(super) left: Left,
    pub(super) held: Held,
    pub(super) unpriced: Unpriced,
    pub(super) prices: PricesUsed,
    /// Runs of this time that are at work and so in no figure.
    pub(super) under_way: usize,
    newest_change: Option<DateTime<Utc>>,
    once: CountedHours,
    /// The run that is being told.
    current: Current,
}

#[derive(Debug, Default)]
pub(super) struct RunLines {
    pub(super) first: Vec<RunLine>,
    pub(super) count: usize,
}

#[derive(Debug)]
pub(super) struct RunLine {
    pub(super) firing: Firing,
    pub(super) result: RunResult,
    pub(super) reasons: Vec<RunReason>,
    pub(super) tally: Tally,
    /// What it avoided, or would have.
    pub(super) sum: Sum,
}

#[derive(Debug, Default)]
struct Current {
    tally: Tally,
    sum: Sum,
    would: Sum,
}

impl Digest {
    pub(crate) fn avoided(&self) -> &Sum {
        &self.sum
    }

    /// What rules in observe mode would have avoided. The hours that several windows share are in it once.
    pub(crate) fn would_have_avoided(&self) -> &Sum {
        &self.would
    }

    /// When a run last ended or a cost was last settled.
    pub(crate) fn newest_change(&self) -> Option<DateTime<Utc>> {
        self.newest_change
    }

    /// One more run of this time has not ended.
    pub(crate) fn meet_under_way(&mut self) {
        self.under_way += 1;
    }

    /// True where no run was told.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest_change.is_none()
    }

    fn changed(&mut self, at: DateTime<Utc>) {
        self.newest_change = self.newest_change.max(Some(at));
    }

    /// A row of a run that was allowed to stop something.
    fn enforced_row(&mut self, run: &Run, row: &DeploymentResult) {
        let avoided: &Avoided = row.avoided();
        let wanted_off = matches!(row.outcome, Outcome::Stopped | Outcome::Failed | Outcome::Unconfirmed);
        if wanted_off || (row.outcome == Outcome::Left && matches!(row.reason, Some(Reason::Held(_)))) {
            self.potential.add(&row.count_from(run, run.off_window.from));
        }
        self.by_rule.add(run.firing.rule.as_str(), avoided);
        self.by_group.add(row.resource_group.as_str(), avoided);
        self.by_plan.add(&clean(&parts::plans(row)), avoided);
        self.still_on.meet(row);
        self.leaks.add(row);
        self.cut_short.add(row);
        self.left.add(run, row);
        self.held.add(run, row);
        self.unpriced.add(row, avoided);
    }
}

impl RunVisitor for Digest {
    fn begin(&mut self, run: &Run) -> ControlFlow<()> {
        self.current = Current { tally: Tally { left: run.without_row(), ..Tally::default() }, ..Current::default() };
        ControlFlow::Continue(())
    }

    fn row(&mut self, run: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        self.current.tally.add(row);
        self.current.sum.add(row.avoided());
        if row.would_stop() {
            self.current.would.add(&self.once.count(run, row));
        }
        self.prices.add(row);
        if let Some(settlement) = &row.settlement {
            self.changed(settlement.at);
        }
        if run.mode == Mode::Enforce {
            self.enforced_row(run, row);
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        let Current { tally, sum, would } = std::mem::take(&mut self.current);
        self.changed(run.finished_at);
        self.would.merge(&would);
        if !matches!(run.result, RunResult::Done | RunResult::Partial | RunResult::Skipped) {
            *self.troubles.entry(run.result).or_default() += 1;
        }
        if run.mode == Mode::Enforce {
            self.left.add_counts(&run.left_out);
            self.tally.merge(tally);
            self.sum.merge(&sum);
            self.enforced_by_rule.add(run, tally, &sum);
            if run.needs_action() {
                self.problems.push(run, tally, sum.clone());
            }
            self.enforced.push(run, tally, sum);
        }
        if run.mode == Mode::Observe || would.rows > 0 {
            self.observed_by_rule.add(run, tally, &would);
            self.observed.push(run, tally, would);
        }
        ControlFlow::Continue(())
    }
}

impl RunLines {
    fn push(&mut self, run: &Run, tally: Tally, sum: Sum) {
        self.count += 1;
        if self.first.len() < MOST_ROWS {
            let (firing, reasons) = (run.firing.clone(), run.reasons.clone());
            self.first.push(RunLine { firing, result: run.result, reasons, tally, sum });
        }
    }
}
