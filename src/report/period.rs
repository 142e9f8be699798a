//! The report over a day, a week, a month or any span.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::domain::hold::Hold;
use crate::domain::plain_text::{clean, shorten};
use crate::domain::rule::Mode;
use crate::domain::run_reason::say_all;
use crate::domain::zone::Zone;
use crate::report::content::{Content, fitted};
use crate::report::context::ReportContext;
use crate::report::digest::{Digest, RunLine, RunLines};
use crate::report::form::Form;
use crate::report::page::{Cell, Fact, Page, ReportSection, SectionBody, Table};
use crate::report::run::{CALM, notes};
use crate::report::subject::PeriodTrouble;
use crate::report::sum::Sum;
use crate::report::trend::{self, Trend};
use crate::report::{counting, parts, subject};

const LONGEST_REASON: usize = 120;
/// More runs than these are summed up by rule, and only those with problems are shown.
const MOST_RUNS: usize = 20;

/// A span of time and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// `last week (16 to 22 Nov 2026)`, for instance.
    pub label: String,
    pub from: DateTime<Utc>,
    /// Its end, not included.
    pub to: DateTime<Utc>,
}

impl Period {
    /// What a file with its rows is called, without an ending.
    pub fn file_name(&self, zone: &Zone) -> String {
        let (from, to) = (zone.wall_clock(self.from), zone.wall_clock(self.to));
        format!("offhours-{}-{}", from.format("%Y-%m-%d"), to.format("%Y-%m-%d"))
    }
}

/// What a report over a period is made from.
#[derive(Debug, Clone, Copy)]
pub struct PeriodReport<'a> {
    pub period: &'a Period,
    /// What the runs come to whose off window starts in it.
    pub digest: &'a Digest,
    /// The periods before it, and itself.
    pub trend: &'a Trend,
    pub holds: &'a [Hold],
    /// What else has to be said: reserved nodes that go on costing, reports that could not be delivered.
    pub notes: &'a [String],
    /// When the report that this one corrects was made.
    pub restates: Option<DateTime<Utc>>,
}

/// The report over a period, as a mail without attachments; its text and HTML also stand alone.
pub fn period_report(report: &PeriodReport<'_>, context: &ReportContext<'_>) -> Content {
    let facts = Facts { report, digest: report.digest, form: context.form() };
    fitted(|most| facts.page(context, most), Vec::new())
}

struct Facts<'a> {
    report: &'a PeriodReport<'a>,
    digest: &'a Digest,
    form: Form<'a>,
}

impl Facts<'_> {
    fn page(&self, context: &ReportContext<'_>, most: usize) -> Page {
        let form = self.form;
        let label = clean(&self.report.period.label);
        let needs = self.needs();
        let trouble = match self.digest.still_on.count() {
            0 if needs.is_empty() => PeriodTrouble::None,
            0 => PeriodTrouble::Runs,
            count => PeriodTrouble::StillOn(count),
        };
        let figure = counting::figure(&self.digest.sum, counting::CAPTION, &form).map(|mut figure| {
            figure.details.extend(counting::standing(&self.digest.sum, &form));
            figure
        });
        let lead = self.lead();
        Page {
            subject: subject::of_period(&label, &self.digest.sum, self.digest.tally.stopped, trouble, &form),
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
        let (form, stopped) = (self.form, self.digest.tally.stopped);
        let runs = self.digest.enforced.count;
        if runs == 0 {
            return if self.digest.under_way == 0 { "No rule fired." } else { "No run has ended yet." }.to_owned();
        }
        let deployments = form.counted(stopped, "deployment");
        format!("{deployments} stopped in {}.", form.counted(runs, "run"))
    }

    fn lead(&self) -> Vec<String> {
        let form = self.form;
        let mut lead = Vec::new();
        if self.digest.tally.not_confirmed() == 0 && self.digest.tally.stopped > 0 {
            lead.push("AI Core confirmed each of them STOPPED.".to_owned());
        } else if self.digest.tally.not_confirmed() > 0 {
            let all = form.count(self.digest.tally.stopped + self.digest.tally.not_confirmed());
            lead.push(format!(
                "{} of {all} stops were not confirmed in time.",
                form.count(self.digest.tally.not_confirmed())
            ));
        }
        lead.extend(self.share());
        lead.extend(trend::compared(self.report.trend, &form));
        if self.digest.would.rows > 0 {
            let count = form.counted(self.digest.would.rows, "stop");
            lead.push(format!("Rules in observe mode would have made {count} more; they are not part of any total."));
        }
        if let Some(at) = self.report.restates {
            lead.push(format!("RESTATED: this replaces the report of {}.", form.instant(at)));
        }
        lead
    }

    /// Which part of what these deployments would have cost was avoided; none where that cannot be said in one currency.
    fn share(&self) -> Option<String> {
        let (avoided, potential) = (&self.digest.sum, &self.digest.potential);
        let (part, whole) = (avoided.only_money()?, potential.only_money()?);
        if part.currency != whole.currency || whole.amount.is_zero() {
            return None;
        }
        let percent = (part.amount * Decimal::ONE_HUNDRED / whole.amount).floor();
        let priced = if potential.unpriced_hours.is_zero() { "" } else { ", as far as they have a price" };
        Some(format!(
            "{} % of what the stopped, failed and held ones would have cost in their off windows was avoided{priced}: {} of \
             {}.",
            self.form.decimal(percent),
            self.form.money(part),
            self.form.money(whole)
        ))
    }

    fn needs(&self) -> Vec<String> {
        let form = self.form;
        let mut needs = Vec::new();
        let still_on = &self.digest.still_on;
        if still_on.count() > 0 {
            let count = form.counted(still_on.count(), "deployment");
            let cost = still_on.at_what_cost(&form);
            needs.push(format!("{count} may still be running{cost}. Look at them in AI Core."));
        }
        for (result, count) in &self.digest.troubles {
            needs.push(format!("{} ended {result}; see the runs below.", form.counted(*count, "run")));
        }
        needs
    }

    fn strip(&self) -> Vec<Fact> {
        let fact = |count: usize, label: &str, alert: bool| Fact {
            value: self.form.count(count),
            label: label.to_owned(),
            alert: alert && count > 0,
        };
        vec![
            fact(self.digest.enforced.count, "runs", false),
            fact(self.digest.tally.stopped, "stopped", false),
            fact(self.digest.tally.not_confirmed(), "not confirmed", true),
            fact(self.digest.problems.count, "runs with problems", true),
        ]
    }

    fn sections(&self, context: &ReportContext<'_>, most: usize) -> Vec<ReportSection> {
        let (digest, form) = (self.digest, self.form);
        let room = most.saturating_sub(digest.still_on.count());
        let mut said = self.report.notes.to_vec();
        said.extend_from_slice(context.notes);
        let sections = [
            digest.still_on.section(context.now, &form, most),
            trend::section(self.report.trend, &form),
            if self.is_long() { None } else { digest.by_rule.section("By rule", &form) },
            digest.by_group.section("By resource group", &form),
            digest.by_plan.section("By plan", &form),
            digest.leaks.section(&form, room),
            digest.cut_short.section(&form),
            self.runs(room),
            self.problems(room),
            self.observed(room / 2),
            digest.left.section(&form),
            digest.held.section(self.report.holds, &form),
            digest.unpriced.section(&form),
            notes(&said),
            Some(digest.prices.section(counting::with_sample(counting::ON_REQUEST, &digest.left, &form), &form)),
        ];
        sections.into_iter().flatten().collect()
    }

    /// True where the runs are more than anybody reads one by one.
    fn is_long(&self) -> bool {
        self.digest.enforced.count > MOST_RUNS
    }

    /// The runs in earnest, or one row for each rule, with a total.
    fn runs(&self, most: usize) -> Option<ReportSection> {
        let (digest, form) = (self.digest, self.form);
        if self.is_long() {
            return Some(digest.enforced_by_rule.section("By rule", Mode::Enforce, &form, most));
        }
        self.table(&digest.enforced, Mode::Enforce, most)
            .map(|table| ReportSection::new("Runs", SectionBody::Table(table)))
    }

    /// Where the runs are not shown one by one, those at which a person has to look.
    fn problems(&self, most: usize) -> Option<ReportSection> {
        let problems = &self.digest.problems;
        let mut table = self.table(problems, Mode::Enforce, most.min(MOST_RUNS)).filter(|_| self.is_long())?;
        (table.rest, table.total) = (None, None);
        let more = problems.count.saturating_sub(table.rows.len());
        table.more = (more > 0).then(|| format!("{} more; `offhours history` has them all.", self.form.count(more)));
        Some(ReportSection::new("Runs with problems", SectionBody::Table(table)))
    }

    fn observed(&self, most: usize) -> Option<ReportSection> {
        const HEADING: &str = "Observed: what rules in observe mode would have avoided";
        let (digest, form) = (self.digest, self.form);
        let section = if digest.observed.count > MOST_RUNS {
            digest.observed_by_rule.section(HEADING, Mode::Observe, &form, most)
        } else {
            ReportSection::new(HEADING, SectionBody::Table(self.table(&digest.observed, Mode::Observe, most)?))
        };
        Some(section.intro("Not part of any total in this report."))
    }

    fn table(&self, lines: &RunLines, mode: Mode, most: usize) -> Option<Table> {
        if lines.count == 0 {
            return None;
        }
        let form = self.form;
        let rows = lines.first.iter().map(|line| self.line(line, mode));
        let last = if mode == Mode::Observe { "Would have avoided" } else { "Avoided" };
        let rest = Sum::total(lines.first.iter().skip(most).map(|line| &line.sum));
        let mut table = parts::table(vec!["Run", "Result", last], rows, lines.count, most).with_rest(&rest, &form);
        table.total =
            Some(("Total".to_owned(), parts::amount(&Sum::total(lines.first.iter().map(|line| &line.sum)), &form)));
        Some(table)
    }

    fn line(&self, line: &RunLine, mode: Mode) -> Vec<Cell> {
        let form = self.form;
        let mut counts = match mode {
            Mode::Enforce => format!("{} stopped", form.count(line.tally.stopped)),
            Mode::Observe => format!("{} would be stopped", form.count(line.sum.rows)),
        };
        if line.tally.not_confirmed() > 0 {
            counts = format!("{counts}, {} not confirmed", form.count(line.tally.not_confirmed()));
        }
        let why = if line.reasons.is_empty() {
            counts
        } else {
            shorten(&say_all(&line.reasons, &form.instants()), LONGEST_REASON)
        };
        vec![
            Cell::new(line.firing.rule.as_str(), form.instant(line.firing.at)),
            Cell::new(line.result.as_str(), why),
            Cell::new(parts::amount(&line.sum, &form), ""),
        ]
    }
}
