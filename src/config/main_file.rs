//! offhours.toml itself: its keys, and what they become.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::calendar::Definition;
use crate::config::connection::{self, Connection, ConnectionKeys};
use crate::config::key::{Many, NamedSections, One, section};
use crate::config::mail::{self, MailKeys};
use crate::config::monitoring::{self, MonitoringKeys};
use crate::config::name::FilePath;
use crate::config::origin::Origin;
use crate::config::price::{self, PricesKeys};
use crate::config::report::{self, ReportKeys, ReportSchedule};
use crate::config::section::Section;
use crate::config::selection::{ExcludeKeys, exclude};
use crate::domain::id::ConnectionName;
use crate::domain::money::Prices;
use crate::domain::selection::Exclusion;
use crate::domain::zone::Zone;
use crate::mail::settings::MailSettings;
use crate::monitor;

section! {
    /// Connections, prices, mail and what holds for all rules. Rules stand in files of their own.
    MainKeys {
        /// IANA time zone for rules and reports that name none.
        timezone: Zone, Optional r#""Europe/Berlin""#;
        /// Directory of the rule files (`*.toml`), relative to this file.
        schedules: FilePath, Default r#""schedules""#;
        /// Directory of the ledger. By default `$STATE_DIRECTORY`, then `/var/lib/offhours` if this file is
        /// `/etc/offhours/offhours.toml` and the service has run, then `$XDG_STATE_HOME/offhours`, then
        /// `~/.local/state/offhours`.
        state_dir: FilePath, Optional r#""/var/lib/offhours""#;
        /// AI Core tenants, each with a name.
        connection: NamedSections<ConnectionKeys>, Required r#"{ dev = { service_key = "dev.json" } }"#;
        /// What no rule stops; rules can only add to it.
        protect: One<ExcludeKeys>, Optional r#"{ resource_groups = ["prod*"] }"#;
        /// What a capacity unit costs by contract.
        prices: One<PricesKeys>, Optional "";
        /// Where reports are mailed to.
        mail: One<MailKeys>, Optional "";
        /// Who is told that the daemon lives, and where it can be asked.
        monitoring: One<MonitoringKeys>, Optional "";
        /// Reports that are mailed by the calendar.
        report: Many<ReportKeys>, Optional "";
        /// Named calendars for `holidays` and `skip`: lists of dates, or files that end in `.ics` or `.txt`.
        calendars: BTreeMap<String, Definition>, Optional r#"{ de-bw = ["2026-12-25"] }"#;
    }
    const ELSEWHERE: &'static [(&'static str, &'static str)] = &[
        ("rule", "write rules in separate files, in the directory that `schedules` names"),
        ("connections", "each connection is a section `[connection.NAME]`"),
    ];
}

/// What offhours.toml says.
#[derive(Default)]
pub(super) struct Main {
    pub(super) zone: Option<Zone>,
    /// True where `timezone` is given, right or wrong.
    pub(super) has_zone: bool,
    /// Where rules are, where the file says so.
    pub(super) schedules: Option<PathBuf>,
    /// Where it says so.
    pub(super) schedules_at: Option<Origin>,
    pub(super) state_dir: Option<PathBuf>,
    /// Where it says so.
    pub(super) state_dir_at: Option<Origin>,
    /// True where `state_dir` is given, right or wrong.
    pub(super) has_state_dir: bool,
    pub(super) connections: BTreeMap<ConnectionName, Connection>,
    /// Names of all connections, right or wrong.
    pub(super) connection_names: Vec<ConnectionName>,
    /// What no rule stops.
    pub(super) protect: Exclusion,
    pub(super) prices: Prices,
    pub(super) mail: Option<MailSettings>,
    /// True where there is a `[mail]`, right or wrong.
    pub(super) has_mail: bool,
    pub(super) monitoring: monitor::MonitoringSettings,
    pub(super) reports: Vec<ReportSchedule>,
}

pub(super) fn read(root: &Section<'_, MainKeys>) -> Main {
    let zone = root.get(|k| k.timezone);
    let has_zone = root.has(|k| k.timezone);
    calendars(root);
    let sections = root.named(|k| k.connection);
    if sections.is_empty() && root.names(|k| k.connection).is_empty() {
        let hint = "add `[connection.dev]` with `service_key = \"dev.json\"`; with no key in it, the AICORE_* variables are read";
        root.place_of(|k| k.connection).fault("no connection: there is no `[connection.NAME]` in this file", hint);
    }
    let connection_names = sections.iter().filter_map(|section| ConnectionName::new(section.name()).ok()).collect();
    let connections = sections
        .iter()
        .filter_map(|section| connection::read(section))
        .map(|connection| (connection.name.clone(), connection))
        .collect();
    let mail = root.section(|k| k.mail).and_then(|section| mail::read(&section));
    let has_mail = root.has(|k| k.mail);
    let reports = report::read(&root.sections(|k| k.report), zone.as_ref(), mail.as_ref(), has_mail);
    Main {
        has_zone,
        schedules: root.get(|k| k.schedules).map(|FilePath(path)| path),
        schedules_at: Some(root.place_of(|k| k.schedules).origin()),
        has_state_dir: root.has(|k| k.state_dir),
        state_dir_at: Some(root.place_of(|k| k.state_dir).origin()),
        state_dir: root.get(|k| k.state_dir).map(|FilePath(path)| path),
        connections,
        connection_names,
        protect: root.section(|k| k.protect).map(|section| exclude(&section)).unwrap_or_default(),
        prices: root.section(|k| k.prices).map(|section| price::read(&section)).unwrap_or_default(),
        mail,
        has_mail,
        monitoring: root.section(|k| k.monitoring).map(|section| monitoring::read(&section)).unwrap_or_default(),
        reports,
        zone,
    }
}

fn calendars(root: &Section<'_, MainKeys>) {
    let reading = root.place().reading;
    let defined = root.get(|k| k.calendars);
    // One calendar with a fault takes none of the others' names away.
    for name in root.names(|k| k.calendars) {
        let dates = defined.as_ref().and_then(|all| all.get(&name)).map(|Definition(dates)| dates.clone());
        reading.define_calendar(&name, dates);
    }
}
