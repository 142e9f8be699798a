//! Floor 1: SAP AI Core over HTTP. The only module that names `reqwest`.
//!
//! A [`Reader`] can only read. A [`Stopper`] can only stop, and comes only with a [`Tenant`]. Both share one session:
//! one token, one pace, one budget of retries. A call is sent again only where that is surely harmless; where a stop
//! may have been carried out although it failed, [`Error::outcome_is_unknown`] says so and the caller looks first.

mod admin;
mod ambient;
mod answer;
mod crypto;
mod error;
mod http;
pub mod key;
mod key_fault;
mod key_source;
mod limiter;
mod listing;
mod oauth;
mod options;
mod page_ends;
mod reader;
mod retry;
mod row;
mod session;
mod stop_batch;
mod stopper;
mod tenant;
mod token;
mod wanted;

pub use crate::aicore::ambient::Ambient;
pub use crate::aicore::answer::retry_after;
pub use crate::aicore::crypto::install_crypto;
pub use crate::aicore::error::Error;
pub use crate::aicore::key::{KeyFault, Proof, ServiceKey};
pub use crate::aicore::key_source::KeySource;
pub use crate::aicore::listing::Listing;
pub use crate::aicore::oauth::inspect;
pub use crate::aicore::options::Options;
pub use crate::aicore::reader::Reader;
pub use crate::aicore::stop_batch::StopBatch;
pub use crate::aicore::stopper::BulkAnswer;
pub(crate) use crate::aicore::stopper::Stopper;
pub use crate::aicore::tenant::Tenant;
