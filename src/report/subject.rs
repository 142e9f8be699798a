//! Subjects say the result. They never contain a name that a tenant's users chose: mail systems sort, cut and search
//! them.

use crate::domain::rule::Mode;
use crate::domain::run::{Run, RunResult};
use crate::domain::tally::Tally;
use crate::report::form::Form;
use crate::report::parts::amount;
use crate::report::sum::Sum;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeriodTrouble {
    None,
    /// So many deployments may still be running.
    StillOn(usize),
    /// Runs that did not do what they should.
    Runs,
}

/// The subject of a run's mail; `would` is what a rule in observe mode would have avoided. `needs_more` where a person has to
/// do something besides what the run asks for.
pub(super) fn of_run(run: &Run, would: &Sum, needs_more: bool, form: &Form<'_>) -> String {
    let said = match (run.mode, run.result) {
        (Mode::Observe, RunResult::Done | RunResult::Partial) => observed(would, form),
        _ => enforced(run, would, form),
    };
    let needed = if needs_more && !run.needs_action() { "ACTION NEEDED, " } else { "" };
    format!("offhours: {needed}{said} · {}", run.firing.rule)
}

fn observed(would: &Sum, form: &Form<'_>) -> String {
    if would.rows == 0 {
        return "observed, nothing would have been stopped".to_owned();
    }
    let count = form.count(would.rows);
    format!("observed, {count} would have been stopped, {} would have been avoided (estimate)", amount(would, form))
}

fn enforced(run: &Run, would: &Sum, form: &Form<'_>) -> String {
    let tally = run.tally();
    let not_confirmed = || {
        let (bad, all) = (form.count(tally.not_confirmed()), form.count(tally.wanted_off()));
        format!("ACTION NEEDED, {bad} of {all} not confirmed stopped")
    };
    match run.result {
        RunResult::Done if tally.stopped == 0 && would.rows > 0 => {
            format!("nothing was stopped, {} would have been", form.count(would.rows))
        }
        RunResult::Done => done(run, tally, form),
        RunResult::Partial | RunResult::Failed if tally.not_confirmed() > 0 => not_confirmed(),
        RunResult::Partial => {
            format!("ACTION NEEDED, not everything could be looked at, {} stopped", form.count(tally.stopped))
        }
        RunResult::Failed => "ACTION NEEDED, failed, nothing was stopped".to_owned(),
        RunResult::Missed => format!("ACTION NEEDED, missed the stop of {}", form.instant(run.firing.at)),
        RunResult::Skipped => "skipped, the previous run was still going".to_owned(),
        RunResult::Blocked => "ACTION NEEDED, blocked by a limit, nothing was stopped".to_owned(),
        RunResult::Interrupted => format!("ACTION NEEDED, interrupted, {} stopped by then", form.count(tally.stopped)),
    }
}

fn done(run: &Run, tally: Tally, form: &Form<'_>) -> String {
    if tally.stopped == 0 {
        return "nothing was left to stop".to_owned();
    }
    let stopped = format!("{} stopped", form.count(tally.stopped));
    let sum = Sum::of(&run.deployments);
    if sum.money().is_empty() && sum.node_hours.is_zero() {
        return format!("{stopped}, no cost avoided");
    }
    let unpriced = if sum.money().is_empty() { ", unpriced" } else { "" };
    format!("{stopped}, {} avoided (estimate{unpriced})", amount(&sum, form))
}

/// The subject of a report over a period.
pub(super) fn of_period(label: &str, sum: &Sum, stopped: usize, trouble: PeriodTrouble, form: &Form<'_>) -> String {
    let count = match trouble {
        PeriodTrouble::StillOn(count) => format!("ACTION NEEDED, {} not confirmed stopped", form.count(count)),
        PeriodTrouble::Runs => format!("ACTION NEEDED, {} stopped", form.count(stopped)),
        PeriodTrouble::None => format!("{} stopped", form.count(stopped)),
    };
    format!("offhours: {count}, {} avoided (estimate) · {label}", amount(sum, form))
}

/// The subject of the mail before a stop.
pub(super) fn of_notice(count: usize, when: &str, rule: &str, form: &Form<'_>) -> String {
    let deployments = form.counted(count, "deployment");
    format!("offhours: {deployments} will be stopped at {when} · {rule}")
}
