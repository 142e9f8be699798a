//! One claimed firing on its way to a run. A try surveys, plans, stops and verifies ([`try_once`]); where AI Core or the
//! ledger was away, another one follows inside the off window. Requests and tries are written into the ledger, and nothing
//! else: concluding is the executor's.

use std::time::Duration;

use tracing::{info, warn};

use crate::domain::failure::FailureCode;
use crate::domain::instant::rfc3339;
use crate::domain::run::{DeploymentResult, Trigger, Try};
use crate::domain::run_reason::RunReason;
use crate::executor::account::{Account, Setback};
use crate::executor::ended::{Ended, Interrupted};
use crate::executor::task::Task;
use crate::executor::try_once::try_once;

/// What AI Core or the ledger was away for is tried again in this part of what is left of the off window: in the first
/// quarter. Later a stop avoids little, and the rule's next firing must not find this run under way.
const PART_OF_WINDOW: i32 = 4;
/// The pause before the second try; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// Carries the firing out, in one try or in several.
pub(super) async fn carry_out(task: &Task) -> Result<Ended, Interrupted> {
    let mut account = Account::default();
    let mut is_read = false;
    for number in 0.. {
        let slot = task.slots.acquire().await;
        is_read = is_read || read_earlier(task, &mut account).await;
        if is_read {
            try_once(task, &mut account).await?;
        }
        drop(slot);
        let Some(reason) = account.unfinished() else { break };
        let Some(pause) = pause_before_try(task, number, &account) else { break };
        note_try(task, &mut account, reason, pause).await;
        if task.shutdown.run_until_cancelled(task.clock.pause(pause)).await.is_none() {
            return Err(Interrupted);
        }
    }
    Ok(account.into_ended())
}

/// Reads what an earlier executor of this run wrote down. False where it could not be read.
async fn read_earlier(task: &Task, account: &mut Account) -> bool {
    let id = task.open.id;
    match task.ledger.read(move |tx| Ok((tx.rows(id)?, tx.tries(id)?))).await {
        Ok((rows, tries)) => {
            let asked = rows.into_iter().filter(|row| row.requested_at.is_some());
            account.earlier =
                asked.map(|row: DeploymentResult| ((row.resource_group.clone(), row.id.clone()), row)).collect();
            account.tries = tries;
            true
        }
        Err(error) => {
            let message = format!("nothing was asked for, because {error}");
            account.fail(Setback::to_try_again(FailureCode::Ledger, message));
            false
        }
    }
}

/// The pause before another try; none where there must not be one. A run that a person fired is tried once: the person
/// is there to decide. What was asked for is looked for as long as the rule's `verify_timeout` in any case.
fn pause_before_try(task: &Task, number: u32, account: &Account) -> Option<Duration> {
    let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(number)).min(LONGEST_PAUSE);
    let next = task.clock.now() + pause;
    let to_stop = match task.open.claim.trigger {
        Trigger::Manual => task.begun,
        Trigger::Schedule | Trigger::CatchUp => task.begun + (task.window().to - task.begun) / PART_OF_WINDOW,
    };
    let to_watch = if account.is_watching() { task.begun + task.rule.verify_timeout } else { task.begun };
    (next < to_stop.max(to_watch)).then_some(pause)
}

/// Keeps what a try came to, and says once that the run goes on later.
async fn note_try(task: &Task, account: &mut Account, reason: RunReason, pause: Duration) {
    let (now, firing) = (task.clock.now(), &task.open.claim.firing);
    let next = rfc3339(now + pause);
    if account.tries.is_empty() {
        warn!(rule = %firing.rule, run = task.open.id.0, "{firing} could not do everything, and tries again at {next}: {reason}");
    } else {
        info!(rule = %firing.rule, run = task.open.id.0, "{firing} tries again at {next}: {reason}");
    }
    account.tries.push(Try { at: now, reason });
    let (id, tries) = (task.open.id, account.tries.clone());
    if let Err(error) = task.ledger.write(move |tx| tx.put_tries(id, &tries)).await {
        // They are written with the next one, or with the run's result.
        warn!(error = &error as &dyn std::error::Error, "a try of {firing} could not be written down yet");
    }
}
