//! Whether the clock on the wall has gone steadily. One that goes ahead by hours may be wrong for seconds only (a bad time
//! server, a virtual machine that is moved), and what is claimed by it cannot be undone. A host that was asleep looks the
//! same, so a jump is not refused but waited out: a catch-up that comes a minute later is as good.

use chrono::{DateTime, TimeDelta, Utc};

/// A clock that gains more than this on the monotonic one between two looks has jumped.
pub(crate) const JUMP: TimeDelta = TimeDelta::minutes(10);
/// A clock that has jumped is steady again when it has gone on from there for so long.
pub(crate) const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(60);

/// Compares the clock on the wall with one that nobody sets, look by look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steady {
    /// How far the wall clock is ahead of the monotonic one, as it was last believed; none before the first look.
    believed: Option<TimeDelta>,
    jump: Option<Jump>,
}
#[derive(Debug, Clone, Copy)]
struct Jump {
    lead: TimeDelta,
    /// By the monotonic clock.
    at: TimeDelta,
}

/// What a look at the clock showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gait {
    /// It goes steadily, as far as is known.
    Steady,
    /// It has just gone ahead by so much.
    Jumped(TimeDelta),
    /// It has jumped a moment ago.
    Settling,
}

impl Steady {
    /// A look: what the clock on the wall shows, and what the monotonic one has counted from whatever beginning. A clock
    /// that goes back is believed at once: it makes nothing due.
    pub(crate) fn look(&mut self, wall: DateTime<Utc>, monotonic: TimeDelta) -> Gait {
        let lead = wall - DateTime::UNIX_EPOCH - monotonic;
        if self.believed.is_none_or(|believed| lead - believed <= JUMP) {
            return self.believe(lead);
        }
        match self.jump {
            Some(jump) if (lead - jump.lead).abs() <= JUMP => {
                if monotonic - jump.at >= SETTLED_AFTER {
                    self.believe(lead)
                } else {
                    Gait::Settling
                }
            }
            _ => {
                self.jump = Some(Jump { lead, at: monotonic });
                Gait::Jumped(lead - self.believed.unwrap_or(lead))
            }
        }
    }

    fn believe(&mut self, lead: TimeDelta) -> Gait {
        (self.believed, self.jump) = (Some(lead), None);
        Gait::Steady
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::Gait::{self, Jumped, Settling, Steady as Even};
    use super::Steady;

    /// What is said at each look: `(monotonic seconds, seconds that the wall clock is ahead of where it began)`.
    fn gaits(looks: &[(i64, i64)]) -> Vec<Gait> {
        let mut steady = Steady::default();
        let noon: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
        let seconds = TimeDelta::seconds;
        looks.iter().map(|(at, ahead)| steady.look(noon + seconds(at + ahead), seconds(1_000_000 + at))).collect()
    }

    const DAYS: i64 = 86_400;

    /// What happens, the looks at a clock that is so many seconds ahead, and what each of them comes to.
    type Case<'a> = (&'a str, &'a [(i64, i64)], &'a [Gait]);

    #[test]
    fn t22_a_clock_that_goes_ahead_is_believed_a_minute_later_and_not_for_a_moment() {
        let by = |seconds| Jumped(TimeDelta::seconds(seconds));
        let cases: [Case<'_>; 8] = [
            ("nothing is known at first", &[(0, 0)], &[Even]),
            ("it drifts and is put right", &[(0, 0), (1, 0), (2, 600), (3, 700), (4, -5)], &[Even; 5]),
            (
                "four seconds at 200 days ahead",
                &[(0, 0), (1, 200 * DAYS), (2, 200 * DAYS), (4, 200 * DAYS), (5, 0), (6, 0)],
                &[Even, by(200 * DAYS), Settling, Settling, Even, Even],
            ),
            (
                "it was asleep for eight hours, and stays there",
                &[(0, 0), (1, 28_800), (31, 28_800), (60, 28_800), (61, 28_800), (62, 28_800)],
                &[Even, by(28_800), Settling, Settling, Even, Even],
            ),
            (
                "it jumps again while it settles",
                &[(0, 0), (1, 3_600), (50, 7_200), (70, 7_200), (109, 7_200), (110, 7_200)],
                &[Even, by(3_600), by(7_200), Settling, Settling, Even],
            ),
            (
                "it is set right while it settles",
                &[(0, 0), (1, 7_200), (2, 3_600), (61, 3_600), (62, 3_600)],
                &[Even, by(7_200), by(3_600), Settling, Even],
            ),
            (
                "it goes back, and returns",
                &[(0, 0), (1, -3_600), (2, -3_600), (3, 0), (63, 0)],
                &[Even, Even, Even, by(3_600), Even],
            ),
            ("nobody looked for an hour", &[(0, 0), (3_600, 60), (3_601, 60)], &[Even; 3]),
        ];
        for (name, looks, expected) in cases {
            assert_eq!(gaits(looks), expected, "{name}");
        }
    }
}
