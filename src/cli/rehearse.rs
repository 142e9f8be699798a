//! `offhours rehearse`: the user's rules through days of virtual time, and what comes of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use crate::accounting::period::{Books, Request, WriteError};
use crate::cli::args::Rehearse;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::session::{Session, in_virtual_time, on_threads};
use crate::cli::simulator::read_fleet;
use crate::cli::when::Direction;
use crate::cli::{output, when};
use crate::config::Config;
use crate::domain::deployment::{Deployment, Group};
use crate::domain::id::{ConnectionName, DeploymentId, ResourceGroup};
use crate::domain::period::Span;
use crate::domain::plain_text::shorten;
use crate::domain::run::Run;
use crate::domain::zone::Zone;
use crate::ledger::Ledger;
use crate::private_file::PrivateFile;
use crate::rehearsal::Rehearsal;
use crate::report::{self, CsvForm, ReportContext, period_report};
use crate::simulator::{Fleet, Redeployed};

/// What was stopped is deleted after this time, as people do; a year would leave thousands of them. Longer than an off
/// window, because a deletion inside it would end the figure.
const TIDIED_AFTER: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);
/// What stands above every report of a rehearsal.
const BANNER: &str = "A rehearsal on a simulated tenant: nothing was stopped, and no figure counts.";

pub(crate) fn rehearse(session: &Session, args: &Rehearse) -> Result<Exit, CommandError> {
    let config = session.config()?;
    let from = match &args.from {
        Some(text) => when::instant(text, config.zone.as_ref(), session.now(), Direction::Future)?,
        None => session.now(),
    };
    let output = match &args.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!("offhours-rehearsal-{}", session.now().format("%Y%m%dT%H%M%SZ"))),
    };
    if output.join("state").exists() {
        return Err(CommandError::Usage {
            message: format!("`{}` holds an earlier rehearsal", output.display()),
            hint: Some("name another directory with `--output`, or remove that one".to_owned()),
        });
    }
    let fleets = match &args.fleet {
        Some(path) => {
            let fleet = read_fleet(path)?;
            config.connections.keys().map(|name| (name.clone(), fleet.clone())).collect()
        }
        None => on_threads(real_fleets(session, &config, !args.no_redeploy))?,
    };
    let state_dir = config.state_dir.clone();
    let holds = on_threads(async move { Ok(Ledger::read_where_it_is(&state_dir, move |tx| tx.holds(from)).await?) })?;
    let to = from + TimeDelta::days(i64::from(args.days));
    let rehearsal = Rehearsal { config, fleets, holds, from, to, output };
    let mornings = match &args.fleet {
        // The file says it.
        Some(_) => "",
        None if args.no_redeploy => " Nothing that was stopped is deployed again.",
        None => {
            " Assumed: what was stopped is deployed again at its rule's `until` (`--no-redeploy` rehearses without)."
        }
    };
    let opening =
        format!("Rehearsing {} days of your rules on a simulated tenant; the clock is virtual.{mornings}", args.days);
    perform(session, rehearsal, &opening)
}

/// The real tenants' deployments as they are now; read only. With `redeployed` people deploy again what a rule stopped, as
/// soon as the rule wants it again: without that, a rehearsal would know one evening only.
async fn real_fleets(
    session: &Session,
    config: &Config,
    redeployed: bool,
) -> Result<BTreeMap<ConnectionName, Fleet>, CommandError> {
    let mut fleets = BTreeMap::new();
    for (name, connection) in &config.connections {
        let options = crate::aicore::Options { clock: session.clock.clone(), ..Default::default() };
        let reader = crate::aicore::Reader::connect(connection.key.clone(), options)?;
        let groups = reader.groups().await?;
        let mut deployments = Vec::new();
        for group in &groups {
            for status in [crate::domain::deployment::Status::Running, crate::domain::deployment::Status::Pending] {
                deployments.extend(reader.deployments(&group.id, Some(&status)).await?.deployments);
            }
        }
        let again = if redeployed { wanted_again(config, name, &groups, &deployments) } else { Vec::new() };
        let mut fleet = Fleet::from_deployments(groups, deployments);
        for (group, id, when) in again {
            fleet.redeploy(group.as_str(), id.as_str(), &when);
        }
        fleet.tenant.tidied_after = Some(TIDIED_AFTER);
        fleets.insert(name.clone(), fleet);
    }
    Ok(fleets)
}

/// When each deployment is wanted again by the rules that select it.
fn wanted_again(
    config: &Config,
    connection: &ConnectionName,
    groups: &[Group],
    deployments: &[Deployment],
) -> Vec<(ResourceGroup, DeploymentId, Redeployed)> {
    let mut wanted = Vec::new();
    for rule in config.rules.iter().filter(|rule| rule.connection == *connection) {
        let Some(until) = &rule.schedule.until else { continue };
        let except = rule.schedule.holidays.clone();
        let when = Redeployed { except, ..Redeployed::new(until.clone(), rule.schedule.zone.clone()) };
        for deployment in deployments {
            let group = groups.iter().find(|group| group.id == deployment.resource_group);
            if group.is_some_and(|group| rule.select.mismatch(group, deployment).is_none()) {
                wanted.push((deployment.resource_group.clone(), deployment.id.clone(), when.clone()));
            }
        }
    }
    wanted
}

/// Holds the rehearsal, tells each run, and ends with the report.
pub(crate) fn perform(session: &Session, rehearsal: Rehearsal, opening: &str) -> Result<Exit, CommandError> {
    let json = session.json;
    if !json {
        output::print(&format!("{opening}\n\n"))?;
    }
    let output = rehearsal.output.clone();
    let zone = rehearsal.config.zone.clone().unwrap_or_else(Zone::utc);
    let days = (zone.wall_clock(rehearsal.from).date(), zone.wall_clock(rehearsal.to).date());
    let zones: BTreeMap<_, _> =
        rehearsal.config.rules.iter().map(|rule| (rule.name.clone(), rule.schedule.zone.clone())).collect();
    in_virtual_time(async move {
        let mut told = Ok(());
        let rehearsed = rehearsal
            .hold(|run| {
                let zone = zones.get(&run.firing.rule).unwrap_or(&zone);
                if told.is_ok() && !json {
                    told = output::print(&account(run, zone));
                }
            })
            .await?;
        told?;
        let request = Request {
            span: Span::Days(days.0, days.1),
            zone: zone.clone(),
            now: rehearsed.ended_at,
            notes: rehearsed.notes,
        };
        let (locale, place) = (rehearsed.config.locale(), output.clone());
        let draw_up = move |books: Books<'_>| {
            let context =
                ReportContext { banner: Some(BANNER), ..ReportContext::new(locale, &zone, rehearsed.ended_at) };
            let content = period_report(&books.report(), &context);
            write(&place.join("report.html"), |file| Ok(file.write_all(content.html.as_bytes())?))?;
            write(&place.join("report.txt"), |file| Ok(file.write_all(content.text.as_bytes())?))?;
            write(&place.join("report.csv"), |file| books.write_csv(file, CsvForm::Exact))?;
            if json {
                match books.write_json(output::stdout()) {
                    Err(WriteError::Ledger(error)) => return Err(error.into()),
                    Err(WriteError::Output(error)) => output::judge(Err(error))?,
                    Ok(()) => {}
                }
            }
            Ok::<_, CommandError>(content.text)
        };
        let text = Books::with(Some(&rehearsed.ledger), rehearsed.config, request, draw_up).await?;
        if json {
            return Ok(Exit::Well);
        }
        output::print(&format!(
            "\n{}\n{} mails in {}\nThe report as a page: {}\n",
            text.trim_end(),
            rehearsed.mails,
            output.join("mails").display(),
            output.join("report.html").display(),
        ))?;
        Ok(Exit::Well)
    })
}
fn account(run: &Run, zone: &Zone) -> String {
    use crate::domain::run::Outcome;
    use std::fmt::Write as _;
    let wall = zone.wall_clock(run.firing.at);
    let context = ReportContext::new(crate::domain::locale::Locale::En, zone, run.finished_at);
    let mut text =
        format!("{}  {:<18} {}\n", wall.format("%a %d %b %H:%M"), run.firing.rule, report::headline(run, &context));
    for row in run.deployments.iter().filter(|row| matches!(row.outcome, Outcome::Failed | Outcome::Unconfirmed)) {
        let reason = shorten(&row.why(&context.form().instants()), 60);
        let _ = writeln!(text, "{:36}{} {}: {reason}", "", row.id, row.outcome);
    }
    text
}

fn write(path: &Path, content: impl FnOnce(&mut PrivateFile) -> Result<(), WriteError>) -> Result<(), CommandError> {
    let failed = || CommandError::io(format!("cannot write `{}`", path.display()));
    let mut file = PrivateFile::begin(path).map_err(failed())?;
    match content(&mut file) {
        Err(WriteError::Ledger(error)) => return Err(error.into()),
        Err(WriteError::Output(error)) => return Err(failed()(error)),
        Ok(()) => {}
    }
    file.finish().map_err(failed())
}
