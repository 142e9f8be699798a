//! Floor 1: SAP AI Core over HTTP. The only module that names `reqwest`.
//!
//! A [`Reader`] can only read. A [`Stopper`] can only stop, and comes only with a [`Tenant`]. Both share one session:
//! one token, one pace, one budget of retries. A call is sent again only where that is surely harmless; where a stop
//! may have been carried out although it failed, [`Error::outcome_is_unknown`] says so and the caller looks first.

mod admin;
mod ambient;
mod answer;
mod error;
mod http;
pub mod key;
mod key_fault;
mod key_source;
mod limiter;
mod listing;
mod oauth;
mod page_ends;
mod reader;
mod retry;
mod row;
mod session;
mod stop_batch;
mod stopper;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

pub use crate::aicore::answer::retry_after;
pub use crate::aicore::error::{CallName, Error, ErrorResponse, NoAnswer, NoConnection, Refusal};
pub use crate::aicore::key::{KeyFault, ServiceKey};
pub use crate::aicore::key_source::{KeyError, KeySource};
pub use crate::aicore::listing::Listing;
pub use crate::aicore::oauth::inspect;
pub use crate::aicore::reader::Reader;
pub use crate::aicore::stop_batch::StopBatch;
pub use crate::aicore::stopper::{BulkAnswer, Stopper};
pub use crate::aicore::wanted::StillWanted;
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

/// Both halves of a connection. It is the only way to a [`Stopper`].
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Reads.
    pub reader: Reader,
    /// Stops.
    pub stopper: Stopper,
}

impl Tenant {
    /// Loads the key from `source`. Nothing is sent before the first question.
    pub fn connect(source: KeySource, options: Options) -> Result<Self, Error> {
        let reader = Reader::connect(source, options)?;
        let stopper = Stopper::new(Arc::clone(&reader.0));
        Ok(Self { reader, stopper })
    }
}

/// Makes ring the process's one TLS provider. May be called any number of times.
pub fn install_crypto() {
    // An error only says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
}
