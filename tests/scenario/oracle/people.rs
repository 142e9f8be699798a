//! What people and chance do in a week: they deploy again, delete, stop by hand, hold and label; requests meet faults;
//! and offhours is killed, restarted and put to sleep. Half of it happens in the minute around a firing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::deployment::Status;
use offhours::domain::hold::{HOLD_UNTIL_LABEL, HoldTarget, OPT_OUT_LABEL};
use offhours::simulator::{Fault, Simulator, Spec};
use serde_json::{Value, json};

use crate::scenario::invariants::KEEP;
use crate::scenario::oracle::week::{GROUPS, Week, in_percent, pick};
use crate::scenario::oracle::witness::Witness;
use crate::scenario::stage::PERSON;
use crate::scenario::year::chances::{Act, Event, Events};

/// The tenant's world is looked at so often.
const LOOKS_APART: TimeDelta = TimeDelta::minutes(5);

/// All that happens, in order. The last day and a half is quiet, so that everything can come to its end.
pub fn events(random: &mut fastrand::Rng, week: &Week, witness: &Witness) -> Events {
    let last = week.to - TimeDelta::hours(36);
    let firings: Vec<DateTime<Utc>> = week.rules.iter().flat_map(|rule| rule.diary.firings(week.from, last)).collect();
    let mut events = Vec::new();
    let instant = |random: &mut fastrand::Rng| match firings.get(random.usize(..firings.len() * 2)) {
        Some(firing) => *firing + TimeDelta::milliseconds(random.i64(-20_000..60_000)),
        None => week.from + TimeDelta::seconds(random.i64(0..(last - week.from).num_seconds())),
    };
    for number in 0..random.usize(10..40) {
        events.push((instant(random), at_tenant(random, week, witness, number)));
    }
    for _ in 0..random.usize(0..12) {
        let time = TimeDelta::seconds(random.i64(5..200_000));
        events.push((instant(random), Event::Held(target(random, week), time)));
    }
    for _ in 0..random.usize(0..6) {
        events.push((instant(random), Event::Lifted));
    }
    for _ in 0..random.usize(0..8) {
        events.push((instant(random), mishap(random)));
    }
    let mut at = week.from;
    while at < week.to {
        let witness = witness.clone();
        events.push((at, act(move |simulator| witness.look(simulator))));
        at += LOOKS_APART;
    }
    events.retain(|(at, _)| *at >= week.from);
    Events::new(events)
}

fn act(what: impl FnOnce(&Simulator) + 'static) -> Event {
    Event::AtTenant(Act(Box::new(what)))
}

fn mishap(random: &mut fastrand::Rng) -> Event {
    let time = TimeDelta::minutes(random.i64(1..14 * 60));
    match random.u8(..5) {
        0 => Event::Restarted,
        1 | 2 => Event::Killed(random.usize(..60)),
        3 => Event::Down(time),
        _ => Event::Asleep(time),
    }
}

fn target(random: &mut fastrand::Rng, week: &Week) -> HoldTarget {
    let model = &week.models[random.usize(..week.models.len())];
    match random.u8(..4) {
        0 => HoldTarget::Rule(week.rules[random.usize(..week.rules.len())].name.parse().unwrap()),
        1 => HoldTarget::ResourceGroup(model.group.parse().unwrap()),
        2 => HoldTarget::Configuration(model.configuration_name.clone().unwrap()),
        _ => HoldTarget::Deployment(model.id.parse().unwrap()),
    }
}

fn at_tenant(random: &mut fastrand::Rng, week: &Week, witness: &Witness, number: usize) -> Event {
    let (witness, chosen) = (witness.clone(), random.usize(..));
    match random.u8(..8) {
        0..=2 => {
            let model = week.models[random.usize(..week.models.len())].clone();
            let ttl = in_percent(random, 20).then(|| format!("{}h", random.u32(1..60)));
            let spec = Spec { id: format!("people-{number:03}"), status: Status::Unknown, ttl, ..model };
            act(move |simulator| {
                simulator.create(spec);
                witness.look(simulator);
            })
        }
        3 | 4 => act(move |simulator| {
            witness.look(simulator);
            if let Some((group, id)) = one_of(simulator, chosen, |_| true) {
                assert!(simulator.delete(&group, &id));
            }
            witness.look(simulator);
        }),
        5 => act(move |simulator| {
            if let Some((group, id)) = one_of(simulator, chosen, Status::can_be_stopped) {
                let hand = Hand::new(simulator);
                drop(tokio::spawn(async move { hand.stops(&group, &id).await }));
            }
        }),
        _ => label(random, witness),
    }
}

fn label(random: &mut fastrand::Rng, witness: Witness) -> Event {
    let (group, wish, hours) = (pick(random, &GROUPS), random.u8(..4), random.i64(1..40));
    act(move |_| {
        let until = witness.now() + TimeDelta::hours(hours);
        match wish {
            0 => witness.label(group, Some((OPT_OUT_LABEL, "off".to_owned())), DateTime::<Utc>::MAX_UTC),
            1 => witness.label(group, Some((HOLD_UNTIL_LABEL, until.to_rfc3339())), until),
            _ => witness.label(group, None, until),
        }
    })
}

fn one_of(simulator: &Simulator, chosen: usize, may: impl Fn(&Status) -> bool) -> Option<(String, String)> {
    let mut there = simulator.statuses();
    there.retain(|(group, id, status)| GROUPS.contains(&group.as_str()) && !id.starts_with(KEEP) && may(status));
    let (group, id, _) = there.get(chosen.checked_rem(there.len())?)?;
    Some((group.clone(), id.clone()))
}

/// A person with the same key and a client of their own.
struct Hand {
    base_url: String,
    key: Value,
}

impl Hand {
    fn new(simulator: &Simulator) -> Self {
        let key = serde_json::from_str(&simulator.service_key()).unwrap();
        Self { base_url: simulator.base_url().to_owned(), key }
    }

    /// Asks once, whatever comes of it.
    async fn stops(&self, group: &str, id: &str) -> Option<()> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let text = |key: &str| self.key[key].as_str().unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", text("clientid")),
            ("client_secret", text("clientsecret")),
        ];
        let token = client.post(format!("{}/oauth/token", self.base_url)).form(&form).send().await.ok()?;
        let token: Value = token.json().await.ok()?;
        let request = client.patch(format!("{}/v2/lm/deployments/{id}", self.base_url));
        let request = request.bearer_auth(token["access_token"].as_str()?).header("AI-Resource-Group", group);
        request.header("AI-Client-Type", PERSON).json(&json!({"targetStatus": "STOPPED"})).send().await.ok()?;
        Some(())
    }
}

/// In the way of requests from the first on; what only puts an answer off comes after what changes it.
pub fn faults(random: &mut fastrand::Rng, witness: &Witness) -> Vec<Fault> {
    let retry_after = random.u32(2..90).to_string();
    let of_any = [
        Fault::on("*", "").answers(503),
        Fault::on("*", "").answers(500),
        Fault::on("*", "").answers(401),
        Fault::on("*", "").answers(429).header("Retry-After", &retry_after),
        Fault::on("*", "").drops(),
        Fault::on("*", "").hangs(),
        Fault::on("GET", "").truncates(),
    ];
    let of_stops = [
        Fault::on("PATCH", "").does_but_drops(),
        Fault::on("PATCH", "").does_but_answers(504),
        Fault::on("PATCH", "").does_but_hangs(),
        Fault::on("PATCH", "").answers_with(202, "application/json", r#"{"deployments":[]}"#),
        Fault::on("PATCH", "").answers(412),
        Fault::on("PATCH", "").delays(Duration::from_secs(random.u64(1..50))),
    ];
    let one_in = pick(random, &[100, 400, 2_000]);
    let mut faults: Vec<Fault> = of_any.map(|fault| fault.by_chance(one_in, random.u64(..))).into();
    faults.extend(of_stops.map(|fault| fault.by_chance(one_in / 20, random.u64(..))));
    // AI Core is away for some requests in a row.
    for _ in 0..random.usize(0..4) {
        let away = Fault::on("*", "").skip(random.usize(..1_500)).times(random.usize(1..40));
        faults.push(if random.bool() { away.answers(503) } else { away.drops() });
    }
    faults.extend(witness.labels());
    faults.push(Fault::on("GET", "").delays(Duration::from_secs(random.u64(1..50))).by_chance(one_in, random.u64(..)));
    faults
}
