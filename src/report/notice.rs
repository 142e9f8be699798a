//! The mail before a stop: what will be stopped, when, and how to say "not tonight".

use chrono::{DateTime, Utc};

use crate::domain::hold::{HOLD_UNTIL_LABEL, LONG};
use crate::domain::id::RuleName;
use crate::domain::instant::rfc3339;
use crate::domain::plain_text::{clean, shorten};
use crate::domain::plan::{Decision, Planned};
use crate::domain::schedule::OffWindow;
use crate::report::content::{Content, fitted};
use crate::report::context::ReportContext;
use crate::report::page::{Cell, Page, ReportSection, SectionBody};
use crate::report::{parts, subject};

/// Commands for more deployments than these are left to the reader, who has seen enough of them by then.
const MOST_COMMANDS: usize = 10;

/// The notice that `rule` will stop what `planned` says at `at`.
pub fn notice(
    rule: &RuleName,
    at: DateTime<Utc>,
    off_window: OffWindow,
    planned: &[Planned],
    context: &ReportContext<'_>,
) -> Content {
    let form = context.form();
    let stops: Vec<&Planned> = planned.iter().filter(|planned| planned.decision == Decision::Stop).collect();
    let count = form.counted(stops.len(), "deployment");
    let build = |most: usize| Page {
        subject: subject::of_notice(stops.len(), &form.time(at), rule.as_str(), &form),
        preheader: format!("Hold what you need tonight; nothing else is to be done before {}.", form.time(at)),
        alert: false,
        conditional: false,
        about: rule.to_string(),
        when: form.instant(at),
        banner: context.banner.map(clean),
        headline: format!("{count} will be stopped at {}.", form.time(at)),
        lead: vec![
            format!("Off window: {}.", form.span(off_window.from, off_window.to)),
            "A stopped deployment is not started again: its replacement gets a new id and URL.".to_owned(),
        ],
        needs: Vec::new(),
        calm: "",
        figure: None,
        facts: Vec::new(),
        sections: sections(&stops, rule, off_window, context, most),
        footer: vec!["Sent by offhours. What is held, opted out or new by then is left on.".to_owned()],
    };
    fitted(build, Vec::new())
}

fn sections(
    stops: &[&Planned],
    rule: &RuleName,
    off_window: OffWindow,
    context: &ReportContext<'_>,
    most: usize,
) -> Vec<ReportSection> {
    let command = context.command;
    let rows = stops.iter().map(|planned| {
        let deployment = &planned.deployment;
        let nodes: Vec<String> =
            deployment.nodes.iter().map(|n| format!("{} × {}", n.count, shorten(&n.plan, 40))).collect();
        vec![
            Cell::new(clean(deployment.configuration()), format!("{} · {}", deployment.resource_group, deployment.id)),
            Cell::new(clean(&nodes.join(" + ")), ""),
        ]
    });
    let mut table = parts::table(vec!["Deployment", "Nodes"], rows, stops.len(), most);
    table.more = table
        .more
        .map(|_| format!("{} more; `{command} plan {rule}` shows them all.", stops.len().saturating_sub(most)));
    let until = rfc3339(off_window.to);
    let long = if off_window.to - context.now > LONG { " --long" } else { "" };
    let hold =
        |flag: &str, name: &str| format!("{command} hold add --{flag} {name} --until {until}{long} --reason \"WHY\"");
    let shown = stops.iter().take(MOST_COMMANDS);
    let mut lines: Vec<String> = shown.map(|planned| hold("deployment", planned.deployment.id.as_str())).collect();
    if stops.len() > MOST_COMMANDS {
        lines.push(hold("deployment", "ID"));
    }
    let wider = vec![hold("resource-group", "GROUP"), hold("rule", rule.as_str())];
    let label = vec![format!("{HOLD_UNTIL_LABEL} = {until}")];
    vec![
        ReportSection::new("Will be stopped", SectionBody::Table(table)),
        ReportSection::new("Not tonight: hold one", SectionBody::Commands { lines })
            .intro("Each line keeps one deployment on until the off window ends."),
        ReportSection::new("Hold a whole resource group, or all of this rule", SectionBody::Commands { lines: wider }),
        ReportSection::new("Or label the resource group in AI Core", SectionBody::Commands { lines: label })
            .intro("No access to offhours is needed for this one."),
    ]
}
