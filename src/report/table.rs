//! A run as a table for a terminal, and what such tables have in common.

use std::fmt::Write as _;

use crate::domain::plain_text::clean;
use crate::domain::rule::Mode;
use crate::domain::run::{LeftOut, Outcome, Run, RunResult};
use crate::report::context::ReportContext;
use crate::report::form::Form;
use crate::report::grid::{Grid, GridCell, Screen, Tone};
use crate::report::left::Left;
use crate::report::parts::{amount, avoided_cell};
use crate::report::sum::Sum;

/// A run's deployments and totals; those that were left are counted by their reasons.
pub fn run_summary(run: &Run, context: &ReportContext<'_>, screen: Screen) -> String {
    let form = context.form();
    let mut table = Grid::new(&["DEPLOYMENT", "CONFIGURATION", "GROUP", "OUTCOME", "AVOIDED"]);
    let mut left = Left::default();
    left.add_counts(&run.left_out);
    let mut whys = Vec::new();
    for row in &run.deployments {
        let would = row.would_avoid(run);
        let (outcome, avoided) = match row.outcome {
            _ if row.would_stop() => (GridCell::new("would stop", Tone::Change), &would),
            Outcome::Left => {
                left.add(run, row);
                continue;
            }
            outcome => (GridCell::new(outcome.as_str(), outcome_tone(outcome)), row.avoided()),
        };
        if row.is_still_on() {
            whys.push(format!(
                "{}: {}",
                row.id,
                clean(&row.reason.as_ref().map_or_else(String::new, |reason| reason.say(&form.instants())))
            ));
        }
        table.add_row([
            row.id.to_string().into(),
            clean(row.configuration()).into(),
            clean(row.resource_group.as_str()).into(),
            outcome,
            if avoided.from.is_none() { String::new() } else { avoided_cell(row, avoided, &form).main }.into(),
        ]);
    }
    table.keep_whole(&[0, 3]);
    table.align_right(&[4]);
    let mut text = if table.is_empty() { String::new() } else { table.draw(screen) };
    for line in whys.iter().flat_map(|why| screen.lines(why)) {
        let _ = writeln!(text, "{line}");
    }
    let mut last = Vec::new();
    let left = left.line(&form);
    if !left.is_empty() {
        last.push(format!("left: {left}"));
    }
    last.push(last_line(run, &form));
    last.push(clean(&run.why(&form.instants())));
    for line in last.iter().filter(|line| !line.is_empty()).flat_map(|line| screen.lines(line)) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn last_line(run: &Run, form: &Form<'_>) -> String {
    let said = format!("{} {}", run.firing, run.result);
    let would = would_of(run);
    let conditional = would_line(&would, form);
    if run.mode == Mode::Observe {
        return format!("{said}, {conditional}");
    }
    let tally = run.tally();
    let line = format!(
        "{said}: {} stopped, {} not confirmed, {} left, {} avoided (estimate)",
        form.count(tally.stopped),
        form.count(tally.not_confirmed()),
        form.count(tally.left),
        amount(&Sum::of(&run.deployments), form)
    );
    if would.rows == 0 { line } else { format!("{line}; {conditional}") }
}

/// What a run would have avoided, had its rule not observed.
pub(super) fn would_of(run: &Run) -> Sum {
    let mut would = Sum::default();
    run.deployments.iter().filter(|row| row.would_stop()).for_each(|row| would.add(&row.would_avoid(run)));
    would
}

pub(super) fn would_line(would: &Sum, form: &Form<'_>) -> String {
    format!(
        "observed: {} would have been stopped, {} would have been avoided (estimate)",
        form.count(would.rows),
        amount(would, form)
    )
}

pub(crate) fn outcome_tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Stopped => Tone::Good,
        Outcome::Failed | Outcome::Unconfirmed => Tone::Bad,
        Outcome::Left | Outcome::AlreadyOff | Outcome::Gone => Tone::Plain,
    }
}

pub(crate) fn result_tone(result: RunResult, mode: Mode) -> Tone {
    match result {
        RunResult::Done if mode == Mode::Observe => Tone::Faint,
        RunResult::Done => Tone::Good,
        RunResult::Skipped => Tone::Plain,
        RunResult::Partial | RunResult::Failed | RunResult::Missed | RunResult::Blocked | RunResult::Interrupted => {
            Tone::Bad
        }
    }
}

/// What a run left without a row, in one line; none where it left nothing so.
pub(crate) fn left_without_row(left_out: &LeftOut, form: &Form<'_>) -> Option<String> {
    let mut left = Left::default();
    left.add_counts(left_out);
    (left.without_row() > 0).then(|| format!("left, and only counted: {}", left.line(form)))
}
