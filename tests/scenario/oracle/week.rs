//! A random week: rules as a user writes them and as a diary says them, the tenant they act on, and its prices. All of it
//! comes from one seed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use jiff::ToSpan;
use jiff::civil::Date;
use offhours::clock;
use offhours::domain::cron::Cron;
use offhours::domain::deployment::Status;
use offhours::simulator::{
    Behaviour, Component, DetailsSpelling, Fleet, InstanceType, Model, Moment, Redeployed, Spec,
};

use crate::scenario::invariants::KEEP;
use crate::scenario::year::almanac::{DAYS, Diary, Times};

/// The resource groups that rules may stop in; `prod` is protected.
pub const GROUPS: [&str; 3] = ["dev-a", "dev-b", "test"];
const ZONES: [&str; 5] = ["Europe/Berlin", "Europe/Berlin", "Europe/Berlin", "America/New_York", "Asia/Kolkata"];
/// Mondays before a clock change: New York's, Berlin's, Berlin's, New York's.
const MONDAYS_OF_CHANGES: [&str; 4] = ["2026-03-02", "2026-03-23", "2026-10-19", "2026-10-26"];

/// A rule in both forms.
#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub toml: String,
    pub diary: Diary,
    /// Empty for all.
    pub groups: Vec<&'static str>,
    pub observes: bool,
}

impl Rule {
    pub fn selects(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }
}

/// What runs behind a configuration.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Plans and running replicas.
    pub components: Vec<(&'static str, u32)>,
    /// False: the tenant says nothing of them.
    pub is_shown: bool,
    pub is_billed_by_tokens: bool,
}

/// Prices in whole thousandths, so that a reader can multiply them.
#[derive(Debug)]
pub struct Prices {
    pub of_a_unit: i64,
    pub units_per_node_hour: BTreeMap<&'static str, i64>,
    /// Units that only the tenant knows.
    pub units_of_the_tenant: BTreeMap<&'static str, i64>,
}

/// Everything that is fixed before the week begins.
pub struct Week {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub rules: Vec<Rule>,
    pub fleet: Fleet,
    /// By configuration id.
    pub machines: BTreeMap<String, Machine>,
    /// One deployment of each configuration, to make more of.
    pub models: Vec<Spec>,
    pub prices: Prices,
}

impl Week {
    pub fn new(random: &mut fastrand::Rng) -> Self {
        let monday: Date = if random.u8(..3) == 0 {
            pick(random, &MONDAYS_OF_CHANGES).parse().unwrap()
        } else {
            "2026-01-05".parse::<Date>().unwrap().checked_add(random.i64(0..50).weeks()).unwrap()
        };
        let from: DateTime<Utc> = format!("{monday}T12:47:30Z").parse().unwrap();
        let rules = (0..random.usize(2..6)).map(|number| rule(random, number, monday)).collect();
        let prices = prices(random);
        let (fleet, machines) = fleet(random, &prices);
        let mut models: Vec<Spec> = Vec::new();
        for spec in &fleet.deployments {
            if spec.group != "prod" && models.iter().all(|known| known.configuration_id != spec.configuration_id) {
                models.push(spec.clone());
            }
        }
        Self { from, to: from + TimeDelta::days(8), rules, fleet, machines, models, prices }
    }
}

pub fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[T]) -> T {
    from[random.usize(..from.len())]
}

/// True in so many of a hundred cases.
pub fn in_percent(random: &mut fastrand::Rng, percent: u8) -> bool {
    random.u8(..100) < percent
}

fn rule(random: &mut fastrand::Rng, number: usize, monday: Date) -> Rule {
    let zone = pick(random, &ZONES);
    let times = |random: &mut fastrand::Rng, hours: usize, days: &[usize]| {
        let mut hours: Vec<i8> = (0..hours).map(|_| random.i8(0..24)).collect();
        hours.sort_unstable();
        hours.dedup();
        Times {
            zone,
            minutes: vec![pick(random, &[0, 0, 5, 15, 30, 59])],
            hours,
            days: days.to_vec(),
            not_on: Vec::new(),
            fixed: true,
        }
    };
    let all: Vec<usize> = (0..7).collect();
    let (hours, days) = (1 + usize::from(in_percent(random, 30)), [&all[..], &all[..5], &all[4..5]][random.usize(..3)]);
    // The first stops every day, so that a week without a stop is rare.
    let stop = times(random, hours, if number == 0 { &all } else { days });
    let days = if in_percent(random, 60) { &all[..] } else { &all[..5] };
    let until = in_percent(random, 90).then(|| times(random, 1, days));
    let mut diary = Diary { stop, until };
    if in_percent(random, 20) {
        diary.stop.not_on = dates(random, monday);
    }
    if let Some(until) = diary.until.as_mut().filter(|_| in_percent(random, 30)) {
        until.not_on = dates(random, monday);
    }
    let groups = GROUPS.into_iter().filter(|_| in_percent(random, 60)).collect();
    let observes = number > 0 && in_percent(random, 20);
    let mut rule = Rule { name: format!("rule-{number}"), toml: String::new(), diary, groups, observes };
    rule.toml = toml(random, &rule);
    rule
}

fn dates(random: &mut fastrand::Rng, monday: Date) -> Vec<Date> {
    (0..random.i64(1..4)).map(|_| monday.checked_add(random.i64(0..8).days()).unwrap()).collect()
}

fn toml(random: &mut fastrand::Rng, rule: &Rule) -> String {
    use std::fmt::Write as _;
    let Diary { stop, until } = &rule.diary;
    let mut text =
        format!("[[rule]]\nname = \"{}\"\ntimezone = \"{}\"\nstop = \"{}\"\n", rule.name, stop.zone, cron(stop));
    let list = |dates: &[Date]| {
        let mut dates: Vec<String> = dates.iter().map(Date::to_string).collect();
        dates.sort_unstable();
        dates.dedup();
        dates
    };
    if let Some(until) = until {
        let _ = writeln!(text, "until = \"{}\"", cron(until));
        if !until.not_on.is_empty() {
            let _ = writeln!(text, "holidays = {:?}", list(&until.not_on));
        }
    }
    if !stop.not_on.is_empty() {
        let _ = writeln!(text, "skip = {:?}", list(&stop.not_on));
    }
    if rule.observes {
        text.push_str("mode = \"observe\"\n");
    }
    let _ = writeln!(text, "min_age = \"{}\"", pick(random, &["5m", "30m", "3h"]));
    let _ = writeln!(text, "verify_timeout = \"{}\"", pick(random, &["1m", "15m", "40m"]));
    if in_percent(random, 10) {
        text.push_str("max_stops = 3\n");
    }
    let all = ["*"];
    let groups: &[&str] = if rule.groups.is_empty() { &all } else { &rule.groups };
    let _ = writeln!(text, "[rule.select]\nresource_groups = {groups:?}");
    if in_percent(random, 30) {
        text.push_str("include_token_billed = true\n");
    }
    if in_percent(random, 20) {
        text.push_str("[rule.exclude]\nconfigurations = [\"*-2\"]\n");
    }
    text
}

fn cron(times: &Times) -> String {
    let numbers = |numbers: &[i8]| numbers.iter().map(i8::to_string).collect::<Vec<_>>().join(",");
    let days = match times.days.len() {
        7 => "*".to_owned(),
        _ => times.days.iter().map(|day| DAYS[*day]).collect::<Vec<_>>().join(","),
    };
    format!("{} {} * * {days}", numbers(&times.minutes), numbers(&times.hours))
}

fn prices(random: &mut fastrand::Rng) -> Prices {
    let [of_a_unit, small, middle, tenants] = pick(
        random,
        &[
            [950, 900, 1_552, 1_230],
            // A second is half a cent or an odd number of them: every other figure lies between two cents.
            [18_000, 1_000, 3_000, 5_000],
            [18_000, 1_000, 3_000, 5_000],
            // A cent takes months.
            [1, 7, 2, 3],
            [123_457, 333, 1_001, 999_999],
        ],
    );
    Prices {
        of_a_unit,
        units_per_node_hour: BTreeMap::from([("infer.s", small), ("infer.m", middle), ("free", 0)]),
        units_of_the_tenant: BTreeMap::from([("g4.large", tenants)]),
    }
}

impl Prices {
    /// The section of offhours.toml.
    pub fn toml(&self) -> String {
        let plans = self.units_per_node_hour.iter();
        let plans: Vec<String> =
            plans.map(|(plan, units)| format!("\"{plan}\" = \"{}\"", thousandths(*units))).collect();
        format!(
            "\n[prices]\ncurrency = \"EUR\"\ncapacity_unit = \"{}\"\nsource = \"dice\"\nvalid_from = 2026-01-01\n\
             [prices.capacity_units_per_node_hour]\n{}\n",
            thousandths(self.of_a_unit),
            plans.join("\n")
        )
    }
}

/// As a decimal.
pub fn thousandths(number: i64) -> String {
    format!("{}.{:03}", number / 1000, number % 1000)
}

fn machine(random: &mut fastrand::Rng) -> Machine {
    let plans = ["infer.s", "infer.s", "infer.m", "g4.large", "gpu.xl", "free"];
    let count = if in_percent(random, 30) { 2 } else { 1 };
    Machine {
        components: (0..count).map(|_| (pick(random, &plans), random.u32(0..6))).collect(),
        is_shown: in_percent(random, 95),
        is_billed_by_tokens: in_percent(random, 10),
    }
}

fn fleet(random: &mut fastrand::Rng, prices: &Prices) -> (Fleet, BTreeMap<String, Machine>) {
    let mut fleet = Fleet::new();
    let mut machines = BTreeMap::new();
    for (name, units) in &prices.units_of_the_tenant {
        let billable_units_per_hour = thousandths(*units).parse().unwrap();
        let offer = InstanceType { memory: "16Gi".to_owned(), cpu: 4, gpu: 1, billable_units_per_hour };
        fleet.tenant.instance_types.insert((*name).to_owned(), offer);
    }
    fleet.tenant.tidied_after = in_percent(random, 40).then(|| TimeDelta::hours(random.i64(2..60)).to_std().unwrap());
    for group in GROUPS {
        fleet = fleet.group(group);
        for number in 0..random.usize(1..4) {
            let name = format!("{group}-{number}");
            let machine = machine(random);
            for twin in 0..random.usize(1..4) {
                let spec = spec(random, group, &format!("{name}-{twin}"), &name, &machine);
                fleet = fleet.deployment(spec);
            }
            machines.insert(format!("cfg-{name}"), machine);
        }
    }
    let fleet = fleet.group("prod").running(&format!("{KEEP}-1"), "infer.s");
    (if in_percent(random, 30) { fleet.without_bulk() } else { fleet }, machines)
}

fn spec(random: &mut fastrand::Rng, group: &str, id: &str, configuration: &str, machine: &Machine) -> Spec {
    let component = |(index, (plan, replicas)): (usize, &(&'static str, u32))| Component {
        name: format!("component-{index}"),
        min: 0,
        max: 5,
        ..Component::predictor(plan, *replicas)
    };
    let model = machine.is_billed_by_tokens.then(|| Model { name: "gpt".to_owned(), version: "latest".to_owned() });
    let redeployed = in_percent(random, 40).then(|| again(random));
    let is_pending = in_percent(random, 8);
    Spec {
        configuration_id: format!("cfg-{configuration}"),
        configuration_name: Some(configuration.to_owned()),
        scenario_id: Some(if model.is_some() { "foundation-models" } else { "scenario" }.to_owned()),
        components: machine.components.iter().enumerate().map(component).collect(),
        model,
        status: if is_pending { Status::Pending } else { Status::Running },
        created: Moment::Before(TimeDelta::minutes(random.i64(1..4_000))),
        ttl: in_percent(random, 20).then(|| format!("{}h", random.u32(70..220))),
        behaviour: behaviour(random),
        stop_after: stop_after(random),
        redeployed: redeployed.into_iter().collect(),
        details: if machine.is_shown {
            pick(
                random,
                &[DetailsSpelling::Camel, DetailsSpelling::Snake, DetailsSpelling::Both, DetailsSpelling::HalfFilled],
            )
        } else {
            DetailsSpelling::Absent
        },
        ..Spec::running(group, id, "")
    }
}

/// People deploy it again at this minute of each day.
fn again(random: &mut fastrand::Rng) -> Redeployed {
    let cron = format!("{} {} * * *", random.u8(0..60), random.u8(0..24));
    Redeployed::new(Cron::parse(&cron).unwrap(), clock::zone("Europe/Berlin").unwrap())
}

fn behaviour(random: &mut fastrand::Rng) -> Behaviour {
    match random.u8(..40) {
        0 => Behaviour::Refuses,
        1 => Behaviour::Forbidden,
        2 => Behaviour::Stuck,
        3 => Behaviour::Dies,
        4 => Behaviour::Vanishes,
        5 => Behaviour::ComesBack,
        _ => Behaviour::Normal,
    }
}

/// At once, in a minute or so, or long after everybody has gone home.
fn stop_after(random: &mut fastrand::Rng) -> TimeDelta {
    TimeDelta::milliseconds(match random.u8(..10) {
        0 | 1 => random.i64(0..3_000),
        2..=7 => random.i64(3_000..90_000),
        _ => random.i64(90_000..10_000_000),
    })
}
