//! Being observed: pings as the other side sees them, and the page as whoever asks sees it.
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::accounting::period::{Books, Request};
use offhours::config::{self, Config};
use offhours::domain::avoided::Avoided;
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::money::{Charge, Currency, HourlyRate};
use offhours::domain::period::Span;
use offhours::domain::reason::{Reason, ReasonCode, ReasonKind};
use offhours::domain::rule::Mode;
use offhours::domain::run::{DeploymentResult, Firing, LeftKind, Outcome, Run, RunResult, Trigger};
use offhours::domain::schedule::OffWindow;
use offhours::ledger::outbox::{Letter, NewMail};
use offhours::ledger::runs::{Claim, NewRun};
use offhours::ledger::{Ledger, LedgerError};
use offhours::monitor::ledger_gauges::{AvoidedThisMonth, LedgerGauges, Mails};
use offhours::monitor::page::StatusPage;
use offhours::monitor::ping::{PingError, PingStatus, PingTarget, PingUrl, ping};
use offhours::monitor::vitals::{Reload, Vitals};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A watcher that gives one answer to everything, or none, and keeps what it was asked.
#[derive(Clone)]
struct Watcher {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Watcher {
    async fn new(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let watcher = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&watcher.asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let line = head(&mut stream).await.lines().next().unwrap_or_default().to_owned();
                asked.lock().unwrap().push(line.clone());
                let answer = if line.contains("/moved") { "HTTP/1.1 200 OK" } else { answer };
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(format!("{answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
            }
        });
        watcher
    }

    async fn ping(&self, sign: PingStatus) -> Result<(), PingError> {
        offhours::aicore::install_crypto();
        let url = PingUrl::parse(&format!("http://{}/CANARY", self.address)).unwrap();
        ping(&PingTarget::Here(url), sign).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_ping_is_a_get_and_a_bad_one_ends_in_fail() {
    let watcher = Watcher::new("HTTP/1.1 200 OK").await;
    watcher.ping(PingStatus::Well).await.unwrap();
    watcher.ping(PingStatus::Unwell).await.unwrap();
    assert_eq!(watcher.asked(), ["GET /CANARY HTTP/1.1", "GET /CANARY/fail HTTP/1.1"]);
}

#[tokio::test]
async fn a_refused_ping_says_why_and_not_where() {
    let watcher = Watcher::new("HTTP/1.1 404 Not Found").await;
    assert_eq!(watcher.ping(PingStatus::Well).await.unwrap_err().to_string(), "answered 404 Not Found");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Watcher { address: nobody, asked: Arc::default() }.ping(PingStatus::Well).await.unwrap_err();
    assert!(
        matches!(&error, PingError::Connection(_)) && !format!("{error} {error:?}").contains("CANARY"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_host_only() {
    let same = Watcher::new("HTTP/1.1 302 Found\r\nlocation: /moved").await;
    same.ping(PingStatus::Well).await.unwrap();
    assert_eq!(same.asked(), ["GET /CANARY HTTP/1.1", "GET /moved HTTP/1.1"]);

    let other = Watcher::new("HTTP/1.1 200 OK").await;
    let away = format!("HTTP/1.1 302 Found\r\nlocation: http://{}/moved", other.address).leak();
    let error = Watcher::new(away).await.ping(PingStatus::Well).await.unwrap_err();
    assert_eq!(error.to_string(), "answered 302 Found, a redirect; write the URL that it redirects to");
    assert_eq!(other.asked(), [""; 0]);

    let circle = Watcher::new("HTTP/1.1 302 Found\r\nlocation: /CANARY").await;
    assert!(matches!(circle.ping(PingStatus::Well).await, Err(PingError::Redirected(_))));
    assert_eq!(circle.asked().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_hangs_is_given_up_after_ten_seconds() {
    let start = tokio::time::Instant::now();
    let error = Watcher::new("").await.ping(PingStatus::Well).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer within 10 seconds");
    assert_eq!(start.elapsed().as_secs(), 10);
}

/// Status line, headers and body of the page.
async fn ask(page: SocketAddr, path: &str) -> String {
    say(page, &format!("GET {path} HTTP/1.1\r\nhost: {page}\r\n\r\n")).await
}

async fn say(page: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(page).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

async fn open(vitals: &Vitals) -> SocketAddr {
    let page = StatusPage::open("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = page.address().unwrap();
    tokio::spawn(page.serve(vitals.clone()));
    address
}

#[tokio::test(start_paused = true)]
async fn a_heart_that_stands_still_for_ten_seconds_is_not_well() {
    let vitals = Vitals::default();
    let health = || vitals.health().map_err(|ailment| ailment.to_string());
    assert_eq!(health(), Err("there was no heartbeat yet".to_owned()));
    vitals.beat(DateTime::UNIX_EPOCH);
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(health(), Ok(()));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(health(), Err("there was no heartbeat for 10 seconds".to_owned()));
    // What was learnt in virtual time is asked for in real time: a socket does not wait.
    tokio::time::resume();
    let page = open(&vitals).await;
    let dead = ask(page, "/healthz").await;
    assert!(dead.starts_with("HTTP/1.1 503 "), "{dead}");
    assert!(dead.contains("\r\n\r\nthere was no heartbeat for "), "{dead}");
    vitals.beat(DateTime::UNIX_EPOCH);
    let alive = ask(page, "/healthz").await;
    assert!(alive.starts_with("HTTP/1.1 200 OK\r\n") && alive.ends_with("\r\n\r\nok\n"), "{alive}");
    assert!(vitals.cannot_fire("the disk is full") && !vitals.cannot_fire("the disk is full"));
    assert!(ask(page, "/healthz").await.ends_with("rules cannot fire: the disk is full\n"));
    assert!(vitals.can_fire() && !vitals.can_fire());
    assert!(ask(page, "/healthz").await.ends_with("\r\n\r\nok\n"));
    assert!(ask(page, "/").await.starts_with("HTTP/1.1 404 "));
}

/// Connections that say nothing, or half of what they want.
async fn half_open(page: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for number in 0..count {
        let mut stream = TcpStream::connect(page).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: local").await.unwrap();
        }
        idle.push(stream);
    }
    idle
}

#[tokio::test]
async fn p58_whoever_opens_hundreds_of_connections_and_says_nothing_keeps_nobody_from_the_page() {
    let vitals = Vitals::default();
    let page = open(&vitals).await;
    // As many as a process may have under the usual limit of descriptors, both ends and all.
    let mut idle = half_open(page, 450).await;
    for _ in 0..3 {
        let answer = tokio::time::timeout(Duration::from_secs(30), ask(page, "/healthz")).await;
        assert!(answer.expect("the page is silent").starts_with("HTTP/1.1 503 "));
        idle.extend(half_open(page, 10).await);
    }
}

#[tokio::test]
async fn p59_the_page_answers_who_asks_for_this_machine_and_for_no_other_name() {
    let vitals = Vitals::default();
    vitals.beat(utc("2026-11-23T18:02:01Z"));
    let page = open(&vitals).await;
    let asked_for = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    for host in [
        "127.0.0.1:9464",
        "127.0.0.1",
        "localhost",
        "LocalHost:80",
        "localhost.:9464",
        "[::1]:9464",
        "[::1]",
        "10.1.2.3:80",
    ] {
        for path in ["/healthz", "/metrics"] {
            let answer = say(page, &asked_for(host, path)).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{host}: {answer}");
        }
    }
    let names = [
        "evil.example.com",
        "evil.example.com:9464",
        "localhost.evil.example.com",
        "127.0.0.1.evil.example.com:80",
        "x",
        "",
        "127.0.0.1:9464, evil.example.com",
        "evil.example.com@127.0.0.1",
        "[::1",
    ];
    for host in names {
        for path in ["/healthz", "/metrics", "/"] {
            let answer = say(page, &asked_for(host, path)).await;
            // What is no host at all, hyper itself refuses.
            let refused = answer.starts_with("HTTP/1.1 421 ") || answer.starts_with("HTTP/1.1 400 ");
            assert!(refused && !answer.contains("offhours_"), "{host}: {answer}");
        }
    }
    let both = "GET http://evil.example.com/metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(say(page, both).await.starts_with("HTTP/1.1 421 "));
    let twice = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nhost: evil.example.com\r\n\r\n";
    assert!(!say(page, twice).await.contains("offhours_"));
    // No browser sends a request without a host; old health checks do.
    assert!(say(page, "GET /healthz HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 OK\r\n"));
    let refused = say(page, &asked_for("evil.example.com", "/metrics")).await;
    let sentence = "ask for `localhost` or an IP address: this page answers no other host name\n";
    assert!(refused.ends_with(sentence), "{refused}");
}

fn run(rule: &str, result: RunResult, outcomes: &[Outcome]) -> Run {
    let from = utc("2026-11-23T18:00:00Z");
    let row = |(number, outcome): (usize, &Outcome)| DeploymentResult {
        resource_group: ResourceGroup::new("dev-a").unwrap(),
        id: DeploymentId::new(format!("d{number:03}")).unwrap(),
        configuration_id: "c1".to_owned(),
        configuration_name: None,
        scenario_id: None,
        is_selected: true,
        outcome: *outcome,
        reason: None,
        requested_at: None,
        confirmed_at: None,
        expires_at: None,
        nodes: Vec::new(),
        rate: HourlyRate { nodes: 0, charge: Charge::TokenBilled },
        projected: Avoided::nothing(),
        settlement: None,
    };
    Run {
        firing: Firing { rule: RuleName::new(rule).unwrap(), at: from },
        connection: ConnectionName::new("dev").unwrap(),
        mode: Mode::Enforce,
        trigger: Trigger::Schedule,
        started_at: from,
        finished_at: utc("2026-11-23T18:02:00Z"),
        result,
        reasons: Vec::new(),
        off_window: OffWindow { from, to: utc("2026-11-24T06:00:00Z") },
        resumed: false,
        deployments: outcomes.iter().enumerate().map(row).collect(),
        left_out: offhours::domain::run::LeftOut::new(),
        tries: Vec::new(),
    }
}

#[tokio::test]
async fn metrics_are_what_prometheus_expects() {
    let vitals = Vitals::default();
    insta::assert_snapshot!("metrics_at_start", vitals.metrics());
    vitals.beat(utc("2026-11-23T18:02:01Z"));
    vitals.run_ended(&run("dev-evenings", RunResult::Done, &[Outcome::Stopped, Outcome::Stopped, Outcome::Left]));
    vitals.run_ended(&run("team-a", RunResult::Partial, &[Outcome::Unconfirmed]));
    vitals.recorded(&RuleName::new("team-a").unwrap(), RunResult::Missed);
    vitals.next_firing(Some(utc("2026-11-24T18:00:00Z")));
    let rule = |name: &str| RuleName::new(name).unwrap();
    vitals.ledger(Some(LedgerGauges {
        read_at: utc("2026-11-23T18:02:00Z"),
        observes: [(rule("dev-evenings"), false), (rule("team-a"), true)].into(),
        results: [(rule("dev-evenings"), RunResult::Done), (rule("team-a"), RunResult::Missed)].into(),
        mails: Mails { queued: 2, dead: 1, oldest: Some(utc("2026-11-23T17:00:00Z")) },
        holds: 3,
        still_on: 1,
        avoided: AvoidedThisMonth {
            node_hours: "1219.422".parse().unwrap(),
            cost: Some(("1217.39".parse().unwrap(), Currency::from_code("EUR").unwrap())),
        },
    }));
    vitals.reloaded(Reload::Rejected);
    insta::assert_snapshot!("metrics", vitals.metrics());
    let answer = ask(open(&vitals).await, "/metrics").await;
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(kind), "{answer}");
    assert!(answer.ends_with("# EOF\n"));
}

/// A board or an alert that asks for a metric of another name is silent for ever.
#[tokio::test]
async fn alerts_and_board_ask_for_metrics_that_there_are() {
    let vitals = Vitals::default();
    vitals.ledger(Some(LedgerGauges::default()));
    let told = vitals.metrics();
    for name in ["docs/monitoring/alerts.yml", "docs/monitoring/grafana.json", "docs/operations.md"] {
        let text = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        let words =
            text.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).filter(|word| word.starts_with("offhours_"));
        let unknown: Vec<&str> =
            words.filter(|word| !told.contains(&format!("# TYPE {} ", word.trim_end_matches("_total")))).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
    let board =
        fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring/grafana.json"));
    serde_json::from_str::<serde_json::Value>(&board.unwrap()).unwrap();
}

/// The configuration of three rules, in `directory`.
fn three_rules(directory: &tempfile::TempDir) -> Config {
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("schedules")).unwrap();
    fs::write(
        at("offhours.toml"),
        "timezone = \"UTC\"\nstate_dir = \"state\"\n[connection.dev]\nservice_key = \"key\"\n",
    )
    .unwrap();
    let key = r#"{ "clientid": "c", "clientsecret": "s", "url": "https://auth.example.com",
                   "serviceurls": { "AI_API_URL": "https://api.example.com" } }"#;
    fs::write(at("key"), key).unwrap();
    fs::set_permissions(at("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let rules = ["meets", "meets-nothing", "could-not-look"].map(|name| {
        format!("[[rule]]\nname = \"{name}\"\nstop = \"0 19 * * *\"\n[rule.select]\nresource_groups = [\"dev\"]\n")
    });
    fs::write(at("schedules/a.toml"), rules.concat()).unwrap();
    config::load_at(&at("offhours.toml"), utc("2026-11-24T09:00:00Z")).unwrap().0
}

/// Claims and concludes one run.
async fn carry_out(ledger: &Ledger, mut run: Run, at: DateTime<Utc>, reason: Option<Reason>) {
    run.firing.at = at;
    for row in &mut run.deployments {
        row.is_selected = !matches!(reason, Some(Reason::NotSelected(_)));
        row.reason.clone_from(&reason);
    }
    let new = NewRun {
        firing: run.firing.clone(),
        connection: run.connection.clone(),
        mode: run.mode,
        trigger: run.trigger,
        off_window: run.off_window,
        started_at: at,
        executor: "executor".to_owned(),
    };
    let work = move |tx: &offhours::ledger::Tx<'_>| match tx.claim(&new)? {
        Claim::Taken(id) => tx.finish(id, &run),
        other => unreachable!("{other:?}"),
    };
    ledger.write(work).await.unwrap();
}

/// The notes of the report of `span`.
async fn notes(ledger: &Ledger, config: &Config, span: Span, now: DateTime<Utc>) -> Vec<String> {
    let request = Request { span, zone: config.zone_or_utc(), now, notes: Vec::new() };
    let notes = |books: Books<'_>| Ok::<_, LedgerError>(books.report().notes.to_vec());
    Books::with(Some(ledger), Arc::new(config.clone()), request, notes).await.unwrap()
}

// In a large tenant most of what a run leaves has no row: only a count by the kind of reason.
#[tokio::test]
async fn p36_a_rule_that_only_counted_what_it_met_is_not_said_to_match_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = three_rules(&directory);
    let ledger = Ledger::open(&config.state_dir).unwrap();
    let at = utc("2026-11-16T19:00:00Z");
    for (rule, code) in [("meets", ReasonCode::TooYoung), ("meets-nothing", ReasonCode::NotSelected)] {
        let kind = LeftKind { reason: ReasonKind::Plain(code), is_selected: rule == "meets" };
        let left_out = [(kind, 99_000)].into();
        carry_out(&ledger, Run { left_out, ..run(rule, RunResult::Done, &[]) }, at, None).await;
    }
    let notes = notes(&ledger, &config, "last-week".parse().unwrap(), utc("2026-11-24T09:00:00Z")).await;
    assert_eq!(notes, ["Rule meets-nothing matched no deployment in its one run: check what it selects."]);
}

#[tokio::test]
async fn a_rule_that_met_nothing_for_a_week_is_a_note_in_the_report_of_the_week() {
    let directory = tempfile::tempdir().unwrap();
    let config = three_rules(&directory);
    let ledger = Ledger::open(&config.state_dir).unwrap();
    for days in 0..7 {
        let at = utc("2026-11-16T19:00:00Z") + TimeDelta::days(days);
        let met: &[Outcome] = if days == 3 { &[Outcome::Left] } else { &[] };
        carry_out(&ledger, run("meets", RunResult::Done, met), at, Some(Reason::TokenBilled)).await;
        let unselected = run("meets-nothing", RunResult::Done, &[Outcome::Left]);
        carry_out(&ledger, unselected, at, Some(Reason::NotSelected("configuration".to_owned()))).await;
        carry_out(&ledger, run("could-not-look", RunResult::Partial, &[]), at, None).await;
    }
    let now = utc("2026-11-24T09:00:00Z");
    for (period, expected) in [
        ("last-week", &["Rule meets-nothing matched no deployment in all its 7 runs: check what it selects."][..]),
        ("2026-11-16..2026-11-17", &[]),
        ("2026-01", &[]),
    ] {
        let span: Span = period.parse().unwrap();
        assert_eq!(notes(&ledger, &config, span, now).await, expected, "{period}");
    }
}

#[tokio::test]
async fn e03_a_mail_that_was_given_up_is_a_note_in_the_report_of_the_period() {
    let directory = tempfile::tempdir().unwrap();
    let config = three_rules(&directory);
    let ledger = Ledger::open(&config.state_dir).unwrap();
    let at = utc("2026-11-17T19:00:00Z");
    for (id, note) in [(1, "1 report could not be delivered"), (2, "2 reports could not be delivered")] {
        let mail = NewMail {
            subject: "offhours: 12 stopped".to_owned(),
            recipient: "a@example.com".to_owned(),
            message_id: format!("<{id}@offhours>"),
            head: Vec::new(),
            letter: Letter { id: id.to_string(), bytes: b"From: x\r\n"[..].into() },
            useless_from: None,
        };
        ledger.write(move |tx| tx.enqueue(&[mail], at)).await.unwrap();
        ledger.write(move |tx| tx.mail_failed(id, "554 looks like spam", None, at)).await.unwrap();
        let (span, now): (Span, _) = ("last-week".parse().unwrap(), utc("2026-11-24T09:00:00Z"));
        assert_eq!(notes(&ledger, &config, span, now).await, [format!("{note}: see `offhours mail queue`")]);
    }
}
