//! Floor 1: a beat every second. The only module that names `tokio-cron-scheduler`.
//!
//! The scheduler is given one job in UTC and no rule: it freezes a job's UTC offset when the job is added (its issues
//! 87 and 107) and its repeated jobs can end after a clock step (113). So it only says "look again"; what is due is
//! [`crate::domain::agenda`]'s question, and a scheduler that has gone silent is replaced by a new one.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tracing::warn;

const EVERY_SECOND: &str = "* * * * * *";
/// A scheduler that has not beaten for so long is replaced.
const SILENCE: Duration = Duration::from_secs(5);

pub(crate) struct Heartbeat {
    scheduler: JobScheduler,
    beats: mpsc::Receiver<()>,
}

/// The scheduler could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the heartbeat could not be started")]
pub(crate) struct HeartbeatError(#[from] JobSchedulerError);

impl Heartbeat {
    pub(crate) async fn start() -> Result<Self, HeartbeatError> {
        let (sender, beats) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        let job = Job::new_async(EVERY_SECOND, move |_, _| {
            let sender = sender.clone();
            Box::pin(async move {
                // A full channel means that the last beat is still waiting to be heard.
                let _ = sender.try_send(());
            })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler, beats })
    }

    /// Waits for the next beat. It comes about every second whatever the clock does.
    pub(crate) async fn next(&mut self) {
        if tokio::time::timeout(SILENCE, self.beats.recv()).await.is_ok_and(|beat| beat.is_some()) {
            return;
        }
        warn!("the heartbeat was silent for {} seconds and is restarted", SILENCE.as_secs());
        match Self::start().await {
            Ok(fresh) => {
                let mut silent = std::mem::replace(self, fresh);
                // Whether it ends well or not, it is out of use.
                let _ = silent.scheduler.shutdown().await;
            }
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the heartbeat could not be restarted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Heartbeat;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_beats() {
        let mut heartbeat = Heartbeat::start().await.unwrap();
        heartbeat.next().await;
        heartbeat.next().await;
    }
}
