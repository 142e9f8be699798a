//! Faults by their rows (see `tests/FAULTS.md`), each with the text that is printed. Not formatted: a case reads best as its
//! name, what is done, and below it what is said.

use crate::config_faults::files::*;

/// A configuration with a fault.
pub struct Case {
    /// First the fault's row (`c22`), or the section's name where no row fits; then what it is here.
    pub name: &'static str,
    /// What is done to the right files.
    pub edits: Vec<Edit>,
    /// What is printed, but for the closing line.
    pub faults: &'static [&'static str],
}

fn case(name: &'static str, edits: &[Edit], faults: &'static [&'static str]) -> Case {
    Case { name, edits: edits.to_vec(), faults }
}

/// All cases, in the order of their rows.
pub fn all() -> Vec<Case> {
    [
        files_and_keys(),
        names(),
        times(),
        selections(),
        durations(),
        dates_and_limits(),
        prices(),
        mail(),
        monitoring(),
        service_keys(),
        secrets(),
        sizes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[rustfmt::skip]
fn files_and_keys() -> Vec<Case> {
    vec![
        case("c01 an empty offhours.toml", &[Main("")], &[
            "offhours.toml:1:1: this file is empty",
            "  hint: fill it, or remove it; `offhours.example.toml` and `schedules/` show how",
        ]),
        case("c01 an empty rule file, comments only", &[Rules("# nothing yet\n")], &[
            "schedules/a.toml:1:1: this file is empty",
            "  hint: fill it, or remove it; `offhours.example.toml` and `schedules/` show how",
        ]),
        case("c01 a rule file whose list is empty", &[Rules("rule = []")], &[
            "schedules/a.toml:1:8: `rule` is an empty list",
            "  hint: write `[[rule]]` before each of them",
        ]),
        case("c02 a string without its end", &[InRules(STOP, "stop = \"0 19 * * MON-FRI")], &[
            r#"schedules/a.toml:3:25: broken TOML: invalid basic string, expected `"`"#,
            "  hint: put strings in quotes and each key on its own line",
        ]),
        case("c02 a value without quotes", &[InMain(ZONE, "timezone = Europe/Berlin")], &[
            "offhours.toml:1:12: broken TOML: string values must be quoted, expected literal string",
            "  hint: put strings in quotes and each key on its own line",
        ]),
        case("c02 a secret without quotes", &[InMain(KEY, "client_secret = CANARY")], &[
            "offhours.toml:4:17: broken TOML: string values must be quoted, expected literal string",
            "  hint: put strings in quotes and each key on its own line",
        ]),
        case("c02 a secret without its end", &[InMain(KEY, "client_secret = \"CANARY")], &[
            r#"offhours.toml:4:24: broken TOML: invalid basic string, expected `"`"#,
            "  hint: put strings in quotes and each key on its own line",
        ]),
        case("c03 an unknown key, misspelt", &[AddRule("mode_ = \"observe\"")], &[
            "schedules/a.toml:5:1: unknown key `mode_` in `[[rule]]`",
            "  hint: did you mean `mode`?",
        ]),
        case("c03 an unknown key, in the wrong file", &[AddMain("[[rule]]\nname = \"x\"")], &[
            "offhours.toml:6:3: unknown key `rule` in this file",
            "  hint: write rules in separate files, in the directory that `schedules` names",
        ]),
        case("c03 an unknown section", &[AddMain("[calender]\nx = []")], &[
            "offhours.toml:6:2: unknown key `calender` in this file",
            "  hint: did you mean `calendars`?",
        ]),
        case("c03 a connection's key without a name", &[InMain("[connection.dev]", "[connection]")], &[
            "offhours.toml:4:1: `service_key` in `[connection]` is not under a name",
            "  hint: write `[connection.NAME]` above it",
        ]),
        case("c04 a key twice", &[AddRule("name = \"other\"")], &[
            "schedules/a.toml:5:1: `name` is a duplicate key",
            "  hint: remove one of the two",
        ]),
    ]
}

#[rustfmt::skip]
fn names() -> Vec<Case> {
    vec![
        case("c05 one name twice in a file", &[AddRules("[[rule]]\nname = \"dev-evenings\"\nstop = \"0 20 * * *\"\nselect = { resource_groups = [\"team-a\"] }")], &[
            "schedules/a.toml:10:8: the name `dev-evenings` is used by two rules",
            "  hint: the first is at schedules/a.toml:1:1; names are unique over all files",
        ]),
        case("c05 one name twice over files", &[File("schedules/b.toml", RULES)], &[
            "schedules/b.toml:2:8: the name `dev-evenings` is used by two rules",
            "  hint: the first is at schedules/a.toml:1:1; names are unique over all files",
        ]),
        case("c06 a name missing", &[InRules(NAME, "")], &[
            "schedules/a.toml:1:1: `name` is missing in `[[rule]]`",
            r#"  hint: for example `name = "dev-evenings"`"#,
        ]),
        case("c06 a name malformed", &[InRules(NAME, "name = \"Dev evenings\"")], &[
            "schedules/a.toml:2:8: `Dev evenings` is not a valid rule name: 1 to 64 of a-z 0-9 - are allowed",
            r#"  hint: for example `name = "dev-evenings"`"#,
        ]),
        case("c06 a connection with a malformed name", &[InMain("[connection.dev]", "[connection.\"a.b\"]"), AddRule("connection = \"dev\"")], &[
            "offhours.toml:3:1: `a.b` is not a valid connection name: 1 to 64 of A-Z a-z 0-9 _ - are allowed",
            "  hint: for example `[connection.dev]`",
        ]),
        case("c07 `stop` missing", &[InRules(STOP, "")], &[
            "schedules/a.toml:1:1: `stop` is missing in `[[rule]]`",
            r#"  hint: for example `stop = "0 19 * * MON-FRI"`"#,
        ]),
    ]
}

#[rustfmt::skip]
fn times() -> Vec<Case> {
    vec![
        case("c08 an hour out of range", &[InRules(STOP, "stop = \"0 25 * * MON-FRI\"")], &[
            "schedules/a.toml:3:8: `0 25 * * MON-FRI` is not a valid cron expression: hour 25 is out of range 0-23",
            "  hint: `0 19 * * MON-FRI` stops at 19:00 on weekdays; `offhours next '0 19 * * MON-FRI' --timezone Europe/Berlin` shows when",
        ]),
        case("c08 a weekday that is none", &[InRules(STOP, "stop = \"0 19 * * MON-FRO\"")], &[
            "schedules/a.toml:3:8: `0 19 * * MON-FRO` is not a valid cron expression: `MON-FRO` is not a valid weekday: SUN to SAT, or 0 to 7",
            "  hint: `0 19 * * MON-FRI` stops at 19:00 on weekdays; `offhours next '0 19 * * MON-FRI' --timezone Europe/Berlin` shows when",
        ]),
        case("c08 a range that runs backwards", &[InRules(UNTIL, "until = \"0 7 * * FRI-MON\"")], &[
            "schedules/a.toml:4:9: `0 7 * * FRI-MON` is not a valid cron expression: the range `FRI-MON` runs backwards: write both parts, as in `FRI-SAT,SUN-MON`",
            "  hint: `0 7 * * MON-FRI` ends the off window at 07:00 on weekdays; `offhours next '0 7 * * MON-FRI' --timezone Europe/Berlin` shows when",
        ]),
        case("c08 an hour in twelve", &[InRules(STOP, "stop = \"0 7pm * * *\"")], &[
            "schedules/a.toml:3:8: `0 7pm * * *` is not a valid cron expression: `7pm` is not a valid hour: 0 to 23",
            "  hint: `0 19 * * MON-FRI` stops at 19:00 on weekdays; `offhours next '0 19 * * MON-FRI' --timezone Europe/Berlin` shows when",
        ]),
        case("c70 an expression of AWS", &[InRules(STOP, "stop = \"0 19 * * ? *\"")], &[
            "schedules/a.toml:3:8: `0 19 * * ? *` is not a valid cron expression: it is written for AWS EventBridge (minute first, year last, 1 is Sunday)",
            "  hint: write `0 19 * * *`",
        ]),
        case("c70 an interval of AWS", &[InRules(UNTIL, "until = \"rate(12 hours)\"")], &[
            "schedules/a.toml:4:9: `rate(12 hours)` is not a valid cron expression: it is written for AWS EventBridge (minute first, year last, 1 is Sunday)",
            "  hint: `0 7 * * MON-FRI` ends the off window at 07:00 on weekdays; `offhours next '0 7 * * MON-FRI' --timezone Europe/Berlin` shows when",
        ]),
        case("c70 a systemd timer", &[InRules(STOP, "stop = \"Mon..Fri 19:00\"")], &[
            "schedules/a.toml:3:8: `Mon..Fri 19:00` is not a valid cron expression: it is written for systemd's OnCalendar",
            "  hint: write `0 19 * * MON-FRI`",
        ]),
        case("c09 four fields", &[InRules(STOP, "stop = \"0 19 * *\"")], &[
            "schedules/a.toml:3:8: `0 19 * *` is not a valid cron expression: a cron expression has 5 fields, or 6 with seconds first, not 4",
            "  hint: the five are minute, hour, day, month, weekday: `0 19 * * MON-FRI`",
        ]),
        case("c09 seven fields", &[InRules(STOP, "stop = \"0 0 19 * * * 2026\"")], &[
            "schedules/a.toml:3:8: `0 0 19 * * * 2026` is not a valid cron expression: a cron expression has 5 fields, or 6 with seconds first, not 7",
            "  hint: the five are minute, hour, day, month, weekday: `0 19 * * MON-FRI`",
        ]),
        case("c10 `stop` never fires", &[InRules(STOP, "stop = \"0 19 31 2 *\"")], &[
            "schedules/a.toml:3:8: `stop` never fires: no date matches `0 19 31 2 *`",
            "  hint: some dates, such as 30 February, do not exist; `0 19 * * MON-FRI` occurs",
        ]),
        case("c11 `until` never occurs", &[InRules(UNTIL, "until = \"0 7 30 2 *\"")], &[
            "schedules/a.toml:4:9: `until` never occurs: no date matches `0 7 30 2 *`",
            "  hint: some dates, such as 30 February, do not exist; `0 7 * * MON-FRI` occurs",
        ]),
        case("c12 no time zone anywhere", &[InMain(ZONE, "")], &[
            "schedules/a.toml:1:1: no time zone: neither this rule nor offhours.toml names one",
            r#"  hint: write `timezone = "Europe/Berlin"` here, or once at the head of offhours.toml"#,
        ]),
        case("c13 an unknown zone", &[InMain(ZONE, "timezone = \"Europe/Berln\"")], &[
            "offhours.toml:1:12: `Europe/Berln` is not a valid time zone",
            "  hint: did you mean `Europe/Berlin`?",
        ]),
        case("c13 an abbreviation", &[AddRule("timezone = \"CET\"")], &[
            "schedules/a.toml:5:12: `CET` is an abbreviation, not a time zone: name a place, as in `Europe/Berlin`, or `UTC`",
            "  hint: an abbreviation does not say when clocks change; a place does",
        ]),
        case("c13 another abbreviation", &[AddRule("timezone = \"EST\"")], &[
            "schedules/a.toml:5:12: `EST` is an abbreviation, not a time zone: name a place, as in `Europe/Berlin`, or `UTC`",
            "  hint: an abbreviation does not say when clocks change; a place does",
        ]),
    ]
}

#[rustfmt::skip]
fn selections() -> Vec<Case> {
    vec![
        case("c14 neither resource groups nor labels", &[InRules(GROUPS, "scenarios = [\"*\"]")], &[
            "schedules/a.toml:6:1: `[rule.select]` names neither `resource_groups` nor `labels`",
            r#"  hint: for example `resource_groups = ["dev-*"]`; every group is meant only by `["*"]`"#,
        ]),
        case("c14 no selection at all", &[InRules(SELECT, "")], &[
            "schedules/a.toml:1:1: `select` is missing in `[[rule]]`",
            r#"  hint: for example `select = { resource_groups = ["dev-*"] }`"#,
        ]),
        case("c15 no resource group in the list", &[InRules(GROUPS, "resource_groups = []")], &[
            "schedules/a.toml:7:19: `resource_groups` is an empty list",
            r#"  hint: for example `resource_groups = ["dev-*", "team-a"]`, or leave it out"#,
        ]),
        case("c15 no label in the table", &[InRules(GROUPS, "labels = {}")], &[
            "schedules/a.toml:7:10: `labels` is an empty table",
            r#"  hint: for example `labels = { "ext.ai.sap.com/env" = "dev" }`, or leave it out"#,
        ]),
        case("c16 an unknown connection", &[AddRule("connection = \"dew\"")], &[
            "schedules/a.toml:5:14: no connection is named `dew`",
            "  hint: did you mean `dev`?",
        ]),
        case("c16 several connections and none named", &[AddMain("[connection.prod]\nservice_key = \"dev.json\"")], &[
            "schedules/a.toml:1:1: `connection` is missing, and there are several: `dev`, `prod`",
            r#"  hint: for example `connection = "dev"`"#,
        ]),
        case("c17 a mode that is none", &[AddRule("mode = \"dry-run\"")], &[
            "schedules/a.toml:5:8: `dry-run` is not a valid `mode`: allowed are `enforce`, `observe`",
            r#"  hint: for example `mode = "enforce"`"#,
        ]),
        case("c17 a mode misspelt", &[AddRule("mode = \"observed\"")], &[
            "schedules/a.toml:5:8: `observed` is not a valid `mode`: allowed are `enforce`, `observe`",
            "  hint: did you mean `observe`?",
        ]),
        case("c18 a malformed glob", &[InRules(GROUPS, "resource_groups = [\"dev-*\", \"team-[ab]\"]")], &[
            "schedules/a.toml:7:29: `team-[ab]` is not a valid glob: a glob knows only `*` and `?`, not `[`",
            r#"  hint: for example `resource_groups = ["dev-*", "team-a"]`"#,
        ]),
        case("c18 every group, but not explicitly", &[InRules(GROUPS, "resource_groups = [\"**\"]")], &[
            "schedules/a.toml:7:19: `**` matches almost every resource group",
            r#"  hint: write `resource_groups = ["*"]` where every group is meant"#,
        ]),
        case("c19 an unknown key in select", &[InRules(GROUPS, "resource_groups = [\"dev-*\"]\nscenario = [\"*\"]")], &[
            "schedules/a.toml:8:1: unknown key `scenario` in `[rule.select]`",
            "  hint: did you mean `scenarios`?",
        ]),
        case("c19 an unknown key in exclude", &[AddRules("[rule.exclude]\nid = [\"d1234\"]")], &[
            "schedules/a.toml:10:1: unknown key `id` in `[rule.exclude]`",
            "  hint: did you mean `ids`?",
        ]),
    ]
}

#[rustfmt::skip]
fn durations() -> Vec<Case> {
    vec![
        case("c20 a duration of zero", &[AddRule("min_age = \"0m\"")], &[
            "schedules/a.toml:5:11: `min_age` is zero: `0m`",
            r#"  hint: for example `min_age = "30m"`"#,
        ]),
        case("c20 a negative duration", &[AddRule("verify_timeout = \"-5m\"")], &[
            "schedules/a.toml:5:18: `verify_timeout` is negative: `-5m`",
            r#"  hint: for example `verify_timeout = "15m"`"#,
        ]),
        case("c20 a duration over a year", &[AddRule("min_age = \"53weeks\"")], &[
            "schedules/a.toml:5:11: `min_age` is longer than a year: `53weeks`",
            r#"  hint: for example `min_age = "30m"`"#,
        ]),
        case("c20 a duration without a unit", &[AddRule("notice = \"30\"")], &[
            "schedules/a.toml:5:10: `30` is not a valid duration: write numbers with `s`, `m`, `h` or `d`",
            r#"  hint: for example `notice = "30m"`"#,
        ]),
        case("c20 a notice that comes too late to act on", &[AddRule("notice = \"4m\"")], &[
            "schedules/a.toml:5:10: `notice` is shorter than five minutes: that leaves no time to add a hold",
            r#"  hint: for example `notice = "30m"`"#,
        ]),
        case("c20 a number as a duration", &[AddRule("min_age = 30")], &[
            "schedules/a.toml:5:11: `min_age` takes a duration in quotes, not a whole number",
            r#"  hint: for example `min_age = "30m"`"#,
        ]),
    ]
}

#[rustfmt::skip]
fn dates_and_limits() -> Vec<Case> {
    vec![
        case("c21 a holiday that is not a valid date", &[AddRule("holidays = [\"2026-12-25\", \"26.12.2026\"]")], &[
            "schedules/a.toml:5:27: `26.12.2026` is not a valid date: write year, month and day, as 2026-12-25",
            r#"  hint: for example `holidays = ["2026-12-25", "2026-12-26"]`"#,
        ]),
        case("c21 a day that does not exist", &[AddRule("skip = [\"2026-02-30\"]")], &[
            "schedules/a.toml:5:9: `2026-02-30` is not a valid date: write year, month and day, as 2026-12-25",
            r#"  hint: for example `skip = ["2026-12-31"]`"#,
        ]),
        case("c21 a calendar that nobody defines", &[AddRule("holidays = \"de-bw\"")], &[
            "schedules/a.toml:5:12: `de-bw` is not a calendar: offhours.toml defines none",
            "  hint: define it under `[calendars]`, name a file that ends in `.ics` or `.txt`, or list dates",
        ]),
        case("c21 a calendar misspelt", &[AddMain("[calendars]\nde-bw = [\"2026-12-25\"]"), AddRule("holidays = \"de-bv\"")], &[
            "schedules/a.toml:5:12: `de-bv` is not a calendar that offhours.toml defines",
            "  hint: did you mean `de-bw`?",
        ]),
        case("c21 a date file with a wrong line", &[File("schedules/free.txt", "# ours\n2026-12-24 # Christmas Eve\nnext friday\n"), AddRule("skip = \"free.txt\"")], &[
            "schedules/free.txt:3:1: `next friday` is not a valid date",
            "  hint: write one date a line, as 2026-12-25; `#` begins a comment",
        ]),
        case("c21 an event that is not all-day", &[File("schedules/de.ics", ICS_WITH_TIME), AddRule("holidays = \"de.ics\"")], &[
            "schedules/de.ics:1:1: no whole day in this calendar: its events are meetings of some hours",
            "  hint: only all-day events make a calendar of days: `DTSTART;VALUE=DATE:20261225`",
        ]),
        case("c21 a calendar file that is missing", &[AddRule("holidays = \"gone.ics\"")], &[
            "schedules/a.toml:5:12: the calendar `schedules/gone.ics` cannot be read: No such file or directory (os error 2)",
            "  hint: a relative path begins where this file is",
        ]),
        case("c22 `max_stops` of 0", &[AddRule("max_stops = 0")], &[
            "schedules/a.toml:5:13: `max_stops` is out of range 1-10000: 0",
            "  hint: for example `max_stops = 50`",
        ]),
        case("c22 `max_stops` over 10000", &[AddRule("max_stops = 10_001")], &[
            "schedules/a.toml:5:13: `max_stops` is out of range 1-10000: 10001",
            "  hint: for example `max_stops = 50`",
        ]),
    ]
}

#[rustfmt::skip]
fn prices() -> Vec<Case> {
    vec![
        case("c23 a price that is not in quotes", &[Prices("capacity_unit = 0.95")], &[
            "offhours.toml:10:17: `capacity_unit` needs quotes: a number without quotes would be rounded",
            r#"  hint: for example `capacity_unit = "0.95"`"#,
        ]),
        case("c23 a negative price", &[Prices("capacity_unit = \"-0.95\"")], &[
            "offhours.toml:10:17: `-0.95` is not a valid decimal: it is negative",
            r#"  hint: for example `capacity_unit = "0.95"`"#,
        ]),
        case("c23 not a number", &[Prices("capacity_unit = \"NaN\"")], &[
            "offhours.toml:10:17: `NaN` is not a valid decimal: it is not a finite number",
            r#"  hint: for example `capacity_unit = "0.95"`"#,
        ]),
        case("c23 an infinite price, unquoted", &[Prices("capacity_unit = inf")], &[
            "offhours.toml:10:17: `capacity_unit` needs quotes: a number without quotes would be rounded",
            r#"  hint: for example `capacity_unit = "0.95"`"#,
        ]),
        case("c23 a decimal comma", &[Prices("capacity_unit = \"0,95\"")], &[
            "offhours.toml:10:17: `0,95` is not a valid decimal: the decimal sign is a point, not a comma",
            r#"  hint: for example `capacity_unit = "0.95"`"#,
        ]),
        case("c23 an exponent", &[Prices("capacity_unit = \"95e-2\"")], &[
            "offhours.toml:10:17: `95e-2` is not a valid decimal: an exponent is not allowed",
            r#"  hint: for example `capacity_unit = "0.95"`"#,
        ]),
        case("c23 capacity units that are not in quotes", &[Prices("capacity_unit = \"0.95\"\ncapacity_units_per_node_hour = { \"infer.s\" = 0.9 }")], &[
            "offhours.toml:11:46: `infer.s` needs quotes: a number without quotes would be rounded",
            r#"  hint: for example `"infer.s" = "0.90"`"#,
        ]),
        case("c23 a plan whose dot is not in quotes", &[Prices("capacity_unit = \"0.95\"\ncapacity_units_per_node_hour.infer.s = \"0.9\"")], &[
            "offhours.toml:11:30: `infer` has a dot without quotes, which means a table inside a table",
            r#"  hint: put a name that has dots in quotes, as in `"infer.s"`"#,
        ]),
        case("c23 a currency that is none", &[Prices("capacity_unit = \"0.95\""), InMain("\"EUR\"", "\"EURO\"")], &[
            "offhours.toml:7:12: `EURO` is not an ISO 4217 currency",
            r#"  hint: for example `currency = "EUR"`"#,
        ]),
        case("c23 a currency in small letters", &[Prices("capacity_unit = \"0.95\""), InMain("\"EUR\"", "\"eur\"")], &[
            "offhours.toml:7:12: `eur` is not an ISO 4217 currency",
            "  hint: did you mean `EUR`?",
        ]),
        case("c23 one period beside several", &[Prices("capacity_unit = \"0.95\"\n[[prices.period]]\nvalid_from = 2027-01-01\ncapacity_unit = \"1.00\"\nsource = \"x\"")], &[
            "offhours.toml:8:10: `source` in `[prices]` belongs to no period, because there are `[[prices.period]]`",
            "  hint: move it into a period; only `currency` may be outside of periods",
            "offhours.toml:9:14: `valid_from` in `[prices]` belongs to no period, because there are `[[prices.period]]`",
            "  hint: move it into a period; only `currency` may be outside of periods",
            "offhours.toml:10:17: `capacity_unit` in `[prices]` belongs to no period, because there are `[[prices.period]]`",
            "  hint: move it into a period; only `currency` may be outside of periods",
        ]),
    ]
}

#[rustfmt::skip]
fn mail() -> Vec<Case> {
    vec![
        case("c24 no recipients", &[Mail("to = []")], &[
            "offhours.toml:9:6: `to` is an empty list",
            r#"  hint: for example `to = ["finops@example.com"]`"#,
        ]),
        case("c24 a malformed recipient", &[Mail("to = [\"finops@example.com\", \"nobody\"]")], &[
            "offhours.toml:9:29: `nobody` is not a valid mail address",
            "  hint: write `name@example.com` or `Name <name@example.com>`",
        ]),
        case("c24 more than 50", &[MailToMany], &[
            "offhours.toml:9:6: `to` names 51 recipients, and 50 are allowed",
            "  hint: use a mailing list's address",
        ]),
        case("c24 a line end in a recipient", &[Mail("to = [\"a@example.com\\r\\nBcc: b@example.com\"]")], &[
            r"offhours.toml:9:7: `a@example.com\r\nBcc: b@example.com` holds a line end or another control character",
            "  hint: write each mail address on one line, and several as a list",
        ]),
        case("c24 a rule's recipient", &[AddRule("to = [\"team a\"]")], &[
            "schedules/a.toml:5:7: `team a` is not a valid mail address",
            "  hint: write `name@example.com` or `Name <name@example.com>`",
        ]),
        case("c25 no sender", &[Mail("to = [\"finops@example.com\"]"), InMain("from = \"offhours@example.com\"", "")], &[
            "offhours.toml:6:1: `from` is missing in `[mail]`",
            r#"  hint: for example `from = "offhours <offhours@example.com>"`"#,
        ]),
        case("c25 a malformed sender", &[Mail("to = [\"finops@example.com\"]"), InMain("from = \"offhours@example.com\"", "from = \"offhours\"")], &[
            "offhours.toml:8:8: `offhours` is not a valid mail address",
            "  hint: write `name@example.com` or `Name <name@example.com>`",
        ]),
        case("c25 a line end in the sender", &[Mail("to = [\"finops@example.com\"]"), InMain("from = \"offhours@example.com\"", "from = \"a@example.com\\nX: y\"")], &[
            r"offhours.toml:8:8: `a@example.com\nX: y` holds a line end or another control character",
            "  hint: write each mail address on one line, and several as a list",
        ]),
        case("c26 smtp in clear to another machine", &[Mail("to = [\"finops@example.com\"]"), InMain("smtps://", "smtp://")], &[
            "offhours.toml:7:8: `smtp://` sends in clear, and `mail.example.com` is not this machine",
            "  hint: write `smtps://mail.example.com` or `smtp+starttls://mail.example.com`",
        ]),
        case("c26 a login in the URL", &[Mail("to = [\"finops@example.com\"]"), InMain("smtps://", "smtps://offhours:CANARY@")], &[
            "offhours.toml:7:8: the URL of `smtp` contains a login",
            "  hint: write `username` and `password_file` instead, and change the password",
        ]),
        case("c26 a scheme that is unknown", &[Mail("to = [\"finops@example.com\"]"), InMain("smtps://", "https://CANARY.")], &[
            "offhours.toml:7:8: the scheme of `smtp` is unknown",
            "  hint: allowed are `smtps://`, `smtp+starttls://`, and `smtp://` for loopback",
        ]),
    ]
}

#[rustfmt::skip]
fn monitoring() -> Vec<Case> {
    vec![
        case("monitoring a heartbeat in clear", &[AddMain("[monitoring]\nheartbeat_url = \"http://hc.example.com/CANARY\"")], &[
            "offhours.toml:7:17: `heartbeat_url` is neither `https://`, nor `http://` on this machine",
            "  hint: it looks like `https://hc-ping.com/your-uuid`",
        ]),
        case("monitoring a heartbeat that is not a valid URL", &[AddMain("[monitoring]\nheartbeat_url = \"CANARY\"")], &[
            "offhours.toml:7:17: `heartbeat_url` is not a valid URL",
            "  hint: it looks like `https://hc-ping.com/your-uuid`",
        ]),
        case("monitoring a heartbeat with a login", &[AddMain("[monitoring]\nheartbeat_url = \"https://u:CANARY@hc.example.com/\"")], &[
            "offhours.toml:7:17: `heartbeat_url` has a login in it",
            "  hint: remove it, and change the password",
        ]),
        case("monitoring two heartbeats", &[AddMain("[monitoring]\nheartbeat_url = \"https://hc.example.com/CANARY\"\nheartbeat_url_env = \"HEARTBEAT\"")], &[
            "offhours.toml:8:21: `heartbeat_url` and `heartbeat_url_env` are mutually exclusive",
            "  hint: keep one of them",
        ]),
        case("monitoring a heartbeat's file that others can read", &[AddMain("[monitoring]\nheartbeat_url_file = \"heartbeat-url\""), File("heartbeat-url", "https://hc.example.com/CANARY\n"), Mode("heartbeat-url", 0o644)], &[
            "offhours.toml:7:22: the file that `heartbeat_url_file` names can be read by group or others (mode 644)",
            "  hint: run `chmod 600 heartbeat-url`",
        ]),
        case("monitoring a heartbeat's file without a URL", &[AddMain("[monitoring]\nheartbeat_url_file = \"heartbeat-url\""), File("heartbeat-url", "CANARY\n")], &[
            "offhours.toml:7:22: what `heartbeat_url_file` names is not a valid URL",
            "  hint: it looks like `https://hc-ping.com/your-uuid`",
        ]),
        case("monitoring a page for everybody", &[AddMain("[monitoring]\nlisten = \"0.0.0.0:9464\"")], &[
            "offhours.toml:7:10: `listen` is reachable from other machines, without a login",
            "  hint: write `127.0.0.1:9464`; a proxy can serve others",
        ]),
        case("monitoring a page without a port", &[AddMain("[monitoring]\nlisten = \"127.0.0.1\"")], &[
            "offhours.toml:7:10: `listen` is not an address with a port",
            r#"  hint: for example `listen = "127.0.0.1:9464"`"#,
        ]),
    ]
}

#[rustfmt::skip]
fn service_keys() -> Vec<Case> {
    vec![
        case("c27 http in a service key", &[Key("https://api.example.com", "http://api.example.com")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: `serviceurls.AI_API_URL` cannot be used: `http://` would send the secret in clear: use `https://`",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 user info in a service key", &[Key("https://api.", "https://me:CANARY@api.")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: `serviceurls.AI_API_URL` cannot be used: it holds a user name or a password: remove them",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 a query in a service key", &[Key("https://auth.example.com", "https://auth.example.com?secret=CANARY")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: `url` cannot be used: it holds a query or a fragment: remove them",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 a fragment in a service key", &[Key("https://auth.example.com", "https://auth.example.com#CANARY")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: `url` cannot be used: it holds a query or a fragment: remove them",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 a service key without its secret", &[Key("clientsecret", "clientsacret")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: `clientsecret` or `certificate` and `key` is missing",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 a service key that is no JSON", &[Key("{", "CANARY {")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: it is not valid JSON from line 1, column 1 on",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 the name of a file in the place of a service key", &[File("dev.json", "/etc/offhours/key.json\n")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: it is the name of a file, and the key itself is expected: name a file with `service_key = \"dev.json\"`",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 a certificate that is none", &[Key(r#""clientsecret": "#, r#""certificate": "-----BEGIN CERTIFICATE-----\nCANARY", "certurl": "https://auth.example.com", "key": "#)], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: `certificate` and `key` are not a usable PEM pair: download the key again (X.509 v1 is not supported)",
            "  hint: download the service key again from the BTP cockpit",
        ]),
        case("c27 http on the token's URL", &[Key("https://auth.example.com", "http://auth.example.com")], &[
            "offhours.toml:4:15: the service key that `service_key` names cannot be used: `url` cannot be used: `http://` would send the secret in clear: use `https://`",
            "  hint: download the service key again from the BTP cockpit",
        ]),
    ]
}

#[rustfmt::skip]
fn secrets() -> Vec<Case> {
    vec![
        case("c28 a password", &[Mail("to = [\"finops@example.com\"]\npassword = \"CANARY\"")], &[
            "offhours.toml:10:1: `password` is a secret, and this file must not contain secrets",
            r#"  hint: name where the password is: `password_file = "smtp-password"` (a file of mode 600), `password_credential` or `password_env`"#,
        ]),
        case("c28 a client secret", &[InMain(KEY, "client_secret = \"CANARY\"")], &[
            "offhours.toml:4:1: `client_secret` is a secret, and this file must not contain secrets",
            r#"  hint: name where the service key is: `service_key = "dev.json"` (a file of mode 600), `credential = "dev-key"` or `env = "AICORE_SERVICE_KEY"`"#,
        ]),
        case("c28 a service key written out as text", &[InMain(KEY, "service_key = '{ \"clientsecret\": \"CANARY\" }'")], &[
            "offhours.toml:4:15: `service_key` is given the secret itself, and this file must not contain secrets",
            r#"  hint: move it to a file of mode 600 and name that: for example `service_key = "dev.json"`"#,
        ]),
        case("c28 a service key written out as a table", &[InMain(KEY, "[connection.dev.service_key]\nclientsecret = \"CANARY\"")], &[
            "offhours.toml:4:1: `service_key` is given the secret itself, and this file must not contain secrets",
            r#"  hint: move it to a file of mode 600 and name that: for example `service_key = "dev.json"`"#,
        ]),
        case("c28 a token in a rule", &[AddRule("api_token = \"CANARY\"")], &[
            "schedules/a.toml:5:1: `api_token` is a secret, and this file must not contain secrets",
            "  hint: put it into a file of mode 600, a systemd credential or an environment variable",
        ]),
        case("c28 a connection's secret without a name", &[InMain("[connection.dev]", "[connection]"), InMain(KEY, "clientsecret = \"CANARY\"")], &[
            "offhours.toml:4:1: `clientsecret` is a secret, and this file must not contain secrets",
            r#"  hint: name where the service key is: `service_key = "dev.json"` (a file of mode 600), `credential = "dev-key"` or `env = "AICORE_SERVICE_KEY"`"#,
        ]),
        case("c29 a service key that others can read", &[Mode("dev.json", 0o644)], &[
            "offhours.toml:4:15: the file that `service_key` names can be read by group or others (mode 644)",
            "  hint: run `chmod 600 dev.json`",
        ]),
        case("c29 a password that the group can read", &[Mail("to = [\"finops@example.com\"]\nusername = \"offhours\"\npassword_file = \"smtp-password\""), File("smtp-password", "CANARY\n"), Mode("smtp-password", 0o640)], &[
            "offhours.toml:11:17: the file that `password_file` names can be read by group or others (mode 640)",
            "  hint: run `chmod 600 smtp-password`",
        ]),
        case("c29 a password file that is missing", &[Mail("to = [\"finops@example.com\"]\nusername = \"offhours\"\npassword_file = \"CANARY\"")], &[
            "offhours.toml:11:17: the file that `password_file` names cannot be read: No such file or directory (os error 2)",
            "  hint: a relative path begins where this file is",
        ]),
    ]
}

#[rustfmt::skip]
fn sizes() -> Vec<Case> {
    vec![
        case("c30 a file over 1 MiB", &[LargeRules], &[
            "schedules/a.toml:1:1: this file is larger than 1 MiB",
            "  hint: this is not the file you mean, or it should be several",
        ]),
        case("c30 a file over 1000 rules", &[ManyRules], &[
            "schedules/a.toml:8001:1: this file has 1001 rules, and 1000 are allowed",
            "  hint: spread them over several files; one over the limit begins here",
        ]),
        case("c30 not UTF-8", &[BytesInRules(b"dev-evenings", b"d\xc3\xa9v-\xff")], &[
            "schedules/a.toml:2:13: this file is not UTF-8 text",
            "  hint: save it as UTF-8; the first wrong byte is here",
        ]),
        case("c30 with NUL", &[BytesInRules(b"evenings", b"even\0ngs")], &[
            "schedules/a.toml:2:17: this file holds a NUL character",
            "  hint: it is damaged, or not a text file (UTF-16 perhaps): save it as UTF-8",
        ]),
    ]
}
