//! `offhours run`: the daemon.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::aicore::Options;
use crate::cli::Session;
use crate::cli::exit::{Exit, Failure};
use crate::config::Config;
use crate::daemon;
use crate::executor::Executor;
use crate::executor::tenants::Tenants;
use crate::ledger::lock::{DaemonLock, ExecutorLock};
use crate::ledger::{Ledger, LedgerError};

pub async fn run(session: &Session) -> Result<Exit, Failure> {
    let config = session.config()?;
    info!("time zone data {}", crate::clock::zone_data());
    let ledger = Ledger::open(&config.state_dir)?;
    let only = DaemonLock::take(ledger.directory())?;
    ledger.depends_on(only.anchor());
    let path = config.path.clone();
    let (executor, _lock) = executor(session, config, ledger)?;
    daemon::run(path, executor).await?;
    Ok(Exit::Well)
}

/// An executor that signs its runs with a lock of its own, which must live as long as it does.
pub fn executor(session: &Session, config: Config, ledger: Ledger) -> Result<(Executor, ExecutorLock), LedgerError> {
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
pub fn built() -> DateTime<Utc> {
    let seconds = env!("OFFHOURS_BUILT").parse().unwrap_or(0);
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}
