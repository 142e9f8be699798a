//! The page's task: opens it where the configuration says, closes it when that changes, and ends with the daemon.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::watch;
use tracing::{error, info};

use crate::executor::Executor;
use crate::monitor::page::StatusPage;
use crate::monitor::vitals::Vitals;

/// Pause before an address that could not be had is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Serves until the executor's shutdown.
pub(crate) async fn work(mut executors: watch::Receiver<Executor>, vitals: Vitals) {
    let shutdown = executors.borrow().shutdown.clone();
    shutdown.run_until_cancelled(serving(&mut executors, &vitals)).await;
}

async fn serving(executors: &mut watch::Receiver<Executor>, vitals: &Vitals) {
    loop {
        let listen = executors.borrow_and_update().config.monitoring.listen;
        let page = pin!(at(listen, vitals));
        let change = pin!(executors.wait_for(|executor| executor.config.monitoring.listen != listen));
        // The page never ends by itself; it is dropped where its address changes.
        select(page, change).await;
    }
}

async fn at(listen: Option<SocketAddr>, vitals: &Vitals) {
    let Some(address) = listen else { return std::future::pending().await };
    let mut said = None;
    loop {
        match StatusPage::open(address).await {
            Ok(page) => {
                info!("serving /healthz and /metrics on http://{address}");
                page.serve(vitals.clone()).await;
            }
            Err(failure) => {
                if said != Some(failure.kind()) {
                    error!(
                        "{address} of [monitoring] cannot be listened on: {failure}; trying again every minute. Under \
                         systemd it takes a SocketBindAllow= line"
                    );
                }
                said = Some(failure.kind());
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}
