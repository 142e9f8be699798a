//! Fifty rules over ten zones through a month, and through a whole year, with every clock change in it, while one request
//! in a hundred meets a fault, people set and lift holds, and offhours is restarted, killed and put to sleep. Virtual
//! time, and everything by chance from one seed: `SEED=n` repeats a run.

pub mod almanac;
pub mod chances;
pub mod life;
mod tenant;
mod verdict;

use chrono::TimeDelta;

use crate::scenario::builder::Scenario;
use crate::scenario::year::verdict::Verdict;

/// Each round costs a list of each group that has something off; a daemon looks oftener.
const BETWEEN_ROUNDS: TimeDelta = TimeDelta::hours(12);

fn lives_through(from: &str, to: &str) {
    let seed = std::env::var("SEED").ok().map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (from, to) = (tenant::quiet(from), tenant::quiet(to));
    let rules = tenant::rules();
    let mut scenario = Scenario::new().fleet(tenant::fleet()).main("[protect]\nresource_groups = [\"prod*\"]\n");
    for rule in &rules {
        scenario = scenario.rule(&rule.toml);
    }
    for fault in chances::faults(&mut random) {
        scenario = scenario.fault(fault);
    }
    scenario.begins = Some(from);
    scenario.at = from + TimeDelta::minutes(1);
    let mut events = chances::events(&mut random, &rules, from, to);
    let mut stage = scenario.start();
    let lived = life::live(&mut stage, &mut events, BETWEEN_ROUNDS, to);
    Verdict::new(&stage, &rules, &lived, to).speak(&stage);
    // When the stage is taken down, it is held to what must hold for every scenario as well.
}

/// The clocks of New York, Berlin, Dublin, Casablanca, Santiago and Lord Howe change in it.
#[test]
fn a_month_of_fifty_rules_goes_by_the_book() {
    lives_through("2026-03-06", "2026-04-06");
}

#[test]
#[ignore = "minutes"]
fn a_year_of_fifty_rules_goes_by_the_book() {
    lives_through("2026-01-01", "2027-01-01");
}
