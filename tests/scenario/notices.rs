//! The mail before a stop: in time, or not at all.

use std::time::Duration;

use chrono::DateTime;
use offhours::ledger::outbox::{MailState, QueuedMail};
use offhours::simulator::{Fault, Fleet};

use crate::scenario::builder::{Scenario, instant};
use crate::scenario::stage::Stage;

fn evening() -> Scenario {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s");
    Scenario::evenings_with("notice = \"30m\"").fleet(fleet)
}

/// The daemon's look at whether a notice is due.
fn announce(stage: &Stage) {
    let executor = stage.executor();
    stage.block_on(async {
        for (rule, at) in executor.notices_due().await.unwrap() {
            executor.announce(&rule, at).await.unwrap();
        }
    });
}

fn outbox(stage: &Stage) -> Vec<QueuedMail> {
    stage.block_on(stage.executor().ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH))).unwrap()
}

#[test]
fn e23_a_notice_leaves_before_its_stop() {
    let stage = evening().start();
    stage.wait_until(instant("2026-03-27T18:50:01+01:00"));
    announce(&stage);
    announce(&stage);
    assert_eq!(stage.deliver(), 2, "one for each recipient, once");
}

/// The mail server was away for as long as somebody could have acted.
#[test]
fn e23_a_notice_that_waited_until_its_stop_is_not_sent_any_more() {
    let stage = evening().start();
    stage.wait_until(instant("2026-03-27T18:50:01+01:00"));
    announce(&stage);
    stage.wait_until(instant("2026-03-27T18:59:30+01:00"));
    assert_eq!(stage.deliver(), 0);
    let mails = outbox(&stage);
    assert_eq!(mails.len(), 2, "one for each recipient");
    for mail in mails {
        assert_eq!((mail.state, mail.attempts), (MailState::Dead, 0));
        assert_eq!(mail.last_error.as_deref(), Some("too late: what it announces is about to begin or has begun"));
    }
}

#[test]
fn e23_a_tenant_that_answers_too_late_for_a_notice_makes_none() {
    let slow = Fault::on("GET", "/lm/deployments").delays(Duration::from_secs(25));
    let stage = evening().fault(slow).start();
    stage.wait_until(instant("2026-03-27T18:58:50+01:00"));
    announce(&stage);
    assert!(outbox(&stage).is_empty(), "{:?}", outbox(&stage));
}
