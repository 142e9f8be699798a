//! The pinger's task: tells the heartbeat's URL how each run ended, and every hour that the daemon lives. It waits for
//! nobody and nobody waits for it.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::executor::Executor;
use crate::monitor::ping::{Sign, ping};
use crate::monitor::vitals::Vitals;

/// The first ping after a start that lasted.
const AFTER_START: Duration = Duration::from_secs(60);
/// Pause after a ping that arrived.
const HOUR: Duration = Duration::from_secs(3600);
/// Pause after one that did not.
const AFTER_FAILURE: Duration = Duration::from_secs(300);
/// Signs that may wait; what is more is left out.
pub const MOST_WAITING: usize = 64;

/// What came of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    /// It was heard, or there is nobody to hear it.
    Heard,
    /// It was not.
    Unheard,
}

/// Who is told.
trait Ear {
    /// Tells it `sign`.
    fn tell(&mut self, sign: Sign) -> impl Future<Output = Echo> + Send;
}

/// Pings until the executor's shutdown, always as the newest configuration says.
pub async fn work(executors: watch::Receiver<Executor>, signs: mpsc::Receiver<Sign>, vitals: Vitals) {
    let shutdown = executors.borrow().shutdown.clone();
    shutdown.run_until_cancelled(pinging(executors, signs, &vitals)).await;
}

async fn pinging(mut ear: impl Ear, mut signs: mpsc::Receiver<Sign>, vitals: &Vitals) {
    let mut next = Instant::now() + AFTER_START;
    let mut unheard = None;
    loop {
        let news = tokio::time::timeout_at(next, signs.recv()).await;
        if news == Ok(None) {
            return;
        }
        // Of several signs the worst is told, and what was not heard is told again.
        let waiting = std::iter::from_fn(|| signs.try_recv().ok()).max();
        let sign = news.ok().flatten().max(waiting).max(unheard).unwrap_or_else(|| vitals.sign());
        (unheard, next) = match ear.tell(sign).await {
            Echo::Heard => (None, Instant::now() + HOUR),
            Echo::Unheard => (Some(sign), Instant::now() + AFTER_FAILURE),
        };
    }
}

impl Ear for watch::Receiver<Executor> {
    async fn tell(&mut self, sign: Sign) -> Echo {
        let target = self.borrow().config.monitoring.heartbeat.clone();
        let Some(target) = target else { return Echo::Heard };
        let word = match sign {
            Sign::Well => "well",
            Sign::Unwell => "fail",
        };
        match ping(&target, sign).await {
            Ok(()) => {
                info!("told the heartbeat's URL: {word}");
                Echo::Heard
            }
            Err(error) => {
                let minutes = AFTER_FAILURE.as_secs() / 60;
                warn!("the heartbeat's URL could not be told `{word}`: {error}; trying again in {minutes} minutes");
                Echo::Unheard
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

    use super::{Ear, Echo, pinging};
    use crate::monitor::ping::Sign::{self, Unwell, Well};
    use crate::monitor::vitals::Vitals;

    /// Hears nothing at first, and writes down what it was told in which minute.
    struct Listener<'a> {
        start: Instant,
        deaf: usize,
        told: &'a mut Vec<(u64, Sign)>,
    }

    impl Ear for Listener<'_> {
        async fn tell(&mut self, sign: Sign) -> Echo {
            self.told.push((self.start.elapsed().as_secs() / 60, sign));
            if self.told.len() > self.deaf { Echo::Heard } else { Echo::Unheard }
        }
    }

    /// What is told within `hours`, where `signs` are given in their minutes and the first `deaf` pings are not heard.
    async fn told(hours: u64, deaf: usize, signs: &[(u64, Sign)], vitals: &Vitals) -> Vec<(u64, Sign)> {
        let (sender, heard) = mpsc::channel(8);
        let start = Instant::now();
        let mut told = Vec::new();
        let listener = Listener { start, deaf, told: &mut told };
        let give = async {
            for (minute, sign) in signs {
                tokio::time::sleep_until(start + Duration::from_secs(minute * 60)).await;
                sender.send(*sign).await.unwrap();
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
        let signs = [(0, Well), (10, Unwell), (15, Well)];
        assert_eq!(told(1, 0, &signs, &healthy()).await, [(0, Well), (10, Unwell), (15, Well)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_heard_is_told_again_and_the_worst_of_it() {
        let signs = [(10, Unwell), (12, Well)];
        assert_eq!(told(1, 3, &signs, &healthy()).await, [(1, Unwell), (6, Unwell), (10, Unwell), (12, Unwell)]);
    }
}
