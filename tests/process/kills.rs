//! kill -9 at each stage of a run. Whatever the moment: one run, one mail, and no stop asked for twice of what was on
//! its way off.

use chrono::TimeDelta;
use offhours::domain::run::RunResult;
use offhours::simulator::Fault;

use crate::bench::{Bench, fires_soon, fleet, idle_rule};

/// Starts the daemon again and expects the one run to come out whole.
fn comes_out_whole(bench: &Bench, stopped: usize) {
    bench.simulator.heal();
    let daemon = bench.daemon();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.resumed, run.totals().stopped), (RunResult::Done, true, stopped), "{}", daemon.log());
    assert_eq!(bench.history().len(), 1, "one run of one firing");
    assert!(daemon.ends().success());
    assert_eq!(bench.outbox().len(), 1, "one mail");
    bench.judge();
}

#[test]
fn after_the_claim() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("GET", "/deployments").always().hangs());
    let daemon = bench.daemon();
    bench.waits_for_request("a list", 1, |entry| entry.target.contains("/lm/deployments"));
    daemon.kill();
    assert!(bench.asked().is_empty());
    comes_out_whole(&bench, 2);
    assert_eq!(bench.asked(), ["d001", "d002"]);
}

#[test]
fn after_a_bulk_stop_that_was_done_and_never_answered() {
    let bench = Bench::new(fleet(3), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("PATCH", "").always().does_but_hangs());
    let daemon = bench.daemon();
    bench.waits_for_patch();
    daemon.kill();
    comes_out_whole(&bench, 3);
    assert_eq!(bench.asked(), ["d001", "d002", "d003"], "asked for once, by the first daemon");
}

#[test]
fn after_a_stop_that_was_sent_and_never_done() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("PATCH", "").always().hangs());
    let daemon = bench.daemon();
    bench.waits_for_patch();
    daemon.kill();
    comes_out_whole(&bench, 2);
    assert_eq!(bench.asked(), ["d001", "d002", "d001", "d002"], "the second daemon saw that they still ran");
}

#[test]
fn between_single_stops() {
    let bench = Bench::new(fleet(4).without_bulk(), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("PATCH", "/d003").always().hangs());
    bench.simulator.inject(Fault::on("PATCH", "/d004").always().does_but_hangs());
    let daemon = bench.daemon();
    bench.waits_for_request("four stops", 4, |entry| entry.is_patch());
    daemon.kill();
    comes_out_whole(&bench, 4);
    let mut asked = bench.asked();
    asked.sort();
    assert_eq!(asked, ["d001", "d002", "d003", "d003", "d004"]);
}

// Who works without a daemon has nothing else that would finish the run that was cut off.
#[test]
fn a_fire_that_was_killed_is_finished_by_the_next_one() {
    let slow = fleet(2).each(|spec| spec.stop_after = TimeDelta::seconds(3));
    let bench = Bench::new(slow, &idle_rule("evening"));
    let fire = bench.daemon_as(bench.command(&["fire", "evening"]));
    bench.waits_for_patch();
    fire.kill();
    let said = bench.run(&["fire", "evening"]).ends(0);
    let results: Vec<_> = bench.history().iter().map(|run| (run.result, run.resumed, run.totals().stopped)).collect();
    assert_eq!(results, [(RunResult::Done, true, 2), (RunResult::Done, false, 0)], "{}", said.err);
    assert_eq!(bench.asked(), ["d001", "d002"]);
    assert_eq!(bench.outbox().len(), 2);
    bench.judge();
}

#[test]
fn while_waiting_for_the_confirmation() {
    let slow = fleet(2).each(|spec| spec.stop_after = TimeDelta::seconds(6));
    let bench = Bench::new(slow, &fires_soon("evening"));
    let daemon = bench.daemon();
    bench.waits_for_patch();
    let lists = |bench: &Bench| {
        bench.simulator.journal().iter().filter(|e| e.method == "GET" && e.target.contains("/lm/deployments")).count()
    };
    let before = lists(&bench);
    crate::bench::waits_until("a look after the stop", || lists(&bench) > before);
    daemon.kill();
    comes_out_whole(&bench, 2);
    assert_eq!(bench.asked(), ["d001", "d002"]);
}
