//! Retries: a pure question asked of an error. May I, and after how long?

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::aicore::error::{Error, NoAnswer};

/// Attempts per call, the first included.
pub(super) const ATTEMPTS: u32 = 3;
/// Longest first pause; it doubles with each attempt.
const BASE: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(30);

/// The pause before another attempt, or none where there must not be one.
///
/// `attempt` is the number of the one that failed, from 1; `jitter` is drawn from 0 to 1. A change is repeated only
/// where it was surely not carried out.
pub(super) fn pause_before_retry(error: &Error, attempt: u32, jitter: f64) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    match error {
        Error::RateLimited { pause, .. } => Some(pause.unwrap_or_else(|| backoff(attempt, jitter))),
        Error::Unreachable { asked, trouble } => {
            let surely_not_sent = matches!(**trouble, NoAnswer::NotConnected(_));
            (surely_not_sent || !asked.is_change()).then(|| backoff(attempt, jitter))
        }
        Error::Truncated { asked, .. } => (!asked.is_change()).then(|| backoff(attempt, jitter)),
        _ => None,
    }
}

/// Full jitter: anything from nothing to the exponential pause, so that clients do not return in step.
pub(super) fn backoff(attempt: u32, jitter: f64) -> Duration {
    let longest = BASE.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(CAP);
    longest.mul_f64(jitter.clamp(0.0, 1.0))
}

/// How many retries a client has left: each call earns a tenth of one, so that an outage adds at most a tenth to
/// the requests of a long run.
pub(super) struct Budget(Mutex<u32>);

impl Budget {
    /// What one retry costs, in what one call earns.
    const RETRY: u32 = 10;
    /// At the start, so that a client's first calls may be retried too.
    const START: u32 = 5 * Self::RETRY;
    /// No more is saved up.
    const MOST: u32 = 20 * Self::RETRY;

    pub(super) fn new() -> Self {
        Self(Mutex::new(Self::START))
    }

    pub(super) fn earn(&self) {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + 1).min(Self::MOST);
    }

    /// Takes one retry; false where none is left.
    pub(super) fn spend(&self) -> bool {
        let mut saved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = saved.checked_sub(Self::RETRY);
        *saved = left.unwrap_or(*saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Budget, backoff, pause_before_retry};
    use crate::aicore::error::{CallName, Error, NoAnswer, NoConnection};

    fn unreachable(method: &'static str, trouble: NoAnswer) -> Error {
        let asked = CallName { method, path: "/lm/deployments".into(), group: None };
        Error::Unreachable { asked: asked.into(), trouble: trouble.into() }
    }

    #[test]
    fn a15_a_change_is_repeated_only_where_it_was_surely_not_carried_out() {
        let lost = || NoAnswer::Lost("connection reset".into());
        let refused =
            || NoAnswer::NotConnected(NoConnection { cause: "connection refused".into(), ..NoConnection::default() });
        assert!(pause_before_retry(&unreachable("GET", lost()), 1, 0.5).is_some());
        assert!(pause_before_retry(&unreachable("PATCH", lost()), 1, 0.5).is_none());
        assert!(pause_before_retry(&unreachable("PATCH", refused()), 1, 0.5).is_some());
        assert!(pause_before_retry(&unreachable("PATCH", refused()), 3, 0.5).is_none());
        assert!(unreachable("PATCH", lost()).outcome_is_unknown());
        assert!(!unreachable("PATCH", refused()).outcome_is_unknown());
        assert!(!unreachable("GET", lost()).outcome_is_unknown());
    }

    #[test]
    fn the_pause_is_anything_up_to_an_exponential_with_a_cap() {
        assert_eq!(backoff(1, 0.0), Duration::ZERO);
        assert_eq!(backoff(1, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(3, 0.5), Duration::from_secs(2));
        assert_eq!(backoff(40, 1.0), Duration::from_secs(30));
    }

    #[test]
    fn a14_an_outage_adds_at_most_a_tenth_and_a_small_allowance() {
        let budget = Budget::new();
        let retries = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(retries.count(), 105);
    }
}
