//! Floor 2: the files a user writes, from raw to resolved. The only module that knows TOML.
//!
//! [`find()`] says which offhours.toml is meant, [`load()`] reads it and every rule file. Either all of it is right, or all
//! [`Faults`] of all files come back at once, each with file, line, column and what would be right. Nothing later
//! checks again.
//!
//! How it is done: a file is a `source` (text within limits), then a `document` (a table that knows where
//! everything stands), then sections read key by key (`section`). Which keys a section has, and of which type each
//! is, stands once, beside the code that reads it (`key`); reader, hints and [`schema()`] all go by that.

mod calendar;
mod command;
mod connection;
mod content_line;
mod days;
mod document;
mod event;
mod exposed;
mod fault;
mod find;
mod fingerprint;
mod ics;
mod key;
mod load;
mod mail;
mod main_file;
mod monitoring;
mod name;
mod origin;
mod outline;
mod price;
mod reading;
mod report;
mod resolved;
mod rule;
mod schema;
mod secrets;
mod section;
mod selection;
mod source;
mod state_dir;
mod time;
mod value;

pub use connection::Connection;
pub use days::Days;
pub(crate) use fault::ConfigFault;
pub use fault::{Faults, Warning};
pub use find::find;
pub(crate) use fingerprint::Fingerprint;
pub use load::{load, load_at};
pub(crate) use load::{load_without_secrets, on_disk, outline, outline_without_secrets};
pub(crate) use outline::{OnDisk, Outline};
pub(crate) use reading::nearest;
pub(crate) use report::ReportSchedule;
pub use report::{AttachmentForm, ReportPeriod};
pub use resolved::Config;
pub use schema::{FileKind, schema};
