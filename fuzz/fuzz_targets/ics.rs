//! Calendar files. One that is taken means the same with other line ends and as a plain list of its dates; one that is
//! refused is refused at a line that exists.
#![no_main]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate};
use libfuzzer_sys::fuzz_target;
use offhours::config::Faults;

#[path = "../files.rs"]
mod files;

fn holidays(name: &str, content: &[u8]) -> Result<BTreeSet<NaiveDate>, Faults> {
    files::load(name, content).map(|config| config.rules[0].schedule.holidays.clone().into_iter().collect())
}

fuzz_target!(|data: &[u8]| {
    let dates = match holidays("days.ics", data) {
        Ok(dates) => dates,
        Err(faults) => {
            assert!(faults.iter().all(|fault| fault.path.ends_with("days.ics")), "{faults}");
            files::stand_in(&faults, "days.ics", data);
            return;
        }
    };
    let text = str::from_utf8(data).unwrap();
    let windows = text.replace("\r\n", "\n").replace('\n', "\r\n");
    assert_eq!(holidays("days.ics", windows.as_bytes()).unwrap(), dates);
    let mut list = String::from("# the same dates\n");
    for date in &dates {
        assert!((0..=10_000).contains(&date.year()));
        writeln!(list, "{date}").unwrap();
    }
    if !dates.is_empty() && dates.iter().all(|date| (1..=9_999).contains(&date.year())) && list.len() < 1 << 20 {
        assert_eq!(holidays("days.txt", list.as_bytes()).unwrap(), dates);
    }
});
