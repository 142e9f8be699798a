//! May a mail be tried again, and after how long: a pure question asked of the error.

use chrono::TimeDelta;

use crate::mail::transport::DeliveryError;

/// After so long a mail is given up; nobody acts on a report that old.
pub const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(5);

/// Greylisting servers want at least this long between first and second contact.
const FIRST: TimeDelta = TimeDelta::minutes(5);
const FIRST_SPREAD: TimeDelta = TimeDelta::minutes(1);
/// RFC 5321, 4.5.4.1: "the retry interval SHOULD be at least 30 minutes".
const LATER: TimeDelta = TimeDelta::minutes(30);
const LATER_SPREAD: TimeDelta = TimeDelta::minutes(4);
/// A certificate is not put right within minutes.
const TLS: TimeDelta = TimeDelta::hours(1);
const TLS_SPREAD: TimeDelta = TimeDelta::minutes(2);
/// A refused login that is repeated locks the account.
const LOGIN: TimeDelta = TimeDelta::minutes(15);
const LOGIN_LONGEST: TimeDelta = TimeDelta::hours(6);

/// Whether a mail is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Yes, not before this long from now.
    After(TimeDelta),
    /// No: it is a dead letter.
    GiveUp,
}

impl DeliveryError {
    /// Whether a mail that has been tried `attempts` times (this one included) and was queued `age` ago is tried again.
    pub fn retry_after(&self, attempts: u32, age: TimeDelta) -> Retry {
        if matches!(self, Self::Permanent { .. } | Self::Address(_)) || age >= GIVE_UP_AFTER {
            return Retry::GiveUp;
        }
        Retry::After(match self {
            Self::Tls(_) => TLS + spread(age, TLS_SPREAD),
            Self::Auth(_) | Self::Password(_) => {
                let doublings = attempts.saturating_sub(1).min(8);
                (LOGIN * (1 << doublings)).min(LOGIN_LONGEST)
            }
            _ if attempts <= 1 => FIRST + spread(age, FIRST_SPREAD),
            _ => LATER + spread(age, LATER_SPREAD),
        })
    }
}

/// Jitter that needs no dice: mails of different age are spread over `width`.
fn spread(age: TimeDelta, width: TimeDelta) -> TimeDelta {
    let width = width.num_milliseconds().max(1);
    // Knuth's multiplicative hash; neighbouring milliseconds land far apart.
    TimeDelta::milliseconds(age.num_milliseconds().wrapping_mul(2_654_435_761).rem_euclid(width))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{GIVE_UP_AFTER, Retry};
    use crate::mail::login_failure::LoginFailure;
    use crate::mail::transport::{DeliveryError, Phase};

    fn minutes(error: &DeliveryError, attempts: u32, age: TimeDelta) -> (i64, i64) {
        // The jitter hangs on the age: ask for many.
        let waits: Vec<i64> = (0..5_000)
            .map(|ms| match error.retry_after(attempts, age + TimeDelta::milliseconds(ms)) {
                Retry::After(wait) => wait.num_seconds(),
                Retry::GiveUp => panic!("given up"),
            })
            .collect();
        (waits.iter().min().unwrap() / 60, waits.iter().max().unwrap() / 60)
    }

    fn transient() -> DeliveryError {
        DeliveryError::Transient { code: 451, text: "greylisted".to_owned() }
    }

    #[test]
    fn e01_greylisting_is_retried_after_five_minutes_and_then_every_thirty() {
        assert_eq!(minutes(&transient(), 1, TimeDelta::zero()), (5, 5));
        assert_eq!(minutes(&transient(), 2, TimeDelta::minutes(5)), (30, 33));
        assert_eq!(minutes(&transient(), 90, TimeDelta::days(4)), (30, 33), "within 35 minutes of a server's return");
    }

    #[test]
    fn e04_a_server_that_is_down_or_silent_is_tried_the_same_way() {
        for error in [DeliveryError::Unreachable("refused".to_owned()), DeliveryError::Timeout(Phase::Greeting)] {
            assert_eq!(minutes(&error, 3, TimeDelta::hours(1)), (30, 33));
        }
    }

    #[test]
    fn e09_a_refused_login_is_not_hammered() {
        let auth =
            DeliveryError::Auth(LoginFailure { code: Some(535), enhanced: None, offered: None, has_login: true });
        let waits = [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 360), (40, 360)];
        for (attempts, expected) in waits {
            assert_eq!(minutes(&auth, attempts, TimeDelta::zero()), (expected, expected), "attempt {attempts}");
        }
    }

    #[test]
    fn e08_a_bad_certificate_is_retried_hourly() {
        assert_eq!(minutes(&DeliveryError::Tls("expired".to_owned()), 7, TimeDelta::hours(7)), (60, 61));
    }

    #[test]
    fn e02_e04_permanent_refusals_and_old_mails_are_dead_letters() {
        let permanent = DeliveryError::Permanent { code: 550, text: "no such user".to_owned() };
        assert_eq!(permanent.retry_after(1, TimeDelta::zero()), Retry::GiveUp);
        assert_eq!(transient().retry_after(200, GIVE_UP_AFTER), Retry::GiveUp);
        assert!(matches!(transient().retry_after(200, TimeDelta::days(3)), Retry::After(_)));
    }
}
