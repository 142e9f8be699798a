//! Whether a clock can be believed. An implausible one fires nothing.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::id::RuleName;
use crate::domain::instant::rfc3339;

/// How far the clock may be behind the newest entry of the ledger.
pub(crate) const BEHIND_LEDGER: TimeDelta = TimeDelta::days(1);
/// How far it may be ahead of it: after a rest that is longer, a person says that it is right.
pub(crate) const AHEAD_OF_LEDGER: TimeDelta = TimeDelta::days(366);
/// How far it may be behind the instant up to which a rule has been dealt with: clocks are put right by minutes.
pub(crate) const BEHIND_RULE: TimeDelta = TimeDelta::minutes(10);
/// Rules that are named in a sentence.
const MOST_NAMED: usize = 5;

/// Why a clock cannot be right, now or when something was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Implausible {
    /// Before the program existed.
    #[error(
        "the clock shows {}, which is before this program was built ({}): nothing fires until it is right",
        rfc3339(*now), rfc3339(*built)
    )]
    BeforeBuild {
        now: DateTime<Utc>,
        /// When the program was built.
        built: DateTime<Utc>,
    },
    /// Before what was recorded.
    #[error(
        "the clock shows {}, more than a day before the newest entry of the ledger ({}): nothing fires; set the clock or, if it is right, run `offhours ledger trust-clock`",
        rfc3339(*now), rfc3339(*newest)
    )]
    BeforeLedger { now: DateTime<Utc>, newest: DateTime<Utc> },
    /// Years later.
    #[error(
        "the clock shows {}, more than a year after the newest entry of the ledger ({}): nothing fires; set the clock or, if it is right, run `offhours ledger trust-clock`",
        rfc3339(*now), rfc3339(*newest)
    )]
    FarAhead { now: DateTime<Utc>, newest: DateTime<Utc> },
    /// Rules were dealt with up to an instant that has not come.
    #[error(
        "the clock shows {}, and {} will not fire before {}, up to which a clock that was ahead has dealt with everything; if the clock is right, run `offhours ledger trust-clock`",
        rfc3339(*now), Named(rules), rfc3339(*until)
    )]
    BehindRules { now: DateTime<Utc>, until: DateTime<Utc>, rules: Vec<RuleName> },
}

impl Implausible {
    /// True where nothing fires at all.
    pub fn silences_all(&self) -> bool {
        !matches!(self, Self::BehindRules { .. })
    }

    /// The instant that speaks against the clock. It stays the same for as long as the fault lasts.
    pub(crate) fn witness(&self) -> DateTime<Utc> {
        match self {
            Self::BeforeBuild { built: instant, .. }
            | Self::BeforeLedger { newest: instant, .. }
            | Self::FarAhead { newest: instant, .. }
            | Self::BehindRules { until: instant, .. } => *instant,
        }
    }
}

/// Rules as a sentence names them.
struct Named<'a>(&'a [RuleName]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().take(MOST_NAMED).map(RuleName::as_str).collect();
        f.write_str(if self.0.len() == 1 { "rule " } else { "rules " })?;
        f.write_str(&names.join(", "))?;
        match self.0.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Checks `now` against the build and the newest entry of the ledger.
pub(crate) fn plausible(
    now: DateTime<Utc>,
    built: DateTime<Utc>,
    newest: Option<DateTime<Utc>>,
) -> Result<(), Implausible> {
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

    #[test]
    fn t21_the_rules_that_wait_are_named_and_not_without_end() {
        let now: DateTime<Utc> = "2026-11-23T18:00:00Z".parse().unwrap();
        let said = |count: usize| {
            let rules = (0..count).map(|n| format!("r{n}").parse().unwrap()).collect();
            Implausible::BehindRules { now, until: now + TimeDelta::hours(23), rules }.to_string()
        };
        let (one, many) = (said(1), said(7));
        assert!(one.contains(", and rule r0 will not fire before 2026-11-24T17:00:00Z, "), "{one}");
        assert!(many.contains("and rules r0, r1, r2, r3, r4 and 2 more will not fire before"), "{many}");
    }
}
