//! The pinger's task: tells the heartbeat's URL how each run ended, and every hour that the daemon lives. It waits for
//! nobody and nobody waits for it.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::executor::Executor;
use crate::monitor::ping::{PingStatus, ping};
use crate::monitor::vitals::Vitals;

/// The first ping after a start that lasted.
const AFTER_START: Duration = Duration::from_secs(60);
/// Pause after a ping that arrived.
const HOUR: Duration = Duration::from_secs(3600);
/// Pause after one that did not.
const AFTER_FAILURE: Duration = Duration::from_secs(300);
/// Statuses that may wait; what is more is left out.
pub(crate) const MOST_WAITING: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// It arrived, or nobody is to be told.
    Arrived,
    Failed,
}

trait Watcher {
    /// Tells it `status`.
    fn tell(&mut self, status: PingStatus) -> impl Future<Output = Delivery> + Send;
}

/// Pings until the executor's shutdown, always as the newest configuration says.
pub(crate) async fn work(executors: watch::Receiver<Executor>, statuses: mpsc::Receiver<PingStatus>, vitals: Vitals) {
    let shutdown = executors.borrow().shutdown.clone();
    shutdown.run_until_cancelled(pinging(executors, statuses, &vitals)).await;
}

async fn pinging(mut watcher: impl Watcher, mut statuses: mpsc::Receiver<PingStatus>, vitals: &Vitals) {
    let mut next = Instant::now() + AFTER_START;
    let mut undelivered = None;
    loop {
        let news = tokio::time::timeout_at(next, statuses.recv()).await;
        if news == Ok(None) {
            return;
        }
        // Of several statuses the worst is told, and what did not arrive is told again.
        let waiting = std::iter::from_fn(|| statuses.try_recv().ok()).max();
        let status = news.ok().flatten().max(waiting).max(undelivered).unwrap_or_else(|| vitals.sign());
        (undelivered, next) = match watcher.tell(status).await {
            Delivery::Arrived => (None, Instant::now() + HOUR),
            Delivery::Failed => (Some(status), Instant::now() + AFTER_FAILURE),
        };
    }
}

impl Watcher for watch::Receiver<Executor> {
    async fn tell(&mut self, status: PingStatus) -> Delivery {
        let target = self.borrow().config.monitoring.heartbeat.clone();
        let Some(target) = target else { return Delivery::Arrived };
        let word = match status {
            PingStatus::Well => "well",
            PingStatus::Unwell => "fail",
        };
        match ping(&target, status).await {
            Ok(()) => {
                info!("told the heartbeat's URL: {word}");
                Delivery::Arrived
            }
            Err(error) => {
                let minutes = AFTER_FAILURE.as_secs() / 60;
                warn!("the heartbeat's URL could not be told `{word}`: {error}; trying again in {minutes} minutes");
                Delivery::Failed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::{Delivery, Watcher, pinging};
    use crate::monitor::ping::PingStatus::{self, Unwell, Well};
    use crate::monitor::vitals::Vitals;

    /// Hears nothing at first, and writes down what it was told in which minute.
    struct Listener<'a> {
        start: Instant,
        deaf: usize,
        told: &'a mut Vec<(u64, PingStatus)>,
    }

    impl Watcher for Listener<'_> {
        async fn tell(&mut self, status: PingStatus) -> Delivery {
            self.told.push((self.start.elapsed().as_secs() / 60, status));
            if self.told.len() > self.deaf { Delivery::Arrived } else { Delivery::Failed }
        }
    }

    /// What is told within `hours`, where `statuses` are given in their minutes and the first `deaf` pings are not heard.
    async fn told(hours: u64, deaf: usize, statuses: &[(u64, PingStatus)], vitals: &Vitals) -> Vec<(u64, PingStatus)> {
        let (sender, heard) = mpsc::channel(8);
        let start = Instant::now();
        let mut told = Vec::new();
        let listener = Listener { start, deaf, told: &mut told };
        let give = async {
            for (minute, status) in statuses {
                tokio::time::sleep_until(start + Duration::from_secs(minute * 60)).await;
                sender.send(*status).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let both = async { tokio::join!(pinging(listener, heard, vitals), give) };
        tokio::time::timeout(Duration::from_secs(hours * 3600), both).await.unwrap_err();
        told
    }

    fn healthy() -> Vitals {
        let vitals = Vitals::default();
        vitals.beat(DateTime::UNIX_EPOCH);
        vitals
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_whose_heart_stands_still_says_so_every_hour() {
        assert_eq!(told(3, 0, &[], &healthy()).await, [(1, Unwell), (61, Unwell), (121, Unwell)]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_run_is_told_and_the_hour_begins_anew() {
        let statuses = [(0, Well), (10, Unwell), (15, Well)];
        assert_eq!(told(1, 0, &statuses, &healthy()).await, [(0, Well), (10, Unwell), (15, Well)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_heard_is_told_again_and_the_worst_of_it() {
        let statuses = [(10, Unwell), (12, Well)];
        assert_eq!(told(1, 3, &statuses, &healthy()).await, [(1, Unwell), (6, Unwell), (10, Unwell), (12, Unwell)]);
    }
}
