//! How a client behaves.

use std::time::Duration;

use crate::clock::Clock;

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where "now" comes from.
    pub clock: Clock,
    /// Most requests under way together.
    pub in_flight: usize,
    /// Most requests in any second.
    pub per_second: usize,
    /// The time one attempt of a call may take, body included.
    pub request_timeout: Duration,
    /// The longest pause AI Core may ask for; beyond it, calls fail at once as `rate_limited`.
    pub longest_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            in_flight: 16,
            per_second: 400,
            request_timeout: Duration::from_secs(30),
            longest_pause: Duration::from_secs(5 * 60),
        }
    }
}
