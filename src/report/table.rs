//! Tables for a terminal of 80 columns.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

use crate::domain::rule::Mode;
use crate::domain::run::{LeftOut, Outcome, Run};
use crate::report::Context;
use crate::report::clean::{clean, shorten};
use crate::report::form::Form;
use crate::report::left::Left;
use crate::report::parts::{amount, avoided_cell};
use crate::report::sum::{Sum, Tally, is_still_on};
use crate::report::text::wrapped;

/// Columns of a terminal that is as narrow as they get.
const WIDTH: u16 = 80;
const LONGEST_NAME: usize = 40;

/// A run's deployments and totals; those that were left are counted by their reasons.
pub fn run_summary(run: &Run, context: &Context<'_>) -> String {
    let form = context.form();
    let mut table = plain(&["DEPLOYMENT", "CONFIGURATION", "GROUP", "OUTCOME", "AVOIDED"]);
    let mut left = Left::default();
    left.add_counts(&run.left_out);
    let mut whys = Vec::new();
    for row in &run.deployments {
        let would = row.would_avoid(run);
        let (outcome, avoided) = match row.outcome {
            _ if row.would_stop() => ("would stop", &would),
            Outcome::Left => {
                left.add(row);
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
    let left = left.line(&form);
    if !left.is_empty() {
        last.push(format!("left: {left}"));
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
    let mut would = Sum::default();
    run.deployments.iter().filter(|row| row.would_stop()).for_each(|row| would.add(&row.would_avoid(run)));
    let conditional = format!(
        "observed: {} would have been stopped, {} would have been avoided (estimate)",
        form.count(would.rows),
        amount(&would, form)
    );
    if run.mode == Mode::Observe {
        return format!("{said}, {conditional}");
    }
    let tally = Tally::of(run);
    let line = format!(
        "{said}: {} stopped, {} not confirmed, {} left, {} avoided (estimate)",
        form.count(tally.stopped),
        form.count(tally.not_confirmed),
        form.count(tally.left),
        amount(&Sum::of(&run.deployments), form)
    );
    if would.rows == 0 { line } else { format!("{line}; {conditional}") }
}

/// A table without lines, as wide as the narrowest terminal.
pub fn plain(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(heads.iter().copied());
    table
}

/// What a run left without a row, in one line; none where it left nothing so.
pub fn left_without_row(left_out: &LeftOut, form: &Form<'_>) -> Option<String> {
    let mut left = Left::default();
    left.add_counts(left_out);
    (left.without_row() > 0).then(|| format!("and left without a row each: {}", left.line(form)))
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
