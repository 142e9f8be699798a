//! Cron expressions: the first byte chooses a zone, the second the year in which to begin, the rest is the expression.
//! One that is read says what was written, and its instants increase, each found from wherever one looks.
#![no_main]

use chrono::{DateTime, TimeDelta, Utc};
use libfuzzer_sys::fuzz_target;
use offhours::domain::cron::Cron;
use offhours::domain::zone::Zone;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "America/Havana",
    "Africa/Casablanca",
];
const INSTANTS: usize = 20;

fuzz_target!(|data: &[u8]| {
    let [zone, year, text @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(cron) = Cron::parse(text) else { return };
    assert_eq!(cron.to_string(), text);
    let name = ZONES[usize::from(*zone) % ZONES.len()];
    let zone = Zone::new(name, jiff::tz::TimeZone::get(name).unwrap());
    let after = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(i64::from(*year) * 366);
    let instants: Vec<_> = cron.instants(after, &zone).take(INSTANTS).collect();
    assert_eq!(
        Cron::parse(&cron.to_string()).unwrap().instants(after, &zone).take(INSTANTS).collect::<Vec<_>>(),
        instants
    );
    let mut last = after;
    for at in instants {
        assert!(at > last, "{at} after {last}");
        for between in [last, last + (at - last) / 2, at - TimeDelta::milliseconds(1)] {
            let (found, wall) = cron.next_wall_after(between, &zone).unwrap();
            assert_eq!(found, at, "from {between}");
            let shown = zone.wall_clock(at);
            let means = if cron.is_fixed_time() { zone.resolve(wall).first() == at } else { shown == wall };
            assert!(means, "{wall} is not {at}, when clocks show {shown}");
        }
        last = at;
    }
});
