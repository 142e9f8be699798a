//! Floor 2: the files a user writes, from raw to resolved. The only module that knows TOML.
//!
//! [`find`] says which offhours.toml is meant, [`load`] reads it and every rule file. Either all of it is right, or all
//! [`Faults`] of all files come back at once, each with file, line, column and what would be right. Nothing later
//! checks again.
//!
//! How it is done: a file is a `source` (text within limits), then a `document` (a table that knows where
//! everything stands), then sections read key by key (`section`). Which keys a section has, and of which type each
//! is, stands once, beside the code that reads it (`key`); reader, hints and [`schema()`] all go by that.

mod calendar;
mod command;
mod connection;
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
mod outline;
mod price;
mod reading;
mod report;
mod rule;
mod schema;
mod secrets;
mod section;
mod selection;
mod source;
mod state_dir;
mod time;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::locale::Locale;
use crate::domain::money::Prices;
use crate::domain::rule::Rule;
use crate::domain::selection::Exclusion;
use crate::domain::zone::Zone;
use crate::mail::settings::MailSettings;
use crate::monitor;

pub use calendar::Days;
pub use connection::Connection;
pub use fault::{ConfigFault, Faults, Warning};
pub use find::find;
pub use fingerprint::Fingerprint;
pub use load::{load, load_at, load_without_secrets, outline, outline_without_secrets};
pub use outline::{OnDisk, Outline, on_disk};
pub use reading::nearest;
pub use report::{AttachmentForm, ReportPeriod, ReportSchedule};
pub use schema::{FileKind, schema};

/// Everything the files say, with every default filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// offhours.toml.
    pub path: PathBuf,
    /// How people type a command that reaches its ledger: `sudo offhoursctl`, without the command itself.
    pub command: String,
    /// Which text it was read from.
    pub fingerprint: Fingerprint,
    /// The default zone.
    pub zone: Option<Zone>,
    /// The directory of rule files.
    pub schedules: PathBuf,
    /// The directory of the ledger.
    pub state_dir: PathBuf,
    /// AI Core tenants; at least one.
    pub connections: BTreeMap<ConnectionName, Connection>,
    /// What no rule stops.
    pub protect: Exclusion,
    /// Prices; without any period there is no money.
    pub prices: Prices,
    /// Calendars by their names, or by their files' where they have none; those of rules that list dates are not here.
    pub calendars: BTreeMap<String, Days>,
    /// Where mails go; without it, none are sent.
    pub mail: Option<MailSettings>,
    /// Who is told that the daemon lives, and where it can be asked.
    pub monitoring: monitor::MonitoringSettings,
    /// Reports that are mailed by the calendar.
    pub reports: Vec<ReportSchedule>,
    /// Rules that fire, in the order of their files' names and then as they stand.
    pub rules: Vec<Arc<Rule>>,
    /// Rules with `enabled = false`: checked, and otherwise not there.
    pub disabled: Vec<RuleName>,
    /// Where each rule begins, the disabled ones included.
    pub origins: BTreeMap<RuleName, Origin>,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Config {
    /// In whose form dates and numbers are written.
    pub fn locale(&self) -> Locale {
        self.mail.as_ref().map(|mail| mail.locale).unwrap_or_default()
    }

    /// The default zone, or UTC.
    pub fn zone_or_utc(&self) -> Zone {
        self.zone.clone().unwrap_or_else(Zone::utc)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}
