//! The words of `offhours status`: a page for a terminal, and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Status, result};
use crate::cli::aside;
use crate::config::Outline;
use crate::domain::instant::rfc3339;
use crate::domain::plain_text::shorten;
use crate::domain::plausible::Implausible;
use crate::domain::rule::Mode;
use crate::domain::run_reason::{RunReason, say_all};
use crate::ledger::lock::Holder;
use crate::ledger::overview::{MailCounts, RunHead};
use crate::report::form::Form;
use crate::report::grid::{Grid, Screen};

/// The most of an error that is shown.
const LONGEST_ERROR: usize = 200;

impl Status {
    pub(super) fn text(&self, outline: &Outline, zone_data: &str, screen: Screen) -> String {
        let zone = outline.zone_or_utc();
        let form = Form { locale: outline.locale(), zone: &zone };
        let mut text = match &self.daemon {
            Some(Holder { pid: Some(pid), .. }) => format!("the daemon runs, pid {pid}\n"),
            Some(_) => "the daemon runs\n".to_owned(),
            None => "the daemon does not run: nothing fires\n".to_owned(),
        };
        for line in self.clock.iter().flat_map(|fault| screen.lines(&format!("RULES DO NOT FIRE: {fault}"))) {
            let _ = writeln!(text, "{line}");
        }
        for line in self.not_in_force.iter().flat_map(|line| screen.lines(line)) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "time zone data {zone_data}");
        if !self.has_ledger {
            let _ = writeln!(text, "no ledger yet in {}", outline.state_dir().display());
        }
        let _ = write!(text, "\n{}", self.table(&form, screen));
        let _ = writeln!(text, "Times in {}.\n", zone.name());
        for line in self.lines(&form).iter().flat_map(|line| screen.lines(line)) {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn table(&self, form: &Form<'_>, screen: Screen) -> String {
        let mut table = Grid::new(&["RULE", "LAST RUN", "RESULT", "NEXT FIRING"]);
        for rule in &self.rules {
            let (at, result) = match &rule.last {
                Some(last) if last.mode == Mode::Observe => {
                    (form.stamp(last.firing.at), format!("{} (observe)", result(last)))
                }
                Some(last) => (form.stamp(last.firing.at), result(last).to_owned()),
                None => ("never".to_owned(), String::new()),
            };
            let silent = self.clock.as_ref().is_some_and(Implausible::silences_all);
            let never = if silent { "not now" } else { "never" };
            let next = rule.next_firing.map_or_else(|| never.to_owned(), |at| form.stamp(at));
            table.add_row([rule.rule.to_string(), at, result, next]);
        }
        table.keep_whole(&[1, 2, 3]);
        table.draw(screen)
    }

    fn lines(&self, form: &Form<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for last in self.rules.iter().filter_map(|rule| rule.last.as_ref()) {
            // What a run that is under way waits for.
            if last.result.is_none() && !last.reasons.is_empty() {
                lines.push(format!("{} is {}", last.firing, told(&last.reasons, form)));
            }
        }
        if let Some(problem) = &self.last_problem {
            let reason = told(&problem.reasons, form);
            let at = form.instant(problem.firing.at);
            lines.push(format!("last problem: {}, {at}, {}: {reason}", problem.firing.rule, result(problem)));
        }
        let MailCounts { waiting, given_up, last_error } = &self.mails;
        lines.push(format!("mails: {waiting} waiting, {given_up} given up within a week"));
        if let Some(error) = last_error {
            lines.push(format!("last mail error: {}", shorten(error, LONGEST_ERROR)));
        }
        lines.push(format!("holds in force: {}", self.holds));
        lines.push(format!("avoided costs not settled yet: {}", self.unsettled));
        lines.extend(aside::lines(&self.put_aside));
        lines.extend(self.warnings().into_iter().map(|warning| format!("warning: {warning}")));
        lines
    }

    pub(super) fn json(&self, outline: &Outline, zone_data: &str) -> Value {
        let rules = self.rules.iter().map(|rule| {
            json!({
                "rule": rule.rule.as_str(),
                "last_run": rule.last.as_ref().map(json_head),
                "next_firing": rule.next_firing.map(rfc3339),
            })
        });
        let pid = self.daemon.as_ref().and_then(|holder| holder.pid);
        json!({
            "running": self.daemon.is_some(),
            "pid": pid,
            "version": env!("CARGO_PKG_VERSION"),
            "clock": self.clock.as_ref().map(ToString::to_string),
            "time_zone_data": zone_data,
            "state_dir": outline.state_dir(),
            "rules": rules.collect::<Vec<_>>(),
            "last_problem": self.last_problem.as_ref().map(json_head),
            "mails": {
                "waiting": self.mails.waiting,
                "given_up": self.mails.given_up,
                "last_error": self.mails.last_error,
            },
            "holds": self.holds,
            "unsettled": self.unsettled,
            "put_aside": aside::json(&self.put_aside),
            "warnings": self.warnings(),
            "amiss": self.amiss(),
        })
    }
}

fn told(reasons: &[RunReason], form: &Form<'_>) -> String {
    shorten(&say_all(reasons, &form.instants()), LONGEST_ERROR)
}

fn json_head(run: &RunHead) -> Value {
    json!({
        "firing": run.firing.to_string(),
        "scheduled_for": rfc3339(run.firing.at),
        "mode": run.mode.as_str(),
        "trigger": run.trigger.as_str(),
        "finished_at": run.finished_at.map(rfc3339),
        "result": run.result.map(|result| result.as_str()),
        "reason": say_all(&run.reasons, &rfc3339),
        "reason_code": run.reasons.first().map(RunReason::code),
    })
}
