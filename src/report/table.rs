//! Tables for a terminal of 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

use crate::domain::rule::Mode;
use crate::domain::run::{Outcome, Run};
use crate::report::Context;
use crate::report::clean::{clean, shorten};
use crate::report::form::Form;
use crate::report::once::Once;
use crate::report::parts::{amount, avoided_cell};
use crate::report::sum::{Sum, Tally, is_still_on};
use crate::report::text::wrapped;

/// Columns of a terminal that is as narrow as they get.
const WIDTH: u16 = 80;
const LONGEST_NAME: usize = 40;

/// One line per run: when, rule, result, counts, what was avoided.
pub fn history_table(runs: &[Run], context: &Context<'_>) -> String {
    let form = context.form();
    let mut table = plain(&["WHEN", "RULE", "RESULT", "STOPPED", "NOT CONF.", "LEFT", "AVOIDED"]);
    for run in runs {
        let tally = Tally::of(&run.deployments);
        let result = match run.mode {
            Mode::Observe => format!("{} (observe)", run.result),
            Mode::Enforce => run.result.to_string(),
        };
        table.add_row([
            form.stamp(run.firing.at),
            run.firing.rule.to_string(),
            result,
            form.count(tally.stopped),
            form.count(tally.not_confirmed),
            form.count(tally.left),
            amount(&Sum::of(&run.deployments), &form),
        ]);
    }
    keep_whole(&mut table, &[0, 3, 4, 5, 6]);
    align_right(&mut table, &[3, 4, 5, 6]);
    let mut text = finished(&table);
    let _ = writeln!(text, "Times in {}; avoided cost is an estimate.", context.zone);
    text
}

/// A run's deployments and totals; those that were left are counted by their reasons.
pub fn run_summary(run: &Run, context: &Context<'_>) -> String {
    let form = context.form();
    let mut table = plain(&["DEPLOYMENT", "CONFIGURATION", "GROUP", "OUTCOME", "AVOIDED"]);
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    let mut whys = Vec::new();
    for row in &run.deployments {
        let would = row.would_avoid(run);
        let (outcome, avoided) = match row.outcome {
            _ if row.would_stop() => ("would stop", &would),
            Outcome::Left => {
                let keyword = row.reason.split(':').next().unwrap_or_default();
                *left.entry(shorten(keyword, LONGEST_NAME)).or_default() += 1;
                continue;
            }
            outcome => (outcome.as_str(), row.avoided()),
        };
        if is_still_on(row) {
            let room = usize::from(WIDTH).saturating_sub(row.id.as_str().len() + 2);
            whys.push(format!("{}: {}", row.id, shorten(&row.reason, room)));
        }
        table.add_row([
            row.id.to_string(),
            shorten(row.configuration(), LONGEST_NAME),
            shorten(row.resource_group.as_str(), LONGEST_NAME),
            outcome.to_owned(),
            if avoided.from.is_none() { String::new() } else { avoided_cell(row, avoided, &form).main },
        ]);
    }
    keep_whole(&mut table, &[0, 3]);
    align_right(&mut table, &[4]);
    let mut text = if table.is_empty() { String::new() } else { finished(&table) };
    for why in whys {
        let _ = writeln!(text, "{why}");
    }
    let mut last = Vec::new();
    if !left.is_empty() {
        let left: Vec<String> =
            left.iter().map(|(keyword, count)| format!("{} {keyword}", form.count(*count))).collect();
        last.push(format!("left: {}", left.join(", ")));
    }
    last.push(last_line(run, &form));
    last.push(clean(&run.reason));
    for line in last.iter().flat_map(|line| wrapped(line, usize::from(WIDTH))) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn last_line(run: &Run, form: &Form<'_>) -> String {
    let said = format!("{} {}", run.firing, run.result);
    if run.mode == Mode::Observe {
        let sum = Once::default().observed(run);
        let (count, amount) = (form.count(sum.rows), amount(&sum, form));
        return format!(
            "{said}, observed: {count} would have been stopped, {amount} would have been avoided (estimate)"
        );
    }
    let tally = Tally::of(&run.deployments);
    format!(
        "{said}: {} stopped, {} not confirmed, {} left, {} avoided (estimate)",
        form.count(tally.stopped),
        form.count(tally.not_confirmed),
        form.count(tally.left),
        amount(&Sum::of(&run.deployments), form)
    )
}

/// A table without lines, as wide as the narrowest terminal.
pub fn plain(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(heads.iter().copied());
    table
}

/// A sentence, broken into lines of the narrowest terminal.
pub fn broken(sentence: &str) -> Vec<String> {
    wrapped(sentence, usize::from(WIDTH))
}

/// These columns are never broken; the others share what is left of the line.
pub fn keep_whole(table: &mut Table, columns: &[usize]) {
    for &index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// Aligns columns of numbers.
pub fn align_right(table: &mut Table, columns: &[usize]) {
    for &index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// The table's lines, without trailing spaces.
pub fn finished(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
