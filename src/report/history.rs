//! The history as a table for a terminal: one line per run, printed while the runs are read.

use std::io::{self, Write};
use std::ops::ControlFlow;

use crate::domain::rule::Mode;
use crate::domain::run::{DeploymentResult, Run};
use crate::domain::tally::Tally;
use crate::domain::visit::RunVisitor;
use crate::report::context::ReportContext;
use crate::report::counted_hours::CountedHours;
use crate::report::grid::{Grid, GridCell, Screen, Tone};
use crate::report::parts::amount;
use crate::report::sum::Sum;
use crate::report::table::result_tone;

/// After so many lines a table begins anew, with its heads: a longer one would have to be in memory whole before the
/// widths of its columns are known.
const MOST_LINES: usize = 1_000;

/// Writes a line for each run that it is told: when, rule, result, counts, what was avoided.
pub struct HistoryTable<'a, W> {
    out: W,
    context: ReportContext<'a>,
    screen: Screen,
    lines: Vec<[GridCell; 7]>,
    tally: Tally,
    sum: Sum,
    /// What observing rules would have avoided, each hour once.
    would: Sum,
    once: CountedHours,
    is_empty: bool,
    failure: Option<io::Error>,
}

impl<'a, W: Write> HistoryTable<'a, W> {
    /// Nothing is written before there is a run.
    pub fn new(out: W, context: ReportContext<'a>, screen: Screen) -> Self {
        Self {
            out,
            context,
            screen,
            lines: Vec::new(),
            tally: Tally::default(),
            sum: Sum::default(),
            would: Sum::default(),
            once: CountedHours::default(),
            is_empty: true,
            failure: None,
        }
    }

    /// Writes what is left. False where no run was told.
    pub fn finish(mut self) -> io::Result<bool> {
        self.failure.take().map_or(Ok(()), Err)?;
        if self.is_empty {
            return Ok(false);
        }
        self.write_lines()?;
        writeln!(self.out, "Times in {}; avoided cost is an estimate.", self.context.zone)?;
        self.out.flush()?;
        Ok(true)
    }

    fn line(&self, run: &Run) -> [GridCell; 7] {
        let form = self.context.form();
        [
            form.stamp(run.firing.at).into(),
            run.firing.rule.to_string().into(),
            GridCell::new(run.result.as_str(), result_tone(run.result, run.mode)),
            self.with_would(form.count(self.tally.stopped), &form.count(self.would.rows), run),
            form.count(self.tally.not_confirmed()).into(),
            form.count((self.tally.left + run.without_row()).saturating_sub(self.would.rows)).into(),
            self.with_would(amount(&self.sum, &form), &amount(&self.would, &form), run),
        ]
    }

    /// What a run did, and what it would have done where its rule observed: `7`, `would 7`.
    fn with_would(&self, did: String, would: &str, run: &Run) -> GridCell {
        match run.mode {
            Mode::Enforce if self.would.rows == 0 => did.into(),
            Mode::Enforce => format!("{did}, would {would}").into(),
            // What had been asked for before the rule was set to observe is real.
            Mode::Observe if self.tally.stopped > 0 => format!("{did}, would {would}").into(),
            Mode::Observe => GridCell::new(format!("would {would}"), Tone::Faint),
        }
    }

    fn write_lines(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut table = Grid::new(&["WHEN", "RULE", "RESULT", "STOPPED", "NOT CONF.", "LEFT", "AVOIDED"]);
        self.lines.drain(..).for_each(|line| table.add_row(line));
        table.keep_whole(&[0]);
        table.align_right(&[3, 4, 5, 6]);
        self.out.write_all(table.draw(self.screen).as_bytes())
    }
}

impl<W: Write> RunVisitor for HistoryTable<'_, W> {
    fn row(&mut self, run: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        self.tally.add(row);
        self.sum.add(row.avoided());
        if row.would_stop() {
            self.would.add(&self.once.count(run, row));
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        self.is_empty = false;
        self.lines.push(self.line(run));
        (self.tally, self.sum, self.would) = (Tally::default(), Sum::default(), Sum::default());
        if self.lines.len() == MOST_LINES {
            self.failure = self.write_lines().err();
        }
        if self.failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
