//! The report over a day, a week, a month or any span.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::avoided::Avoided;
use crate::domain::hold::Hold;
use crate::domain::rule::Mode;
use crate::domain::run::{Row, Run, RunResult};
use crate::report::clean::{clean, shorten};
use crate::report::form::{Form, plural};
use crate::report::once::Once;
use crate::report::page::{Body, Cell, Fact, Page, Section};
use crate::report::parts::{self, Entry, amounts};
use crate::report::run::{CALM, notes};
use crate::report::subject::Trouble;
use crate::report::sum::{Sum, Tally, is_still_on};
use crate::report::trend::{self, Trend};
use crate::report::{Attachment, Content, Context, counting, fitted, still_on, subject};

const LONGEST_REASON: usize = 120;

/// A span of time and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// `last week (16 to 22 Nov 2026)`, for instance.
    pub label: String,
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// Its end, not included.
    pub to: DateTime<Utc>,
}

/// What a report over a period is made from.
#[derive(Debug, Clone, Copy)]
pub struct PeriodReport<'a> {
    /// The period.
    pub period: &'a Period,
    /// Runs whose off window starts in it, oldest first.
    pub runs: &'a [Run],
    /// The periods before it, and itself.
    pub trend: &'a Trend,
    /// Holds that held in it.
    pub holds: &'a [Hold],
    /// What else has to be said: reserved nodes that go on costing, reports that could not be delivered.
    pub notes: &'a [String],
    /// When the report that this one corrects was made.
    pub restates: Option<DateTime<Utc>>,
}

/// The report over a period, as a mail; its text and HTML also stand alone.
pub fn period_report(report: &PeriodReport<'_>, context: &Context<'_>) -> Content {
    let (from, to) = (context.zone.wall_clock(report.period.from), context.zone.wall_clock(report.period.to));
    let name = format!("offhours-{}-{}.csv", from.format("%Y-%m-%d"), to.format("%Y-%m-%d"));
    let attachments = vec![Attachment::csv(name, crate::report::csv(report.runs))];
    let facts = Facts::of(report, context);
    fitted(|most| facts.page(context, most), attachments)
}

struct Facts<'a> {
    report: &'a PeriodReport<'a>,
    form: Form<'a>,
    /// Rows of runs that were allowed to stop something.
    real: Vec<Entry<'a>>,
    still_on: Vec<&'a Row>,
    tally: Tally,
    sum: Sum,
    /// What each observing run would have avoided, over what the runs before it would have.
    observed: Vec<Sum>,
    would: Sum,
}

impl<'a> Facts<'a> {
    fn of(report: &'a PeriodReport<'a>, context: &Context<'a>) -> Self {
        let enforced = report.runs.iter().filter(|run| run.mode == Mode::Enforce);
        let real: Vec<Entry<'_>> = enforced.flat_map(|run| run.deployments.iter().map(move |row| (run, row))).collect();
        // Of a deployment that was met several times, the last time says whether it is on; but what is STOPPING, for
        // whatever reason, is not off yet.
        let mut latest: BTreeMap<_, &Row> = BTreeMap::new();
        for (_, row) in &real {
            let met = latest.entry((&row.resource_group, &row.id)).or_insert(row);
            if !(row.was_stopping() && is_still_on(met)) {
                *met = row;
            }
        }
        let still_on = latest.into_values().filter(|row| is_still_on(row)).collect();
        let tally = Tally::of(real.iter().map(|(_, row)| *row));
        let sum = Sum::of(real.iter().map(|(_, row)| *row));
        let mut once = Once::default();
        let observing = report.runs.iter().filter(|run| run.mode == Mode::Observe);
        let observed: Vec<Sum> = observing.map(|run| once.observed(run)).collect();
        let would = Sum::total(&observed);
        Self { report, form: context.form(), real, still_on, tally, sum, observed, would }
    }

    fn runs(&self, mode: Mode) -> impl Iterator<Item = &'a Run> {
        self.report.runs.iter().filter(move |run| run.mode == mode)
    }

    fn page(&self, context: &Context<'_>, most: usize) -> Page {
        let form = self.form;
        let label = clean(&self.report.period.label);
        let needs = self.needs();
        let trouble = match self.still_on.len() {
            0 if needs.is_empty() => Trouble::None,
            0 => Trouble::Runs,
            count => Trouble::StillOn(count),
        };
        let figure = counting::figure(&self.sum, counting::CAPTION, &form).map(|mut figure| {
            figure.details.extend(counting::standing(&self.sum, &form));
            figure
        });
        let lead = self.lead();
        Page {
            subject: subject::of_period(&label, &self.sum, self.tally.stopped, trouble, &form),
            preheader: lead.first().cloned().unwrap_or_default(),
            alert: !needs.is_empty(),
            conditional: false,
            about: label,
            when: format!("{} ({})", form.days(self.report.period.from, self.report.period.to), form.zone),
            banner: context.banner.map(clean),
            headline: self.headline(),
            lead,
            needs,
            calm: CALM,
            figure,
            facts: self.strip(),
            sections: self.sections(context, most),
            footer: vec![
                format!("Made {}.", form.instant(context.now)),
                "Sent by offhours. Off windows that start in the period are counted in it, whole.".to_owned(),
            ],
        }
    }

    fn headline(&self) -> String {
        let (form, stopped) = (self.form, self.tally.stopped);
        let runs = self.runs(Mode::Enforce).count();
        if runs == 0 {
            return "No rule fired.".to_owned();
        }
        let deployments = plural(stopped, &form.count(stopped), "deployment");
        format!("{deployments} stopped in {}.", plural(runs, &form.count(runs), "run"))
    }

    fn lead(&self) -> Vec<String> {
        let form = self.form;
        let mut lead = Vec::new();
        if self.tally.not_confirmed == 0 && self.tally.stopped > 0 {
            lead.push("AI Core confirmed each of them STOPPED.".to_owned());
        } else if self.tally.not_confirmed > 0 {
            let all = form.count(self.tally.stopped + self.tally.not_confirmed);
            lead.push(format!("{} of {all} stops were not confirmed in time.", form.count(self.tally.not_confirmed)));
        }
        if self.would.rows > 0 {
            let count = plural(self.would.rows, &form.count(self.would.rows), "stop");
            lead.push(format!("Rules in observe mode would have made {count} more; they are in no total."));
        }
        if let Some(at) = self.report.restates {
            lead.push(format!("RESTATED: this replaces the report of {}.", form.instant(at)));
        }
        lead
    }

    fn needs(&self) -> Vec<String> {
        let form = self.form;
        let mut needs = Vec::new();
        if !self.still_on.is_empty() {
            let count = plural(self.still_on.len(), &form.count(self.still_on.len()), "deployment");
            let cost = still_on::hourly(self.still_on.iter().copied());
            let cost = if cost.is_empty() { String::new() } else { format!(", at {} an hour", amounts(&cost, &form)) };
            needs.push(format!("{count} may still be running{cost}. Look at them in AI Core."));
        }
        let mut results: BTreeMap<RunResult, usize> = BTreeMap::new();
        for run in self.report.runs.iter().filter(|run| !matches!(run.result, RunResult::Done | RunResult::Partial)) {
            *results.entry(run.result).or_default() += 1;
        }
        results.remove(&RunResult::Skipped);
        for (result, count) in results {
            needs.push(format!("{} ended {result}; see the runs below.", plural(count, &form.count(count), "run")));
        }
        needs
    }

    fn strip(&self) -> Vec<Fact> {
        let fact = |count: usize, label: &str, alert: bool| Fact {
            value: self.form.count(count),
            label: label.to_owned(),
            alert: alert && count > 0,
        };
        let not_done = self.runs(Mode::Enforce).filter(|run| run.needs_action()).count();
        vec![
            fact(self.runs(Mode::Enforce).count(), "runs", false),
            fact(self.tally.stopped, "stopped", false),
            fact(self.tally.not_confirmed, "not confirmed", true),
            fact(not_done, "runs with problems", true),
        ]
    }

    fn sections(&self, context: &Context<'_>, most: usize) -> Vec<Section> {
        let form = self.form;
        let avoided = |(_, row): Entry<'_>| row.avoided().clone();
        let room = most.saturating_sub(self.still_on.len());
        let priced: Vec<(&Row, Avoided)> = self.real.iter().map(|(_, row)| (*row, row.avoided().clone())).collect();
        let mut said = self.report.notes.to_vec();
        said.extend_from_slice(context.notes);
        let sections = [
            still_on::section(&self.still_on, &form, most),
            trend::section(self.report.trend, &form),
            parts::bars("By rule", &self.real, &form, avoided, |(run, _)| run.firing.rule.to_string()),
            parts::bars("By resource group", &self.real, &form, avoided, |(_, row)| row.resource_group.to_string()),
            parts::bars("By plan", &self.real, &form, avoided, |(_, row)| clean(&parts::plans(row))),
            still_on::leaks(&self.real, &form, room),
            still_on::cut_short(&self.real, &form),
            self.table(Mode::Enforce, room),
            self.table(Mode::Observe, room / 2),
            parts::left(self.real.iter().map(|(_, row)| *row), &form),
            still_on::holds(&self.real, self.report.holds, &form),
            parts::without_price(&priced, &form),
            notes(&said),
        ];
        let mut sections: Vec<Section> = sections.into_iter().flatten().collect();
        let rows = self.report.runs.iter().flat_map(|run| &run.deployments);
        sections.push(counting::section(rows, counting::ON_REQUEST, &form));
        sections
    }

    /// The runs of one mode, with a total.
    fn table(&self, mode: Mode, most: usize) -> Option<Section> {
        let form = self.form;
        let runs: Vec<&Run> = self.runs(mode).collect();
        if runs.is_empty() {
            return None;
        }
        let rows = runs.iter().enumerate().map(|(index, run)| {
            let tally = Tally::of(&run.deployments);
            let mut sum = Sum::of(&run.deployments);
            let mut counts = format!("{} stopped", form.count(tally.stopped));
            if mode == Mode::Observe {
                sum = self.observed.get(index).cloned().unwrap_or_default();
                counts = format!("{} would be stopped", form.count(sum.rows));
            }
            if tally.not_confirmed > 0 {
                counts = format!("{counts}, {} not confirmed", form.count(tally.not_confirmed));
            }
            let why = if run.reason.is_empty() { counts } else { shorten(&run.reason, LONGEST_REASON) };
            vec![
                Cell::new(run.firing.rule.as_str(), form.instant(run.firing.at)),
                Cell::new(run.result.as_str(), why),
                Cell::new(parts::amount(&sum, &form), ""),
            ]
        });
        let (heading, last, total) = match mode {
            Mode::Enforce => ("Runs", "Avoided", &self.sum),
            Mode::Observe => {
                ("Observed: what rules in observe mode would have avoided", "Would have avoided", &self.would)
            }
        };
        let mut table = parts::table(vec!["Run", "Result", last], rows, most);
        table.total = Some(("Total".to_owned(), parts::amount(total, &form)));
        let section = Section::new(heading, Body::Table(table));
        Some(if mode == Mode::Observe { section.intro("In no total of this report.") } else { section })
    }
}
