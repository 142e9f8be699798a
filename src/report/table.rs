//! Tables for a terminal of 80 columns.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::domain::rule::Mode;
use crate::domain::run::Run;
use crate::report::Context;
use crate::report::clean::{clean, shorten};
use crate::report::parts::{amount, avoided_cell};
use crate::report::sum::{Sum, Tally};

/// Columns of a terminal that is as narrow as they get.
const WIDTH: u16 = 80;
const LONGEST_NAME: usize = 40;
const LONGEST_REASON: usize = 60;

/// One line per run: when, rule, result, counts, what was avoided.
pub fn history_table(runs: &[Run], context: &Context<'_>) -> String {
    let form = context.form();
    let mut table = plain(&["WHEN", "RULE", "RESULT", "STOPPED", "NOT CONF.", "LEFT", "AVOIDED (EST.)"]);
    for run in runs {
        let tally = Tally::of(&run.deployments);
        let result = match run.mode {
            Mode::Observe => format!("{} (observe)", run.result),
            Mode::Enforce => run.result.to_string(),
        };
        table.add_row([
            format!("{} {}", form.short_date(run.firing.at), form.time(run.firing.at)),
            run.firing.rule.to_string(),
            result,
            form.count(tally.stopped),
            form.count(tally.not_confirmed),
            form.count(tally.left),
            amount(&Sum::of(&run.deployments), &form),
        ]);
    }
    align_right(&mut table, &[3, 4, 5, 6]);
    finished(&table)
}

/// A run's deployments and totals; those that were not selected are counted only.
pub fn run_summary(run: &Run, context: &Context<'_>) -> String {
    let form = context.form();
    let mut table = plain(&["GROUP", "DEPLOYMENT", "CONFIGURATION", "OUTCOME", "AVOIDED (EST.)"]);
    let mut not_selected = 0_usize;
    for row in &run.deployments {
        if row.reason.starts_with("not selected") {
            not_selected += 1;
            continue;
        }
        let would = row.would_avoid(run);
        let avoided = if row.would_stop() { &would } else { row.avoided() };
        let outcome = if row.reason.is_empty() {
            row.outcome.to_string()
        } else {
            format!("{}: {}", row.outcome, shorten(&row.reason, LONGEST_REASON))
        };
        let cell = avoided_cell(row, avoided, &form);
        table.add_row([
            shorten(row.resource_group.as_str(), LONGEST_NAME),
            row.id.to_string(),
            shorten(row.configuration(), LONGEST_NAME),
            outcome,
            if avoided.from.is_none() { String::new() } else { cell.main },
        ]);
    }
    align_right(&mut table, &[4]);
    let tally = Tally::of(&run.deployments);
    let mut sum = Sum::of(&run.deployments);
    let mut last = format!(
        "{} {}: {} stopped, {} not confirmed, {} left; {} avoided (estimate)",
        run.firing,
        run.result,
        form.count(tally.stopped),
        form.count(tally.not_confirmed),
        form.count(tally.left),
        amount(&sum, &form)
    );
    if run.mode == Mode::Observe {
        sum = Sum::default();
        run.deployments.iter().filter(|row| row.would_stop()).for_each(|row| sum.add(&row.would_avoid(run)));
        let count = form.count(sum.rows);
        last = format!(
            "{} {}, observed: {count} would have been stopped; {} would have been avoided (estimate)",
            run.firing,
            run.result,
            amount(&sum, &form)
        );
    }
    let mut text = if table.is_empty() { String::new() } else { finished(&table) };
    if not_selected > 0 {
        text.push_str(&format!("{} more were not selected\n", form.count(not_selected)));
    }
    text.push_str(&last);
    if !run.reason.is_empty() {
        text.push_str(&format!("\n{}", clean(&run.reason)));
    }
    text.push('\n');
    text
}

/// A table without lines, as wide as the narrowest terminal.
pub fn plain(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(heads.iter().copied());
    table
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
