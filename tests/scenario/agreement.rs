//! What `plan --at` says, what a rehearsal shows and what then really happens are one and the same.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use offhours::domain::deployment::Status;
use offhours::domain::hold::HoldTarget;
use offhours::domain::id::{DeploymentId, ResourceGroup};
use offhours::domain::run::{Outcome, Run};
use offhours::ledger::runs::RunFilter;
use offhours::rehearsal::Rehearsal;
use offhours::simulator::{Behaviour, Fleet};

use crate::scenario::builder::{EVENINGS, Scenario};
use crate::scenario::fired::words;
use crate::scenario::stage::Stage;

/// One of each reason, and some to stop.
fn fleet() -> Fleet {
    Fleet::new()
        .group("dev-a")
        .running("d001", "infer.s")
        .configuration("chat")
        .running("d002", "infer.m")
        .replicas(1, 4, 3)
        .running("d003", "infer.s")
        .status(&Status::Pending)
        .running("keep-held", "infer.s")
        .running("keep-excluded", "infer.s")
        .configuration("chat-keep")
        .running("keep-young", "infer.s")
        .aged(TimeDelta::minutes(12))
        .running("keep-dead", "infer.s")
        .status(&Status::Dead)
        .aged(TimeDelta::hours(2))
        .running("keep-off", "infer.s")
        .status(&Status::Stopped)
        .aged(TimeDelta::hours(2))
        .model("keep-tokens", "gpt-4o")
        .group("dev-b")
        .label("ext.ai.sap.com/offhours", "off")
        .running("keep-label", "infer.s")
        .group("dev-doubt")
        .label("ext.ai.sap.com/offhours", "disabled")
        .running("keep-doubt", "infer.s")
        .group("dev-c")
        .running("d004", "infer.s")
        .group("dev-prod")
        .running("keep-prod", "infer.s")
        .group("other")
        .running("keep-other", "infer.s")
}

fn stage() -> Stage {
    let rule = EVENINGS.to_owned() + "[rule.exclude]\nconfigurations = [\"*-keep\"]\n";
    let protect = "[protect]\nresource_groups = [\"*prod\"]\n";
    let stage = Scenario::new().rule(&rule).main(protect).fleet(fleet()).start();
    stage.hold(&HoldTarget::Deployment(DeploymentId::new("keep-held").unwrap()), stage.at + TimeDelta::hours(10));
    stage
}

/// The real tenant as it is listed, played through the same firing on a tenant of its own.
fn rehearsed(stage: &Stage) -> Run {
    let executor = stage.executor();
    let connection = executor.config.connections.values().next().unwrap();
    let (groups, deployments, holds) = stage.block_on(async {
        let tenant = executor.tenants.tenant(connection).unwrap();
        let groups = tenant.reader.groups().await.unwrap();
        let mut deployments = Vec::new();
        for group in &groups {
            deployments.extend(tenant.reader.deployments(&group.id, None).await.unwrap().deployments);
        }
        let now = executor.clock.now();
        (groups, deployments, executor.ledger.read(move |tx| tx.holds(now)).await.unwrap())
    });
    let rehearsal = Rehearsal {
        config: (*stage.config).clone(),
        fleets: [(connection.name.clone(), Fleet::from_deployments(groups, deployments))].into(),
        holds,
        from: stage.now(),
        to: stage.at + TimeDelta::minutes(1),
        output: stage.path().join("rehearsal"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rehearsed = runtime.block_on(rehearsal.hold(|_| {})).unwrap();
    runtime.block_on(rehearsed.ledger.read(|tx| tx.history(&RunFilter::default()))).unwrap().remove(0)
}

/// Decision and reason of each deployment, as a run tells them.
fn decisions(run: &Run) -> BTreeMap<String, String> {
    let word = |row: &offhours::domain::run::DeploymentResult| match row.outcome {
        Outcome::Stopped => "stop".to_owned(),
        Outcome::AlreadyOff => "off".to_owned(),
        _ => row.sentence(),
    };
    run.deployments.iter().map(|row| (row.id.to_string(), word(row))).collect()
}

#[test]
fn plan_rehearsal_and_what_then_happens_agree() {
    let stage = stage();
    let mut planned = stage.plan("dev-evenings", stage.at);
    for decision in planned.values_mut().filter(|decision| decision.starts_with("status STOPPED")) {
        "off".clone_into(decision);
    }
    let rehearsed = rehearsed(&stage);
    assert!(stage.patches().is_empty(), "neither asks anything of the real tenant");
    let fired = stage.fire();
    fired.result("done").stopped(["d001", "d002", "d003", "d004"]);
    let happened = decisions(fired.run());
    assert_eq!(planned, happened);
    assert_eq!(decisions(&rehearsed), happened, "{:#?}", words(&rehearsed));
    assert_eq!(rehearsed.off_window, fired.run().off_window);
    let (shown, real) = (rehearsed.totals(), fired.run().totals());
    // Both count from the second in which AI Core says STOPPED.
    assert!((shown.node_hours - real.node_hours).abs() < "0.01".parse().unwrap(), "{shown:?} and {real:?}");
}

#[test]
fn a_plan_of_another_day_knows_that_day() {
    let stage = stage();
    let monday = stage.at + TimeDelta::days(3);
    let plan = stage.plan("dev-evenings", monday);
    assert_eq!(plan["keep-young"], "stop", "old enough by then");
    assert_eq!(plan["keep-held"], "stop", "the hold is over by then");
}

#[test]
fn a_rehearsal_leaves_the_real_ledger_alone() {
    let stage = stage();
    rehearsed(&stage);
    assert!(stage.history().is_empty());
    assert_eq!(stage.deliver(), 0, "its mails are its own");
}

/// A group that could not be listed is not in the plan, and is not stopped either.
#[test]
fn a_failing_stop_is_the_one_thing_that_a_plan_cannot_know() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").behaviour(Behaviour::Refuses);
    let stage = Scenario::evenings().fleet(fleet).start();
    assert_eq!(stage.plan("dev-evenings", stage.at)["d001"], "stop");
    stage.hold(&HoldTarget::ResourceGroup(ResourceGroup::new("elsewhere").unwrap()), stage.at + TimeDelta::hours(1));
    stage.fire().outcome("d001", "failed", "precondition");
}
