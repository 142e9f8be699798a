//! One claimed firing on its way to a run. A try surveys, plans, stops and verifies ([`super::attempt`]); where AI Core or
//! the ledger was away, another one follows inside the off window. Requests and tries are written into the ledger, and
//! nothing else: concluding is the executor's.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::aicore::Tenant;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::failure::FailureCode;
use crate::domain::instant::rfc3339;
use crate::domain::rule::Rule;
use crate::domain::run::{DeploymentResult, Trigger, Try};
use crate::domain::run_reason::RunReason;
use crate::domain::schedule::OffWindow;
use crate::executor::account::{Account, Setback};
use crate::executor::attempt::Attempt;
use crate::executor::ended::{Ended, Interrupted};
use crate::executor::progress::Observer;
use crate::ledger::Ledger;
use crate::ledger::runs::OpenRun;

/// What AI Core or the ledger was away for is tried again in this part of what is left of the off window: in the first
/// quarter. Later a stop avoids little, and the rule's next firing must not find this run under way.
const PART_OF_WINDOW: i32 = 4;
/// The pause before the second try; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// Everything one run needs. The rule and the configuration are those of its start, whatever is reloaded meanwhile.
pub(super) struct Task {
    pub config: Arc<Config>,
    pub rule: Arc<Rule>,
    pub open: OpenRun,
    pub tenant: Arc<Tenant>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub shutdown: CancellationToken,
    pub observer: Observer,
    /// The name with which this process has signed the run.
    pub executor: Arc<str>,
    /// How many runs may be at work; one that waits for its next try takes no place.
    pub slots: Arc<Semaphore>,
    /// When this process took the run up.
    pub begun: DateTime<Utc>,
}

impl Task {
    pub(super) fn window(&self) -> OffWindow {
        self.open.claim.off_window
    }

    /// Carries the firing out, in one try or in several.
    pub(super) async fn carry_out(&self) -> Result<Ended, Interrupted> {
        let mut account = Account::default();
        let mut is_read = false;
        for number in 0.. {
            let slot = self.slots.acquire().await;
            is_read = is_read || self.read_earlier(&mut account).await;
            if is_read {
                Attempt::new(self, &mut account).carry_out().await?;
            }
            drop(slot);
            let Some(reason) = account.unfinished() else { break };
            let Some(pause) = self.pause_before_try(number, &account) else { break };
            self.note_try(&mut account, reason, pause).await;
            if self.shutdown.run_until_cancelled(self.clock.pause(pause)).await.is_none() {
                return Err(Interrupted);
            }
        }
        Ok(account.into_ended())
    }

    /// Reads what an earlier executor of this run wrote down. False where it could not be read.
    async fn read_earlier(&self, account: &mut Account) -> bool {
        let id = self.open.id;
        match self.ledger.read(move |tx| Ok((tx.rows(id)?, tx.tries(id)?))).await {
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
    fn pause_before_try(&self, number: u32, account: &Account) -> Option<Duration> {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(number)).min(LONGEST_PAUSE);
        let next = self.clock.now() + pause;
        let to_stop = match self.open.claim.trigger {
            Trigger::Manual => self.begun,
            Trigger::Schedule | Trigger::CatchUp => self.begun + (self.window().to - self.begun) / PART_OF_WINDOW,
        };
        let to_watch = if account.is_watching() { self.begun + self.rule.verify_timeout } else { self.begun };
        (next < to_stop.max(to_watch)).then_some(pause)
    }

    /// Keeps what a try came to, and says once that the run goes on later.
    async fn note_try(&self, account: &mut Account, reason: RunReason, pause: Duration) {
        let (now, firing) = (self.clock.now(), &self.open.claim.firing);
        let next = rfc3339(now + pause);
        if account.tries.is_empty() {
            warn!(rule = %firing.rule, run = self.open.id.0, "{firing} could not do everything, and tries again at {next}: {reason}");
        } else {
            info!(rule = %firing.rule, run = self.open.id.0, "{firing} tries again at {next}: {reason}");
        }
        account.tries.push(Try { at: now, reason });
        let (id, tries) = (self.open.id, account.tries.clone());
        if let Err(error) = self.ledger.write(move |tx| tx.put_tries(id, &tries)).await {
            // They are written with the next one, or with the run's result.
            warn!(error = &error as &dyn std::error::Error, "a try of {firing} could not be written down yet");
        }
    }
}
