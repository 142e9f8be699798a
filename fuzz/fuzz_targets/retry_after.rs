//! `Retry-After`: four bytes of the time it is now, and the header. A wish is never for nothing, and a number is the
//! number of seconds.
#![no_main]

use std::time::Duration;

use chrono::{DateTime, Utc};
use libfuzzer_sys::fuzz_target;
use offhours::aicore::retry_after;

fuzz_target!(|data: &[u8]| {
    let Some((now, text)) = data.split_first_chunk() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let now = DateTime::<Utc>::from_timestamp(i64::from(u32::from_be_bytes(*now)), 0).unwrap();
    let wish = retry_after(text, now);
    assert_ne!(wish, Some(Duration::ZERO));
    assert_eq!(retry_after(&format!(" {text}\t"), now), wish);
    if let Ok(seconds) = text.trim().parse() {
        assert_eq!(wish.unwrap_or_default(), Duration::from_secs(seconds));
    } else if let Some(pause) = wish {
        // A date is an instant: half-way there, half of the pause is left.
        let half = Duration::from_secs(pause.as_secs() / 2);
        assert_eq!(retry_after(text, now + half), Some(pause.saturating_sub(half)).filter(|left| !left.is_zero()));
    }
});
