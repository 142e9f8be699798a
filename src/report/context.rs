//! For whom a report is written, and when.

use chrono::{DateTime, Utc};

use crate::domain::earlier::Precedents;
use crate::domain::locale::Locale;
use crate::domain::zone::Zone;
use crate::report::form::Form;
use crate::report::observed::Observed;

/// For whom a report is written, and when.
#[derive(Debug, Clone, Copy)]
pub struct ReportContext<'a> {
    /// In whose form numbers and dates are written.
    pub locale: Locale,
    /// Whose wall clock is shown.
    pub zone: &'a Zone,
    pub now: DateTime<Utc>,
    /// Said above everything else: that this is a rehearsal, for instance.
    pub banner: Option<&'a str>,
    /// How people type a command, without the command itself: `offhours`, `sudo offhoursctl`.
    pub command: &'a str,
    /// What a person has to do besides what the figures themselves ask for.
    pub needs: &'a [String],
    /// What earlier runs say about the run that is told of.
    pub precedents: Option<&'a Precedents>,
    /// The week of a rule that has observed for so long.
    pub observed: Option<&'a Observed>,
    /// Said near the end: reports that could not be delivered, reserved nodes that go on costing.
    pub notes: &'a [String],
}

impl<'a> ReportContext<'a> {
    /// Without banner and notes.
    pub fn new(locale: Locale, zone: &'a Zone, now: DateTime<Utc>) -> Self {
        Self {
            locale,
            zone,
            now,
            banner: None,
            command: "offhours",
            needs: &[],
            precedents: None,
            observed: None,
            notes: &[],
        }
    }

    /// How values are written for this reader.
    pub(crate) fn form(&self) -> Form<'a> {
        Form { locale: self.locale, zone: self.zone }
    }
}
