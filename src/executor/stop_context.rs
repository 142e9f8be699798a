//! What all stops of one try share: leave to ask, turns to ask in, and the labels of the tenant's resource groups.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use tokio::sync::{Mutex, Semaphore};

use crate::aicore::{Error, Stopper};
use crate::domain::deployment::{Deployment, Group};
use crate::executor::clearance::Clearance;
use crate::executor::survey::{Labels, labelled, labels};
use crate::executor::task::Task;

/// How long a try may list, and then go on asking for stops.
pub(super) const ASKING_LIMIT: TimeDelta = TimeDelta::minutes(15);
/// Requests for a stop that are prepared at once. More would only grow old while they wait for the client's limiter.
const ASKED_AT_ONCE: usize = 32;
/// Labels that were read so short a while ago are read once for all whose lists are old.
const LABELS_ARE_OLD: TimeDelta = TimeDelta::seconds(5);

/// What all stops of one try share.
pub(super) struct StopContext<'a> {
    pub(crate) task: &'a Task,
    pub(crate) clearance: Clearance,
    pub(crate) asking: Semaphore,
    /// As they were last read for an old list.
    labels: Mutex<Option<(DateTime<Utc>, Option<Labels>)>>,
}

impl<'a> StopContext<'a> {
    pub(crate) fn new(task: &'a Task) -> Self {
        let clearance = Clearance {
            ledger: task.ledger.clone(),
            clock: task.clock.clone(),
            shutdown: task.shutdown.clone(),
            rule: task.rule.clone(),
            window: task.window(),
            deadline: task.clock.now() + ASKING_LIMIT,
            run: task.open.id,
            executor: task.executor.clone(),
        };
        Self { task, clearance, asking: Semaphore::new(ASKED_AT_ONCE), labels: Mutex::new(None) }
    }

    /// Waits for `request`, but not into the time in which nothing may be asked for: a request can stand long at the
    /// client's gate. None where it was given up, and may or may not have been sent.
    pub(crate) async fn in_time<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        let end = self.task.window().to.min(self.clearance.deadline);
        let left = (end - self.task.clock.now()).to_std().ok().filter(|left| !left.is_zero())?;
        let limited = tokio::time::timeout(left, request);
        self.task.shutdown.run_until_cancelled(limited).await?.ok()
    }

    /// A stopper whose requests leave only where nothing stands in the way of `deployments`, as they were seen at `seen_at`.
    pub(crate) fn stopper_of(&self, deployments: Vec<Deployment>, seen_at: DateTime<Utc>) -> Stopper {
        let (clearance, deployments) = (self.clearance.clone(), Arc::<[Deployment]>::from(deployments));
        self.task.tenant.stopper.while_wanted(Arc::new(move || {
            let (clearance, deployments) = (clearance.clone(), Arc::clone(&deployments));
            async move { !clearance.is_old(seen_at) && clearance.obstacle(&deployments).await.is_none() }.boxed()
        }))
    }

    pub(crate) async fn labelled_now(&self, group: &Group) -> Result<Group, Error> {
        let (rule, protect) = (&self.task.rule, &self.task.config.protect);
        let asked_at = self.task.clock.now();
        let mut known = self.labels.lock().await;
        let now = self.task.clock.now();
        // Also what somebody else began to read after this was asked for, however long it took.
        let is_fresh = |read_at: DateTime<Utc>| read_at >= asked_at || (now - read_at).abs() < LABELS_ARE_OLD;
        let (_, labels) = match known.take().filter(|(read_at, _)| is_fresh(*read_at)) {
            Some(fresh) => known.insert(fresh),
            None => known.insert((now, labels(&self.task.tenant.reader, rule, protect).await?)),
        };
        // One that was labelled and is listed no more is a doubt, whatever protects it.
        if labels.as_ref().is_some_and(|labels| !labels.contains_key(&group.id)) && !group.labels.is_empty() {
            return Err(Error::UnknownLabels);
        }
        labelled(&group.id, labels.as_ref(), rule, protect)
    }
}
