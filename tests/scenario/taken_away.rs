//! Somebody moves the ledger away while offhours runs: what it would write, nobody would find, and what others write
//! meanwhile it would not see.

use std::fs;
use std::path::PathBuf;

use chrono::TimeDelta;
use offhours::simulator::{Fault, Fleet};

use crate::scenario::builder::Scenario;
use crate::scenario::fired::row;
use crate::scenario::stage::Stage;

fn one() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s")
}

/// The state directory, and where it is moved to.
fn ways(stage: &Stage) -> (PathBuf, PathBuf) {
    (stage.config.state_dir.clone(), stage.path().join("away"))
}

#[test]
fn p47_a_firing_that_comes_due_without_its_ledger_stops_nothing_and_is_due_once_it_is_back() {
    let mut stage = Scenario::evenings().fleet(one()).start();
    let (state, away) = ways(&stage);
    for is_due in [false, true] {
        fs::rename(&state, &away).unwrap();
        if is_due {
            stage.wait_until(stage.at);
        }
        let process = stage.process.as_mut().unwrap();
        let (executor, mut agenda) = (process.executor.clone(), process.agenda.clone());
        let told = stage.block_on(executor.beat(&mut agenda)).unwrap_err().to_string();
        assert!(told.contains("moved, replaced or removed") && told.contains("restart offhours"), "{told}");
        assert!(!state.exists(), "no other was made");
        fs::rename(&away, &state).unwrap();
    }
    assert!(stage.patches().is_empty());
    let runs = stage.claim();
    let runs = stage.carry_out(runs);
    assert_eq!(row(&runs[0], "d001").outcome.as_str(), "stopped");
}

/// In the midst of a run: between the list and the request.
#[test]
fn p47_a_run_whose_ledger_is_taken_away_asks_for_nothing_more_and_is_finished_by_the_next_start() {
    let mut stage = Scenario::evenings().fleet(one()).start();
    let (state, away) = ways(&stage);
    let (from, to) = (state.clone(), away.clone());
    let taken = move |_: &mut serde_json::Value| fs::rename(&from, &to).unwrap();
    stage.simulator.inject(Fault::on("GET", "/lm/deployments").rewrites(taken));
    let (clock, end) = (stage.clock.clone(), stage.at + TimeDelta::minutes(5));
    assert!(stage.die_when(|_| clock.now() > end).is_none(), "its result is kept, and written again and again");
    assert!(stage.patches().is_empty());
    fs::rename(&away, &state).unwrap();
    let runs = stage.resume();
    assert_eq!(row(&runs[0], "d001").outcome.as_str(), "stopped");
    assert_eq!(stage.patched_ids(), ["d001"]);
}
