//! Days of an iCalendar file (RFC 5545) and what they are called. A date that is misread stops somebody's work: so this
//! reads exactly what it is sure of, skips meetings, and refuses the rest by line.

use std::collections::HashSet;

use crate::config::content_line::{BadLine, ContentLine, refuse};
use crate::config::days::Days;
use crate::config::event::{CalendarEvent, Found, Spell};

#[derive(Default)]
pub(super) struct Contents {
    pub(super) days: Days,
    /// What could not be read.
    pub(super) bad: Vec<BadLine>,
    /// The lines where meetings of some hours begin, which take no day.
    pub(super) meetings: Vec<usize>,
}

/// Reads the days of all events, and what could not be read.
pub(super) fn read(text: &str) -> Contents {
    let mut contents = Contents::default();
    let lines = unfold(text);
    if !lines.first().is_some_and(|line| line.name == "BEGIN" && line.value.eq_ignore_ascii_case("VCALENDAR")) {
        contents.bad.push(refuse(1, "this is not an iCalendar file", "it begins with `BEGIN:VCALENDAR`"));
        return contents;
    }
    // Components inside an event (alarms) and beside it (time zones) have lines of the same names.
    let mut open: Vec<String> = Vec::new();
    let mut event = CalendarEvent::default();
    let mut spells = Vec::new();
    let mut events = 0;
    for line in lines {
        match line.name.as_str() {
            "BEGIN" => {
                open.push(line.value.to_uppercase());
                if in_event(&open) {
                    event = CalendarEvent::at(line.number);
                }
            }
            "END" => {
                let ends_event = in_event(&open);
                if open.pop().is_none_or(|name| name != line.value.to_uppercase()) {
                    let hint = "the file is damaged: download it again";
                    contents.bad.push(refuse(line.number, "this `END` closes nothing", hint));
                    return contents;
                }
                if ends_event {
                    events += 1;
                    match event.find() {
                        Ok(Found::Spell(spell)) => spells.push(spell),
                        Ok(Found::Meeting) => contents.meetings.push(event.line()),
                        Err(fault) => contents.bad.push(fault),
                    }
                }
            }
            _ if in_event(&open) => event.take(line),
            _ => {}
        }
    }
    if !open.is_empty() {
        let last = text.lines().count().max(1);
        contents.bad.push(refuse(last, "this calendar has no end", "it is incomplete: download it again"));
    } else if events == 0 {
        contents.bad.push(refuse(1, "no event in this calendar", "it has no `VEVENT`: download it again"));
    } else if events == contents.meetings.len() {
        let hint = "only all-day events make a calendar of days: `DTSTART;VALUE=DATE:20261225`";
        contents.bad.push(refuse(1, "no whole day in this calendar: its events are meetings of some hours", hint));
    }
    contents.days = write_out(&spells);
    contents
}

/// The days of all events. What one event puts in the place of another's day takes that day away.
fn write_out(spells: &[Spell]) -> Days {
    let replaced: HashSet<_> =
        spells.iter().filter_map(|spell| Some((spell.uid.as_deref()?, spell.instead_of?))).collect();
    let mut days = Days::new();
    for spell in spells {
        let is_replaced = |start| {
            spell.instead_of.is_none() && spell.uid.as_deref().is_some_and(|uid| replaced.contains(&(uid, start)))
        };
        for start in spell.starts.iter().filter(|start| !is_replaced(**start)) {
            for day in start.iter_days().take(spell.days) {
                let name = days.entry(day).or_default();
                if name.is_empty() {
                    name.clone_from(&spell.name);
                } else if !name.contains(&spell.name) {
                    *name = format!("{name} / {}", spell.name);
                }
            }
        }
    }
    days
}

fn in_event(open: &[String]) -> bool {
    open.len() == 2 && open.last().is_some_and(|name| name == "VEVENT")
}

/// Joins folded lines, which go on after a space or tab, and splits each at its first colon outside quotes.
fn unfold(text: &str) -> Vec<ContentLine> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix([' ', '\t']), joined.last_mut()) {
            (Some(rest), Some((_, last))) => last.push_str(rest),
            _ if line.trim().is_empty() => {}
            _ => joined.push((at + 1, line.to_owned())),
        }
    }
    let split = |(number, line): (usize, String)| {
        let mut quoted = false;
        let colon = line.find(|c| {
            quoted ^= c == '"';
            c == ':' && !quoted
        });
        let (head, value) = line.split_at(colon.unwrap_or(line.len()));
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        let (name, parameters) = (name.trim().to_uppercase(), parameters.to_uppercase());
        ContentLine { number, name, parameters, value: value.trim_start_matches(':').trim().to_owned() }
    };
    joined.into_iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::read;

    fn calendar(events: &[&str]) -> String {
        let events: Vec<String> = events.iter().map(|e| format!("BEGIN:VEVENT\r\n{e}\r\nEND:VEVENT\r\n")).collect();
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}END:VCALENDAR\r\n", events.concat())
    }

    fn dates(events: &[&str]) -> Vec<String> {
        let text = calendar(events);
        assert!(refused(&text).is_empty(), "{:?}", refused(&text));
        read(&text).days.keys().map(ToString::to_string).collect()
    }

    fn refused(text: &str) -> Vec<(usize, String)> {
        read(text).bad.into_iter().map(|bad| (bad.line, bad.message)).collect()
    }

    #[test]
    fn an_event_is_the_days_before_its_end() {
        assert_eq!(dates(&["DTSTART;VALUE=DATE:20261225"]), ["2026-12-25"]);
        assert_eq!(dates(&["DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227"]), ["2026-12-25", "2026-12-26"]);
        assert_eq!(dates(&["DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261225"]), ["2026-12-25"]);
        assert_eq!(dates(&["DTSTART:20261231\r\nDURATION:P2D"]), ["2026-12-31", "2027-01-01"]);
        assert_eq!(dates(&["DTSTART:20261231\r\nSTATUS:CANCELLED", "DTSTART:20260101"]), ["2026-01-01"]);
    }

    #[test]
    fn c53_whole_days_that_are_written_as_times_are_whole_days() {
        for day in [
            "DTSTART:20261225T000000\r\nDTEND:20261226T000000",
            "DTSTART;TZID=Europe/Berlin:20261225T000000\r\nDTEND;TZID=Europe/Berlin:20261226T000000",
            "DTSTART:20261225T000000Z\r\nDURATION:PT24H",
            "DTSTART:20261225T000000\r\nDTEND:20261225T235900",
            "DTSTART:20261225T000000\r\nDTEND:20261225T235959",
            "DTSTART;VALUE=DATE:20261225\r\nDURATION:P1DT0H",
            "DTSTART;VALUE=DATE:20261225\r\nDURATION:PT24H",
        ] {
            assert_eq!(dates(&[day]), ["2026-12-25"], "{day}");
        }
        assert_eq!(
            dates(&["DTSTART:20261225T000000\r\nDTEND:20261227T000000\r\nEXDATE:20270101T000000"]),
            ["2026-12-25", "2026-12-26"]
        );
    }

    #[test]
    fn c53_a_meeting_takes_no_day_and_is_told() {
        let whole = "DTSTART;VALUE=DATE:20261225";
        for meeting in [
            "DTSTART:20261224T140000Z\r\nDTEND:20261224T150000Z",
            "DTSTART;TZID=Europe/Berlin:20261224T140000\r\nDURATION:PT30M\r\nRRULE:FREQ=HOURLY;BYSECOND=1",
            "DTSTART:20261224T220000\r\nDTEND:20261225T060000",
            "DTSTART:20261224T090000",
        ] {
            let text = calendar(&[whole, meeting]);
            assert_eq!(refused(&text), [], "{meeting}");
            let contents = read(&text);
            assert_eq!((contents.days.len(), contents.meetings), (1, vec![6]), "{meeting}");
        }
    }

    #[test]
    fn c53_days_are_repeated_moved_added_and_left_out_as_their_calendar_says() {
        let thanksgiving = dates(&["DTSTART;VALUE=DATE:20261126\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3"]);
        assert_eq!(thanksgiving, ["2026-11-26", "2027-11-25", "2028-11-23"]);
        let memorial = dates(&["DTSTART:20260525\r\nRRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO;UNTIL=20280529"]);
        assert_eq!(memorial, ["2026-05-25", "2027-05-31", "2028-05-29"]);
        let of_days = dates(&[
            "DTSTART:20251124\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=20,21,22,23,24,25,26;BYDAY=MO;COUNT=2",
        ]);
        assert_eq!(of_days, ["2025-11-24", "2026-11-23"]);
        let friday = dates(&["DTSTART:20261204\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\nEXDATE:20261211,20261218"]);
        assert_eq!(friday, ["2026-12-04"]);
        let eid = dates(&["DTSTART;VALUE=DATE:20260320\r\nRDATE;VALUE=DATE:20270310,20280227\r\nRDATE:20290214"]);
        assert_eq!(eid, ["2026-03-20", "2027-03-10", "2028-02-27", "2029-02-14"]);
        let moved = dates(&[
            "UID:a\r\nDTSTART;VALUE=DATE:20260501\r\nRRULE:FREQ=YEARLY;COUNT=3",
            "UID:a\r\nRECURRENCE-ID;VALUE=DATE:20270501\r\nDTSTART;VALUE=DATE:20270503",
            "UID:a\r\nRECURRENCE-ID;VALUE=DATE:20280501\r\nDTSTART;VALUE=DATE:20280501\r\nSTATUS:CANCELLED",
        ]);
        assert_eq!(moved, ["2026-05-01", "2027-05-03"]);
    }

    #[test]
    fn c53_days_are_called_what_their_calendar_calls_them() {
        let text =
            calendar(&["DTSTART:20261225\r\nSUMMARY:Erster\\, freier\\nTag", "DTSTART:20261225\r\nSUMMARY:Noel"]);
        let names: Vec<String> = read(&text).days.into_values().collect();
        assert_eq!(names, ["Erster, freier Tag / Noel"]);
    }

    #[test]
    fn a_yearly_event_is_written_out() {
        let yearly = dates(&["DTSTART;VALUE=DATE:20100501\r\nRRULE:FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=1"]);
        assert_eq!((yearly.len(), yearly.first().unwrap().as_str()), (22, "2024-05-01"));
        assert_eq!(yearly.last().unwrap(), "2045-05-01");
        assert_eq!(
            dates(&["DTSTART:20240229\r\nRRULE:FREQ=YEARLY;UNTIL=20330101"]),
            ["2024-02-29", "2028-02-29", "2032-02-29"]
        );
        assert_eq!(dates(&["DTSTART:20250601\r\nRRULE:FREQ=YEARLY;INTERVAL=2;COUNT=2"]), ["2025-06-01", "2027-06-01"]);
        assert_eq!(
            dates(&["DTSTART:20250601\r\nRRULE:FREQ=YEARLY;COUNT=3\r\nEXDATE;VALUE=DATE:20260601"]),
            ["2025-06-01", "2027-06-01"]
        );
    }

    #[test]
    fn folds_alarms_and_time_zones_are_read_past() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:DAYLIGHT\nDTSTART:19810329T020000\n\
                    RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\nEND:VTIMEZONE\nBEGIN:VEVENT\n\
                    DTSTART;X-NOTE=\"a:b\";VALUE=DA\n TE:2026\n\t1225\nSUMMARY:Erster\n  Feiertag\nBEGIN:VALARM\n\
                    TRIGGER:-PT15M\nDURATION:PT5M\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n";
        assert!(refused(text).is_empty(), "{:?}", refused(text));
        let days: Vec<(String, String)> =
            read(text).days.into_iter().map(|(day, name)| (day.to_string(), name)).collect();
        assert_eq!(days, [("2026-12-25".to_owned(), "Erster Feiertag".to_owned())]);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_line() {
        let unclear = "an event with times, of which it is not clear which days it means";
        let cases = [
            ("DTSTART:2026-12-24", 4, "`DTSTART` is neither a date nor a time"),
            ("DTSTART:20261225T000000", 4, unclear),
            ("DTSTART:20261224T230000Z\r\nDTEND:20261225T230000Z", 4, unclear),
            ("DTSTART:20261224T000000\r\nDTEND:20261225T120000", 4, unclear),
            (
                "DTSTART:20261224T000000\r\nDTEND:20261225T000000Z",
                5,
                "`DTEND` is written in another way than `DTSTART`",
            ),
            ("DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=HOURLY", 5, "`FREQ` of `RRULE` is not understood"),
            ("DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=YEARLY;BYHOUR=3", 5, "`BYHOUR` of `RRULE` is not understood"),
            ("DTSTART:20261225\r\nRRULE:COUNT=3", 5, "`COUNT=3` of `RRULE` is not understood"),
            (
                "DTSTART;VALUE=DATE:20261126\r\nRRULE:FREQ=YEARLY;BYMONTH=5",
                3,
                "an event repeats on another day than its own",
            ),
            (
                "DTSTART:20260228\r\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
                3,
                "an event repeats on another day than its own",
            ),
            ("SUMMARY:Nothing", 3, "an event without `DTSTART`"),
            ("DTSTART:20261225\r\nDTEND:20261224", 3, "an event ends before it begins, or lasts over a year"),
            (
                "DTSTART:20261225T120000\r\nDTEND:20261225T110000",
                3,
                "an event ends before it begins, or lasts over a year",
            ),
            ("DTSTART:20261225\r\nDURATION:PT5H", 5, "`DURATION` is not a number of days or weeks"),
            ("DTSTART:20261225\r\nDURATION:P1M", 5, "`DURATION` is not a number of days or weeks"),
            ("DTSTART:20261225\r\nRDATE:20261231T090000", 5, "`RDATE` is not a whole day"),
            ("DTSTART:20261225\r\nRECURRENCE-ID:20261225", 5, "`RECURRENCE-ID` without `UID`, or of more than one day"),
            ("DTSTART:20261225\r\nEXRULE:FREQ=YEARLY", 5, "`EXRULE` is not understood here"),
            ("DTSTART:20261224T140000Z", 1, "no whole day in this calendar: its events are meetings of some hours"),
        ];
        for (event, line, message) in cases {
            assert_eq!(refused(&calendar(&[event])), [(line, message.to_owned())]);
        }
    }

    #[test]
    fn a_damaged_calendar_is_refused() {
        assert_eq!(refused("<html>"), [(1, "this is not an iCalendar file".to_owned())]);
        assert_eq!(refused(&calendar(&[])), [(1, "no event in this calendar".to_owned())]);
        let cut = calendar(&["DTSTART:20261225"]).replace("END:VCALENDAR\r\n", "");
        assert_eq!(refused(&cut), [(5, "this calendar has no end".to_owned())]);
        assert_eq!(refused("BEGIN:VCALENDAR\nEND:VEVENT\n"), [(2, "this `END` closes nothing".to_owned())]);
    }
}
