//! offhours lives through a span of virtual time, one process after another, as a daemon does: it fires what comes due
//! beside the runs that are under way, and settles and delivers mails now and then.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use offhours::accounting::settle;
use offhours::domain::agenda::Agenda;
use offhours::domain::hold::HoldTarget;
use offhours::executor::Executor;
use offhours::executor::progress::silent;
use offhours::ledger::runs::OpenRun;
use offhours::mailer::Mailer;
use offhours::simulator::Simulator;

use crate::scenario::stage::{Mortal, Stage, wait_until};
use crate::scenario::year::chances::{Event, Events};

/// A hold as it came to be: lifted early, it ended then.
#[derive(Debug, Clone)]
pub struct Held {
    pub number: i64,
    pub target: HoldTarget,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// When a round of settling began and when it ended.
type Round = (DateTime<Utc>, DateTime<Utc>);

/// What is known when it is over.
#[derive(Debug, Default)]
pub struct Lived {
    pub holds: Vec<Held>,
    pub processes: usize,
    /// Runs and deliveries that were under way when their process ended.
    pub cut_off: usize,
    /// Rounds of settling that came to their end: from when to when each went.
    pub rounds: Arc<Mutex<Vec<Round>>>,
}

/// Lives until `to`, whatever happens, and settles so often.
pub fn live(stage: &mut Stage, events: &mut Events, between_rounds: TimeDelta, to: DateTime<Utc>) -> Lived {
    let mut lived = Lived { processes: 1, ..Lived::default() };
    let mut orphans = Vec::new();
    loop {
        let mut process = stage.process.take().unwrap();
        let mut life = Life {
            executor: &process.executor,
            agenda: &mut process.agenda,
            simulator: &stage.simulator,
            between_rounds,
            work: FuturesUnordered::new(),
            lived: &mut lived,
        };
        let end = stage.block_on(life.until(to, events, orphans));
        // What dies is dropped where it lived: a connection that is put back looks for its runtime.
        stage.inside(|| drop(life));
        let Some(away) = end else {
            stage.process = Some(process);
            return lived;
        };
        drop(process);
        stage.wait(away);
        stage.start_process();
        lived.processes += 1;
        let executor = stage.executor();
        orphans = stage.block_on(executor.orphans(&BTreeSet::new())).unwrap();
    }
}

/// The life of one process.
struct Life<'a> {
    executor: &'a Executor,
    agenda: &'a mut Agenda,
    simulator: &'a Simulator,
    between_rounds: TimeDelta,
    work: FuturesUnordered<BoxFuture<'static, ()>>,
    lived: &'a mut Lived,
}

impl Life<'_> {
    /// Gives how long it is away when it ended before `to`.
    async fn until(&mut self, to: DateTime<Utc>, events: &mut Events, orphans: Vec<OpenRun>) -> Option<TimeDelta> {
        self.carry_out(orphans);
        let clock = self.executor.clock.clone();
        let mut round_at = clock.now() + self.between_rounds;
        loop {
            let next = [self.agenda.next(), events.next_at(), Some(round_at)].into_iter().flatten().min().unwrap();
            self.work_until(next.min(to)).await;
            let claimed = self.executor.beat(self.agenda).await.unwrap().runs;
            self.carry_out(claimed);
            while let Some(event) = events.take_due(clock.now()) {
                if let Some(away) = self.meet(event).await {
                    return Some(away);
                }
            }
            if round_at <= clock.now() {
                self.settle();
                self.deliver();
                round_at = clock.now() + self.between_rounds;
            }
            if to <= clock.now() {
                while let Some(()) = self.work.next().await {}
                return None;
            }
        }
    }

    fn carry_out(&self, runs: Vec<OpenRun>) {
        for run in runs {
            let executor = self.executor.clone();
            self.work.push(async move { drop(executor.carry_out(run, silent()).await) }.boxed());
        }
    }

    async fn work_until(&mut self, at: DateTime<Utc>) {
        let mut time = pin!(wait_until(&self.executor.clock, at).fuse());
        loop {
            tokio::select! {
                () = &mut time => return,
                Some(()) = self.work.next() => {}
            }
        }
    }

    /// Beside the runs, as a daemon does: all of them wait for one token, and who is not polled while he gets it would
    /// keep the others waiting for ever.
    fn settle(&self) {
        let Executor { ledger, config, tenants, clock, .. } = self.executor.clone();
        let rounds = Arc::clone(&self.lived.rounds);
        let settle = async move {
            let began = clock.now();
            settle::round(&ledger, &config, &tenants, &clock).await.unwrap();
            rounds.lock().unwrap().push((began, clock.now()));
        };
        self.work.push(settle.boxed());
    }

    fn deliver(&self) {
        let Executor { ledger, config, clock, shutdown, .. } = self.executor.clone();
        let mailer = Mailer { ledger, clock, shutdown };
        let deliver = async move {
            mailer.deliver_due(config.mail.as_ref().unwrap()).await.unwrap();
        };
        self.work.push(deliver.boxed());
    }

    /// Gives how long the process is away, where the event ends it.
    async fn meet(&mut self, event: Event) -> Option<TimeDelta> {
        let clock = &self.executor.clock;
        match event {
            Event::Restarted => {
                self.lived.cut_off += self.work.len();
                self.executor.shutdown.cancel();
                while let Some(()) = self.work.next().await {}
                Some(TimeDelta::seconds(1))
            }
            Event::Killed(points) => {
                let mut polls = 0;
                let dead = || {
                    polls += 1;
                    polls > points
                };
                let work = pin!(async { while let Some(()) = self.work.next().await {} });
                Mortal { work, dead }.await;
                self.lived.cut_off += self.work.len();
                Some(TimeDelta::seconds(1))
            }
            Event::Down(time) => {
                self.lived.cut_off += self.work.len();
                Some(time)
            }
            Event::Asleep(time) => {
                wait_until(clock, clock.now() + time).await;
                None
            }
            Event::Held(target, time) => {
                self.hold(target, time).await;
                None
            }
            Event::Lifted => {
                self.lift().await;
                None
            }
            Event::AtTenant(act) => {
                (act.0)(self.simulator);
                None
            }
        }
    }

    async fn hold(&mut self, target: HoldTarget, time: TimeDelta) {
        let from = self.executor.clock.now();
        let (to, written) = (from + time, target.clone());
        let add = self.executor.ledger.write(move |tx| tx.add_hold(&written, to, "training", "ada", from));
        let number = add.await.unwrap();
        self.lived.holds.push(Held { number, target, from, to });
    }

    async fn lift(&mut self) {
        let now = self.executor.clock.now();
        // The fixed ones stay.
        let in_force = self.lived.holds.iter_mut().filter(|hold| hold.to > now);
        let Some(hold) = in_force.into_iter().find(|hold| hold.to - hold.from != TimeDelta::days(1)) else { return };
        let number = hold.number;
        assert!(self.executor.ledger.write(move |tx| tx.remove_hold(number, now)).await.unwrap());
        hold.to = now;
    }
}
