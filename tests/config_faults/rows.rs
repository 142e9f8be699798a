//! One test for each row of the faults of a configuration: its cases, each in a real file, where it is said to stand,
//! what is said, what is advised.

use std::fmt::Write as _;

use crate::config_faults::cases;
use crate::config_faults::files::{CANARY, Files};

/// Loads every case whose name begins with `row` and compares what is said.
#[track_caller]
fn refused(row: &str) {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.name.split(' ').next() == Some(row)).collect();
    assert!(!cases.is_empty(), "no case of {row}");
    let mut wrong = String::new();
    for case in cases {
        let found = Files::with(&case.edits).faults();
        let mut found: Vec<&str> = found.lines().collect();
        let closing = found.pop().unwrap_or("");
        assert!(closing.contains(" in 1 file"), "{}: {closing}", case.name);
        if found != case.faults {
            let _ = write!(wrong, "\n{}\n{}\n", case.name, found.join("\n"));
        }
        let text = found.join("\n");
        assert!(!text.contains(CANARY), "{} shows a secret:\n{text}", case.name);
        assert_eq!(found.len() % 2, 0, "{}: a fault without a hint:\n{text}", case.name);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn c70_a_schedule_in_another_programs_words() {
    refused("c70");
}

#[test]
fn c01_an_empty_file() {
    refused("c01");
}

#[test]
fn c02_broken_syntax() {
    refused("c02");
}

#[test]
fn c03_an_unknown_key() {
    refused("c03");
}

#[test]
fn c04_a_key_twice() {
    refused("c04");
}

#[test]
fn c05_a_rule_name_twice() {
    refused("c05");
}

#[test]
fn c06_a_name_that_is_missing_or_malformed() {
    refused("c06");
}

#[test]
fn c07_no_stop() {
    refused("c07");
}

#[test]
fn c08_a_cron_field_out_of_range() {
    refused("c08");
}

#[test]
fn c09_a_wrong_number_of_cron_fields() {
    refused("c09");
}

#[test]
fn c10_a_stop_that_never_comes() {
    refused("c10");
}

#[test]
fn c11_an_until_that_never_comes() {
    refused("c11");
}

#[test]
fn c12_no_time_zone() {
    refused("c12");
}

#[test]
fn c13_a_zone_that_is_none() {
    refused("c13");
}

#[test]
fn c14_nothing_selected() {
    refused("c14");
}

#[test]
fn c15_an_empty_list() {
    refused("c15");
}

#[test]
fn c16_a_connection_that_is_unknown_or_not_named() {
    refused("c16");
}

#[test]
fn c17_a_mode_that_is_none() {
    refused("c17");
}

#[test]
fn c18_a_malformed_glob() {
    refused("c18");
}

#[test]
fn c19_an_unknown_key_in_a_selection() {
    refused("c19");
}

#[test]
fn c20_a_duration_that_is_none_or_too_long() {
    refused("c20");
}

#[test]
fn c21_a_day_that_is_no_date() {
    refused("c21");
}

#[test]
fn c22_a_limit_of_stops_out_of_range() {
    refused("c22");
}

#[test]
fn c23_a_price_or_currency_that_is_none() {
    refused("c23");
}

#[test]
fn c24_recipients_that_cannot_be() {
    refused("c24");
}

#[test]
fn c25_no_sender_or_a_malformed_one() {
    refused("c25");
}

#[test]
fn c26_mail_in_clear_to_another_machine() {
    refused("c26");
}

#[test]
fn c27_a_service_key_with_unsafe_urls() {
    refused("c27");
}

#[test]
fn c28_a_secret_in_a_file_of_rules() {
    refused("c28");
}

#[test]
fn c29_a_secret_file_that_others_can_read() {
    refused("c29");
}

#[test]
fn c30_a_file_that_is_too_large_or_no_text() {
    refused("c30");
}

#[test]
fn what_is_wrong_with_monitoring() {
    refused("monitoring");
}

#[test]
fn every_case_is_looked_at() {
    let rows: Vec<String> =
        (1..=30).map(|n| format!("c{n:02}")).chain(["c70", "monitoring"].map(str::to_owned)).collect();
    for case in cases::all() {
        assert!(rows.iter().any(|row| case.name.split(' ').next() == Some(row)), "{}", case.name);
    }
}
