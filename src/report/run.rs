//! The mail of one run.

use std::collections::BTreeMap;

use crate::domain::avoided::Avoided;
use crate::domain::id::RuleName;
use crate::domain::instant::rfc3339;
use crate::domain::plain_text::{clean, shorten};
use crate::domain::rule::Mode;
use crate::domain::run::{DeploymentResult, Outcome, Run, RunResult, Try};
use crate::domain::tally::Tally;
use crate::report::content::{AttachedFile, Content, fitted};
use crate::report::context::ReportContext;
use crate::report::counting::PricesUsed;
use crate::report::csv::{CSV, CsvWriter};
use crate::report::form::{Form, ordinal};
use crate::report::holds::Held;
use crate::report::leaks::{CutShort, Leaks};
use crate::report::left::Left;
use crate::report::page::{Cell, Fact, Page, ReportSection, SectionBody};
use crate::report::parcel::{LARGEST_ATTACHMENTS, Parcel};
use crate::report::parts::{self, avoided_cell, deployment_cell, nodes};
use crate::report::shares::Shares;
use crate::report::still_on::StillOn;
use crate::report::sum::Sum;
use crate::report::unpriced::Unpriced;
use crate::report::{counting, subject};

/// More tries than these are counted only.
const MOST_TRIES: usize = 10;
const LONGEST_REASON: usize = 120;
pub(super) const CALM: &str = "Nothing here needs a person.";

/// The mail of `run`, whatever became of it. An observed run says what it would have done.
pub fn run_report(run: &Run, context: &ReportContext<'_>) -> Content {
    let attachment = csv_of(run);
    let rows = match &attachment {
        Some(_) => counting::ATTACHED.to_owned(),
        None => format!(
            "Its CSV is too large for a mail; `{} history --since {} --rule {} --json` prints each row.",
            context.command,
            rfc3339(run.firing.at),
            run.firing.rule
        ),
    };
    let attachments = attachment.into_iter().filter(|_| !run.deployments.is_empty()).collect();
    fitted(|most| page(run, context, most, &rows), attachments)
}

/// The rows of `run` as CSV; none where they are too many for a mail.
fn csv_of(run: &Run) -> Option<AttachedFile> {
    let name = format!("offhours-{}-{}.csv", run.firing.rule, run.firing.at.format("%Y%m%dT%H%M%SZ"));
    let mut parcel = Parcel::new(LARGEST_ATTACHMENTS);
    let mut csv = CsvWriter::new(&mut parcel);
    let _ = run.tell(&mut csv);
    // A parcel fails for its size only, which it says by itself.
    let _ = csv.finish();
    parcel.close(&name, CSV)
}

pub(crate) fn headline(run: &Run, context: &ReportContext<'_>) -> String {
    headline_of(&Facts::of(run, context))
}

/// What a run comes to, in the values that its page needs.
struct Facts<'a> {
    run: &'a Run,
    form: Form<'a>,
    tally: Tally,
    /// True where a rule in observe mode went through: its figures are conditional.
    observed: bool,
    still_on: StillOn,
    left: Left,
    /// What was avoided, and by which rows.
    avoided: Figures<'a>,
    /// What would have been, had the rule not observed. Not empty either where a rule was set to observe in the middle.
    would: Figures<'a>,
}

/// Rows with what each avoided, or would have.
#[derive(Default)]
struct Figures<'a> {
    rows: Vec<(&'a DeploymentResult, Avoided)>,
    sum: Sum,
}

impl<'a> Figures<'a> {
    fn of(rows: impl Iterator<Item = (&'a DeploymentResult, Avoided)>) -> Self {
        let rows: Vec<(&DeploymentResult, Avoided)> = rows.collect();
        let mut sum = Sum::default();
        for (_, avoided) in &rows {
            sum.add(avoided);
        }
        Self { rows, sum }
    }
}

impl<'a> Facts<'a> {
    fn of(run: &'a Run, context: &ReportContext<'a>) -> Self {
        let rows = || run.deployments.iter();
        let counts = |row: &&DeploymentResult| row.outcome == Outcome::Stopped || row.avoided().from.is_some();
        let (mut still_on, mut left) = (StillOn::default(), Left::default());
        let precedent = |row: &DeploymentResult| context.precedents.and_then(|precedents| precedents.of(row));
        rows().for_each(|row| still_on.meet_again(row, precedent(row)));
        rows().for_each(|row| left.add(run, row));
        left.add_counts(&run.left_out);
        Self {
            run,
            form: context.form(),
            tally: run.tally(),
            observed: run.mode == Mode::Observe,
            still_on,
            left,
            avoided: Figures::of(rows().filter(counts).map(|row| (row, row.avoided().clone()))),
            would: Figures::of(rows().filter(|row| row.would_stop()).map(|row| (row, row.would_avoid(run)))),
        }
    }
    fn figures(&self) -> &Figures<'a> {
        if self.observed { &self.would } else { &self.avoided }
    }

    fn deployments(&self, count: usize) -> String {
        self.form.counted(count, "deployment")
    }

    fn went_through(&self) -> bool {
        matches!(self.run.result, RunResult::Done | RunResult::Partial)
    }
}

fn page(run: &Run, context: &ReportContext<'_>, most: usize, rows: &str) -> Page {
    let facts = Facts::of(run, context);
    let form = facts.form;
    let needs = needs(&facts, context);
    let lead = lead(&facts, context);
    let caption = if facts.observed { "would have been avoided (estimate)" } else { counting::CAPTION };
    let figure = counting::figure(&facts.figures().sum, caption, &form).map(|mut figure| {
        if !facts.observed {
            figure.details.extend(counting::standing(&facts.avoided.sum, &form));
        }
        figure
    });
    Page {
        subject: subject::of_run(run, &facts.would.sum, !context.needs.is_empty(), &form),
        preheader: lead.first().cloned().unwrap_or_default(),
        alert: !needs.is_empty(),
        conditional: facts.observed,
        about: run.firing.rule.to_string(),
        when: form.instant(run.firing.at),
        banner: context.banner.map(clean),
        headline: headline_of(&facts),
        lead,
        needs,
        calm: CALM,
        figure,
        facts: strip(&facts),
        sections: sections(&facts, context, most, rows),
        footer: footer(run),
    }
}

fn headline_of(facts: &Facts<'_>) -> String {
    let (tally, would) = (facts.tally, facts.would.sum.rows);
    let verb = |count: usize| if count == 1 { "is" } else { "are" };
    match (facts.run.mode, facts.run.result) {
        (Mode::Observe, RunResult::Done | RunResult::Partial) if would == 0 => {
            "Nothing would have been stopped.".to_owned()
        }
        (Mode::Observe, RunResult::Done | RunResult::Partial) => {
            format!("{} would have been stopped.", facts.deployments(would))
        }
        (_, RunResult::Done) if tally.stopped == 0 && would > 0 => {
            format!("Nothing was stopped; {} would have been.", facts.deployments(would))
        }
        (_, RunResult::Done) if tally.stopped == 0 => "Nothing was left to stop.".to_owned(),
        (_, RunResult::Done) => format!("{} stopped.", facts.deployments(tally.stopped)),
        (_, RunResult::Partial | RunResult::Failed) if tally.not_confirmed() > 0 => {
            let (bad, all) = (tally.not_confirmed(), facts.deployments(tally.wanted_off()));
            format!("{} of {all} {} not confirmed stopped.", facts.form.count(bad), verb(bad))
        }
        (_, RunResult::Partial) => {
            format!("Not everything could be looked at; {} stopped.", facts.deployments(tally.stopped))
        }
        (_, RunResult::Failed) => "Nothing could be stopped.".to_owned(),
        (_, RunResult::Missed) => "This stop was missed.".to_owned(),
        (_, RunResult::Skipped) => "Skipped: the previous run was still going.".to_owned(),
        (_, RunResult::Blocked) => "Blocked: nothing was stopped.".to_owned(),
        (_, RunResult::Interrupted) if tally.stopped == 0 => "Interrupted before anything was stopped.".to_owned(),
        (_, RunResult::Interrupted) => format!("Interrupted after {} stopped.", facts.deployments(tally.stopped)),
    }
}

fn lead(facts: &Facts<'_>, context: &ReportContext<'_>) -> Vec<String> {
    let (run, form) = (facts.run, facts.form);
    let mut lead = Vec::new();
    if run.mode == Mode::Observe {
        lead.push("This rule observes: it decided, and sent no stop.".to_owned());
    } else if facts.tally.stopped > 0 {
        let last =
            run.deployments.iter().filter(|row| row.outcome == Outcome::Stopped).filter_map(|row| row.confirmed_at);
        let last = last.max().map_or_else(String::new, |at| format!(", the last at {}", form.time(at)));
        let stopped = facts.deployments(facts.tally.stopped);
        lead.push(format!("AI Core confirmed {stopped} STOPPED{last}."));
    }
    if run.mode == Mode::Enforce && facts.would.sum.rows > 0 {
        lead.push(format!(
            "{} more would have been stopped: the rule was set to observe before it asked for them.",
            form.count(facts.would.sum.rows)
        ));
    }
    lead.extend(off_before(facts, context));
    if !run.reasons.is_empty() {
        lead.push(sentence(&run.why(&form.instants())));
    }
    if facts.went_through() {
        lead.push(format!("Off window: {}.", form.span(run.off_window.from, run.off_window.to)));
    }
    if run.resumed {
        lead.push("Resumed: a restart of the daemon finished what another began.".to_owned());
    }
    lead
}

/// What was off before it could be asked, and by whom.
fn off_before(facts: &Facts<'_>, context: &ReportContext<'_>) -> Vec<String> {
    let mut by_rule: BTreeMap<&RuleName, usize> = BTreeMap::new();
    let off = facts.run.deployments.iter().filter(|row| row.outcome == Outcome::AlreadyOff);
    let asked = off.filter_map(|row| context.precedents?.of(row)?.asked.as_ref());
    asked.for_each(|asked| *by_rule.entry(&asked.rule).or_default() += 1);
    let others = facts.tally.off_anyway().saturating_sub(by_rule.values().sum());
    let count = |count: usize| facts.form.count(count);
    let by_rule =
        by_rule.into_iter().map(|(rule, off)| format!("{} more had been asked to stop by rule `{rule}`.", count(off)));
    let others =
        (others > 0).then(|| format!("{} more had been switched off or deleted by somebody else.", count(others)));
    by_rule.chain(others).collect()
}

/// What a person has to do, if anything.
fn needs(facts: &Facts<'_>, context: &ReportContext<'_>) -> Vec<String> {
    let (run, form) = (facts.run, facts.form);
    let mut needs: Vec<String> = context.needs.iter().map(|need| clean(need)).collect();
    if let Some(times) = context.precedents.map(|precedents| precedents.bad_runs).filter(|times| *times > 1) {
        needs.push(format!("This is the {} run of this rule in a row that did not end well.", ordinal(times)));
    }
    if facts.still_on.count() > 0 {
        let count = facts.deployments(facts.still_on.count());
        let cost = facts.still_on.at_what_cost(&form);
        needs.push(format!(
            "{count} may still be running{cost}. Look at them in AI Core, and stop by hand what should be off."
        ));
    }
    let again = format!("`{} fire {}`", context.command, run.firing.rule);
    let open = context.now < run.off_window.to;
    let until = form.instant(run.off_window.to);
    match run.result {
        RunResult::Missed if open => {
            needs.push(format!("What this rule stops may be running until {until}: {again} stops it now."));
        }
        RunResult::Missed => needs.push("Find out why the daemon was not running at that time.".to_owned()),
        RunResult::Blocked => {
            needs.push(format!(
                "Read what it would have stopped: `{} plan {}`. If that is right, raise `max_stops` and run {again}.",
                context.command, run.firing.rule
            ));
        }
        RunResult::Interrupted => {
            needs.push(format!("Start the daemon again: it finishes this run if it is back before {until}."));
        }
        RunResult::Failed | RunResult::Partial if facts.still_on.count() == 0 => {
            needs.push(format!("Fix what is named below, then run {again}."));
        }
        RunResult::Done | RunResult::Partial | RunResult::Failed | RunResult::Skipped => {}
    }
    needs
}

fn strip(facts: &Facts<'_>) -> Vec<Fact> {
    let tally = facts.tally;
    if facts.run.met_nothing() {
        return Vec::new();
    }
    let would = facts.would.sum.rows;
    let left = tally.left.saturating_sub(would);
    let fact = |count: usize, label: &str, alert: bool| Fact {
        value: facts.form.count(count),
        label: label.to_owned(),
        alert: alert && count > 0,
    };
    if facts.observed {
        return vec![fact(would, "would be stopped", false), fact(left, "would be left", false)];
    }
    let mut strip = vec![fact(tally.stopped, "stopped", false)];
    if tally.off_anyway() > 0 {
        strip.push(fact(tally.off_anyway(), "off anyway", false));
    }
    strip.push(fact(tally.not_confirmed(), "not confirmed", true));
    if would > 0 {
        strip.push(fact(would, "would be stopped", false));
    }
    strip.push(fact(left, "left on", false));
    strip
}

fn sections(facts: &Facts<'_>, context: &ReportContext<'_>, most: usize, rows: &str) -> Vec<ReportSection> {
    let (run, form) = (facts.run, facts.form);
    let shown = facts.figures();
    let (mut by_group, mut by_plan, mut unpriced) = (Shares::default(), Shares::default(), Unpriced::default());
    for (row, figure) in &shown.rows {
        by_group.add(row.resource_group.as_str(), figure);
        by_plan.add(&clean(&parts::plans(row)), figure);
        unpriced.add(row, figure);
    }
    let (mut leaks, mut cut_short) = (Leaks::default(), CutShort::default());
    let (mut held, mut prices) = (Held::default(), PricesUsed::default());
    for row in &run.deployments {
        leaks.add(row);
        cut_short.add(row);
        held.add(run, row);
        prices.add(row);
    }
    let room = most.saturating_sub(facts.still_on.count().min(most));
    let sections = [
        facts.still_on.section(context.now, &form, most),
        by_group.section("By resource group", &form),
        by_plan.section("By plan", &form),
        leaks.section(&form, room),
        cut_short.section(&form),
        figures(&facts.avoided, false, &form, room),
        figures(&facts.would, true, &form, room),
        context.observed.and_then(|observed| observed.section(context.command, &form)),
        facts.left.section(&form),
        held.section(&[], &form),
        unpriced.section(&form),
        tries(run, context.command, &form),
        notes(context.notes),
    ];
    let mut sections: Vec<ReportSection> = sections.into_iter().flatten().collect();
    if !shown.rows.is_empty() || facts.still_on.count() > 0 {
        sections.push(prices.section(counting::with_sample(rows, &facts.left, &form), &form));
    }
    sections
}

/// Each deployment that was stopped, or would have been, the costliest first.
fn figures(figures: &Figures<'_>, conditional: bool, form: &Form<'_>, most: usize) -> Option<ReportSection> {
    if figures.rows.is_empty() {
        return None;
    }
    let mut ordered: Vec<&(&DeploymentResult, Avoided)> = figures.rows.iter().collect();
    ordered.sort_by(|(row_a, a), (row_b, b)| {
        let size = |avoided: &Avoided| (avoided.cost.map(|money| money.amount), avoided.node_hours);
        size(b).cmp(&size(a)).then_with(|| (&row_a.resource_group, &row_a.id).cmp(&(&row_b.resource_group, &row_b.id)))
    });
    let others = ordered.split_off(ordered.len().min(most));
    let rows = ordered.into_iter().map(|(row, avoided)| {
        let off = row.confirmed_at.map_or_else(String::new, |at| form.time(at));
        let middle = if conditional { Cell::new(nodes(row), "") } else { Cell::new(off, nodes(row)) };
        vec![deployment_cell(row), middle, avoided_cell(row, avoided, form)]
    });
    let (heading, heads) = if conditional {
        ("Would have been stopped", vec!["Deployment", "Nodes", "Would have avoided"])
    } else {
        ("Stopped", vec!["Deployment", "Off since", "Avoided"])
    };
    let rest = Figures::of(others.iter().map(|(row, avoided)| (*row, avoided.clone()))).sum;
    let mut table = parts::table(heads, rows, figures.rows.len(), most).with_rest(&rest, form);
    table.total = Some(("Total".to_owned(), parts::amount(&figures.sum, form)));
    Some(ReportSection::new(heading, SectionBody::Table(table)))
}

/// When something was in the way, and what; none where the first try went through.
fn tries(run: &Run, command: &str, form: &Form<'_>) -> Option<ReportSection> {
    let item =
        |one: &Try| format!("{}: {}", form.time(one.at), shorten(&one.reason.say(&form.instants()), LONGEST_REASON));
    let mut items: Vec<String> = run.tries.iter().take(MOST_TRIES).map(item).collect();
    if run.tries.len() > MOST_TRIES {
        let more = run.tries.len() - MOST_TRIES;
        items.push(format!("{more} more; `{command} history --json` has them all."));
    }
    (!items.is_empty()).then(|| ReportSection::new("Tried again", SectionBody::List { items }))
}

/// What the mail system and the tenant have to add.
pub(super) fn notes(notes: &[String]) -> Option<ReportSection> {
    let items: Vec<String> = notes.iter().map(|note| clean(note)).collect();
    (!items.is_empty()).then(|| ReportSection::new("Notes", SectionBody::List { items }))
}

fn footer(run: &Run) -> Vec<String> {
    vec![
        format!(
            "Firing {} · connection {} · trigger {} · result {}",
            run.firing, run.connection, run.trigger, run.result
        ),
        "Sent by offhours. A stopped deployment is not started again; its replacement gets a new id and URL."
            .to_owned(),
    ]
}

fn sentence(text: &str) -> String {
    let text = clean(text);
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return text };
    let end = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), letters.as_str())
}
