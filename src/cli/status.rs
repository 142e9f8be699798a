//! `offhours status`: how things stand. Asks the ledger and the daemon's lock, never AI Core; works without either.

use chrono::{DateTime, Utc};

use crate::cli::exit::{CommandError, Exit};
use crate::cli::run::built;
use crate::cli::session::Session;
use crate::cli::{aside, output};
use crate::config::{Fingerprint, Outline};
use crate::domain::agenda::Agenda;
use crate::domain::calendar_end::{CalendarEnd, calendar_ends};
use crate::domain::id::RuleName;
use crate::domain::plausible::{Implausible, plausible};
use crate::domain::run::RunResult;
use crate::executor::run_mails::not_in_force;
use crate::ledger::chores::Chore;
use crate::ledger::lock::{Holder, daemon};
use crate::ledger::overview::{MailCounts, RECENT, RunHead, unmatched};
use crate::ledger::{Ledger, LedgerError, Tx};

mod page;

#[derive(Debug, Default)]
struct Status {
    /// The daemon that works on the ledger.
    daemon: Option<Holder>,
    /// Why rules do not fire, as far as the clock is to blame.
    clock: Option<Implausible>,
    /// False where there is no ledger yet.
    has_ledger: bool,
    rules: Vec<RuleStatus>,
    last_problem: Option<RunHead>,
    mails: MailCounts,
    holds: usize,
    unsettled: u32,
    put_aside: Vec<Chore>,
    /// What is to be done where the files are not what the daemon goes by.
    not_in_force: Option<String>,
    calendar_ends: Vec<CalendarEnd>,
}

#[derive(Debug)]
struct RuleStatus {
    rule: RuleName,
    last: Option<RunHead>,
    next_firing: Option<DateTime<Utc>>,
    /// Runs of a week in which the rule met nothing that it selects; none where it met something, or never looked.
    unmatched_runs: Option<u32>,
}

pub(crate) async fn status(session: &Session) -> Result<Exit, CommandError> {
    let outline = session.outline_without_secrets()?;
    let status = Status::draw_up(&outline, session.now(), built()).await?;
    let zone_data = crate::clock::zone_data();
    if session.json {
        output::print_json(&status.json(&outline, &zone_data))?;
    } else {
        output::print(&status.text(&outline, &zone_data, output::screen()))?;
    }
    Ok(if status.amiss().is_empty() { Exit::Well } else { Exit::Problem })
}

impl Status {
    async fn draw_up(outline: &Outline, now: DateTime<Utc>, built: DateTime<Utc>) -> Result<Self, LedgerError> {
        let rules = outline.rules().iter().map(|rule| RuleStatus {
            rule: rule.name.clone(),
            last: None,
            next_firing: rule.schedule.next_firing(now),
            unmatched_runs: None,
        });
        let rules = rules.collect();
        let calendar_ends = calendar_ends(outline.rules().iter().map(|rule| &**rule), now);
        let mut status = Self { rules, calendar_ends, ..Self::default() };
        let ledger = Ledger::open_to_read(outline.state_dir())?;
        status.daemon = daemon(outline.state_dir());
        let (cursors, newest, in_force) = match &ledger {
            Some(ledger) => ledger.read(|tx| Ok((tx.cursors()?, tx.newest_instant()?, tx.in_force()?))).await?,
            None => Default::default(),
        };
        let in_force = in_force.filter(|_| status.daemon.is_some());
        let daemons = status.daemon.as_ref().and_then(|holder| holder.config.as_deref());
        let on_disk = in_force.map(|known| outline.compared_with(&Fingerprint::new(known.fingerprint), daemons));
        status.not_in_force = on_disk.and_then(|on_disk| not_in_force(&on_disk, outline.command()));
        let known = cursors.into_iter().map(|(rule, cursor)| (rule, (cursor.schedule, cursor.after)));
        let agenda = Agenda::new(outline.rules(), &known.collect(), now);
        status.look_at_clock(&agenda, plausible(now, built, newest), now);
        match ledger {
            Some(ledger) => ledger.read(move |tx| status.filled_in(tx, now)).await,
            None => Ok(status),
        }
    }

    /// Names no firing that the clock, right or wrong, keeps from happening.
    fn look_at_clock(&mut self, agenda: &Agenda, plausible: Result<(), Implausible>, now: DateTime<Utc>) {
        self.clock = plausible.and_then(|()| agenda.check(now)).err();
        let silent = self.clock.as_ref().is_some_and(Implausible::silences_all);
        for (status, (_, next)) in self.rules.iter_mut().zip(agenda.next_firings(now)) {
            status.next_firing = next.filter(|_| !silent);
        }
    }

    /// What needs a person; `status` ends with 1 where there is something.
    fn amiss(&self) -> Vec<String> {
        let mut amiss = Vec::new();
        if self.daemon.is_none() {
            amiss.push("no daemon runs: nothing fires".to_owned());
        }
        amiss.extend(self.clock.iter().map(|fault| format!("rules do not fire: {fault}")));
        amiss.extend(self.not_in_force.clone());
        for rule in &self.rules {
            let failed = rule.last.as_ref().filter(|last| last.result.is_some_and(RunResult::needs_a_person));
            amiss.extend(failed.map(|last| format!("the last run of rule {} ended {}", rule.rule, result(last))));
        }
        if self.mails.given_up > 0 {
            amiss.push(format!("{} mails were given up within a week: see `offhours mail queue`", self.mails.given_up));
        }
        amiss.extend(aside::lines(&self.put_aside));
        amiss
    }

    fn filled_in(mut self, tx: &Tx<'_>, now: DateTime<Utc>) -> Result<Self, LedgerError> {
        self.has_ledger = true;
        for rule in &mut self.rules {
            rule.last = tx.last_run(&rule.rule)?;
            let matches = tx.matches(&rule.rule, now - RECENT, now)?;
            rule.unmatched_runs = matches.are_none().then_some(matches.runs);
        }
        self.last_problem = tx.last_problem(now - RECENT)?;
        self.mails = tx.mail_counts(now)?;
        self.holds = tx.holds(now)?.len();
        self.unsettled = tx.count_unsettled(now)?;
        self.put_aside = aside::put_aside(tx, now)?;
        Ok(self)
    }

    fn warnings(&self) -> Vec<String> {
        let unmatched = |status: &RuleStatus| {
            let (rule, runs) = (&status.rule, status.unmatched_runs?);
            Some(format!("rule {rule} {} within a week: see `offhours plan {rule}`", unmatched(runs)))
        };
        let calendars = self.calendar_ends.iter().map(ToString::to_string);
        self.rules.iter().filter_map(unmatched).chain(calendars).collect()
    }
}

fn result(run: &RunHead) -> &'static str {
    run.result.map_or("under way", |result| result.as_str())
}

#[cfg(test)]
mod tests {
    use crate::domain::run_reason::RunReason;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use chrono::{DateTime, TimeDelta, Utc};

    use super::Status;
    use crate::config::{self, Outline};
    use crate::domain::agenda::fires_by;
    use crate::domain::hold::HoldTarget;
    use crate::domain::id::{ConnectionName, ResourceGroup, RuleName};
    use crate::domain::rule::Mode;
    use crate::domain::run::{Firing, RunResult, Trigger};
    use crate::domain::schedule::OffWindow;
    use crate::ledger::Ledger;
    use crate::ledger::cursors::Cursor;
    use crate::ledger::lock::DaemonLock;
    use crate::ledger::outbox::{Letter, NewMail};
    use crate::ledger::runs::{Claim, NewRun};
    use crate::report::grid::Screen;

    const ZONE_DATA: &str = "2026a from /usr/share/zoneinfo";

    fn now() -> DateTime<Utc> {
        "2026-11-24T09:00:00Z".parse().unwrap()
    }

    fn outline(directory: &tempfile::TempDir) -> Outline {
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("schedules")).unwrap();
        let main = "timezone = \"Europe/Berlin\"\nstate_dir = \"state\"\n[connection.dev]\nservice_key = \"key\"\n";
        fs::write(at("offhours.toml"), main).unwrap();
        let key = r#"{ "clientid": "c", "clientsecret": "s", "url": "https://auth.example.com",
                       "serviceurls": { "AI_API_URL": "https://api.example.com" } }"#;
        fs::write(at("key"), key).unwrap();
        fs::set_permissions(at("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let rules = ["dev-evenings", "team-a-sandboxes-every-night-and-weekend", "new"].map(|name| {
            format!(
                "[[rule]]\nname = \"{name}\"\nstop = \"0 19 * * MON-FRI\"\nuntil = \"0 7 * * MON-FRI\"\n\
                     [rule.select]\nresource_groups = [\"dev\"]\n"
            )
        });
        fs::write(at("schedules/a.toml"), rules.concat()).unwrap();
        config::outline(&at("offhours.toml"), now()).unwrap()
    }

    fn new_run(rule: &str, at: DateTime<Utc>) -> NewRun {
        NewRun {
            firing: Firing { rule: RuleName::new(rule).unwrap(), at },
            connection: ConnectionName::new("dev").unwrap(),
            mode: Mode::Enforce,
            trigger: Trigger::Schedule,
            off_window: OffWindow { from: at, to: at + TimeDelta::hours(12) },
            started_at: at,
            executor: "executor".to_owned(),
        }
    }

    async fn fill(ledger: &Ledger) {
        let evening: DateTime<Utc> = "2026-11-23T18:00:00Z".parse().unwrap();
        let mail = |n: u32| NewMail {
            subject: "s".to_owned(),
            recipient: "a@example.com".to_owned(),
            message_id: n.to_string(),
            head: Vec::new(),
            letter: Letter { id: n.to_string(), bytes: vec![b'x'; 100_000].into() },
            useless_from: None,
        };
        ledger
            .write(move |tx| {
                for days in 0..400 {
                    let at = evening - TimeDelta::days(days);
                    tx.record(&new_run("team-a-sandboxes-every-night-and-weekend", at), RunResult::Done, &[])?;
                }
                let reasons = [RunReason::NotOff { failed: 0, unconfirmed: 2 }];
                let first = new_run("dev-evenings", evening - TimeDelta::days(1));
                tx.record(&first, RunResult::Partial, &reasons)?;
                assert!(matches!(tx.claim(&new_run("dev-evenings", evening))?, Claim::Taken(_)));
                tx.enqueue(&[mail(1)], now() - TimeDelta::days(30))?;
                tx.mail_failed(1, "refused", None, now() - TimeDelta::days(25))?;
                tx.enqueue(&[mail(2), mail(3), mail(4)], now() - TimeDelta::days(6))?;
                tx.mail_failed(2, "550 no such user", None, now() - TimeDelta::days(1))?;
                tx.mail_failed(3, "no connection: refused", Some(now()), now())?;
                let group = HoldTarget::ResourceGroup(ResourceGroup::new("dev").unwrap());
                tx.add_hold(&group, now() + TimeDelta::hours(3), "demo", "ann", now())?;
                Ok(())
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn all_that_is_amiss_is_on_one_page() {
        let directory = tempfile::tempdir().unwrap();
        let outline = outline(&directory);
        let ledger = Ledger::open(outline.state_dir()).unwrap();
        fill(&ledger).await;
        let lock = DaemonLock::take(outline.state_dir()).unwrap();
        let status = Status::draw_up(&outline, now(), DateTime::UNIX_EPOCH).await.unwrap();
        let text = status.text(&outline, ZONE_DATA, Screen::NARROW).replace(&std::process::id().to_string(), "4711");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!("status", text);
        let json = status.json(&outline, ZONE_DATA);
        assert_eq!(json["pid"], std::process::id());
        assert_eq!(json["mails"]["waiting"], 2);
        assert_eq!(json["rules"][0]["last_run"]["result"], serde_json::Value::Null);
        assert_eq!(json["rules"][2]["next_firing"], "2026-11-24T18:00:00Z");
        drop(lock);
        assert_eq!(Status::draw_up(&outline, now(), DateTime::UNIX_EPOCH).await.unwrap().daemon, None);
    }

    #[tokio::test]
    async fn c74_a_calendar_that_runs_out_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let rules = directory.path().join("schedules/a.toml");
        let outline = outline(&directory);
        let skip = "until = \"0 7 * * MON-FRI\"\nskip = [\"2026-12-01\", \"2026-12-02\"]\n";
        let text = fs::read_to_string(&rules).unwrap().replacen("until = \"0 7 * * MON-FRI\"\n", skip, 1);
        fs::write(&rules, text).unwrap();
        let outline = config::outline(outline.path(), now()).unwrap();
        let status = Status::draw_up(&outline, now(), DateTime::UNIX_EPOCH).await.unwrap();
        let text = status.text(&outline, ZONE_DATA, Screen::NARROW).split_whitespace().collect::<Vec<_>>().join(" ");
        let said = "warning: the calendar of `skip` of rule `dev-evenings` ends on 2026-12-02: after that day";
        assert!(text.contains(said), "{text}");
        assert_eq!(status.json(&outline, ZONE_DATA)["warnings"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn without_daemon_and_ledger_it_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let outline = outline(&directory);
        let status = Status::draw_up(&outline, now(), DateTime::UNIX_EPOCH).await.unwrap();
        let text =
            status.text(&outline, ZONE_DATA, Screen::NARROW).replace(&directory.path().display().to_string(), "…");
        insta::assert_snapshot!("status_of_nothing", text);
    }

    /// The status with the cursor of `dev-evenings` at `after`.
    async fn ahead(outline: &Outline, after: DateTime<Utc>) -> Status {
        let ledger = Ledger::open(outline.state_dir()).unwrap();
        let cursor = Cursor { schedule: fires_by(&outline.rules()[0]), after };
        ledger.write(move |tx| tx.move_cursor(&RuleName::new("dev-evenings").unwrap(), &cursor)).await.unwrap();
        Status::draw_up(outline, now(), DateTime::UNIX_EPOCH).await.unwrap()
    }

    #[tokio::test]
    async fn t21_a_firing_that_the_clock_keeps_from_happening_is_not_named_and_no_status_is_well_then() {
        let directory = tempfile::tempdir().unwrap();
        let outline = outline(&directory);
        let _ledger = Ledger::open(outline.state_dir()).unwrap();
        let _lock = DaemonLock::take(outline.state_dir()).unwrap();
        let next = |status: &Status| -> Vec<Option<String>> {
            status.rules.iter().map(|rule| rule.next_firing.map(|at| at.to_rfc3339())).collect()
        };
        let usual = Some("2026-11-24T18:00:00+00:00".to_owned());

        let days = ahead(&outline, now() + TimeDelta::days(200)).await;
        assert_eq!(next(&days), [None, None, None]);
        assert!(days.amiss().iter().any(|line| line.starts_with("rules do not fire")));
        let text = days.text(&outline, ZONE_DATA, Screen::NARROW).replace(&std::process::id().to_string(), "4711");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!("status_under_a_clock_that_was_ahead", text);
        assert!(days.json(&outline, ZONE_DATA)["clock"].as_str().unwrap().contains("trust-clock"));

        let hours = ahead(&outline, now() + TimeDelta::hours(23)).await;
        assert_eq!(next(&hours), [Some("2026-11-25T18:00:00+00:00".to_owned()), usual.clone(), usual.clone()]);
        assert!(!hours.amiss().is_empty());
        let minutes = ahead(&outline, now() + TimeDelta::minutes(10)).await;
        assert_eq!(
            (next(&minutes), minutes.amiss()),
            (vec![usual.clone(), usual.clone(), usual], Vec::<String>::new())
        );
        assert!(minutes.json(&outline, ZONE_DATA)["clock"].is_null());
    }
}
