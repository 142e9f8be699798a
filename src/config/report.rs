//! `[[report]]`: reports that are mailed by the calendar.

use std::collections::BTreeMap;

use crate::config::key::section;
use crate::config::mail::Recipients;
use crate::config::section::Section;
use crate::domain::cron::Cron;
use crate::domain::id::RuleName;
use crate::domain::words::words;
use crate::domain::zone::Zone;
use crate::mail::settings::{Address, MailSettings};

/// A report that is mailed by the calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportSchedule {
    /// Unique in the file.
    pub name: String,
    pub(crate) cron: Cron,
    /// Where `cron` is read, and in which the period's days begin and end.
    pub zone: Zone,
    /// What it covers, seen from the day on which it is sent.
    pub period: ReportPeriod,
    /// To whom; those of `[mail]` where the entry names none.
    pub to: Vec<Address>,
    pub attach: Vec<AttachmentForm>,
}

words! {
    /// What a report covers.
    pub ReportPeriod {
        /// From midnight until now.
        Today = "today",
        /// The day before.
        Yesterday = "yesterday",
        /// Monday to Sunday of the week before.
        LastWeek = "last-week",
        LastMonth = "last-month",
    }
}

words! {
    /// The form of an attachment.
    pub AttachmentForm {
        /// One row per deployment and off window, for programs.
        Csv = "csv",
        /// The same, as a German Excel opens it.
        CsvExcel = "csv-excel",
        Html = "html",
        /// For machines.
        Json = "json",
    }
}

section! {
    /// A report that is mailed by the calendar: a daily digest, a weekly one, a monthly one.
    ReportKeys {
        /// What it is called; unique in the file.
        name: RuleName, Required r#""weekly""#;
        /// When it is sent: cron of five fields, or six with seconds first.
        cron: Cron, Required r#""0 8 * * MON""#;
        /// IANA time zone in which `cron` is read; that of the file where it is left out.
        timezone: Zone, Optional r#""Europe/Berlin""#;
        /// What it covers, seen from the day on which it is sent.
        period: ReportPeriod, Required r#""last-week""#;
        /// Recipients; those of `[mail]` where it is left out.
        to: Recipients, Optional r#"["finops@example.com"]"#;
        /// What is attached: `csv` for programs, `csv-excel` as a German Excel opens it, `html`, `json`.
        attach: Vec<AttachmentForm>, Optional r#"["csv"]"#;
    }
}

/// Reads all `[[report]]` entries.
pub(super) fn read(
    sections: &[Section<'_, ReportKeys>],
    zone: Option<&Zone>,
    mail: Option<&MailSettings>,
    has_mail: bool,
) -> Vec<ReportSchedule> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut reports = Vec::new();
    for section in sections {
        if !has_mail {
            section.place().fault("a report is mailed, and there is no `[mail]`", "add `[mail]` or remove the report");
        }
        if let Some(report) = one(section, zone, mail) {
            let line = section.place().origin().line;
            match names.insert(report.name.clone(), line) {
                None => reports.push(report),
                Some(first) => section.place_of(|k| k.name).fault(
                    format!("the name `{}` is used by two reports", report.name),
                    format!("the first is in line {first}; names are unique"),
                ),
            }
        }
    }
    reports
}

fn one(section: &Section<'_, ReportKeys>, zone: Option<&Zone>, mail: Option<&MailSettings>) -> Option<ReportSchedule> {
    let name = section.need(|k| k.name);
    let cron = section.need(|k| k.cron);
    let own_zone = section.get(|k| k.timezone);
    if zone.is_none() && !section.has(|k| k.timezone) {
        let hint = "write `timezone = \"Europe/Berlin\"` here, or once at the head of this file";
        section.place().fault("a report without a time zone", hint);
    }
    let period = section.need(|k| k.period);
    let to = section.get(|k| k.to).map(|Recipients(to)| to);
    let attach = section.get(|k| k.attach).unwrap_or_default();
    Some(ReportSchedule {
        name: name?.as_str().to_owned(),
        cron: cron?,
        zone: own_zone.or_else(|| zone.cloned())?,
        period: period?,
        to: to.or_else(|| mail.map(|mail| mail.to.clone())).unwrap_or_default(),
        attach,
    })
}
