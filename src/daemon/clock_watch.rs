//! The clock, watched: whether it goes steadily, and whether rules are silent because it is wrong or was. The latter is
//! mailed once.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;
use tracing::{error, info};

use crate::clock::Clock;
use crate::domain::agenda::Agenda;
use crate::domain::plausible::Implausible;
use crate::domain::steady::{Gait, Steady};
use crate::executor::beat::BeatError;
use crate::executor::{Executor, run_mails};
use crate::ledger::LedgerError;
use crate::ledger::announced::Announcement;
use crate::report::Content;

/// A fault is mailed when it has lasted so long: a machine that keeps no time is told it soon after its start.
const MAILED_AFTER: Duration = Duration::from_secs(600);
const SUBJECT: &str = "offhours: rules do not fire, because the clock is wrong or was";

/// Whether the clock on the wall goes as time passes; each task that acts by it has its own.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    steady: Steady,
}

impl Pace {
    pub(super) fn new(clock: &Clock) -> Self {
        let mut pace = Self { began: Instant::now(), steady: Steady::default() };
        pace.look(clock);
        pace
    }

    pub(super) fn look(&mut self, clock: &Clock) -> Gait {
        let monotonic = TimeDelta::from_std(self.began.elapsed()).unwrap_or(TimeDelta::MAX);
        self.steady.look(clock.now(), monotonic)
    }
}

/// What is wrong with the clock, and who knows.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    fault: Option<(Implausible, Instant)>,
    /// True where the fault that lasts has been mailed.
    is_mailed: bool,
}

impl ClockWatch {
    /// Why rules do not fire, as far as the clock is to blame.
    pub(super) fn fault(&self) -> Option<&Implausible> {
        self.fault.as_ref().map(|(fault, _)| fault)
    }

    /// Looks at clock, ledger and agenda. True where a mail about it is new in the outbox.
    pub(super) async fn look(&mut self, executor: &Executor, agenda: &mut Agenda) -> Result<bool, LedgerError> {
        match executor.check_clock(agenda).await {
            Ok(()) => {
                if self.fault.is_some() {
                    info!("the clock and the ledger agree again: rules fire");
                }
                *self = Self::default();
                Ok(false)
            }
            Err(BeatError::Ledger(failure) | BeatError::TakenAway(failure)) => Err(failure),
            Err(BeatError::Clock(fault)) => {
                let since = self.fault.as_ref().map(|(_, since)| *since);
                if since.is_none() {
                    error!("{fault}");
                }
                let since = since.unwrap_or_else(Instant::now);
                self.fault = Some((fault.clone(), since));
                if self.is_mailed || since.elapsed() < MAILED_AFTER {
                    return Ok(false);
                }
                let is_new = mail(executor, &fault).await?;
                self.is_mailed = true;
                Ok(is_new)
            }
        }
    }
}

/// Puts a mail about `fault` into the outbox, unless an earlier process has done so.
async fn mail(executor: &Executor, fault: &Implausible) -> Result<bool, LedgerError> {
    let Some(settings) = &executor.config.mail else { return Ok(false) };
    let now = executor.clock.now();
    let (mails, witness) = (run_mails::mails(settings, &settings.to, &letter(fault), now), fault.witness());
    executor
        .ledger
        .write(move |tx| {
            let is_new = tx.announce(Announcement::Clock, "fault", witness)?;
            if is_new {
                tx.enqueue(&mails, now)?;
            }
            Ok(is_new)
        })
        .await
}

fn letter(fault: &Implausible) -> Content {
    let silent = if fault.silences_all() { "No rule fires." } else { "Some rules do not fire." };
    let paragraphs = [
        silent,
        &format!("Why: {fault}."),
        "On the machine of offhours, look at its clock first (`date -u`). If it is wrong, set it; nothing else is to be done. If \
         it is right, this ends it:",
        "offhours ledger trust-clock",
        "It shows what the ledger holds ahead of the clock, and changes nothing before it is given --yes. Under systemd it is \
         `sudo offhoursctl ledger trust-clock`. `offhours status` shows whether rules fire.",
    ];
    // Instants, names of rules and what stands here: none of it means anything to HTML.
    let html = paragraphs.iter().fold(String::new(), |html, text| html + "<p>" + text + "</p>\n");
    Content {
        subject: SUBJECT.to_owned(),
        text: paragraphs.join("\n\n") + "\n",
        html: format!("<!doctype html><html lang=\"en\"><body>\n{html}</body></html>\n"),
        attachments: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};
    use tokio::time::{Instant, advance};

    use super::ClockWatch;
    use crate::clock::Clock;
    use crate::daemon::chores::tests::executor;
    use crate::executor::Executor;
    use crate::ledger::cursors::Cursor;

    fn noon() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    /// The mails in the outbox, as their readers see them.
    async fn mails(executor: &Executor) -> Vec<String> {
        let due = executor.ledger.read(|tx| {
            let mails = tx.outbox(noon())?;
            let first = tx.due_mail(noon() + TimeDelta::days(1))?;
            Ok(mails.iter().map(|_| first.clone().map(|(_, bytes)| bytes).unwrap_or_default()).collect::<Vec<_>>())
        });
        due.await.unwrap().into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn t21_rules_that_the_clock_silences_for_ten_minutes_are_mailed_once() {
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::Virtual { start: noon(), origin: Instant::now() };
        let executor = Executor { clock, ..executor(home.path()) };
        let mut agenda = executor.agenda().await.unwrap();
        let mut watch = ClockWatch::default();
        assert!(!watch.look(&executor, &mut agenda).await.unwrap() && watch.fault().is_none());

        let cursor = Cursor { schedule: "0 19 * * * UTC".to_owned(), after: noon() + TimeDelta::days(200) };
        executor.ledger.write(move |tx| tx.move_cursor(&"evenings".parse().unwrap(), &cursor)).await.unwrap();
        for _ in 0..10 {
            assert!(!watch.look(&executor, &mut agenda).await.unwrap(), "it may be over soon");
            assert!(watch.fault().unwrap().silences_all());
            advance(Duration::from_secs(60)).await;
        }
        assert!(mails(&executor).await.is_empty());
        assert!(watch.look(&executor, &mut agenda).await.unwrap(), "ten minutes");
        let told = mails(&executor).await;
        assert_eq!(told.len(), 1, "to everybody in [mail].to");
        let words = ["a@example.com", "No rule fires.", "2027-06-11T12:00:00Z", "offhours ledger trust-clock"];
        assert!(words.iter().all(|word| told[0].contains(word)), "{}", told[0]);

        // Neither does it say so each minute, nor after a start.
        let mut restarted = ClockWatch::default();
        for watch in [&mut watch, &mut restarted] {
            for _ in 0..20 {
                assert!(!watch.look(&executor, &mut agenda).await.unwrap());
                advance(Duration::from_secs(60)).await;
            }
        }
        assert_eq!(mails(&executor).await.len(), 1);

        let now = executor.clock.now();
        executor.ledger.write(move |tx| tx.trust_clock(now)).await.unwrap();
        assert!(!watch.look(&executor, &mut agenda).await.unwrap() && watch.fault().is_none());
    }
}
