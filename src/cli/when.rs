//! Instants and spans on the command line.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use crate::cli::exit::Failure;
use crate::domain::zone::{Local, Zone};

/// Reads an instant: RFC 3339, or local time in `zone` (`2026-11-24T09:00`, `2026-11-24`), where there is a zone.
pub fn instant(text: &str, zone: Option<&Zone>) -> Result<DateTime<Utc>, Failure> {
    Ok(read(text, zone)?.first())
}

/// Reads when a hold ends: an instant, or a span from `now` on such as `12h`. Of a local time that comes twice the second
/// is meant: a doubt resolves to not stopping.
pub fn end_of_hold(text: &str, zone: Option<&Zone>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    // To the library an `M` is a month, and whoever writes `30M` means minutes.
    let span = humantime::parse_duration(text.trim_start_matches('+')).ok().filter(|_| !text.contains('M'));
    match span.and_then(|span| TimeDelta::from_std(span).ok()).and_then(|span| now.checked_add_signed(span)) {
        Some(at) => Ok(at),
        None => read(text, zone).map(Local::last).map_err(|failure| match failure {
            Failure::Usage { message, hint: Some(hint) } => {
                Failure::Usage { message, hint: Some(format!("{hint}, or as a span from now on: `12h`")) }
            }
            failure => failure,
        }),
    }
}

fn read(text: &str, zone: Option<&Zone>) -> Result<Local, Failure> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Local::Once(at.to_utc()));
    }
    let local = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN)));
    match (local, zone) {
        (Some(local), Some(zone)) => Ok(zone.resolve(local)),
        (Some(_), None) => Err(Failure::Usage {
            message: format!("`{text}` names no time zone, and none is configured"),
            hint: Some("write it as `2026-11-24T09:00:00Z`".to_owned()),
        }),
        (None, _) => Err(Failure::Usage {
            message: format!(
                "`{}` is no instant",
                text.chars().take(80).flat_map(char::escape_debug).collect::<String>()
            ),
            hint: Some("write it as `2026-11-24T09:00:00Z`, or as local time: `2026-11-24T09:00`".to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::{Failure, end_of_hold, instant};

    #[test]
    fn an_instant_is_absolute_local_or_a_span() {
        let berlin = crate::clock::zone("Europe/Berlin").unwrap();
        let now: DateTime<Utc> = "2026-11-23T18:00:00Z".parse().unwrap();
        let read = |text| end_of_hold(text, Some(&berlin), now).unwrap().to_rfc3339();
        assert_eq!(read("2026-11-24T07:00:00Z"), "2026-11-24T07:00:00+00:00");
        assert_eq!(read("2026-11-24T09:00"), "2026-11-24T08:00:00+00:00");
        assert_eq!(read("2026-11-24"), "2026-11-23T23:00:00+00:00");
        assert_eq!(read("12h"), "2026-11-24T06:00:00+00:00");
        assert_eq!(read("2026-10-25T02:30"), "2026-10-25T01:30:00+00:00", "the second time");
        let refused = end_of_hold("30M", Some(&berlin), now);
        assert!(matches!(refused, Err(Failure::Usage { hint: Some(hint), .. }) if hint.contains("a span from now on")));
        assert!(instant("tomorrow", Some(&berlin)).is_err());
        assert!(instant("2026-11-24T09:00", None).is_err());
    }
}
