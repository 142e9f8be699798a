//! The mail of one run.

use crate::domain::avoided::Avoided;
use crate::domain::rule::Mode;
use crate::domain::run::{Outcome, Row, Run, RunResult};
use crate::report::clean::clean;
use crate::report::form::{Form, plural};
use crate::report::once::Once;
use crate::report::page::{Body, Cell, Fact, Page, Section};
use crate::report::parts::{self, Entry, amounts, avoided_cell, deployment_cell, nodes};
use crate::report::sum::{Sum, Tally, is_still_on};
use crate::report::{Attachment, Content, Context, counting, fitted, still_on, subject};

/// Said where nothing needs a person.
pub(super) const CALM: &str = "Nothing here needs a person.";

/// The mail of `run`, whatever became of it. An observed run says what it would have done.
pub fn run_report(run: &Run, context: &Context<'_>) -> Content {
    let mut attachments = Vec::new();
    if !run.deployments.is_empty() {
        let name = format!("offhours-{}-{}.csv", run.firing.rule, run.firing.at.format("%Y%m%dT%H%M%SZ"));
        attachments.push(Attachment::csv(name, crate::report::csv(std::slice::from_ref(run))));
    }
    fitted(|most| page(run, context, most), attachments)
}

/// What happened, in one sentence.
pub fn headline(run: &Run, context: &Context<'_>) -> String {
    headline_of(&Facts::of(run, context))
}

/// What a run comes to, in the values that its page needs.
struct Facts<'a> {
    run: &'a Run,
    form: Form<'a>,
    tally: Tally,
    /// True where a rule in observe mode went through: its figures are conditional.
    observed: bool,
    still_on: Vec<&'a Row>,
    /// Figures that were avoided, or would have been.
    figures: Vec<(&'a Row, Avoided)>,
    sum: Sum,
}

impl<'a> Facts<'a> {
    fn of(run: &'a Run, context: &Context<'a>) -> Self {
        let observed = run.mode == Mode::Observe;
        let figures: Vec<(&Row, Avoided)> = if observed {
            run.deployments.iter().filter(|row| row.would_stop()).map(|row| (row, row.would_avoid(run))).collect()
        } else {
            let counted =
                run.deployments.iter().filter(|row| row.outcome == Outcome::Stopped || row.avoided().from.is_some());
            counted.map(|row| (row, row.avoided().clone())).collect()
        };
        let sum = if observed { Once::default().observed(run) } else { Sum::of(&run.deployments) };
        let still_on = run.deployments.iter().filter(|row| is_still_on(row)).collect();
        Self { run, form: context.form(), tally: Tally::of(&run.deployments), observed, still_on, figures, sum }
    }

    fn deployments(&self, count: usize) -> String {
        plural(count, &self.form.count(count), "deployment")
    }

    fn went_through(&self) -> bool {
        matches!(self.run.result, RunResult::Done | RunResult::Partial)
    }
}

fn page(run: &Run, context: &Context<'_>, most: usize) -> Page {
    let facts = Facts::of(run, context);
    let form = facts.form;
    let needs = needs(&facts, context);
    let lead = lead(&facts);
    let caption = if facts.observed { "would have been avoided (estimate)" } else { counting::CAPTION };
    let figure = counting::figure(&facts.sum, caption, &form).map(|mut figure| {
        if !facts.observed {
            figure.details.extend(counting::standing(&facts.sum, &form));
        }
        figure
    });
    Page {
        subject: subject::of_run(run, &facts.sum, &form),
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
        sections: sections(&facts, context, most),
        footer: footer(run),
    }
}

fn headline_of(facts: &Facts<'_>) -> String {
    let tally = facts.tally;
    let verb = |count: usize| if count == 1 { "is" } else { "are" };
    match (facts.run.mode, facts.run.result) {
        (Mode::Observe, RunResult::Done | RunResult::Partial) if facts.sum.rows == 0 => {
            "Nothing would have been stopped.".to_owned()
        }
        (Mode::Observe, RunResult::Done | RunResult::Partial) => {
            format!("{} would have been stopped.", facts.deployments(facts.sum.rows))
        }
        (_, RunResult::Done) if tally.stopped == 0 => "Nothing was left to stop.".to_owned(),
        (_, RunResult::Done) => format!("{} stopped.", facts.deployments(tally.stopped)),
        (_, RunResult::Partial | RunResult::Failed) if tally.not_confirmed > 0 => {
            let (bad, all) = (tally.not_confirmed, facts.deployments(tally.wanted_off()));
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

fn lead(facts: &Facts<'_>) -> Vec<String> {
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
    if facts.tally.off_anyway > 0 {
        lead.push(format!(
            "{} more had been switched off or deleted by somebody else.",
            form.count(facts.tally.off_anyway)
        ));
    }
    if !run.reason.is_empty() {
        lead.push(sentence(&run.reason));
    }
    if facts.went_through() {
        lead.push(format!("Off window: {}.", form.span(run.off_window.from, run.off_window.to)));
    }
    if run.resumed {
        lead.push("Resumed: a restart of the daemon finished what another began.".to_owned());
    }
    lead
}

/// What a person has to do, if anything.
fn needs(facts: &Facts<'_>, context: &Context<'_>) -> Vec<String> {
    let (run, form) = (facts.run, facts.form);
    let mut needs = Vec::new();
    if !facts.still_on.is_empty() {
        let count = facts.deployments(facts.still_on.len());
        let cost = still_on::hourly(facts.still_on.iter().copied());
        let cost = if cost.is_empty() { String::new() } else { format!(", at {} an hour", amounts(&cost, &form)) };
        needs.push(format!(
            "{count} may still be running{cost}. Look at them in AI Core, and stop by hand what should be off."
        ));
    }
    let again = format!("`offhours fire {}`", run.firing.rule);
    let open = context.now < run.off_window.to;
    let until = form.instant(run.off_window.to);
    match run.result {
        RunResult::Missed if open => {
            needs.push(format!("What this rule stops may be running until {until}: {again} stops it now."));
        }
        RunResult::Missed => needs.push("Find out why the daemon was not running at that time.".to_owned()),
        RunResult::Blocked => {
            needs.push(format!("Read what it would have stopped: `offhours plan {}`. If that is right, raise `max_stops` and run {again}.", run.firing.rule));
        }
        RunResult::Interrupted => {
            needs.push(format!("See that the daemon runs again: it finishes this run if it is back before {until}."));
        }
        RunResult::Failed | RunResult::Partial if facts.still_on.is_empty() => {
            needs.push(format!("Put right what is named above, then run {again}."));
        }
        RunResult::Done | RunResult::Partial | RunResult::Failed | RunResult::Skipped => {}
    }
    needs
}

fn strip(facts: &Facts<'_>) -> Vec<Fact> {
    let tally = facts.tally;
    if facts.run.deployments.is_empty() {
        return Vec::new();
    }
    let fact = |count: usize, label: &str, alert: bool| Fact {
        value: facts.form.count(count),
        label: label.to_owned(),
        alert: alert && count > 0,
    };
    if facts.observed {
        let left = facts.tally.left.saturating_sub(facts.figures.len());
        return vec![fact(facts.figures.len(), "would be stopped", false), fact(left, "would be left", false)];
    }
    let mut strip = vec![fact(tally.stopped, "stopped", false)];
    if tally.off_anyway > 0 {
        strip.push(fact(tally.off_anyway, "off anyway", false));
    }
    strip.push(fact(tally.not_confirmed, "not confirmed", true));
    strip.push(fact(tally.left, "left on", false));
    strip
}

fn sections(facts: &Facts<'_>, context: &Context<'_>, most: usize) -> Vec<Section> {
    let (run, form) = (facts.run, facts.form);
    let real: Vec<Entry<'_>> =
        if facts.observed { Vec::new() } else { run.deployments.iter().map(|row| (run, row)).collect() };
    let shown: Vec<Entry<'_>> = facts.figures.iter().map(|(row, _)| (run, *row)).collect();
    let figure = |(run, row): Entry<'_>| if facts.observed { row.would_avoid(run) } else { row.avoided().clone() };
    let all: Vec<Entry<'_>> = run.deployments.iter().map(|row| (run, row)).collect();
    let room = most.saturating_sub(facts.still_on.len().min(most));
    let sections = [
        still_on::section(&facts.still_on, &form, most),
        parts::bars("By resource group", &shown, &form, figure, |(_, row)| row.resource_group.to_string()),
        parts::bars("By plan", &shown, &form, figure, |(_, row)| clean(&parts::plans(row))),
        still_on::leaks(&real, &form, room),
        still_on::cut_short(&real, &form),
        stopped(facts, room),
        parts::left(run.deployments.iter(), &form),
        still_on::holds(&all, &[], &form),
        parts::without_price(&facts.figures, &form),
        notes(context.notes),
    ];
    let mut sections: Vec<Section> = sections.into_iter().flatten().collect();
    if !shown.is_empty() || !facts.still_on.is_empty() {
        sections.push(counting::section(&run.deployments, counting::ATTACHED, &form));
    }
    sections
}

/// Each deployment that was stopped, or would have been, the costliest first.
fn stopped(facts: &Facts<'_>, most: usize) -> Option<Section> {
    if facts.figures.is_empty() {
        return None;
    }
    let form = facts.form;
    let mut ordered: Vec<&(&Row, Avoided)> = facts.figures.iter().collect();
    ordered.sort_by(|(row_a, a), (row_b, b)| {
        let size = |avoided: &Avoided| (avoided.cost.map(|money| money.amount), avoided.node_hours);
        size(b).cmp(&size(a)).then_with(|| (&row_a.resource_group, &row_a.id).cmp(&(&row_b.resource_group, &row_b.id)))
    });
    let rows = ordered.into_iter().map(|(row, avoided)| {
        let off = row.confirmed_at.map_or_else(String::new, |at| form.time(at));
        let middle = if facts.observed { Cell::new(nodes(row), "") } else { Cell::new(off, nodes(row)) };
        vec![deployment_cell(row), middle, avoided_cell(row, avoided, &form)]
    });
    let (heading, heads) = if facts.observed {
        ("Would have been stopped", vec!["Deployment", "Nodes", "Would have avoided"])
    } else {
        ("Stopped", vec!["Deployment", "Off since", "Avoided"])
    };
    let mut table = parts::table(heads, rows, most);
    table.total = Some(("Total".to_owned(), parts::amount(&facts.sum, &form)));
    Some(Section::new(heading, Body::Table(table)))
}

/// What the mail system and the tenant have to add.
pub(super) fn notes(notes: &[String]) -> Option<Section> {
    let items: Vec<String> = notes.iter().map(|note| clean(note)).collect();
    (!items.is_empty()).then(|| Section::new("Notes", Body::List { items }))
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

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let reason = clean(reason);
    let mut letters = reason.chars();
    let Some(first) = letters.next() else { return reason };
    let end = if reason.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), letters.as_str())
}
