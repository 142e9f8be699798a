//! Crashes and shutdowns: whatever the moment, the next start finishes the run without repeating a stop.

use std::cell::Cell;
use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use offhours::domain::run::{Outcome, Run};
use offhours::executor::Executor;
use offhours::executor::progress::silent;
use offhours::ledger::lock::ExecutorLock;
use offhours::simulator::{Behaviour, Entry, Fault, Fleet, Simulator};

use crate::scenario::builder::{LEAD, Scenario};
use crate::scenario::fired::{row, words};
use crate::scenario::stage::Stage;

/// Two groups: one with bulk stops enough for several batches would take long; a handful shows the same.
fn fleet() -> Fleet {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").running("d002", "infer.m");
    fleet.group("dev-b").running("d003", "infer.s").group("prod").running("keep-1", "infer.s")
}

fn stage(bulk: bool) -> Stage {
    Scenario::evenings().fleet(if bulk { fleet() } else { fleet().without_bulk() }).start()
}

/// What every resumed run of [`fleet`] must come to.
fn is_finished_well(stage: &Stage, resumed: bool) {
    let history = stage.history();
    assert_eq!(history.len(), 1);
    let run = &history[0];
    assert_eq!(run.result.as_str(), "done", "{}: {:#?}", run.sentence(), words(run));
    assert_eq!(run.resumed, resumed);
    for id in ["d001", "d002", "d003"] {
        assert_eq!(row(run, id).outcome, Outcome::Stopped, "{:#?}", words(run));
        assert!(row(run, id).avoided().cost.is_some(), "{id} is priced as of its decision");
        assert_eq!(stage.patched_ids().iter().filter(|asked| *asked == id).count(), 1, "{id} was asked for twice");
    }
    assert_eq!(stage.deliver(), 2, "one report for each recipient");
}

/// A task can be lost, and a commit can seem to fail: a run of this very process that nobody has in hand is taken up again.
#[test]
fn a_run_that_this_process_lost_is_taken_up_again_and_one_in_hand_is_not() {
    let mut stage = stage(true);
    let claimed = stage.claim();
    let executor = stage.executor();
    let in_hand = claimed.iter().map(|run| run.id).collect();
    assert!(stage.block_on(executor.orphans(&in_hand)).unwrap().is_empty());
    let lost = stage.block_on(executor.orphans(&BTreeSet::new())).unwrap();
    assert_eq!(lost.len(), 1);
    stage.carry_out(lost);
    is_finished_well(&stage, true);
}

/// Killed after its stops; then a resource group is no longer listed. What was asked for is looked at by itself: only
/// AI Core's 404 makes it gone.
#[test]
fn what_was_asked_for_in_a_group_that_is_not_listed_any_more_is_watched_all_the_same() {
    let mut stage = stage(true);
    assert!(
        stage.die_when(|simulator| simulator.journal().iter().filter(|entry| entry.is_patch()).count() == 2).is_none()
    );
    stage.simulator.inject(Fault::on("GET", "/admin/resourceGroups").always().rewrites(|body| {
        body["resources"].as_array_mut().unwrap().retain(|group| group["resourceGroupId"] != "dev-b");
    }));
    stage.resume();
    is_finished_well(&stage, true);
}

/// Dies at the n-th point at which the work could go on, for every n until it gets through.
#[test]
fn p02_killed_at_any_await_point_the_run_is_finished_by_the_next_start() {
    for bulk in [true, false] {
        let (mut point, mut killed) = (1, 0);
        loop {
            let mut stage = stage(bulk);
            let polls = Cell::new(0);
            let ended = stage.die_when(|_| {
                polls.set(polls.get() + 1);
                polls.get() > point
            });
            if let Some(runs) = ended {
                assert_eq!(runs.len(), 1);
                is_finished_well(&stage, false);
                break;
            }
            killed += 1;
            // A request that was under way arrives before anybody looks again, or never.
            stage.wait(TimeDelta::seconds(1));
            let resumed = stage.resume();
            // Where the last write was under way, the run was finished by the process that died.
            assert!(resumed.len() <= 1);
            is_finished_well(&stage, !resumed.is_empty());
            point += if point < 40 { 1 } else { 3 };
        }
        assert!(killed > 20, "bulk {bulk}: only {killed} points");
    }
}

fn after(count: usize, kind: impl Fn(&Entry) -> bool) -> impl Fn(&Simulator) -> bool {
    move |simulator| simulator.journal().iter().filter(|entry| kind(entry) && entry.status.is_some()).count() >= count
}

#[test]
fn p02_killed_between_two_stops_the_second_is_asked_for_and_the_first_is_not_repeated() {
    let mut stage = stage(false);
    assert!(stage.die_when(after(1, Entry::is_patch)).is_none());
    let run = stage.resume().remove(0);
    assert!(run.resumed);
    is_finished_well(&stage, true);
}

#[test]
fn p03_killed_while_polling_nothing_is_asked_again() {
    let mut stage = stage(true);
    let is_look = |entry: &Entry| entry.method == "GET" && entry.target.contains("/lm/deployments?");
    let polls = |simulator: &Simulator| {
        let journal = simulator.journal();
        let stops = journal.iter().rposition(Entry::is_patch);
        stops.is_some_and(|stops| journal[stops..].iter().filter(|entry| is_look(entry)).count() >= 2)
    };
    assert!(stage.die_when(polls).is_none());
    let asked = stage.patches().len();
    let run = stage.resume().remove(0);
    assert!(run.resumed && run.result.as_str() == "done");
    assert_eq!(stage.patches().len(), asked);
    is_finished_well(&stage, true);
}

#[test]
fn p02_killed_before_the_answer_came_the_next_start_looks_first() {
    let stopping = Fault::on("PATCH", "/d001").does_but_hangs();
    let mut stage = Scenario::evenings().fleet(fleet().without_bulk()).fault(stopping).start();
    let asked =
        |simulator: &Simulator| simulator.journal().iter().any(|one| one.target.ends_with("/d001") && one.is_patch());
    assert!(stage.die_when(asked).is_none());
    stage.resume();
    is_finished_well(&stage, true);
}

#[test]
fn p02_killed_after_the_claim_and_before_anything_else() {
    let mut stage = stage(true);
    stage.claim();
    stage.kill();
    stage.resume();
    is_finished_well(&stage, true);
}

#[test]
fn p02_where_the_off_window_ended_meanwhile_nothing_is_asked_and_the_run_is_concluded() {
    let fleet = Fleet::new().group("dev-a").running("keep-1", "infer.s").running("keep-2", "infer.s");
    let mut stage = Scenario::evenings().fleet(fleet).start();
    stage.claim();
    stage.kill();
    // Monday at eight; the window ended at seven.
    stage.wait(TimeDelta::hours(60));
    let run = stage.resume().remove(0);
    assert_eq!(run.result.as_str(), "missed", "{}", run.sentence());
    assert!(run.sentence().contains("window"), "{}", run.sentence());
    assert!(stage.patches().is_empty());
    assert_eq!(stage.deliver(), 2);
    assert!(stage.history()[0].resumed);
}

#[test]
fn where_the_off_window_ended_after_some_stops_the_rest_is_left_and_said_so() {
    let fleet = Fleet::new().group("dev-a").running_many("d", 20, "infer.s").without_bulk();
    let mut stage = Scenario::evenings().fleet(fleet).start();
    assert!(stage.die_when(after(16, Entry::is_patch)).is_none());
    stage.wait(TimeDelta::hours(60));
    let asked = stage.patches().len();
    let run = stage.resume().remove(0);
    assert_eq!(stage.patches().len(), asked, "asked after the window");
    assert_eq!(run.result.as_str(), "partial", "{:#?}", words(&run));
    let count = |outcome| run.deployments.iter().filter(|row| row.outcome == outcome).count();
    assert_eq!((count(Outcome::Stopped), count(Outcome::Left)), (16, 4));
}

/// A stop that was asked for before the crash, came to STOPPING and back to RUNNING: asking again is what we swore not
/// to do. Only the time of its last change tells that from a request that never arrived.
#[test]
fn what_came_back_while_nobody_watched_is_not_asked_again() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").behaviour(Behaviour::ComesBack);
    let mut stage = Scenario::evenings().fleet(fleet).start();
    assert!(stage.die_when(after(1, Entry::is_patch)).is_none());
    stage.wait(TimeDelta::minutes(10));
    let run = stage.resume().remove(0);
    assert_eq!(row(&run, "d001").outcome, Outcome::Failed, "{:#?}", words(&run));
    assert!(row(&run, "d001").sentence().contains("came_back"));
    assert_eq!(stage.patches().len(), 1);
}

#[test]
fn what_died_or_vanished_while_nobody_watched_gets_its_outcome() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").behaviour(Behaviour::Dies);
    let fleet = fleet.running("d002", "infer.s").behaviour(Behaviour::Vanishes);
    let mut stage = Scenario::evenings().fleet(fleet).start();
    assert!(stage.die_when(after(1, Entry::is_patch)).is_none());
    stage.wait(TimeDelta::minutes(10));
    let run = stage.resume().remove(0);
    assert_eq!(row(&run, "d001").outcome, Outcome::Failed);
    assert_eq!(row(&run, "d002").outcome, Outcome::Gone);
    assert!(run.totals().node_hours.is_zero());
}

#[test]
fn where_ai_core_cannot_be_asked_again_the_asked_are_unconfirmed_and_settled_later() {
    let mut stage = stage(true);
    assert!(stage.die_when(after(2, Entry::is_patch)).is_none());
    stage.simulator.inject(Fault::on("GET", "").always().answers(503));
    let resumed_at = stage.now();
    let run = stage.resume().remove(0);
    stage.simulator.heal();
    assert_eq!(run.result.as_str(), "failed", "{}", run.sentence());
    assert!(run.finished_at - resumed_at >= TimeDelta::minutes(15), "it waits as long as any other run");
    assert!(run.deployments.iter().all(|row| row.outcome == Outcome::Unconfirmed && row.reason.is_some()));
    let end = run.off_window.to;
    stage.play_until(end + TimeDelta::minutes(5));
    let settled = stage.history().remove(0);
    assert!(settled.deployments.iter().all(|row| row.avoided().cost.is_some()), "{settled:#?}");
    // No more than three requests for three deployments, whatever happened.
    assert_eq!(stage.patched_ids().len(), 3);
}

#[test]
fn a_run_whose_executor_lives_is_nobodys_orphan() {
    let mut stage = stage(true);
    let claimed = stage.claim();
    let another = Executor { name: "another".into(), ..stage.executor() };
    assert!(stage.block_on(another.orphans(&BTreeSet::new())).unwrap().is_empty());
    stage.carry_out(claimed);
}

#[test]
fn two_successors_do_not_share_an_orphan() {
    let mut stage = stage(true);
    stage.claim();
    stage.kill();
    stage.start_process();
    let (executor, none) = (stage.executor(), BTreeSet::new());
    let lock = ExecutorLock::take(executor.ledger.directory()).unwrap();
    let another = Executor { name: lock.name().into(), ..executor.clone() };
    let (first, second) = stage.block_on(async { tokio::join!(executor.orphans(&none), another.orphans(&none)) });
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.len() + second.len(), 1);
    // Who did not get it may carry it out a hundred times: nothing leaves.
    let (adopter, loser) = if first.is_empty() { (&another, &executor) } else { (&executor, &another) };
    let orphan = [first, second].concat().remove(0);
    let run = stage.block_on(loser.carry_out(orphan.clone(), silent()));
    assert_eq!((run.result.as_str(), stage.patches().len()), ("interrupted", 0));
    assert_eq!(stage.block_on(executor.ledger.read(|tx| tx.open_runs())).unwrap().len(), 1, "the run is the other's");
    stage.block_on(adopter.carry_out(orphan, silent()));
    is_finished_well(&stage, true);
}

/// Ends the work by a shutdown as soon as `when` says so, as SIGTERM does.
fn shut_down(stage: &mut Stage, when: impl Fn(&Simulator) -> bool) -> (Vec<Run>, usize) {
    let claimed = stage.claim();
    let executor = stage.executor();
    let at_signal = Cell::new(0);
    let runs = stage.block_on(async {
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        let signal = async {
            while !when(&stage.simulator) {
                executor.clock.pause(std::time::Duration::from_millis(10)).await;
            }
            executor.shutdown.cancel();
            at_signal.set(stage.patches().len());
        };
        tokio::join!(work, signal).0
    });
    (runs, at_signal.get())
}

#[test]
fn p08_after_a_shutdown_nothing_more_is_asked_and_the_next_start_resumes() {
    let fleet = || Fleet::new().group("dev-a").running_many("d", 60, "infer.s").without_bulk();
    for patches in [1, 17, 40] {
        let slow = fleet().latency(std::time::Duration::from_secs(1));
        let mut stage = Scenario::evenings().fleet(slow).start();
        let (runs, at_signal) = shut_down(&mut stage, after(patches, Entry::is_patch));
        assert_eq!(runs[0].result.as_str(), "interrupted");
        assert_eq!(stage.patches().len(), at_signal, "a PATCH after the signal");
        assert_eq!(stage.deliver(), 0, "no report of a run that is not over");
        stage.kill();
        stage.wait(TimeDelta::minutes(5));
        let run = stage.resume().remove(0);
        assert_eq!((run.result.as_str(), run.tally().stopped), ("done", 60), "{:#?}", words(&run));
        assert_eq!(stage.deliver(), 2);
    }
}

/// A stop failed for the moment and was about to be repeated when the signal came: the run is not over.
#[test]
fn p08_a_shutdown_before_a_repeat_does_not_conclude_the_run() {
    let fault = Fault::on("PATCH", "/d001").times(2).answers(503);
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").without_bulk();
    let mut stage = Scenario::evenings().fleet(fleet).fault(fault).start();
    let (runs, at_signal) = shut_down(&mut stage, after(1, Entry::is_patch));
    assert_eq!(runs[0].result.as_str(), "interrupted", "{:#?}", words(&runs[0]));
    assert_eq!(stage.patches().len(), at_signal);
    stage.kill();
    let run = stage.resume().remove(0);
    assert_eq!(row(&run, "d001").outcome, Outcome::Stopped);
}

#[test]
fn p08_a_shutdown_while_watching_resumes_watching() {
    let mut stage = stage(true);
    let look = |entry: &Entry| entry.method == "GET" && entry.target.contains("/lm/deployments?");
    let (runs, at_signal) = shut_down(&mut stage, after(5, look));
    assert_eq!(runs[0].result.as_str(), "interrupted");
    assert_eq!(at_signal, 2);
    stage.kill();
    stage.resume();
    is_finished_well(&stage, true);
}

#[test]
fn a_firing_that_comes_due_while_an_interrupted_run_is_open_does_not_hide_it() {
    let mut stage = stage(true);
    shut_down(&mut stage, after(1, Entry::is_patch));
    stage.kill();
    stage.wait(LEAD);
    stage.resume();
    is_finished_well(&stage, true);
}
