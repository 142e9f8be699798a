//! One run in full, for a terminal: each deployment with its reason, and each try.

use std::fmt::Write as _;

use crate::domain::plain_text::clean;
use crate::domain::run::{DeploymentResult, Outcome, Run};
use crate::report::context::ReportContext;
use crate::report::form::Form;
use crate::report::grid::{Grid, GridCell, Screen, Tone};
use crate::report::parts::{amount, avoided_cell};
use crate::report::sum::Sum;
use crate::report::table::{left_without_row, outcome_tone, result_tone, would_line, would_of};

/// Everything that the ledger knows of a run.
pub(crate) fn run_detail(run: &Run, context: &ReportContext<'_>, screen: Screen) -> String {
    let form = context.form();
    let mut text = String::new();
    let result = screen.paint(run.result.as_str(), result_tone(run.result, run.mode));
    let _ = writeln!(text, "{}: {result}", run.firing);
    for line in head(run, &form).iter().flat_map(|line| screen.lines(line)) {
        let _ = writeln!(text, "{line}");
    }
    if !run.deployments.is_empty() {
        let _ = write!(text, "\n{}", table(run, &form).draw(screen));
    }
    for line in tail(run, &form).iter().flat_map(|line| screen.lines(line)) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn head(run: &Run, form: &Form<'_>) -> Vec<String> {
    let resumed = if run.resumed { ", finished after a restart" } else { "" };
    let mut lines = vec![
        format!("on {}, {} mode, by {}{resumed}", run.connection, run.mode.as_str(), run.trigger),
        format!("began {}", form.span(run.started_at, run.finished_at)),
        format!("off window {}", form.span(run.off_window.from, run.off_window.to)),
    ];
    if !run.reasons.is_empty() {
        lines.push(clean(&run.why(&form.instants())));
    }
    lines.extend(
        run.tries
            .iter()
            .map(|one| format!("failed tries {}: {}", form.instant(one.at), clean(&one.reason.say(&form.instants())))),
    );
    lines
}

fn table(run: &Run, form: &Form<'_>) -> Grid {
    let mut table = Grid::new(&["DEPLOYMENT", "CONFIGURATION", "GROUP", "OUTCOME", "OFF SINCE", "AVOIDED", "REASON"]);
    let is_left = |row: &&DeploymentResult| row.outcome == Outcome::Left && !row.would_stop();
    // What was stopped, or should have been, first.
    let rows = run.deployments.iter();
    for row in rows.clone().filter(|row| !is_left(row)).chain(rows.filter(is_left)) {
        let would = row.would_avoid(run);
        let (outcome, avoided) = if row.would_stop() {
            (GridCell::new("would stop", Tone::Change), &would)
        } else {
            (GridCell::new(row.outcome.as_str(), outcome_tone(row.outcome)), row.avoided())
        };
        let why = if row.would_stop() { String::new() } else { clean(&row.why(&form.instants())) };
        table.add_row([
            row.id.to_string().into(),
            clean(row.configuration()).into(),
            clean(row.resource_group.as_str()).into(),
            outcome,
            row.confirmed_at.map_or_else(String::new, |at| form.stamp(at)).into(),
            if avoided.from.is_none() { String::new() } else { avoided_cell(row, avoided, form).main }.into(),
            why.into(),
        ]);
    }
    table.keep_whole(&[0, 3, 4]);
    table.align_right(&[5]);
    table
}

fn tail(run: &Run, form: &Form<'_>) -> Vec<String> {
    let mut lines: Vec<String> = left_without_row(&run.left_out, form).into_iter().collect();
    let (tally, would) = (run.tally(), would_of(run));
    lines.push(format!(
        "{} stopped, {} not confirmed, {} left, {} avoided (estimate); times in {}",
        form.count(tally.stopped),
        form.count(tally.not_confirmed()),
        form.count(tally.left.saturating_sub(would.rows)),
        amount(&Sum::of(&run.deployments), form),
        form.zone.name()
    ));
    if would.rows > 0 {
        lines.push(would_line(&would, form));
    }
    lines
}
