//! Durations as people write them: `90s`, `1h 30m`, `2d`, `3 weeks`.

use chrono::TimeDelta;
use jiff::{Span, SpanRelativeTo};

/// Reads a duration of whole seconds; a day has 24 hours. None where the text is not one, is negative, or counts in
/// months or years, whose length depends on where they begin. A capital `M` is refused too: `30M` is a typing mistake.
pub(crate) fn read_duration(text: &str) -> Option<TimeDelta> {
    // The library also reads ISO 8601 and fractions, which no file of ours has ever had.
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || c == ' ');
    let span: Span = text.trim().parse().ok().filter(|_| is_plain)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    TimeDelta::try_seconds(duration.as_secs()).filter(|duration| *duration >= TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    use super::read_duration;

    #[test]
    fn a_duration_is_a_number_and_a_unit_or_several() {
        for (text, seconds) in [
            ("90s", 90),
            ("1h 30m", 5400),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("1 day", 86_400),
            ("1week", 604_800),
            ("0s", 0),
        ] {
            assert_eq!(read_duration(text).unwrap().num_seconds(), seconds, "{text}");
        }
        for text in ["", "30", "30M", "-5m", "5m ago", "PT5M", "1.5h", "1:30:00", "1month", "one hour", "99999999999w"]
        {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }
}
