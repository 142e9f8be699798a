//! What the domain decides and counts, one sentence after the other: for each reason a deployment that has nothing else
//! against it, and the instants just before and after each limit.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use jiff::tz::TimeZone;
use offhours::domain::avoided::{Avoided, AvoidedState, Basis};
use offhours::domain::calendar::overlap;
use offhours::domain::cron::{BadCron, Cron};
use offhours::domain::deployment::{Deployment, Group, Nodes, Status};
use offhours::domain::hold::{HOLD_UNTIL_LABEL, Hold, HoldTarget, OPT_OUT_LABEL};
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::money::{Charge, Currency, HourlyRate, PricePeriod, Prices};
use offhours::domain::plan::{Decision, DecisionContext};
use offhours::domain::rule::Rule;
use offhours::domain::schedule::{MOST_MISSED, OffWindow, Schedule};
use offhours::domain::selection::{Exclusion, Glob, Selection};
use offhours::domain::zone::Zone;
use rust_decimal::Decimal;

use crate::support::given;

use crate::support::given::{deployment, evening};

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn globs(patterns: &[&str]) -> Vec<Glob> {
    patterns.iter().map(|pattern| Glob::new(pattern).unwrap()).collect()
}

fn schedule(stop: &str, until: Option<&str>) -> Schedule {
    Schedule {
        stop: Cron::parse(stop).unwrap(),
        until: until.map(|text| Cron::parse(text).unwrap()),
        zone: Zone::new("Europe/Berlin", TimeZone::get("Europe/Berlin").unwrap()),
        holidays: BTreeSet::new(),
        skip: BTreeSet::new(),
    }
}

/// Evenings over the groups `dev-*`.
fn rule() -> Rule {
    let select = Selection { resource_groups: globs(&["dev-*"]), ..Selection::default() };
    Rule { select, ..given::rule("evenings", schedule("0 19 * * *", Some("0 7 * * *"))) }
}

/// What is asked of the plan; each test changes one thing.
struct Asked {
    rule: Rule,
    protect: Exclusion,
    holds: Vec<Hold>,
    labels: BTreeMap<String, String>,
    deployment: Deployment,
    now: DateTime<Utc>,
}

fn asked() -> Asked {
    Asked {
        rule: rule(),
        protect: Exclusion::default(),
        holds: Vec::new(),
        labels: BTreeMap::new(),
        deployment: deployment(),
        now: evening() + TimeDelta::seconds(1),
    }
}

impl Asked {
    /// `stop`, or why not.
    fn answer(&self) -> String {
        let group = Group { id: self.deployment.resource_group.clone(), labels: self.labels.clone() };
        let question = DecisionContext {
            rule: &self.rule,
            protect: &self.protect,
            holds: &self.holds,
            scheduled: evening(),
            now: self.now,
        };
        match question.decide(&group, &self.deployment) {
            Decision::Stop => "stop".to_owned(),
            Decision::Leave(reason) => reason.to_string(),
        }
    }

    fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    fn held(mut self, target: HoldTarget) -> Self {
        let (created_at, until) = (evening() - TimeDelta::hours(1), evening() + TimeDelta::hours(12));
        let (reason, by) = ("training".to_owned(), "ada".to_owned());
        self.holds.push(Hold { id: 1, target, created_at, until, reason, by, removed_at: None });
        self
    }
}

/// The answer to what `change` makes of a deployment that would be stopped.
fn changed(change: impl FnOnce(&mut Asked)) -> String {
    let mut asked = asked();
    assert_eq!(asked.answer(), "stop");
    change(&mut asked);
    asked.answer()
}

#[test]
fn only_what_runs_and_was_not_asked_already_is_stopped() {
    for status in ["UNKNOWN", "STOPPING", "STOPPED", "DEAD", "COMPLETED", "HIBERNATING"] {
        let answer = changed(|asked| asked.deployment.status = Status::from(status));
        assert_eq!(answer, format!("status {status}: cannot be stopped"));
    }
    assert_eq!(changed(|asked| asked.deployment.status = Status::Pending), "stop");
    for target in ["STOPPED", "DELETED"] {
        let answer = changed(|asked| asked.deployment.target_status = Some(target.to_owned()));
        assert_eq!(answer, "already asked to stop");
    }
}

#[test]
fn what_is_new_or_may_be_is_left() {
    let created = |at: DateTime<Utc>, now: DateTime<Utc>| {
        changed(|asked| (asked.deployment.created_at, asked.now) = (Some(at), now))
    };
    let late = evening() + TimeDelta::hours(1);
    assert_eq!(created(evening(), late), "stop", "it was there at the instant");
    assert_eq!(
        created(evening() + TimeDelta::milliseconds(1), late),
        "created after the instant: at 2026-11-23T18:00:00Z"
    );
    let born = evening() - TimeDelta::minutes(10);
    assert_eq!(created(born, born + TimeDelta::minutes(30)), "stop", "as old as min_age");
    assert_eq!(created(born, born + TimeDelta::seconds(1799)), "younger than min_age: 29 of 30 minutes");
    assert_eq!(changed(|asked| asked.deployment.created_at = None), "created at an unknown time: it may be new");
}

#[test]
fn token_billed_deployments_are_left_unless_they_are_wanted() {
    for scenario in ["foundation-models", "orchestration"] {
        let answer = changed(|asked| asked.deployment.scenario_id = Some(scenario.to_owned()));
        assert_eq!(answer, "token-billed: a stop avoids no compute cost");
        let answer = changed(|asked| {
            asked.deployment.scenario_id = Some(scenario.to_owned());
            asked.rule.select.include_token_billed = true;
        });
        assert_eq!(answer, "stop");
    }
}

#[test]
fn what_the_rule_does_not_select_is_left() {
    let selecting = |change: fn(&mut Selection)| changed(|asked| change(&mut asked.rule.select));
    assert_eq!(selecting(|select| select.resource_groups = globs(&["prod-*"])), "not selected: resource group `dev-a`");
    assert_eq!(selecting(|select| select.scenarios = globs(&["billing", "hr"])), "not selected: scenario `sales`");
    assert_eq!(selecting(|select| select.executables = globs(&["train"])), "not selected: executable `serve`");
    assert_eq!(
        selecting(|select| select.configurations = globs(&["chat-*"])),
        "not selected: configuration `forecast`"
    );
    assert_eq!(selecting(|select| select.scenarios = globs(&["billing", "sal*"])), "stop", "one that fits is enough");
    let team = || ("team".to_owned(), "ml".to_owned());
    assert_eq!(changed(|asked| asked.rule.select.labels = [team()].into()), "not selected: label `team` = ``");
    let mut labelled = asked().label("team", "ml").label("stage", "dev");
    labelled.rule.select.labels = [team()].into();
    assert_eq!(labelled.answer(), "stop");
}

#[test]
fn a_rules_exclusion_and_the_protection_go_before_everything_else() {
    type Keep = fn(&mut Exclusion);
    let keys: [(Keep, &str); 5] = [
        (|keep| keep.resource_groups = globs(&["x", "dev-*"]), "resource group `dev-*`"),
        (|keep| keep.scenarios = globs(&["sal*"]), "scenario `sal*`"),
        (|keep| keep.executables = globs(&["serve"]), "executable `serve`"),
        (|keep| keep.configurations = globs(&["fore*"]), "configuration `fore*`"),
        (|keep| keep.ids = [DeploymentId::new("d001").unwrap()].into(), "id `d001`"),
    ];
    for (keep, said) in keys {
        assert_eq!(changed(|asked| keep(&mut asked.rule.exclude)), format!("excluded: {said}"));
        let both = changed(|asked| {
            keep(&mut asked.rule.exclude);
            keep(&mut asked.protect);
            asked.deployment.status = Status::Stopped;
        });
        assert_eq!(both, format!("protected: {said}"));
    }
    let mut labelled = asked().label("stage", "prod");
    labelled.protect.labels = [("stage".to_owned(), "prod".to_owned())].into();
    assert_eq!(labelled.answer(), "protected: label `stage` = `prod`");
    labelled.protect.labels = [("stage".to_owned(), "test".to_owned())].into();
    assert_eq!(labelled.answer(), "stop");
    assert_eq!(changed(|asked| asked.rule.exclude.scenarios = globs(&["hr"])), "stop");
}

#[test]
fn a_hold_covers_what_it_names_until_its_end() {
    let name = |text: &str| text.to_owned();
    let covering = [
        HoldTarget::Deployment(DeploymentId::new("d001").unwrap()),
        HoldTarget::ResourceGroup(ResourceGroup::new("dev-a").unwrap()),
        HoldTarget::Configuration(name("forecast")),
        HoldTarget::Configuration(name("c-1")),
        HoldTarget::Rule(RuleName::new("evenings").unwrap()),
    ];
    for target in covering {
        let mut held = asked().held(target);
        assert_eq!(held.answer(), "held: by ada until 2026-11-24T06:00:00Z: training");
        held.now = held.holds[0].until;
        assert_eq!(held.answer(), "stop", "it has ended");
    }
    let others = [
        HoldTarget::Deployment(DeploymentId::new("d002").unwrap()),
        HoldTarget::ResourceGroup(ResourceGroup::new("dev-b").unwrap()),
        HoldTarget::Configuration(name("forecast-2")),
        HoldTarget::Rule(RuleName::new("nights").unwrap()),
    ];
    for target in others {
        assert_eq!(asked().held(target).answer(), "stop");
    }
}

#[test]
fn a_resource_group_opts_out_by_its_labels() {
    for off in ["off", " OFF "] {
        let answer = asked().label(OPT_OUT_LABEL, off).answer();
        assert_eq!(answer, "opted out by label: `offhours` = `off`");
    }
    assert_eq!(asked().label(OPT_OUT_LABEL, "on").answer(), "stop");
    let until = |value: &str| asked().label(HOLD_UNTIL_LABEL, value).answer();
    assert_eq!(until("2026-11-24T08:00:00+01:00"), "opted out by label: until 2026-11-24T07:00:00Z");
    assert_eq!(until("2026-11-23T19:00:01+01:00"), "stop", "the instant itself is free");
    assert!(until("tomorrow").ends_with("`tomorrow` is no RFC 3339 instant, which counts as a hold"));
}

fn prices() -> Prices {
    let period = |from: (i32, u32, u32), amount: &str, plan: &str, units: &str| PricePeriod {
        valid_from: NaiveDate::from_ymd_opt(from.0, from.1, from.2).unwrap(),
        currency: Currency::from_code("EUR").unwrap(),
        capacity_unit: amount.parse().unwrap(),
        source: "order form".into(),
        capacity_units_per_node_hour: [(plan.to_owned(), units.parse().unwrap())].into(),
    };
    Prices {
        periods: vec![period((2026, 1, 1), "0.95", "infer.s", "0.9"), period((2026, 12, 1), "1.10", "infer.s", "1")],
    }
}

#[test]
fn an_hour_costs_what_its_machines_cost_at_the_price_of_that_day() {
    let rate = |change: fn(&mut Deployment), at: DateTime<Utc>| {
        let mut deployment = deployment();
        change(&mut deployment);
        let types =
            BTreeMap::from([("own.gpu".to_owned(), Decimal::from(7)), ("infer.s".to_owned(), Decimal::from(9))]);
        HourlyRate::of(&deployment, &prices(), &types, at)
    };
    let (november, december) = (evening(), utc("2026-12-01T00:00:00Z"));
    let units = |rate: &HourlyRate| rate.capacity_units().map(|units| units.normalize().to_string());
    let price = |rate: &HourlyRate| match &rate.charge {
        Charge::Metered { price: Some(price), .. } => price.amount.to_string(),
        other => format!("{other:?}"),
    };
    let plain = rate(|_| {}, november);
    assert_eq!((plain.nodes, units(&plain), price(&plain)), (2, Some("1.8".to_owned()), "0.95".to_owned()));
    let later = rate(|_| {}, december);
    assert_eq!((units(&later), price(&later)), (Some("2".to_owned()), "1.10".to_owned()));
    let before = rate(|_| {}, utc("2025-12-31T23:59:59Z"));
    assert_eq!(units(&before), Some("18".to_owned()), "no price list yet: the tenant's own units, without money");
    assert!(price(&before).contains("None"));

    let mixed = rate(
        |deployment| {
            deployment.nodes.push(Nodes { plan: "own.gpu".to_owned(), count: 1 });
            deployment.nodes.push(Nodes { plan: "nobody-knows".to_owned(), count: 0 });
        },
        november,
    );
    assert_eq!((mixed.nodes, units(&mixed)), (3, Some("8.8".to_owned())), "what has no replicas needs no price");
    let unknown = rate(|deployment| deployment.nodes.push(Nodes { plan: "new.xl".to_owned(), count: 1 }), november);
    assert_eq!((unknown.nodes, units(&unknown)), (3, None));
    assert_eq!(unknown.charge, Charge::Unpriced { plan: "new.xl".to_owned() });

    let nothing: [fn(&mut Deployment); 3] = [
        |deployment| deployment.status = Status::Pending,
        |deployment| deployment.nodes[0].count = 0,
        |deployment| deployment.scenario_id = Some("orchestration".to_owned()),
    ];
    for change in nothing {
        let rate = rate(change, november);
        assert_eq!((rate.nodes, units(&rate)), (0, None));
    }
}

#[test]
fn p51_replicas_beyond_all_measure_have_no_price_and_stop_nothing_from_being_counted() {
    let prices = Prices {
        periods: vec![PricePeriod {
            valid_from: "2026-01-01".parse().unwrap(),
            currency: Currency::from_code("EUR").unwrap(),
            capacity_unit: "999999999.999999999".parse().unwrap(),
            source: "order form 4711".into(),
            capacity_units_per_node_hour: [("infer.s".to_owned(), "999999999.999999999".parse().unwrap())].into(),
        }],
    };
    let own = [("own.gpu".to_owned(), Decimal::MAX)].into();
    for nodes in [vec![("infer.s", u32::MAX)], vec![("infer.s", u32::MAX); 3], vec![("own.gpu", 2)]] {
        let plan = nodes[0].0.to_owned();
        let nodes = nodes.into_iter().map(|(plan, count)| Nodes { plan: plan.to_owned(), count }).collect();
        let rate = HourlyRate::of(&Deployment { nodes, ..deployment() }, &prices, &own, evening());
        assert_eq!(rate.charge, Charge::Unpriced { plan });
        let window = OffWindow { from: evening(), to: evening() + TimeDelta::days(366) };
        let avoided = Avoided::count(&rate, window, window.from, window.to, Basis::Settled);
        assert_eq!((avoided.cost, avoided.state), (None, AvoidedState::Unpriced));
    }
}

#[test]
fn two_rules_overlap_where_both_may_mean_the_same_deployment_at_the_same_time() {
    let other = |change: &dyn Fn(&mut Rule)| {
        let mut other = rule();
        change(&mut other);
        overlap(&rule(), &other, evening() - TimeDelta::hours(2))
    };
    let later = |rule: &mut Rule| rule.schedule = schedule("0 22 * * *", Some("0 8 * * *"));
    assert_eq!(other(&later), Some(utc("2026-11-23T21:00:00Z")), "from the later one's beginning");
    assert_eq!(other(&|rule| rule.connection = ConnectionName::new("prod").unwrap()), None);
    assert_eq!(
        other(&|rule| rule.schedule = schedule("0 7 * * *", Some("0 19 * * *"))),
        None,
        "one ends as the other begins"
    );
    let selecting =
        |patterns: &'static [&'static str]| other(&move |rule| rule.select.resource_groups = globs(patterns)).is_some();
    for (patterns, may) in [
        (&["dev-a"][..], true),
        (&["*"], true),
        (&["dev-a*", "x"], true),
        (&["d*"], true),
        (&["prod-*"], false),
        (&["dev"], false),
        (&["*-a"], true),
    ] {
        assert_eq!(selecting(patterns), may, "{patterns:?}");
    }
    let chat = |rule: &mut Rule| rule.select.configurations = globs(&["chat"]);
    assert!(other(&chat).is_some(), "the first selects every configuration");
    let both = |mine: &[&str], theirs: &[&str]| {
        let (mut a, mut b) = (rule(), rule());
        (a.select.scenarios, b.select.scenarios) = (globs(mine), globs(theirs));
        overlap(&a, &b, evening()).is_some()
    };
    assert!(both(&["sales"], &["sales", "hr"]) && !both(&["sales"], &["hr"]));
}

#[test]
fn of_what_came_due_one_runs_and_the_newest_of_the_rest_are_missed() {
    let hourly = schedule("0 * * * *", Some("30 * * * *"));
    let after = utc("2026-11-01T00:00:00Z");
    let due = |now: &str| {
        let due = hourly.due(after, utc(now));
        (due.run.map(|run| (run.at, run.on_time)), due.missed)
    };
    assert_eq!(due("2026-11-01T00:59:59Z"), (None, vec![]));
    let one = utc("2026-11-01T01:00:00Z");
    assert_eq!(due("2026-11-01T01:00:00Z"), (Some((one, true)), vec![]));
    assert_eq!(due("2026-11-01T01:01:00Z"), (Some((one, true)), vec![]));
    assert_eq!(due("2026-11-01T01:01:01Z"), (Some((one, false)), vec![]), "a minute is on time, more is a catch-up");
    assert_eq!(due("2026-11-01T01:29:59Z"), (Some((one, false)), vec![]));
    assert_eq!(due("2026-11-01T01:30:00Z"), (None, vec![one]), "its window is over");
    assert_eq!(due("2026-11-01T03:10:00Z").1, [one, utc("2026-11-01T02:00:00Z")]);
    let (run, missed) = due("2026-11-20T12:15:00Z");
    assert_eq!(run, Some((utc("2026-11-20T12:00:00Z"), false)));
    assert_eq!(missed.len(), MOST_MISSED);
    assert_eq!(missed.last(), Some(&utc("2026-11-20T11:00:00Z")), "the newest are named");
    assert_eq!(due("2026-11-20T12:45:00Z").1.len(), MOST_MISSED);
    let all_of_them = hourly.due(utc("2026-11-16T08:30:00Z"), utc("2026-11-20T12:45:00Z")).missed;
    assert_eq!((all_of_them.len(), all_of_them[0]), (MOST_MISSED, utc("2026-11-16T09:00:00Z")), "as many as are named");
}

#[test]
fn c70_other_programs_schedules_are_named_and_are_right_as_they_are_translated() {
    let aws = "AWS EventBridge (minute first, year last, 1 is Sunday)";
    let quartz = "Quartz (seconds first, `?`, 1 is Sunday)";
    let systemd = "systemd's OnCalendar";
    let short = "a cron with names for whole expressions";
    let cases = [
        ("0 19 * * ? *", aws, "0 19 * * *"),
        ("0 19 ? * MON-FRI *", aws, "0 19 * * MON-FRI"),
        ("0 19 ? * 2-6 *", aws, "0 19 * * MON-FRI"),
        ("cron(0 19 ? * 2-6 *)", aws, "0 19 * * MON-FRI"),
        ("CRON(0/15 18 * * ? *)", aws, "*/15 18 * * *"),
        ("0 19 ? * 6L *", aws, "0 19 * * FRIL"),
        ("0 19 ? * 2#1 *", aws, "0 19 * * MON#1"),
        ("0 19 * * MON-FRI *", aws, "0 19 * * MON-FRI"),
        ("0 19 * * ? 2026", aws, ""),
        ("rate(1 day)", aws, ""),
        ("0 0 19 ? * 2-6", quartz, "0 19 * * MON-FRI"),
        ("0 0 19 ? * MON-FRI *", quartz, "0 19 * * MON-FRI"),
        ("30 0 19 * * ?", quartz, "30 0 19 * * *"),
        ("0 5/20 19 * * ?", quartz, "5-59/20 19 * * *"),
        ("0 0 19 L * ?", quartz, "0 19 L * *"),
        ("0 0 19 ? * 1,7", quartz, "0 19 * * SUN,SAT"),
        ("0 0 19 ? * 0", quartz, ""),
        ("Mon..Fri 19:00", systemd, "0 19 * * MON-FRI"),
        ("Mon-Fri 19:00", systemd, "0 19 * * MON-FRI"),
        ("Mon..Fri *-*-* 07:30:00 Europe/Berlin", systemd, "30 7 * * MON-FRI"),
        ("Sat,Sun 20:00", systemd, "0 20 * * SAT,SUN"),
        ("Fri..Mon 20:00", systemd, "0 20 * * FRI-SAT,SUN-MON"),
        ("*-*-01 19:00", systemd, "0 19 1 * *"),
        ("*-12-24 19,20:00", systemd, "0 19,20 24 12 *"),
        ("2026-12-24 19:00", systemd, ""),
        ("19:00", systemd, "0 19 * * *"),
        ("daily", systemd, "0 0 * * *"),
        ("@daily", short, "0 0 * * *"),
        ("@every 12h", short, ""),
        ("@reboot", short, ""),
    ];
    for (text, dialect, instead) in cases {
        let bad = Cron::parse(text).map(|_| ()).unwrap_err();
        let BadCron::Foreign { instead: found, .. } = &bad else { panic!("{text}: {bad}") };
        assert_eq!(
            (bad.to_string(), found.as_deref().unwrap_or("")),
            (format!("it is written for {dialect}"), instead),
            "{text}"
        );
    }
    // What is only wrong is not called another program's.
    for text in ["0 0 25 * * *", "0 19 * *", "0 19 ? * *", "Mon", "at seven", "1 2:3 * * *", "(", "cron"] {
        let said = Cron::parse(text).map(|_| ()).unwrap_err().to_string();
        assert!(!said.contains("written for"), "{text}: {said}");
    }
}

#[test]
fn u05_what_was_not_in_the_plan_that_a_person_agreed_to_is_left() {
    let agreed = |id: &str| changed(|asked| asked.rule.select.only = Some([DeploymentId::new(id).unwrap()].into()));
    assert_eq!(agreed("d001"), "stop");
    assert_eq!(agreed("d002"), "not selected: it was not in the plan that was agreed to");
}
