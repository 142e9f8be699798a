//! kill -9 at each stage of a run. Whatever the moment: one run, one mail, and no stop asked for twice of what was on
//! its way off.

use std::process::Command;

use chrono::{SubsecRound, TimeDelta};
use offhours::domain::run::RunResult;
use offhours::simulator::Fault;

use crate::process::bench::{Bench, another_second, fires_at, fires_soon, fleet, idle_rule, now};

/// Starts the daemon again and expects the one run to come out whole.
fn comes_out_whole(bench: &Bench, stopped: usize) {
    bench.simulator.heal();
    let daemon = bench.daemon();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.resumed, run.tally().stopped), (RunResult::Done, true, stopped), "{}", daemon.log());
    assert_eq!(bench.history().len(), 1, "one run of one firing");
    assert!(daemon.ends().success());
    assert_eq!(bench.outbox().len(), 1, "one mail");
    bench.judge();
}

/// strace kills the daemon as it begins to write the claim; where there is no strace, there is nothing to see.
#[test]
fn p01_killed_before_the_claim_is_written_the_firing_is_still_due() {
    if Command::new("strace").arg("-V").output().is_err() {
        return;
    }
    // A rule fires in whole seconds.
    let at = now().trunc_subsecs(0) + TimeDelta::seconds(7);
    let bench = Bench::new(fleet(1), &fires_at("evening", at));
    let mut daemon = bench.daemon();
    let pid = daemon.child.id().to_string();
    let kill = ["-e", "trace=pwrite64", "-e", "inject=pwrite64:signal=SIGKILL:when=1", "-p", &pid];
    let mut strace = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null"]).args(kill).spawn().unwrap();
    assert!(!daemon.waits_for_end().success());
    strace.wait().unwrap();
    assert!(now() >= at, "it died of the claim: {}", daemon.log());
    assert_eq!((bench.open_runs(), bench.history().len()), (0, 0), "no claim is in the ledger");
    assert!(bench.asked().is_empty());

    let _daemon = bench.daemon();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.resumed, run.firing.at.timestamp()), (RunResult::Done, false, at.timestamp()));
    assert_eq!((bench.asked(), bench.history().len()), (vec!["d001".to_owned()], 1));
    bench.judge();
}

#[test]
fn p02_killed_after_the_claim() {
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
fn p02_killed_after_a_bulk_stop_that_was_done_and_never_answered() {
    let bench = Bench::new(fleet(3), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("PATCH", "").always().does_but_hangs());
    let daemon = bench.daemon();
    bench.waits_for_patch();
    daemon.kill();
    comes_out_whole(&bench, 3);
    assert_eq!(bench.asked(), ["d001", "d002", "d003"], "asked for once, by the first daemon");
}

#[test]
fn p02_killed_after_a_stop_that_was_sent_and_never_done() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("PATCH", "").always().hangs());
    let daemon = bench.daemon();
    bench.waits_for_patch();
    daemon.kill();
    comes_out_whole(&bench, 2);
    assert_eq!(bench.asked(), ["d001", "d002", "d001", "d002"], "the second daemon saw that they still ran");
}

#[test]
fn p02_killed_between_single_stops() {
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

/// One listing gives up after three requests: the fourth is of a run that tries again inside its window.
#[test]
fn p63_killed_while_ai_core_is_away_and_the_lists_are_tried_again() {
    let bench = Bench::new(fleet(3), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("GET", "/lm/deployments").always().answers(503));
    for kill in 1..=2 {
        let daemon = bench.daemon();
        bench.waits_for_request("another try", 4 * kill, |entry| entry.target.contains("/lm/deployments"));
        daemon.kill();
        assert!(bench.asked().is_empty());
        assert_eq!((bench.open_runs(), bench.history().len()), (1, 0), "it has not ended yet");
    }
    bench.simulator.heal();
    let _daemon = bench.daemon();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.resumed, run.tally().stopped), (RunResult::Done, true, 3), "{}", run.sentence());
    assert_eq!((bench.asked(), bench.history().len()), (["d001", "d002", "d003"].map(str::to_owned).to_vec(), 1));
    bench.judge();
}

// Who works without a daemon has nothing else that would finish the run that was cut off.
#[test]
fn a_fire_that_was_killed_is_finished_by_the_next_one() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    bench.stays_stopping();
    let fire = bench.daemon_as(bench.command(&["fire", "evening"]));
    bench.waits_for_patch();
    fire.kill();
    bench.simulator.heal();
    another_second();
    let said = bench.run(&["fire", "evening"]).ends(0);
    assert!(said.err.contains("2 to stop, 0 left") && said.err.contains("confirming 2 of 2"), "{}", said.err);
    let results: Vec<_> = bench.history().iter().map(|run| (run.result, run.resumed, run.tally().stopped)).collect();
    assert_eq!(results, [(RunResult::Done, true, 2), (RunResult::Done, false, 0)], "{}", said.err);
    assert_eq!(bench.asked(), ["d001", "d002"]);
    assert_eq!(bench.outbox().len(), 2);
    bench.judge();
}

#[test]
fn p03_killed_while_waiting_for_the_confirmation() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    bench.stays_stopping();
    let daemon = bench.daemon();
    bench.waits_for_patch();
    let lists = |bench: &Bench| {
        bench.simulator.journal().iter().filter(|e| e.method == "GET" && e.target.contains("/lm/deployments")).count()
    };
    let before = lists(&bench);
    crate::process::bench::waits_until("a look after the stop", || lists(&bench) > before);
    daemon.kill();
    comes_out_whole(&bench, 2);
    assert_eq!(bench.asked(), ["d001", "d002"]);
}
