//! `offhours ledger trust-clock`: a person says that the clock is right. What a clock that was ahead has recorded then
//! holds nothing back any more. Works beside a running daemon.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::exit::{CommandError, Exit};
use crate::cli::output;
use crate::cli::run::built;
use crate::cli::session::Session;
use crate::domain::id::RuleName;
use crate::domain::instant::rfc3339;
use crate::domain::plausible::{Implausible, plausible};
use crate::domain::plural::plural;
use crate::ledger::Ledger;
use crate::ledger::clock::Ahead;

pub(crate) async fn trust_clock(session: &Session, yes: bool) -> Result<Exit, CommandError> {
    let (config, now) = (session.config()?, session.now());
    let ledger = Ledger::open_existing(&config.state_dir)?;
    let (ahead, newest) = ledger.read(move |tx| Ok((tx.ahead_of(now)?, tx.newest_instant()?))).await?;
    let fault = plausible(now, built(), newest).err();
    let is_needed = fault.is_some() || !ahead.is_nothing();
    // What nobody can believe is not taken for true because somebody says so.
    let is_trusted = yes && is_needed && !matches!(fault, Some(Implausible::BeforeBuild { .. }));
    if is_trusted {
        let next = |(name, at): (RuleName, Option<DateTime<Utc>>)| at.map(|at| (name, at));
        let firings = config.rules.iter().map(|rule| (rule.name.clone(), rule.schedule.next_firing(now)));
        let next: Vec<(RuleName, DateTime<Utc>)> = firings.filter_map(next).collect();
        let trust = ledger.write(move |tx| {
            next.iter().try_for_each(|(rule, at)| tx.forget_notices(rule, *at))?;
            tx.trust_clock(now)
        });
        trust.await?;
    }
    if session.json {
        output::print_json(&json_ahead(&ahead, now, newest, is_trusted))?;
    } else {
        output::print(&text(&ahead, fault.as_ref(), now, is_trusted))?;
    }
    Ok(if is_trusted || !is_needed { Exit::Well } else { Exit::Problem })
}

fn text(ahead: &Ahead, fault: Option<&Implausible>, now: DateTime<Utc>, is_trusted: bool) -> String {
    if ahead.is_nothing() && fault.is_none() {
        return format!("the clock shows {}, and nothing in the ledger contradicts it\n", rfc3339(now));
    }
    let mut text = String::new();
    for line in fault.iter().flat_map(|fault| output::screen().lines(&fault.to_string())) {
        let _ = writeln!(text, "{line}");
    }
    if !ahead.is_nothing() {
        let _ = writeln!(text, "ahead of the clock, which shows {}, the ledger holds:", rfc3339(now));
    }
    for line in lines(ahead) {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str(if is_trusted {
        "taken as of now: each rule fires next at its next instant; a running daemon knows within a minute\n"
    } else {
        "nothing was changed: if the clock is right, run `offhours ledger trust-clock --yes`\n"
    });
    text
}

fn lines(ahead: &Ahead) -> Vec<String> {
    let counted = |count: u32, noun: &str| (count > 0).then(|| plural(count as usize, noun));
    let rules =
        ahead.rules.iter().map(|(rule, at)| format!("rule {rule}, which does not fire before {}", rfc3339(*at)));
    let mut lines: Vec<String> = rules.collect();
    let carried_out = ahead.carried_out.iter();
    lines.extend(
        carried_out.map(|firing| format!("{firing}, carried out before its time: it does not fire again then")),
    );
    let not_come = counted(ahead.not_come, "firing");
    lines
        .extend(not_come.map(|firings| format!("{firings} recorded as missed or skipped: forgotten, to fire in time")));
    lines.extend(counted(ahead.reports, "report").map(|reports| format!("{reports} taken for sent")));
    lines.extend(counted(ahead.holds, "hold").map(|holds| format!("{holds} made or ended ahead of time")));
    lines.extend(counted(ahead.mails, "mail").map(|mails| format!("{mails} waiting until then")));
    lines
}

fn json_ahead(ahead: &Ahead, now: DateTime<Utc>, newest: Option<DateTime<Utc>>, changed: bool) -> Value {
    let rules = ahead.rules.iter().map(|(rule, at)| json!({ "rule": rule.as_str(), "silent_until": rfc3339(*at) }));
    json!({
        "now": rfc3339(now),
        "newest": newest.map(rfc3339),
        "rules": rules.collect::<Vec<_>>(),
        "carried_out": ahead.carried_out.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "not_come": ahead.not_come,
        "reports": ahead.reports,
        "holds": ahead.holds,
        "mails": ahead.mails,
        "changed": changed,
    })
}
