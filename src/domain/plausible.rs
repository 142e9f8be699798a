//! Whether a clock can be believed. An implausible one fires nothing.

use chrono::{DateTime, TimeDelta, Utc};

/// How far the clock may be behind the newest entry of the ledger.
pub const BEHIND_LEDGER: TimeDelta = TimeDelta::days(1);
/// How far it may be ahead of it: a daemon that rested for longer is told to fire once by hand.
pub const AHEAD_OF_LEDGER: TimeDelta = TimeDelta::days(366);

/// Why a clock cannot be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Implausible {
    /// Before the program existed.
    #[error("the clock shows {now}, which is before this program was built ({built}): nothing fires until it is right")]
    BeforeBuild {
        /// What the clock shows.
        now: DateTime<Utc>,
        /// When the program was built.
        built: DateTime<Utc>,
    },
    /// Before what was recorded.
    #[error(
        "the clock shows {now}, more than a day before the newest entry of the ledger ({newest}): nothing fires until it is right"
    )]
    BeforeLedger {
        /// What the clock shows.
        now: DateTime<Utc>,
        /// The newest entry.
        newest: DateTime<Utc>,
    },
    /// Years later.
    #[error(
        "the clock shows {now}, more than a year after the newest entry of the ledger ({newest}): nothing fires; if the clock is right, `offhours fire` a rule once"
    )]
    FarAhead {
        /// What the clock shows.
        now: DateTime<Utc>,
        /// The newest entry.
        newest: DateTime<Utc>,
    },
}

/// Checks `now` against the build and the newest entry of the ledger.
pub fn plausible(now: DateTime<Utc>, built: DateTime<Utc>, newest: Option<DateTime<Utc>>) -> Result<(), Implausible> {
    if now < built {
        return Err(Implausible::BeforeBuild { now, built });
    }
    match newest {
        Some(newest) if now < newest - BEHIND_LEDGER => Err(Implausible::BeforeLedger { now, newest }),
        Some(newest) if now > newest + AHEAD_OF_LEDGER => Err(Implausible::FarAhead { now, newest }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{Implausible, plausible};

    #[test]
    fn t07_a_clock_is_believed_only_near_what_is_known() {
        let built: DateTime<Utc> = "2026-11-01T00:00:00Z".parse().unwrap();
        let newest: DateTime<Utc> = "2026-11-23T18:00:00Z".parse().unwrap();
        let check = |now: DateTime<Utc>| plausible(now, built, Some(newest));
        assert_eq!(check(newest - TimeDelta::hours(23)), Ok(()), "a step back of an hour is nothing");
        assert!(matches!(check(newest - TimeDelta::hours(25)), Err(Implausible::BeforeLedger { .. })));
        assert!(matches!(check(DateTime::UNIX_EPOCH), Err(Implausible::BeforeBuild { .. })));
        assert!(matches!(check(newest + TimeDelta::days(400)), Err(Implausible::FarAhead { .. })));
        assert_eq!(plausible(newest, built, None), Ok(()));
    }
}
