//! A chore is attempted, and whatever comes of it the daemon goes on: a failure is logged, a panic is caught, and what has
//! ended the process twice is not tried again.
//!
//! What ends a process cannot be caught in it. So the ledger knows what is being attempted, and the next start finds it
//! there. A stop of the daemon takes the note away: nothing was wrong with the chore.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tracing::{error, warn};

use crate::clock::Clock;
use crate::ledger::chores::{Begun, Chore, MOST_DEATHS};
use crate::ledger::{Ledger, LedgerError};

/// Attempts chores, one after the other.
#[derive(Debug)]
pub(super) struct Attempts {
    ledger: Ledger,
    clock: Clock,
    in_hand: Option<Chore>,
}

impl Attempts {
    pub(super) fn new(ledger: Ledger, clock: Clock) -> Self {
        Self { ledger, clock, in_hand: None }
    }

    /// Does `work`, unless `chore` was put aside. True where it went well.
    pub(super) async fn attempt(
        &mut self,
        chore: Chore,
        work: impl Future<Output = Result<(), LedgerError>>,
    ) -> Result<bool, LedgerError> {
        // The note of the one before is still there where that could not be written.
        self.lay_down().await?;
        let (begun, now) = (chore.clone(), self.clock.now());
        match self.ledger.write(move |tx| tx.begin_chore(&begun, now)).await? {
            Begun::Yes => {}
            Begun::Aside => return Ok(false),
            Begun::PutAside => {
                error!(
                    "the {chore} made offhours crash {MOST_DEATHS} times and is not tried again; run it by hand with `{}`",
                    chore.by_hand
                );
                return Ok(false);
            }
        }
        self.in_hand = Some(chore.clone());
        let done = AssertUnwindSafe(work).catch_unwind().await;
        let is_well = match done {
            Ok(Ok(())) => true,
            // A thread that worked for it has panicked.
            Err(_) | Ok(Err(LedgerError::Aborted)) => {
                self.in_hand = None;
                error!("the {chore} ended by a panic, which is a bug in offhours");
                return Ok(false);
            }
            Ok(Err(failure)) => {
                warn!(error = &failure as &dyn std::error::Error, "the {chore} has to wait");
                false
            }
        };
        self.lay_down().await?;
        Ok(is_well)
    }

    /// Takes away the note of what is in hand: it has not ended the process.
    pub(super) async fn lay_down(&mut self) -> Result<(), LedgerError> {
        let Some(chore) = self.in_hand.clone() else { return Ok(()) };
        self.ledger.write(move |tx| tx.end_chore(&chore)).await?;
        self.in_hand = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Attempts;
    use crate::clock::Clock;
    use crate::ledger::chores::{Chore, ChoreKind};
    use crate::ledger::{Ledger, LedgerError};

    fn at() -> DateTime<Utc> {
        "2026-11-23T08:00:00Z".parse().unwrap()
    }

    fn chore(name: &str) -> Chore {
        let by_hand = "offhours report".to_owned();
        Chore { kind: ChoreKind::Report, name: name.to_owned(), at: at(), by_hand }
    }

    async fn put_aside(ledger: &Ledger) -> Vec<String> {
        let aside = ledger.read(|tx| tx.chores_put_aside(at() - TimeDelta::days(1))).await.unwrap();
        aside.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn p35_a_chore_that_panics_is_put_aside_and_the_next_one_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let mut attempts = Attempts::new(ledger.clone(), Clock::start_virtual(at()));
        let mut tries = 0;
        for _ in 0..4 {
            let panics = async {
                tries += 1;
                panic!("as it must not");
            };
            assert!(!attempts.attempt(chore("bad"), panics).await.unwrap());
            assert!(attempts.attempt(chore("good"), async { Ok(()) }).await.unwrap());
        }
        assert_eq!(tries, 2);
        assert_eq!(put_aside(&ledger).await, ["report bad of 2026-11-23T08:00:00Z"]);
    }

    /// One that fails is tried as often as it takes: the process has outlived it.
    #[tokio::test]
    async fn p35_a_chore_that_only_fails_is_never_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        let mut attempts = Attempts::new(ledger.clone(), Clock::start_virtual(at()));
        for _ in 0..5 {
            let fails = async { Err(LedgerError::Exposed("/".into())) };
            assert!(!attempts.attempt(chore("unlucky"), fails).await.unwrap());
        }
        assert!(attempts.attempt(chore("unlucky"), async { Ok(()) }).await.unwrap());
        assert_eq!(put_aside(&ledger).await, Vec::<String>::new());
    }
}
