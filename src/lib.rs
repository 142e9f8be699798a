//! offhours stops SAP AI Core deployments outside business hours, proves that they stopped, and mails what that avoided.

pub mod accounting;
pub mod aicore;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod executor;
pub mod heartbeat;
pub mod host;
pub mod ledger;
pub mod mail;
pub mod mailer;
pub mod monitor;
pub mod rehearsal;
pub mod report;
pub mod secret;
pub mod simulator;
