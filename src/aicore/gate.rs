//! How fast a client may ask: how many requests at once, how many in a second, and the pause that AI Core asked for.
//! All tasks of one client go through one gate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::clock::Clock;

/// A `Retry-After` beyond this is believed only this long, lest one odd answer shuts a daemon up for ever.
const LONGEST_CLOSURE: Duration = Duration::from_secs(3600);
/// Answers to requests that were under way together count as one refusal.
const ONE_BURST: Duration = Duration::from_secs(1);

/// Lets requests through.
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    state: Mutex<State>,
    most: usize,
    per_second: usize,
    clock: Clock,
}

struct State {
    /// Requests that may be under way together now.
    width: usize,
    /// Permits that are in use and must not come back.
    debt: usize,
    /// Good answers since the width last changed.
    successes: usize,
    closed_until: Option<Instant>,
    narrowed_at: Option<Instant>,
    /// When the latest requests were let through or will be, as many as may be in a second.
    latest: VecDeque<Instant>,
}

/// A request's leave to be under way.
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// A gate for `most` requests at once and `per_second` in any second, at least one of each.
    pub(super) fn new(most: usize, per_second: usize, clock: Clock) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let latest = VecDeque::new();
        let state = State { width: most, debt: 0, successes: 0, closed_until: None, narrowed_at: None, latest };
        let per_second = per_second.max(1);
        Self { permits: Arc::new(Semaphore::new(most)), state: Mutex::new(state), most, per_second, clock }
    }

    /// Waits until the gate is open and there is room. Err where it stays closed for longer than `patience`.
    pub(super) async fn enter(&self, patience: Duration) -> Result<Permit<'_>, Duration> {
        loop {
            if let Some(closed) = self.closed_for() {
                if closed > patience {
                    return Err(closed);
                }
                self.clock.pause(closed).await;
                continue;
            }
            let permit = Permit { gate: self, permit: Arc::clone(&self.permits).acquire_owned().await.ok() };
            self.clock.pause(self.turn()).await;
            if self.is_open() {
                return Ok(permit);
            }
        }
    }

    /// True where AI Core asks for no pause now.
    pub(super) fn is_open(&self) -> bool {
        self.closed_for().is_none()
    }

    /// Nobody enters for `pause`.
    pub(super) fn close(&self, pause: Duration) {
        let until = Instant::now() + pause.min(LONGEST_CLOSURE);
        let mut state = self.state();
        state.closed_until = state.closed_until.max(Some(until));
    }

    /// AI Core asked for fewer requests: half as many at once from now on.
    pub(super) fn narrow(&self) {
        let now = Instant::now();
        let mut state = self.state();
        if state.narrowed_at.is_some_and(|at| now - at < ONE_BURST) {
            return;
        }
        state.narrowed_at = Some(now);
        state.successes = 0;
        let fewer = state.width - (state.width / 2).max(1);
        state.width -= fewer;
        state.debt += fewer - self.permits.forget_permits(fewer);
    }

    /// A good answer: after as many of them as may be under way, one more may be.
    pub(super) fn widen(&self) {
        let mut state = self.state();
        state.successes += 1;
        if state.successes < state.width || state.width == self.most {
            return;
        }
        state.successes = 0;
        state.width += 1;
        if state.debt > 0 {
            state.debt -= 1;
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

    fn closed_for(&self) -> Option<Duration> {
        let until = self.state().closed_until?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.debt > 0 {
            state.debt -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Gate, ONE_BURST};
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_the_width_and_good_answers_widen_it_slowly() {
        let gate = Gate::new(4, 100, Clock::System);
        let busy = gate.enter(Duration::ZERO).await.unwrap();
        gate.narrow();
        gate.narrow();
        assert_eq!((gate.state().width, gate.permits.available_permits()), (2, 1));
        drop(busy);
        assert_eq!(gate.permits.available_permits(), 2);
        gate.widen();
        gate.widen();
        assert_eq!((gate.state().width, gate.permits.available_permits()), (3, 3));
        for _ in 0..20 {
            gate.widen();
        }
        assert_eq!((gate.state().width, gate.permits.available_permits()), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_different_bursts_halve_it_again_and_one_request_always_may_pass() {
        let gate = Gate::new(8, 1_000, Clock::System);
        let mut widths = Vec::new();
        for _ in 0..5 {
            gate.narrow();
            tokio::time::advance(ONE_BURST.mul_f64(0.9)).await;
            gate.narrow();
            widths.push((gate.state().width, gate.permits.available_permits()));
            tokio::time::advance(ONE_BURST.mul_f64(0.1)).await;
        }
        assert_eq!(widths, [(4, 4), (2, 2), (1, 1), (1, 1), (1, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wider_gate_first_forgives_what_is_owed() {
        let gate = Gate::new(4, 1_000, Clock::System);
        let mut busy = Vec::new();
        for _ in 0..4 {
            busy.push(gate.enter(Duration::ZERO).await.unwrap());
        }
        gate.narrow();
        gate.widen();
        gate.widen();
        drop(busy);
        assert_eq!((gate.state().width, gate.permits.available_permits()), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_asked_for_while_a_request_waits_for_its_turn_holds_it_back() {
        let gate = Gate::new(4, 1, Clock::System);
        let started = tokio::time::Instant::now();
        drop(gate.enter(Duration::ZERO).await.unwrap());
        let closes = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            gate.close(Duration::from_secs(5));
            gate.close(Duration::from_secs(1));
        };
        let (entered, ()) = tokio::join!(gate.enter(Duration::from_secs(10)), closes);
        assert!(entered.is_ok());
        assert_eq!(started.elapsed().as_millis(), 5_500, "the longest pause counts");
    }

    #[tokio::test(start_paused = true)]
    async fn t09_no_second_has_more_requests_than_allowed() {
        let gate = Gate::new(4, 5, Clock::System);
        let started = tokio::time::Instant::now();
        let mut times = Vec::new();
        for _ in 0..23 {
            drop(gate.enter(Duration::ZERO).await.unwrap());
            times.push(started.elapsed());
        }
        assert!(times.windows(6).all(|six| six[5] >= six[0] + Duration::from_secs(1)), "{times:?}");
        assert_eq!(times[22].as_secs(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn debts_are_paid_by_the_requests_under_way() {
        let gate = Gate::new(4, 100, Clock::System);
        let busy: Vec<_> = [gate.enter(Duration::ZERO).await, gate.enter(Duration::ZERO).await].into();
        let more: Vec<_> = [gate.enter(Duration::ZERO).await, gate.enter(Duration::ZERO).await].into();
        gate.narrow();
        drop(busy);
        assert_eq!(gate.permits.available_permits(), 0);
        drop(more);
        assert_eq!(gate.permits.available_permits(), 2);
    }
}
