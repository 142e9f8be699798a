//! The wall clock moves and no timer notices: a host that slept, a clock that was set. The judge is the tenant's log.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use offhours::domain::hold::HoldTarget;
use offhours::domain::run::Outcome;
use offhours::executor::progress::silent;
use offhours::simulator::{Fault, Fleet};

use crate::scenario::builder::{EVENINGS, Scenario};
use crate::scenario::fired::Fired;

/// Sixty deployments behind a tenant whose every answer takes seconds.
fn slow_fleet() -> Fleet {
    Fleet::new().group("dev-a").running_many("d", 60, "infer.s").without_bulk().latency(Duration::from_secs(3))
}

/// What is on the wire when the clock moves cannot be called back, and arrives by the new time.
const ON_THE_WIRE: TimeDelta = TimeDelta::seconds(1);

/// Fires, and moves the clock by `step` once the run has gone on for `after`. Gives the time to which it was moved, too.
fn fire_and_step(scenario: Scenario, after: Duration, step: TimeDelta) -> (Fired, DateTime<Utc>) {
    let mut stage = scenario.start();
    let claimed = stage.claim();
    let (executor, hand) = (stage.executor(), stage.hand());
    let runs = stage.block_on(async {
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        let steps = async {
            executor.clock.pause(after).await;
            hand(step);
            executor.clock.now()
        };
        tokio::join!(work, steps)
    });
    let (runs, moved_to) = runs;
    (Fired { stage, runs }, moved_to)
}

/// Every stop that the tenant received, it received inside the off window.
fn judge((fired, moved_to): &(Fired, DateTime<Utc>)) -> usize {
    let window = fired.run().off_window;
    let patches = fired.stage.patches();
    for patch in &patches {
        if *moved_to <= patch.at && patch.at < *moved_to + ON_THE_WIRE {
            continue;
        }
        let ids = patch.patched_ids();
        assert!(window.from <= patch.at && patch.at < window.to, "{ids:?} at {}, outside {window:?}", patch.at);
    }
    patches.len()
}

/// From Friday evening to Monday morning.
const OVER_THE_END: TimeDelta = TimeDelta::hours(61);

#[test]
fn t11_single_stops_that_wait_while_the_clock_passes_the_windows_end_are_not_sent() {
    let stepped = fire_and_step(Scenario::evenings().fleet(slow_fleet()), Duration::from_secs(24), OVER_THE_END);
    let sent = judge(&stepped);
    assert!((1..60).contains(&sent), "{sent} were sent");
    stepped.0.result("partial").because("the off window was over");
}

#[test]
fn t11_a_batch_that_was_put_off_is_not_sent_after_the_windows_end() {
    let fleet = Fleet::new().group("dev-a").running_many("d", 60, "infer.s");
    let fault = Fault::on("PATCH", "").answers(429).header("Retry-After", "120");
    let stepped = fire_and_step(Scenario::evenings().fleet(fleet).fault(fault), Duration::from_secs(60), OVER_THE_END);
    assert_eq!(judge(&stepped), 1, "the one that was put off");
    stepped.0.result("missed").avoids_nothing();
}

#[test]
fn t11_a_repeat_with_a_new_token_is_not_sent_after_the_windows_end() {
    for fleet in [Fleet::new(), Fleet::new().without_bulk()] {
        let fleet = fleet.group("dev-a").running("d001", "infer.s");
        let expired = Fault::on("PATCH", "").answers(401);
        // The second token takes a while.
        let slow = Fault::on("POST", "/oauth/token").skip(1).delays(Duration::from_secs(20));
        let scenario = Scenario::evenings().fleet(fleet).fault(expired).fault(slow);
        let stepped = fire_and_step(scenario, Duration::from_secs(10), OVER_THE_END);
        assert_eq!(judge(&stepped), 1, "the one whose token had expired");
        stepped.0.result("missed").avoids_nothing();
    }
}

#[test]
fn t11_a_clock_that_is_put_back_before_the_window_stops_nothing_until_it_is_inside_again() {
    let stepped =
        fire_and_step(Scenario::evenings().fleet(slow_fleet()), Duration::from_secs(20), TimeDelta::minutes(-5));
    judge(&stepped);
    stepped.0.result("done");
    let fired = stepped.0;
    assert_eq!(fired.run().tally().stopped, 60);
    assert!(fired.run().tries[0].reason.code() == "clock", "{:#?}", fired.run().tries);
}

/// While a host sleeps nobody's timers go on, but people do: whoever said "not tonight" meanwhile is heard.
#[test]
fn t11_a_hold_made_while_the_host_slept_is_heard_by_every_stop_that_waits() {
    let mut stage = Scenario::evenings().fleet(slow_fleet()).start();
    let claimed = stage.claim();
    let (executor, hand, at) = (stage.executor(), stage.hand(), stage.at);
    let held = HoldTarget::Rule("dev-evenings".parse().unwrap());
    let runs = stage.block_on(async {
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        let sleep = async {
            executor.clock.pause(Duration::from_secs(20)).await;
            let (now, until) = (executor.clock.now(), at + TimeDelta::hours(11));
            executor.ledger.write(move |tx| tx.add_hold(&held, until, "training", "ada", now)).await.unwrap();
            hand(TimeDelta::hours(2));
            now
        };
        tokio::join!(work, sleep)
    });
    let (runs, held_at) = runs;
    let fired = Fired { stage, runs };
    // What was on its way when it was said cannot be called back.
    let late = fired.stage.patches().iter().filter(|patch| patch.at > held_at + TimeDelta::minutes(1)).count();
    assert_eq!(late, 0, "stops that were sent although they were held");
    assert!(fired.run().tally().left > 0);
}

/// A generator whose sequence is its seed's.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn skip(&mut self) -> usize {
        usize::try_from(self.roll(20)).unwrap()
    }

    fn step(&mut self) -> TimeDelta {
        let minutes = i64::try_from(self.roll(14 * 60)).unwrap();
        TimeDelta::minutes(if self.roll(4) == 0 { -minutes / 30 } else { minutes })
    }
}

#[test]
fn t11_whatever_the_clock_does_no_stop_is_received_outside_its_window() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand_seed);
    println!("SEED={seed}");
    whatever_the_clock_does(seed);
}

/// The clock is put back by less than the run has gone on: what is sent after its note was made has the earlier time.
#[test]
fn t11_a_clock_that_is_put_back_within_the_window_stops_all_the_same() {
    for after in (6..30).step_by(3) {
        let step = TimeDelta::seconds(1 - after);
        let after = Duration::from_secs(after.unsigned_abs());
        let stepped = fire_and_step(Scenario::evenings().fleet(slow_fleet()), after, step);
        assert_eq!(judge(&stepped), 60, "after {after:?}");
        stepped.0.result("done");
    }
}

/// AI Core refused the bulk stop, and the single one was held before it was sent: when the first was sent is kept.
#[test]
fn t11_when_a_refused_bulk_stop_was_sent_is_kept_for_what_is_held_afterwards() {
    let mut stage = Scenario::evenings()
        .fleet(Fleet::new().group("dev-a").running_many("d", 60, "infer.s").latency(Duration::from_secs(3)))
        .fault(Fault::on("PATCH", "").answers(501))
        .start();
    let claimed = stage.claim();
    let (executor, at) = (stage.executor(), stage.at);
    let held = HoldTarget::Rule("dev-evenings".parse().unwrap());
    let runs = stage.block_on(async {
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        let person = async {
            executor.clock.pause(Duration::from_secs(20)).await;
            let (now, until) = (executor.clock.now(), at + TimeDelta::hours(11));
            executor.ledger.write(move |tx| tx.add_hold(&held, until, "training", "ada", now)).await.unwrap();
        };
        tokio::join!(work, person).0
    });
    let fired = Fired { stage, runs };
    let left = fired.run().deployments.iter().filter(|row| row.outcome == Outcome::Left).count();
    assert!(left > 0, "{:?}", fired.run().totals());
    assert!(fired.run().deployments.iter().all(|row| row.requested_at.is_some()));
}

fn whatever_the_clock_does(seed: u64) {
    let mut dice = Dice(seed);
    for _ in 0..12 {
        let fleet = slow_fleet().latency(Duration::from_millis(500 + dice.roll(5_000)));
        let put_off = Fault::on("PATCH", "").skip(dice.skip()).answers(429).header("Retry-After", "45");
        let expired = Fault::on("PATCH", "").skip(dice.skip()).answers(401);
        let rule = EVENINGS.replace("0 7 * * MON-FRI", "0 23 * * *");
        let scenario = Scenario::new().rule(&rule).fleet(fleet).fault(put_off).fault(expired);
        let stepped = fire_and_step(scenario, Duration::from_secs(1 + dice.roll(60)), dice.step());
        judge(&stepped);
    }
}

/// A seed that differs from run to run.
fn rand_seed() -> u64 {
    u64::from(std::process::id()) ^ uuid::Uuid::new_v4().as_u64_pair().0
}

/// Where two steps follow one another, each request is judged by the clock of its own moment.
#[test]
fn t11_two_steps_in_one_run() {
    let mut stage = Scenario::evenings().fleet(slow_fleet()).start();
    let claimed = stage.claim();
    let (executor, hand) = (stage.executor(), stage.hand());
    let runs = stage.block_on(async {
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        let steps = async {
            for step in [TimeDelta::hours(3), OVER_THE_END] {
                executor.clock.pause(Duration::from_secs(24)).await;
                hand(step);
            }
            executor.clock.now()
        };
        tokio::join!(work, steps)
    });
    let (runs, moved_to) = runs;
    let stepped = (Fired { stage, runs }, moved_to);
    judge(&stepped);
    let fired = stepped.0;
    let ends: Vec<DateTime<Utc>> = fired.stage.patches().iter().map(|patch| patch.at).collect();
    assert!(!ends.is_empty());
}
