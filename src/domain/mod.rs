//! Floor 0: what offhours means. Values in, values out; no I/O, no async, no clock, no logging.
//!
//! Decide ([`plan`]), then act (elsewhere), then watch ([`verification`]), then count ([`avoided`]). When a rule fires
//! is [`schedule`]'s question; what came of it is a [`run::Run`].

pub mod agenda;
pub mod avoided;
pub mod calendar;
pub(crate) mod calendar_end;
pub(crate) mod coverage;
pub mod cron;
pub mod deployment;
pub(crate) mod duration;
pub mod earlier;
pub mod failure;
pub mod hold;
pub mod id;
pub mod instant;
pub(crate) mod kept_on;
pub mod listed;
pub mod locale;
pub(crate) mod loopback;
pub mod money;
pub(crate) mod oddity;
pub mod period;
pub mod plain_text;
pub mod plan;
pub mod plausible;
pub(crate) mod plural;
pub mod reason;
pub mod rule;
pub mod run;
pub mod run_reason;
pub mod schedule;
pub mod selection;
pub mod settlement;
pub(crate) mod steady;
pub mod tally;
pub(crate) mod verification;
pub mod visit;
pub mod words;
pub mod zone;
