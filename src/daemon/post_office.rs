//! The outbox worker's task: delivers what is due, then waits for the next mail's time, for news, or for the end.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tracing::error;

use crate::daemon::clock_watch::Pace;
use crate::domain::steady::Gait;
use crate::executor::Executor;
use crate::mailer::Mailer;

/// The outbox is looked at this often even if nothing calls for it: `fire` fills it too, and clocks step.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A mail whose time has come between two looks waits this long at most.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Works until the executor's shutdown. A change is a new configuration, or the news that a mail may be waiting.
pub(crate) async fn work(mut executors: watch::Receiver<Executor>) {
    let mut pace = Pace::new(&executors.borrow().clock);
    loop {
        let executor = executors.borrow_and_update().clone();
        let shutdown = executor.shutdown.clone();
        let mut wait = LONGEST_WAIT;
        // Under a clock that is ahead for a moment every mail would be so old that it is given up.
        let is_steady = pace.look(&executor.clock) == Gait::Steady;
        if let Some(settings) = executor.config.mail.as_ref().filter(|_| is_steady) {
            let (ledger, clock) = (executor.ledger.clone(), executor.clock.clone());
            let mailer = Mailer { ledger, clock, shutdown: shutdown.clone() };
            // A mail that is cut off in the middle is sent again, so the daemon waits for its end as long as it can.
            match AssertUnwindSafe(mailer.deliver_due(settings)).catch_unwind().await {
                Ok(Ok(next)) => {
                    let until = next.map(|next| (next - executor.clock.now()).to_std().unwrap_or_default());
                    wait = until.map_or(LONGEST_WAIT, |until| until.clamp(SHORTEST_WAIT, LONGEST_WAIT));
                }
                Ok(Err(failure)) => {
                    error!(error = &failure as &dyn std::error::Error, "the outbox could not be read");
                }
                Err(_) => error!("the outbox worker panicked, which is a bug in offhours; it continues in a minute"),
            }
        }
        let news = tokio::time::timeout(wait, executors.changed());
        if !matches!(shutdown.run_until_cancelled(news).await, Some(Ok(Ok(())) | Err(_))) {
            return;
        }
    }
}
