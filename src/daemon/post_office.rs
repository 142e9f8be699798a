//! The outbox worker's task: delivers what is due, then waits for the next mail's time, for news, or for the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::mailer::Mailer;

/// The outbox is looked at this often even if nothing calls for it: `fire` fills it too, and clocks step.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Works until `shutdown`. A change of `configs` is a new configuration, or the news that a mail may be waiting.
pub async fn work(
    ledger: Ledger,
    clock: Clock,
    mut configs: watch::Receiver<Arc<Config>>,
    shutdown: CancellationToken,
) {
    let mailer = Mailer { ledger, clock: clock.clone() };
    while !shutdown.is_cancelled() {
        let config = Arc::clone(&configs.borrow_and_update());
        let mut wait = LONGEST_WAIT;
        if let Some(settings) = &config.mail {
            // Cut off in the middle, a mail is sent again: once too often rather than never.
            match shutdown.run_until_cancelled(mailer.deliver_due(settings)).await {
                None => return,
                Some(Ok(next)) => {
                    let until = next.and_then(|next| (next - clock.now()).to_std().ok());
                    wait = until.map_or(LONGEST_WAIT, |until| until.min(LONGEST_WAIT));
                }
                Some(Err(failure)) => {
                    error!(error = &failure as &dyn std::error::Error, "the outbox could not be read")
                }
            }
        }
        let news = tokio::time::timeout(wait, configs.changed());
        if !matches!(shutdown.run_until_cancelled(news).await, Some(Ok(Ok(())) | Err(_))) {
            return;
        }
    }
}
