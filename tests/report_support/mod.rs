//! Runs as they come from a tenant, for the tests of reports.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::assigning_clones, reason = "a test fails by a panic; copies cost nothing here")]

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::deployment::{Deployment, Nodes, Status};
use offhours::domain::failure::{Failure, FailureCode};
use offhours::domain::hold::{Hold, HoldTarget};
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::locale::Locale;
use offhours::domain::money::{CapacityUnitPrice, Charge, Currency, HourlyRate};
use offhours::domain::plan::{Decision, Planned};
use offhours::domain::reason::{HeldBy, Reason, ReasonCode, ReasonKind};
use offhours::domain::rule::Mode;
use offhours::domain::run::{
    DeploymentResult, EndedBy, Firing, Leak, LeftKind, Outcome, Run, RunResult, Settlement, Trigger,
};
use offhours::domain::run_reason::RunReason;
use offhours::domain::schedule::OffWindow;
use offhours::domain::visit::RunVisitor;
use offhours::domain::zone::Zone;
use offhours::report::grid::Screen;
use offhours::report::{
    CsvWriter, Digest, HistoryTable, JsonWriter, Period, PeriodReport, ReportContext, Trend, TrendPoint,
};
use rust_decimal::Decimal;

pub fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub fn berlin() -> Zone {
    offhours::clock::zone("Europe/Berlin").unwrap()
}

pub fn context(zone: &Zone) -> ReportContext<'_> {
    ReportContext::new(Locale::En, zone, utc("2026-11-23T18:20:00Z"))
}

pub fn euros(capacity_units: &str) -> Charge {
    priced(capacity_units, "0.95", "EUR")
}

pub fn priced(capacity_units: &str, amount: &str, currency: &str) -> Charge {
    let price = CapacityUnitPrice {
        amount: decimal(amount),
        currency: Currency::from_code(currency).unwrap(),
        source: "order form 4711".into(),
        valid_from: "2026-01-01".parse().unwrap(),
    };
    Charge::Metered { capacity_units: decimal(capacity_units), price: Some(price) }
}

/// A run of `rule` at `at`, off until 07:00 the next morning in Berlin.
pub fn run(rule: &str, at: &str, result: RunResult) -> Run {
    let at = utc(at);
    Run {
        firing: Firing { rule: RuleName::new(rule).unwrap(), at },
        connection: ConnectionName::new("dev").unwrap(),
        mode: Mode::Enforce,
        trigger: Trigger::Schedule,
        started_at: at,
        finished_at: at + TimeDelta::minutes(4),
        result,
        reasons: Vec::new(),
        off_window: OffWindow { from: at, to: at + TimeDelta::hours(12) },
        resumed: false,
        deployments: Vec::new(),
        left_out: offhours::domain::run::LeftOut::new(),
        tries: Vec::new(),
    }
}

/// A row without any figure.
pub fn row(
    group: &str,
    number: usize,
    configuration: &str,
    plan: &str,
    count: u32,
    charge: Charge,
) -> DeploymentResult {
    let counts = matches!(charge, Charge::Metered { .. } | Charge::Unpriced { .. });
    DeploymentResult {
        resource_group: ResourceGroup::new(group).unwrap(),
        id: DeploymentId::new(format!("d{number:015x}")).unwrap(),
        configuration_id: format!("c{number:07}"),
        configuration_name: Some(configuration.to_owned()),
        scenario_id: Some("llm-serving".to_owned()),
        is_selected: true,
        outcome: Outcome::Left,
        reason: None,
        requested_at: None,
        confirmed_at: None,
        expires_at: None,
        nodes: vec![Nodes { plan: plan.to_owned(), count }],
        rate: HourlyRate { nodes: if counts { count } else { 0 }, charge },
        projected: Avoided::nothing(),
        settlement: None,
    }
}

pub trait Become: Sized {
    fn stopped(self, run: &Run, seconds: i64) -> Self;
    fn left(self, reason: Reason) -> Self;
    fn failed(self, outcome: Outcome, reason: Reason) -> Self;
    fn settled(self, run: &Run, ended_by: EndedBy, end: DateTime<Utc>) -> Self;
}

impl Become for DeploymentResult {
    fn stopped(mut self, run: &Run, seconds: i64) -> Self {
        let confirmed = run.firing.at + TimeDelta::seconds(seconds);
        self.outcome = Outcome::Stopped;
        self.requested_at = Some(run.firing.at + TimeDelta::seconds(3));
        self.confirmed_at = Some(confirmed);
        self.projected = Avoided::count(&self.rate, run.off_window, confirmed, run.off_window.to, Basis::Projected);
        self
    }

    fn left(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    fn failed(mut self, outcome: Outcome, reason: Reason) -> Self {
        self.outcome = outcome;
        self.reason = Some(reason);
        self.requested_at = Some(utc("2026-11-23T18:00:03Z"));
        self
    }

    fn settled(mut self, run: &Run, ended_by: EndedBy, end: DateTime<Utc>) -> Self {
        let confirmed = self.confirmed_at.unwrap();
        let leak = match &ended_by {
            EndedBy::Replacement(id) => Some(Leak {
                id: id.clone(),
                cost: Avoided::count(&self.rate, run.off_window, end, run.off_window.to, Basis::Settled),
            }),
            _ => None,
        };
        self.settlement = Some(Settlement {
            at: run.off_window.to + TimeDelta::minutes(1),
            ended_by,
            avoided: Avoided::count(&self.rate, run.off_window, confirmed, end, Basis::Settled),
            leak,
        });
        self
    }
}

pub fn hold() -> Hold {
    Hold {
        id: 7,
        target: HoldTarget::ResourceGroup(ResourceGroup::new("team-a").unwrap()),
        created_at: utc("2026-11-23T15:00:00Z"),
        until: utc("2026-11-24T07:00:00Z"),
        reason: "load test for the release".to_owned(),
        by: "Mara Lind".to_owned(),
        removed_at: None,
    }
}

/// AI Core has refused, in these words.
pub fn failure(message: &str) -> Reason {
    Reason::Failure(Failure::new(FailureCode::Forbidden, message))
}

/// What left deployments are counted by.
pub fn kind(code: ReasonCode) -> LeftKind {
    LeftKind { reason: ReasonKind::Plain(code), is_selected: code != ReasonCode::NotSelected }
}

/// A run on Monday evening in which all went well.
pub fn good() -> Run {
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Done);
    let stopped = [
        ("dev-nlp", "invoice-extraction", "infer.s", 2, euros("1.80")),
        ("dev-nlp", "contract-search", "infer.s", 1, euros("0.90")),
        ("dev-nlp", "mail-classifier", "starter", 1, euros("0.24")),
        ("dev-vision", "damage-detection", "infer.l", 1, euros("3.105")),
        ("dev-vision", "label-reader", "infer.m", 2, euros("3.10")),
        ("team-a", "ranking-experiment", "gpu.xl", 1, Charge::Unpriced { plan: "gpu.xl".to_owned() }),
        ("team-a", "forecast-weekly", "infer.s", 1, euros("0.90")),
    ];
    for (number, (group, name, plan, count, charge)) in stopped.into_iter().enumerate() {
        let seconds = 47 + 31 * i64::try_from(number).unwrap();
        let row = row(group, number + 1, name, plan, count, charge).stopped(&run, seconds);
        run.deployments.push(row);
    }
    let left = [
        ("team-a", "release-candidate", Reason::Held(HeldBy::from(&hold())), euros("1.80")),
        ("dev-nlp", "demo-for-board-keep", Reason::Excluded("configuration `*-keep`".to_owned()), euros("0.90")),
        ("dev-nlp", "just-started", Reason::TooYoung { age: 12, min_age: 30 }, euros("0.90")),
        ("dev-nlp", "chat", Reason::TokenBilled, Charge::TokenBilled),
    ];
    for (number, (group, name, reason, charge)) in left.into_iter().enumerate() {
        run.deployments.push(row(group, 100 + number, name, "infer.s", 2, charge).left(reason));
    }
    for number in 0..9 {
        run.deployments.push(
            row("prod", 200 + number, "live", "infer.l", 2, euros("6.21"))
                .left(Reason::Protected("resource group `prod*`".to_owned())),
        );
    }
    run
}

/// The same evening with a deployment that refused and one that got stuck.
pub fn partial() -> Run {
    let mut run = good();
    run.result = RunResult::Partial;
    run.reasons = vec![RunReason::Sentence("1 stop was refused and 1 was not confirmed within 15 minutes".to_owned())];
    run.deployments.push(
        row("dev-vision", 300, "pallet-counter", "infer.l", 1, euros("3.105"))
            .failed(Outcome::Unconfirmed, Reason::NotConfirmed { status: Some(Status::Stopping), waited: 900 }),
    );
    run.deployments.push(
        row("team-a", 301, "price-optimiser", "infer.s", 1, euros("0.90"))
            .failed(Outcome::Failed, failure("AI Core said 403 to the stop, request 9c1e")),
    );
    run
}

pub fn observed() -> Run {
    let mut run = good();
    run.mode = Mode::Observe;
    for row in &mut run.deployments {
        if row.outcome == Outcome::Stopped {
            row.outcome = Outcome::Left;
            row.reason = Some(Reason::Observed);
            (row.requested_at, row.confirmed_at, row.projected) = (None, None, Avoided::nothing());
        }
    }
    run
}

pub fn blocked() -> Run {
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Blocked);
    run.reasons = vec![RunReason::Sentence("would stop 73 deployments, and `max_stops` is 50".to_owned())];
    run
}

pub fn missed() -> Run {
    let mut run = run("dev-evenings", "2026-11-20T18:00:00Z", RunResult::Missed);
    run.off_window.to = utc("2026-11-23T06:00:00Z");
    let why = "came due while the daemon was not running; the off window had ended at its next start";
    run.reasons = vec![RunReason::Sentence(why.to_owned())];
    run
}

/// A week: four evenings, a weekend with a replacement, one observed rule, one missed firing.
pub fn week() -> Vec<Run> {
    let mut runs = Vec::new();
    for day in 16..=19 {
        let mut evening = good();
        let at = utc(&format!("2026-11-{day}T18:00:00Z"));
        evening.firing.at = at;
        (evening.started_at, evening.finished_at) = (at, at + TimeDelta::minutes(4));
        evening.off_window = OffWindow { from: at, to: at + TimeDelta::hours(12) };
        let shape = evening.clone();
        for row in &mut evening.deployments {
            if row.outcome == Outcome::Stopped {
                let seconds = 40 + i64::from(day) * 3;
                let stopped = row.clone().stopped(&shape, seconds);
                *row = stopped.settled(&shape, EndedBy::WindowEnd, shape.off_window.to);
            }
        }
        if day == 17 {
            let replacement = EndedBy::Replacement(DeploymentId::new("d0a1b2c3d4e5f607").unwrap());
            let leaked = evening.deployments[3].clone().settled(&shape, replacement, at + TimeDelta::minutes(217));
            evening.deployments[3] = leaked;
        }
        runs.push(evening);
    }
    let mut friday = partial();
    let at = utc("2026-11-20T18:00:00Z");
    friday.firing = Firing { rule: RuleName::new("dev-weekends").unwrap(), at };
    friday.off_window = OffWindow { from: at, to: utc("2026-11-23T06:00:00Z") };
    let shape = friday.clone();
    for row in &mut friday.deployments {
        if row.outcome == Outcome::Stopped {
            *row = row.clone().stopped(&shape, 95);
        }
    }
    runs.push(friday);
    let mut watched = observed();
    watched.firing = Firing { rule: RuleName::new("team-b-trial").unwrap(), at };
    watched.off_window = OffWindow { from: at, to: utc("2026-11-23T06:00:00Z") };
    watched.started_at = at;
    runs.push(watched);
    let mut late = missed();
    late.firing.rule = RuleName::new("dev-weekends").unwrap();
    late.firing.at = utc("2026-11-21T18:00:00Z");
    runs.push(late);
    runs
}

pub fn last_week() -> Period {
    Period {
        label: "last week (16 to 22 Nov 2026)".to_owned(),
        from: utc("2026-11-15T23:00:00Z"),
        to: utc("2026-11-22T23:00:00Z"),
    }
}

pub fn trend() -> Trend {
    let amounts =
        [None, Some("412.90"), Some("655.12"), Some("598.40"), Some("702.77"), Some("671.05"), Some("1004.67")];
    let points = amounts
        .iter()
        .enumerate()
        .map(|(index, amount)| TrendPoint { label: format!("W{}", 41 + index), amount: amount.map(decimal) });
    Trend { currency: Currency::from_code("EUR"), points: points.collect(), month: None }
}

/// Tells `runs` one after the other, as the ledger does.
pub fn tell(runs: &[Run], visitor: &mut impl RunVisitor) {
    for run in runs {
        assert!(run.tell(visitor).is_continue());
    }
}

pub fn digest(runs: &[Run]) -> Digest {
    let mut digest = Digest::default();
    tell(runs, &mut digest);
    digest
}

pub fn csv(runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut csv = CsvWriter::new(&mut bytes);
    tell(runs, &mut csv);
    csv.finish().unwrap();
    bytes
}

pub fn json_run(run: &Run) -> serde_json::Value {
    let mut bytes = Vec::new();
    let mut json = JsonWriter::run(&mut bytes);
    tell(std::slice::from_ref(run), &mut json);
    json.finish().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub fn json_period(report: &PeriodReport<'_>, runs: &[Run]) -> serde_json::Value {
    let mut bytes = Vec::new();
    let mut json = JsonWriter::period(report, &mut bytes);
    tell(runs, &mut json);
    json.finish().unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub fn history_table(runs: &[Run], context: &ReportContext<'_>) -> String {
    let mut bytes = Vec::new();
    let mut table = HistoryTable::new(&mut bytes, *context, Screen::NARROW);
    tell(runs, &mut table);
    table.finish().unwrap();
    String::from_utf8(bytes).unwrap()
}

pub const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "a\r\nBcc: everyone@example.com\r\n\r\nbody",
    "=HYPERLINK(\"http://evil.example\",\"click\")",
    "\u{202e}gpj.exe\u{2066}\u{2069}",
    "\u{1b}[31mred\u{1b}[0m\u{7}",
    "\"><img src=x onerror=alert(1)>",
];

/// Every text that a tenant's users can choose, hostile.
pub fn hostile() -> Run {
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Partial);
    run.reasons = vec![RunReason::Sentence(HOSTILE.concat())];
    let mut names: Vec<String> = HOSTILE.iter().map(|name| (*name).to_owned()).collect();
    names.push("x".repeat(10_000));
    names.push("ä\"<&'".repeat(2_000));
    for (number, name) in names.iter().enumerate() {
        let mut stopped = row("dev", number, name, name, 1, euros("0.90")).stopped(&run, 60);
        stopped.configuration_id.clone_from(name);
        stopped.scenario_id = Some(name.clone());
        stopped.reason = Some(Reason::Sentence(name.clone()));
        run.deployments.push(stopped);
        run.deployments.push(
            row("dev", 50 + number, name, name, 1, euros("0.90")).left(Reason::CannotStop(Status::from(name.as_str()))),
        );
        let mut bad = row("dev", 100 + number, name, name, 1, euros("0.90")).failed(Outcome::Failed, failure(name));
        bad.nodes.push(Nodes { plan: name.clone(), count: 2 });
        run.deployments.push(bad);
    }
    run
}

/// Ten thousand deployments with long names.
pub fn huge() -> Run {
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Partial);
    for number in 0..10_000 {
        let name = format!("{}{number}", "\"<ä&'/".repeat(1_700));
        let plan = format!("{}plan{}", "<ü>".repeat(300), number % 500);
        let base = row(&format!("group-{}", number % 700), number, &name, &plan, 1, euros("0.90"));
        run.deployments.push(match number % 10 {
            0 => base.failed(Outcome::Failed, failure(&name)),
            1 => base.left(Reason::CannotStop(Status::from(format!("{number}{name}").as_str()))),
            _ => base.stopped(&run, 60),
        });
    }
    run
}

/// What a rule is about to stop.
pub fn planned() -> Vec<Planned> {
    let names = ["invoice-extraction", "contract-search", "mail-classifier"];
    let deployments = names.iter().enumerate().map(|(number, name)| Deployment {
        id: DeploymentId::new(format!("d{number:015x}")).unwrap(),
        resource_group: ResourceGroup::new("dev-nlp").unwrap(),
        configuration_id: "c1".to_owned(),
        configuration_name: Some((*name).to_owned()),
        scenario_id: None,
        executable_id: None,
        status: Status::Running,
        target_status: None,
        created_at: None,
        modified_at: None,
        completed_at: None,
        ttl: None,
        nodes: vec![Nodes { plan: "infer.s".to_owned(), count: 2 }],
    });
    let rate = HourlyRate { nodes: 2, charge: euros("1.80") };
    let stop = |deployment| Planned { deployment, is_selected: true, decision: Decision::Stop, rate: rate.clone() };
    let mut planned: Vec<Planned> = deployments.map(stop).collect();
    let mut left = planned[0].clone();
    left.decision = Decision::Leave(Reason::AlreadyAsked);
    planned.push(left);
    planned
}
