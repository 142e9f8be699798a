//! `offhours run`: the daemon.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::aicore::Options;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::session::Session;
use crate::config::Config;
use crate::daemon;
use crate::executor::Executor;
use crate::executor::tenants::Tenants;
use crate::ledger::lock::{DaemonLock, ExecutorLock};
use crate::ledger::{Ledger, LedgerError};

/// How long a daemon that finds its disk full waits for room before it ends. Together with the pause of the unit that is
/// more than a minute: systemd starts it again for as long as it takes.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE_BEFORE_NEXT_LOOK: Duration = Duration::from_secs(5);

pub(crate) async fn run(session: &Session) -> Result<Exit, CommandError> {
    once_there_is_room(|| work(session)).await
}

/// Calls `work`, again and again while it fails for a full disk: nothing is wrong that a person must put right here.
async fn once_there_is_room<T, W>(mut work: impl FnMut() -> W) -> Result<T, CommandError>
where
    W: Future<Output = Result<T, CommandError>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match work().await {
            Err(CommandError::Ledger(full @ LedgerError::Full(_))) => {
                if Instant::now() >= until {
                    return Err(CommandError::NoRoom(full));
                }
                error!("{full}; looking again in {} seconds", PAUSE_BEFORE_NEXT_LOOK.as_secs());
                tokio::time::sleep(PAUSE_BEFORE_NEXT_LOOK).await;
            }
            ended => return ended,
        }
    }
}

async fn work(session: &Session) -> Result<Exit, CommandError> {
    let config = session.config()?;
    info!("time zone data {}", crate::clock::zone_data());
    let ledger = Ledger::open(&config.state_dir)?;
    let only = DaemonLock::take_for(ledger.directory(), &config.path)?;
    ledger.depends_on(only.anchor());
    let path = config.path.clone();
    let (executor, _lock) = executor(session, config, ledger)?;
    daemon::run(path, executor).await?;
    Ok(Exit::Well)
}

/// An executor that signs its runs with a lock of its own, which must live as long as it does.
pub(crate) fn executor(
    session: &Session,
    config: Config,
    ledger: Ledger,
) -> Result<(Executor, ExecutorLock), LedgerError> {
    let lock = ExecutorLock::take(ledger.directory())?;
    ledger.depends_on(lock.anchor());
    let options = Options { clock: session.clock.clone(), ..Options::default() };
    let executor = Executor {
        config: Arc::new(config),
        ledger,
        clock: session.clock.clone(),
        tenants: Arc::new(Tenants::new(options)),
        shutdown: CancellationToken::new(),
        name: lock.name().into(),
        built: built(),
        slots: crate::executor::slots(),
    };
    Ok((executor, lock))
}

/// When this program was built.
pub(crate) fn built() -> DateTime<Utc> {
    let seconds = env!("OFFHOURS_BUILT").parse().unwrap_or(0);
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{PATIENCE, once_there_is_room};
    use crate::cli::exit::{CommandError, Exit};
    use crate::ledger::LedgerError;

    fn full() -> CommandError {
        CommandError::Ledger(LedgerError::Full("/var/lib/offhours".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn p13_a_disk_that_is_full_at_the_start_is_waited_for_and_then_left_to_systemd() {
        let mut looks = 0;
        let started = once_there_is_room(|| {
            looks += 1;
            let has_room = looks > 3;
            async move { if has_room { Ok(()) } else { Err(full()) } }
        });
        assert!(started.await.is_ok());

        let began = Instant::now();
        let failure = once_there_is_room(|| async { Err::<(), _>(full()) }).await.unwrap_err();
        assert!(began.elapsed() >= PATIENCE, "five ends within five minutes would be the last");
        assert_eq!(failure.exit(), Exit::Problem, "the unit is not started again after 2, 3 and 5");
        assert!(failure.to_string().starts_with("the disk is full"), "{failure}");
    }
}
