//! Floor 1: what time it is, and the system's time zone data. The only module that reads the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use jiff::tz::TimeZoneDatabase;

use crate::domain::zone::Zone;

mod windows_zones;

/// Where "now" comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// Virtual time: it stands still while anybody works and jumps ahead when all wait. It runs on tokio's paused
    /// clock, so every timer of the process follows it.
    Virtual {
        /// What the clock showed at `origin`.
        start: DateTime<Utc>,
        origin: tokio::time::Instant,
    },
    /// Virtual time whose wall clock is put ahead or back while tokio's goes on, as when a host sleeps or somebody sets
    /// its clock.
    Stepped {
        time: Box<Clock>,
        /// How far it was put ahead of that, in milliseconds.
        ahead: Arc<AtomicI64>,
    },
}

impl Clock {
    /// Stops tokio's clock and starts virtual time at `start`.
    ///
    /// # Panics
    /// Outside a current-thread tokio runtime, or where its clock is paused already.
    pub fn start_virtual(start: DateTime<Utc>) -> Self {
        tokio::time::pause();
        Self::Virtual { start, origin: tokio::time::Instant::now() }
    }

    /// The same clock, and the hand that puts it ahead or back, by milliseconds in all.
    #[must_use]
    pub fn stepped(self) -> (Self, Arc<AtomicI64>) {
        let ahead = Arc::new(AtomicI64::new(0));
        (Self::Stepped { time: Box::new(self), ahead: Arc::clone(&ahead) }, ahead)
    }

    /// The time now, in whole milliseconds: the ledger keeps no more, and a figure must not change by being read back.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            Self::System => Utc::now(),
            Self::Virtual { start, origin } => {
                *start + TimeDelta::from_std(origin.elapsed()).unwrap_or(TimeDelta::zero())
            }
            Self::Stepped { time, ahead } => time.now() + TimeDelta::milliseconds(ahead.load(Ordering::Acquire)),
        };
        now.trunc_subsecs(3)
    }

    /// Waits for `duration`. The time a suspended host sleeps does not count, so this is for pauses, not for
    /// appointments: those are polled for.
    pub async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Why a text names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadZone {
    /// `CET`, `EST5EDT`: an abbreviation, or a zone without a place whose rules nobody keeps.
    #[error("`{0}` is an abbreviation, not a time zone: name a place, as in `Europe/Berlin`, or `UTC`")]
    Abbreviation(String),
    /// `W. Europe Standard Time`: what Windows calls it.
    #[error("`{name}` is a Windows name of a time zone; its IANA name is `{iana}`")]
    Windows {
        name: String,
        /// What everybody else calls it.
        iana: &'static str,
    },
    /// Not in the time zone data.
    #[error("`{name}` is not a valid time zone")]
    Unknown {
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
}

/// The zone called `name`, from the system's time zone data or, where there is none, from the copy built in.
pub fn zone(name: &str) -> Result<Zone, BadZone> {
    if let Some(iana) = windows_zones::iana(name) {
        return Err(BadZone::Windows { name: name.to_owned(), iana });
    }
    if name != "UTC" && !name.contains('/') && !name.is_empty() {
        return Err(BadZone::Abbreviation(name.chars().take(40).collect()));
    }
    // The data's own spelling is kept: `europe/berlin` is accepted by the look-up and named properly afterwards. Names that
    // this machine has put into a package of its own (`US/Eastern`, `Asia/Calcutta`) are in the copy built in.
    match jiff::tz::TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)) {
        Ok(rules) => Ok(Zone::new(rules.iana_name().unwrap_or(name).to_owned(), rules)),
        Err(_) => Err(BadZone::Unknown { name: name.chars().take(40).collect(), suggestion: nearest_zone(name) }),
    }
}

fn nearest_zone(name: &str) -> Option<String> {
    let wanted = name.to_lowercase();
    jiff::tz::db()
        .available()
        .map(|known| (strsim::jaro_winkler(&wanted, &known.as_str().to_lowercase()), known.as_str().to_owned()))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Version of the time zone data in use and where it comes from, for `check` and `status`.
pub(crate) fn zone_data() -> String {
    const SOURCE: &str = "/usr/share/zoneinfo";
    let version = ["tzdata.zi", "+VERSION"].iter().find_map(|file| {
        let text = std::fs::read_to_string(format!("{SOURCE}/{file}")).ok()?;
        let first = text.lines().next()?.trim();
        Some(first.trim_start_matches("# version ").to_owned())
    });
    match version {
        Some(version) => format!("{version} from {SOURCE}"),
        None if std::path::Path::new(SOURCE).exists() => format!("of unknown version from {SOURCE}"),
        None => "built in (this machine has none of its own)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::{BadZone, zone};
    use crate::domain::zone::Zone;

    #[test]
    fn a_zone_is_a_place() {
        assert_eq!(zone("Europe/Berlin").unwrap().name(), "Europe/Berlin");
        assert_eq!(zone("UTC").unwrap().name(), "UTC");
        assert!(matches!(zone("CET"), Err(BadZone::Abbreviation(_))));
        assert!(matches!(zone("EST"), Err(BadZone::Abbreviation(_))));
        let Err(BadZone::Unknown { suggestion, .. }) = zone("Europe/Berln") else { panic!("accepted") };
        assert_eq!(suggestion.as_deref(), Some("Europe/Berlin"));
    }

    /// Debian 13 and Ubuntu 24.04 keep them in `tzdata-legacy`, which a machine may lose with an upgrade.
    #[test]
    fn c51_names_that_the_machine_has_not_are_in_the_copy_built_in() {
        for (old, new) in [("US/Eastern", "America/New_York"), ("Asia/Calcutta", "Asia/Kolkata")] {
            assert!(TimeZoneDatabase::bundled().get(old).is_ok(), "{old}");
            let at = |zone: &Zone| zone.wall_clock("2026-07-01T12:00:00Z".parse().unwrap());
            assert_eq!(at(&zone(old).unwrap()), at(&zone(new).unwrap()), "{old}");
        }
        assert!(zone("Mars/Olympus").is_err());
    }

    #[test]
    fn c52_a_windows_name_is_answered_with_the_iana_name() {
        let said = zone("W. Europe Standard Time").unwrap_err().to_string();
        assert_eq!(
            said,
            "`W. Europe Standard Time` is a Windows name of a time zone; its IANA name is `Europe/Berlin`"
        );
        for (_, iana) in super::windows_zones::NAMES {
            assert!(zone(iana).is_ok(), "{iana}");
        }
    }
}
