//! offhours stops SAP AI Core deployments outside business hours, proves that they stopped, and mails what that avoided.
//!
//! A stop cannot be undone: a stopped deployment is never started again, its replacement has a new id and URL. So every
//! doubt resolves to *not* stopping, and the report says so.
//!
//! # From a beat to a mail
//!
//! 1. The [`heartbeat`] beats every second and says nothing but "look again".
//! 2. [`domain::agenda`] answers which firings became due: a pure question about rules, time zones and how far the
//!    [`ledger`] says each rule has been dealt with.
//! 3. [`executor::Executor::beat`] claims each due firing in the ledger before anything else happens. A firing, `rule@instant`,
//!    is claimed once for ever.
//! 4. [`executor::Executor::carry_out`] surveys the tenant ([`executor::survey`]), decides for each deployment
//!    ([`domain::plan`]), writes down what it is about to ask for, asks ([`aicore::Stopper`]), and watches until AI Core
//!    itself says STOPPED ([`domain::verification`]).
//! 5. Result, avoided cost ([`domain::avoided`]) and mails are one transaction. The outbox worker ([`mailer`]) sends them,
//!    the same bytes at every attempt.
//! 6. When the off window is over, [`accounting`] looks at the tenant again and settles what was really avoided
//!    ([`domain::settlement`]); [`report`] turns it into text, HTML, CSV and JSON with the same totals.
//!
//! After a crash the next start finds claims without a living executor ([`ledger::lock`]), looks at the world, and finishes
//! those runs without repeating a stop.
//!
//! # Floors
//!
//! A module names only lower floors and itself; `tests/tidy/` keeps it so.
//!
//! | floor | modules |
//! | --- | --- |
//! | 6 | this one, and `main` |
//! | 5 | [`cli`] |
//! | 4 | [`daemon`], [`rehearsal`] |
//! | 3 | [`executor`], [`mailer`], [`accounting`] |
//! | 2 | [`config`] |
//! | 1 | [`aicore`], [`ledger`], [`mail`], [`report`], [`heartbeat`], [`host`], [`monitor`], [`simulator`]: each confines its own crate, none knows another; [`clock`], [`secret`] and [`private_file`] serve them all |
//! | 0 | [`domain`]: no I/O, no async, no clock, no logging |
//!
//! The [`simulator`] is a second reading of SAP's description, made without looking at the client. A [`rehearsal`] is the
//! real executor and the real client against it, on virtual time ([`clock::Clock`]).

// `cargo doc --document-private-items` is a tour for contributors: it may lead to what is not public.
#![allow(rustdoc::private_intra_doc_links)]
// What only the crate sees says so: the compiler then finds what is dead.
#![warn(unreachable_pub)]

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
pub mod private_file;
pub mod rehearsal;
pub mod report;
pub mod secret;
pub mod simulator;
