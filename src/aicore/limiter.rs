//! How fast a client may ask: how many requests at once, how many in a second, and the pause that AI Core asked for.
//! All tasks of one client go through one limiter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::clock::Clock;

/// A `Retry-After` beyond this is believed only this long, lest one odd answer shuts a daemon up for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Answers to requests that were under way together count as one refusal.
const ONE_BURST: Duration = Duration::from_secs(1);

/// Lets requests through: additive increase of how many may be under way, multiplicative decrease.
pub(super) struct ConcurrencyLimiter {
    permits: Arc<Semaphore>,
    state: Mutex<LimiterState>,
    most: usize,
    per_second: usize,
    clock: Clock,
}

struct LimiterState {
    /// Requests that may be under way together now.
    limit: usize,
    /// Permits that are in use and must not come back.
    surplus: usize,
    /// Good answers since the limit last changed.
    successes: usize,
    paused_until: Option<Instant>,
    reduced_at: Option<Instant>,
    /// When the latest requests were let through or will be, as many as may be in a second.
    latest: VecDeque<Instant>,
}

/// A request's leave to be under way.
pub(super) struct Permit<'a> {
    limiter: &'a ConcurrencyLimiter,
    permit: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// A limiter for `most` requests at once and `per_second` in any second, at least one of each.
    pub(super) fn new(most: usize, per_second: usize, clock: Clock) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let latest = VecDeque::new();
        let state =
            LimiterState { limit: most, surplus: 0, successes: 0, paused_until: None, reduced_at: None, latest };
        let per_second = per_second.max(1);
        Self { permits: Arc::new(Semaphore::new(most)), state: Mutex::new(state), most, per_second, clock }
    }

    /// Waits until no pause holds and there is room. Err where the pause lasts longer than `patience`.
    pub(super) async fn acquire(&self, patience: Duration) -> Result<Permit<'_>, Duration> {
        loop {
            if let Some(pause) = self.paused_for() {
                if pause > patience {
                    return Err(pause);
                }
                self.clock.pause(pause).await;
                continue;
            }
            let permit = Permit { limiter: self, permit: Arc::clone(&self.permits).acquire_owned().await.ok() };
            self.clock.pause(self.turn()).await;
            if self.is_ready() {
                return Ok(permit);
            }
        }
    }

    /// True where AI Core asks for no pause now.
    pub(super) fn is_ready(&self) -> bool {
        self.paused_for().is_none()
    }

    /// Nothing is sent for `pause`.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause.min(LONGEST_PAUSE);
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
    }

    /// AI Core asked for fewer requests: half as many at once from now on.
    pub(super) fn reduce(&self) {
        let now = Instant::now();
        let mut state = self.state();
        if state.reduced_at.is_some_and(|at| now - at < ONE_BURST) {
            return;
        }
        state.reduced_at = Some(now);
        state.successes = 0;
        let fewer = state.limit - (state.limit / 2).max(1);
        state.limit -= fewer;
        state.surplus += fewer - self.permits.forget_permits(fewer);
    }

    /// A good answer: after as many of them as may be under way, one more may be.
    pub(super) fn increase(&self) {
        let mut state = self.state();
        state.successes += 1;
        if state.successes < state.limit || state.limit == self.most {
            return;
        }
        state.successes = 0;
        state.limit += 1;
        if state.surplus > 0 {
            state.surplus -= 1;
        } else {
            self.permits.add_permits(1);
        }
    }

    /// How long until one more request keeps within the number that may be sent in a second.
    fn turn(&self) -> Duration {
        let now = Instant::now();
        let mut state = self.state();
        let oldest = (state.latest.len() >= self.per_second).then(|| state.latest.pop_front()).flatten();
        let at = oldest.map_or(now, |oldest| now.max(oldest + Duration::from_secs(1)));
        state.latest.push_back(at);
        at - now
    }

    fn paused_for(&self) -> Option<Duration> {
        let until = self.state().paused_until?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    fn state(&self) -> MutexGuard<'_, LimiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        if state.surplus > 0 {
            state.surplus -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ConcurrencyLimiter, ONE_BURST};
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_the_width_and_good_answers_widen_it_slowly() {
        let limiter = ConcurrencyLimiter::new(4, 100, Clock::System);
        let busy = limiter.acquire(Duration::ZERO).await.unwrap();
        limiter.reduce();
        limiter.reduce();
        assert_eq!((limiter.state().limit, limiter.permits.available_permits()), (2, 1));
        drop(busy);
        assert_eq!(limiter.permits.available_permits(), 2);
        limiter.increase();
        limiter.increase();
        assert_eq!((limiter.state().limit, limiter.permits.available_permits()), (3, 3));
        for _ in 0..20 {
            limiter.increase();
        }
        assert_eq!((limiter.state().limit, limiter.permits.available_permits()), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_different_bursts_halve_it_again_and_one_request_always_may_pass() {
        let limiter = ConcurrencyLimiter::new(8, 1_000, Clock::System);
        let mut widths = Vec::new();
        for _ in 0..5 {
            limiter.reduce();
            tokio::time::advance(ONE_BURST.mul_f64(0.9)).await;
            limiter.reduce();
            widths.push((limiter.state().limit, limiter.permits.available_permits()));
            tokio::time::advance(ONE_BURST.mul_f64(0.1)).await;
        }
        assert_eq!(widths, [(4, 4), (2, 2), (1, 1), (1, 1), (1, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wider_gate_first_forgives_what_is_owed() {
        let limiter = ConcurrencyLimiter::new(4, 1_000, Clock::System);
        let mut busy = Vec::new();
        for _ in 0..4 {
            busy.push(limiter.acquire(Duration::ZERO).await.unwrap());
        }
        limiter.reduce();
        limiter.increase();
        limiter.increase();
        drop(busy);
        assert_eq!((limiter.state().limit, limiter.permits.available_permits()), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_asked_for_while_a_request_waits_for_its_turn_holds_it_back() {
        let limiter = ConcurrencyLimiter::new(4, 1, Clock::System);
        let started = tokio::time::Instant::now();
        drop(limiter.acquire(Duration::ZERO).await.unwrap());
        let closes = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            limiter.pause(Duration::from_secs(5));
            limiter.pause(Duration::from_secs(1));
        };
        let (entered, ()) = tokio::join!(limiter.acquire(Duration::from_secs(10)), closes);
        assert!(entered.is_ok());
        assert_eq!(started.elapsed().as_millis(), 5_500, "the longest pause counts");
    }

    #[tokio::test(start_paused = true)]
    async fn t09_no_second_has_more_requests_than_allowed() {
        let limiter = ConcurrencyLimiter::new(4, 5, Clock::System);
        let started = tokio::time::Instant::now();
        let mut times = Vec::new();
        for _ in 0..23 {
            drop(limiter.acquire(Duration::ZERO).await.unwrap());
            times.push(started.elapsed());
        }
        assert!(times.windows(6).all(|six| six[5] >= six[0] + Duration::from_secs(1)), "{times:?}");
        assert_eq!(times[22].as_secs(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn debts_are_paid_by_the_requests_under_way() {
        let limiter = ConcurrencyLimiter::new(4, 100, Clock::System);
        let busy: Vec<_> = [limiter.acquire(Duration::ZERO).await, limiter.acquire(Duration::ZERO).await].into();
        let more: Vec<_> = [limiter.acquire(Duration::ZERO).await, limiter.acquire(Duration::ZERO).await].into();
        limiter.reduce();
        drop(busy);
        assert_eq!(limiter.permits.available_permits(), 0);
        drop(more);
        assert_eq!(limiter.permits.available_permits(), 2);
    }
}
