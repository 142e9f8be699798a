//! Everything the files say, with every default filled in.

use crate::config::connection::Connection;
use crate::config::days::Days;
use crate::config::fingerprint::Fingerprint;
use crate::config::origin::Origin;
use crate::config::report::ReportSchedule;
use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::locale::Locale;
use crate::domain::money::Prices;
use crate::domain::rule::Rule;
use crate::domain::selection::Exclusion;
use crate::domain::zone::Zone;
use crate::mail::settings::MailSettings;
use crate::monitor;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything the files say, with every default filled in.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) path: PathBuf,
    /// How people type a command that reaches its ledger: `sudo offhoursctl`, without the command itself.
    pub(crate) command: String,
    /// Which text it was read from.
    pub(crate) fingerprint: Fingerprint,
    pub zone: Option<Zone>,
    pub state_dir: PathBuf,
    /// AI Core tenants; at least one.
    pub connections: BTreeMap<ConnectionName, Connection>,
    /// What no rule stops.
    pub protect: Exclusion,
    /// Prices; without any period there is no money.
    pub prices: Prices,
    /// Calendars by their names, or by their files' where they have none; those of rules that list dates are not here.
    pub(crate) calendars: BTreeMap<String, Days>,
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
