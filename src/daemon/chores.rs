//! What has to be done now and then, beside the runs: notices before a stop, settling avoided costs, reports of the
//! calendar, and what is told of the ledger outside.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use futures_util::FutureExt;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use crate::accounting::{reports, settle};
use crate::config::Config;
use crate::daemon::attempt::Attempts;
use crate::daemon::clock_watch::Pace;
use crate::daemon::gauges::GaugeReader;
use crate::domain::calendar_end::{CalendarEnd, calendar_ends};
use crate::domain::plausible::plausible;
use crate::domain::steady::Gait;
use crate::executor::Executor;
use crate::ledger::LedgerError;
use crate::ledger::chores::{Chore, ChoreKind};
use crate::monitor::vitals::Vitals;

/// Pause between two looks at what is to be done.
const PAUSE: Duration = Duration::from_secs(30);
/// In an off window the tenant is looked at this often, so that replacements and deletions are seen near their time.
const BETWEEN_ROUNDS: TimeDelta = TimeDelta::hours(1);
/// What could not be settled is tried again after this time.
const AFTER_FAILURE: TimeDelta = TimeDelta::minutes(10);

/// Works until the executor's shutdown, always with the newest executor of `news`, and tells it where mails wait.
pub(crate) async fn work(news: watch::Sender<Executor>, vitals: Vitals) {
    let (mut last_round, mut gauges) = (DateTime::UNIX_EPOCH, GaugeReader::default());
    let (mut pace, mut attempts, mut named_on) = {
        let executor = news.borrow();
        let attempts = Attempts::new(executor.ledger.clone(), executor.clock.clone());
        // Whoever loaded the files has named them for today.
        (Pace::new(&executor.clock), attempts, executor.clock.now().date_naive())
    };
    loop {
        let executor = news.borrow().clone();
        for ends in calendars_to_name(&executor.config, executor.clock.now(), &mut named_on) {
            warn!("{ends}");
        }
        // What is noted as sent under a clock that is ahead for a moment would be silent until then.
        let is_steady = pace.look(&executor.clock) == Gait::Steady;
        let work = async {
            let look = Box::pin(look(&executor, &mut attempts, &mut last_round, is_steady, (&mut gauges, &vitals)));
            if AssertUnwindSafe(look).catch_unwind().await.is_err() {
                error!("a look at notices, settling and reports ended by a panic, which is a bug in offhours");
            }
            if mails_are_due(&executor).await {
                news.send_modify(|_| {});
            }
            executor.clock.pause(PAUSE).await;
        };
        // Everything here is a transaction at the end: cut off, it is done again.
        if executor.shutdown.run_until_cancelled(work).await.is_none() {
            if let Err(failure) = attempts.lay_down().await {
                error!(error = &failure as &dyn std::error::Error, "what was cut off counts as a failed attempt");
            }
            return;
        }
    }
}

async fn look(
    executor: &Executor,
    attempts: &mut Attempts,
    last_round: &mut DateTime<Utc>,
    is_steady: bool,
    (gauges, vitals): (&mut GaugeReader, &Vitals),
) {
    if is_steady && let Err(failure) = once(executor, attempts, last_round).await {
        error!(error = &failure as &dyn std::error::Error, "notices, settling or reports had to wait");
    }
    if let Err(failure) = gauges.look(executor, vitals).await {
        error!(error = &failure as &dyn std::error::Error, "metrics of the ledger could not be read");
    }
}

/// Calendars that run out, once on each day after `named_on`.
fn calendars_to_name(config: &Config, now: DateTime<Utc>, named_on: &mut NaiveDate) -> Vec<CalendarEnd> {
    if now.date_naive() == *named_on {
        return Vec::new();
    }
    *named_on = now.date_naive();
    calendar_ends(config.rules.iter().map(|rule| &**rule), now)
}

/// True where the outbox holds what could leave now, a notice that was just made for instance: it must not have to wait
/// until somebody looks.
async fn mails_are_due(executor: &Executor) -> bool {
    // Where that cannot be read, whoever delivers looks by itself.
    let next = executor.ledger.read(|tx| tx.next_mail_at()).await.ok().flatten();
    next.is_some_and(|next| next <= executor.clock.now())
}

async fn once(executor: &Executor, attempts: &mut Attempts, last_round: &mut DateTime<Utc>) -> Result<(), LedgerError> {
    let Executor { ledger, config, tenants, clock, built, .. } = executor;
    let now = clock.now();
    // A report that is noted as sent in 2099 would be the last one.
    let newest = ledger.read(|tx| tx.newest_instant()).await?;
    if let Err(implausible) = plausible(now, *built, newest) {
        debug!("no notices, reports or settling: {implausible}");
        return Ok(());
    }
    for (rule, at) in executor.notices_due().await? {
        let by_hand = format!("offhours plan {}", rule.name);
        let chore = Chore { kind: ChoreKind::Notice, name: rule.name.to_string(), at, by_hand };
        attempts.attempt(chore, executor.announce(&rule, at)).await?;
    }
    let due = ledger.read(move |tx| tx.next_settlement_at(now)).await?;
    let pause = if due.is_some_and(|due| due <= now) { AFTER_FAILURE } else { BETWEEN_ROUNDS };
    let newly_due = due.is_some_and(|due| due <= now && due > *last_round);
    // A clock that was put back must not stop the rounds.
    if due.is_some() && (newly_due || (now - *last_round).abs() >= pause) {
        let settle = async { settle::round(ledger, config, tenants, clock).await.map(drop) };
        if attempts.attempt(settling(now), settle).await? {
            *last_round = now;
        }
    }
    for schedule in &config.reports {
        if let Some(at) = reports::due(ledger, schedule, now).await? {
            let send = reports::send(ledger, config, tenants, schedule, at, now);
            attempts.attempt(reports::chore(schedule, at), send).await?;
        }
    }
    Ok(())
}

/// Settling has no instant of its own: put aside, it rests until the next day begins.
fn settling(now: DateTime<Utc>) -> Chore {
    let at = now.date_naive().and_time(NaiveTime::MIN).and_utc();
    Chore { kind: ChoreKind::Settling, name: String::new(), at, by_hand: "offhours report".to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use chrono::{DateTime, Utc};
    use tokio_util::sync::CancellationToken;

    use super::{calendars_to_name, once};
    use crate::aicore::Options;
    use crate::clock::Clock;
    use crate::daemon::attempt::Attempts;
    use crate::executor::Executor;
    use crate::executor::tenants::Tenants;
    use crate::ledger::Ledger;
    use crate::ledger::announced::Announcement;

    const CONFIG: &str = r#"
state_dir = "state"
[connection.dev]
service_key = "dev.json"
[mail]
directory = "mails"
from = "offhours@example.com"
to = ["a@example.com"]
[[report]]
name = "daily"
cron = "0 8 * * *"
timezone = "UTC"
period = "yesterday"
"#;
    const KEY: &str = r#"{"clientid":"c","clientsecret":"s","url":"https://auth.example.com",
        "serviceurls":{"AI_API_URL":"https://api.example.com"}}"#;

    /// An executor in `home`, of a daemon without rules whose mails are files.
    pub(in crate::daemon) fn executor(home: &std::path::Path) -> Executor {
        std::fs::create_dir(home.join("schedules")).unwrap();
        std::fs::write(home.join("offhours.toml"), CONFIG).unwrap();
        std::fs::write(home.join("dev.json"), KEY).unwrap();
        std::fs::set_permissions(home.join("dev.json"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let (config, _) = crate::config::load(&home.join("offhours.toml")).unwrap();
        Executor {
            ledger: Ledger::open(&config.state_dir).unwrap(),
            config: Arc::new(config),
            clock: Clock::System,
            tenants: Arc::new(Tenants::new(Options::default())),
            shutdown: CancellationToken::new(),
            name: "test".into(),
            built: DateTime::UNIX_EPOCH,
            slots: crate::executor::slots(),
        }
    }

    #[test]
    fn c74_a_calendar_that_runs_out_is_named_in_the_log_once_a_day() {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _in_it = runtime.enter();
        let executor = executor(home.path());
        let rule = "[[rule]]\nname = \"a\"\nstop = \"0 19 * * *\"\ntimezone = \"UTC\"\n\
                    skip = [\"2026-12-24\", \"2026-12-31\"]\n[rule.select]\nresource_groups = [\"dev\"]\n";
        std::fs::write(home.path().join("schedules/a.toml"), rule).unwrap();
        let (config, _) = crate::config::load(&executor.config.path).unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let mut named_on = at("2026-11-20T08:00:00Z").date_naive();
        let mut named = |text: &str| calendars_to_name(&config, at(text), &mut named_on).len();
        assert_eq!(named("2026-11-20T09:00:00Z"), 0, "there is time");
        assert_eq!((named("2026-12-10T00:00:30Z"), named("2026-12-10T00:01:00Z")), (1, 0), "once a day");
        assert_eq!(named("2026-12-11T00:00:10Z"), 1);
        assert_eq!(named("2027-01-02T00:00:10Z"), 1, "it has run out");
    }

    /// A report noted as sent in 2099 would be the last one for ever.
    #[tokio::test(start_paused = true)]
    async fn t07_under_a_clock_that_cannot_be_right_nothing_is_reported() {
        let home = tempfile::tempdir().unwrap();
        let executor = executor(home.path());
        let at = |text: &str| Executor {
            clock: Clock::Virtual { start: text.parse().unwrap(), origin: tokio::time::Instant::now() },
            ..executor.clone()
        };
        let announced = async || {
            let read = executor.ledger.read(|tx| tx.newest_announcement(Announcement::Report, "daily"));
            read.await.unwrap().map(|at: DateTime<Utc>| at.to_rfc3339())
        };
        let newest = "2026-11-23T09:00:00Z".parse().unwrap();
        let cursor = crate::ledger::cursors::Cursor { schedule: "0 19 * * * UTC".to_owned(), after: newest };
        let rule = "evenings".parse().unwrap();
        executor.ledger.write(move |tx| tx.move_cursor(&rule, &cursor)).await.unwrap();
        let mut last_round = DateTime::UNIX_EPOCH;
        let mut look = async |executor: Executor| {
            let mut attempts = Attempts::new(executor.ledger.clone(), executor.clock.clone());
            once(&executor, &mut attempts, &mut last_round).await.unwrap();
        };
        look(at("2099-03-01T09:00:00Z")).await;
        assert_eq!(announced().await, None);
        look(at("2026-11-23T10:00:00Z")).await;
        look(at("2026-11-24T09:00:00Z")).await;
        assert_eq!(announced().await.as_deref(), Some("2026-11-24T08:00:00+00:00"));
    }
}
