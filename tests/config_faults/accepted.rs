//! What is right, and what it comes to; and what is only odd.

use std::fmt::Write as _;

use chrono::NaiveDate;
use offhours::aicore::KeySource;
use offhours::config::{AttachmentForm, Config, ReportPeriod};
use offhours::domain::id::RuleName;
use offhours::domain::rule::{MailWhen, Mode, Rule};
use offhours::mail::settings::{Delivery, Locale, Security};
use offhours::monitor::MonitoringSettings;
use offhours::monitor::ping::PingTarget;
use offhours::secret::SecretSource;

use crate::config_faults::files::*;

fn accepted(edits: &[Edit]) -> Config {
    Files::with(edits).load().unwrap_or_else(|faults| panic!("{faults}")).0
}

fn rule(edits: &[Edit]) -> Rule {
    accepted(edits).rules[0].as_ref().clone()
}

fn warnings(edits: &[Edit]) -> String {
    let files = Files::with(edits);
    let (_, warnings) = files.load().unwrap_or_else(|faults| panic!("{faults}"));
    let mut text = String::new();
    for warning in warnings {
        let _ = writeln!(text, "{warning}");
    }
    files.without_directory(&text)
}

fn days(dates: impl IntoIterator<Item = NaiveDate>) -> Vec<String> {
    dates.into_iter().map(|date| date.to_string()).collect()
}

#[test]
fn every_key_of_a_rule_is_read() {
    let rule = rule(&[
        AddRule(
            "description = \"x\"\nconnection = \"dev\"\ntimezone = \"Asia/Tokyo\"\nmode = \"observe\"\nmax_stops = 7\n\
             min_age = \"1h 30m\"\nverify_timeout = \"5m\"\nnotice = \"30m\"\nmail = \"problems\"\n\
             to = [\"Team A <a@example.com>\"]\nholidays = [2026-12-25, \"2026-12-26\"]\nskip = [\"2026-12-31\"]",
        ),
        InRules(
            GROUPS,
            "labels = { \"ext.ai.sap.com/env\" = \"dev\" }\nscenarios = [\"*\"]\nexecutables = [\"e\"]\n\
             configurations = [\"c-?\"]\ninclude_token_billed = true\n[rule.exclude]\nids = [\"d1234\"]",
        ),
    ]);
    assert_eq!((rule.description.as_deref(), rule.connection.as_str()), (Some("x"), "dev"));
    assert_eq!((rule.schedule.zone.name(), rule.mode, rule.mail), ("Asia/Tokyo", Mode::Observe, MailWhen::Problems));
    assert_eq!((rule.max_stops, rule.min_age.num_minutes(), rule.verify_timeout.num_minutes()), (7, 90, 5));
    assert_eq!(rule.notice.map(|notice| notice.num_minutes()), Some(30));
    assert_eq!(rule.to, ["Team A <a@example.com>"]);
    assert_eq!(days(rule.schedule.holidays), ["2026-12-25", "2026-12-26"]);
    assert_eq!(days(rule.schedule.skip), ["2026-12-31"]);
    assert_eq!(rule.select.labels["ext.ai.sap.com/env"], "dev");
    assert!(rule.select.resource_groups.is_empty() && rule.select.include_token_billed);
    assert_eq!(rule.exclude.ids.len(), 1);
}

#[test]
fn a_rule_that_is_switched_off_is_checked_and_does_not_fire() {
    let config = accepted(&[AddRule("enabled = false")]);
    assert!(config.rules.is_empty());
    assert_eq!(config.disabled.iter().map(RuleName::as_str).collect::<Vec<_>>(), ["dev-evenings"]);
    let faults = Files::with(&[AddRule("enabled = false\nmax_stops = 0")]).faults();
    assert!(faults.contains("`max_stops` is out of range"), "{faults}");
}

#[test]
fn a_calendar_is_a_list_a_file_or_a_name() {
    let ics = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let text = "# closed\n2026-12-24\n\n2026-12-31 # New Year's Eve\n";
    let files = [File("de.ics", ics), File("schedules/own.txt", text)];
    let defined = AddMain("[calendars]\nde = \"de.ics\"\nie = [\"2027-03-17\"]");
    let holidays = |line| days(rule(&[files[0], files[1], defined, AddRule(line)]).schedule.holidays);
    assert_eq!(holidays("holidays = \"de\""), ["2026-12-25"]);
    assert_eq!(holidays("holidays = \"ie\""), ["2027-03-17"]);
    assert_eq!(holidays("holidays = \"own.txt\""), ["2026-12-24", "2026-12-31"]);
    assert_eq!(holidays("holidays = \"../de.ics\""), ["2026-12-25"]);
}

#[test]
fn prices_have_one_period_or_several_in_order() {
    let one =
        accepted(&[Prices("capacity_unit = \"0.95\"\ncapacity_units_per_node_hour = { \"infer.s\" = \"0.90\" }")]);
    assert_eq!(one.prices.periods.len(), 1);
    assert_eq!(one.prices.periods[0].capacity_units_per_node_hour["infer.s"].to_string(), "0.90");
    let several = accepted(&[AddMain(
        "[prices]\ncurrency = \"EUR\"\n\
         [[prices.period]]\nvalid_from = 2027-01-01\ncapacity_unit = \"1.02\"\nsource = \"b\"\ncurrency = \"USD\"\n\
         [[prices.period]]\nvalid_from = 2026-01-01\ncapacity_unit = \"0.95\"\nsource = \"a\"",
    )]);
    let periods: Vec<String> = several
        .prices
        .periods
        .iter()
        .map(|p| format!("{} {} {} {}", p.valid_from, p.capacity_unit, p.currency, p.source))
        .collect();
    assert_eq!(periods, ["2026-01-01 0.95 EUR a", "2027-01-01 1.02 USD b"]);
}

#[test]
fn mail_goes_to_a_server_or_into_a_directory() {
    let mail = |lines, old, new| accepted(&[Mail(lines), InMain(old, new)]).mail.unwrap();
    let to = "to = [\"finops@example.com\"]\nlocale = \"de\"";
    let smtp = |url| match mail(to, "smtps://mail.example.com", url).delivery {
        Delivery::Smtp(smtp) => (smtp.security, smtp.host, smtp.port),
        Delivery::Directory(path) => panic!("{}", path.display()),
    };
    assert_eq!(smtp("smtps://mail.example.com"), (Security::Tls, "mail.example.com".to_owned(), 465));
    assert_eq!(smtp("smtp+starttls://mail.example.com/"), (Security::StartTls, "mail.example.com".to_owned(), 587));
    assert_eq!(smtp("smtp://localhost:2525"), (Security::None, "localhost".to_owned(), 2525));
    assert_eq!(smtp("smtp://[::1]"), (Security::None, "::1".to_owned(), 25));
    assert_eq!(smtp("smtp://127.0.0.2"), (Security::None, "127.0.0.2".to_owned(), 25));
    let files = mail(to, "smtp = \"smtps://mail.example.com\"", "directory = \"outbox\"");
    assert!(matches!(files.delivery, Delivery::Directory(path) if path.ends_with("outbox")));
    assert_eq!(files.locale, Locale::De);
}

#[test]
fn a_report_takes_its_recipients_and_zone_from_above() {
    let config = accepted(&[Mail(
        "to = [\"finops@example.com\"]\n[[report]]\nname = \"weekly\"\ncron = \"0 8 * * MON\"\nperiod = \"last-week\"\nattach = [\"csv\", \"json\"]",
    )]);
    let report = &config.reports[0];
    assert_eq!(
        (report.name.as_str(), report.period, report.zone.name()),
        ("weekly", ReportPeriod::LastWeek, "Europe/Berlin")
    );
    assert_eq!(
        (report.to.len(), report.attach.as_slice()),
        (1, [AttachmentForm::Csv, AttachmentForm::Json].as_slice())
    );
}

#[test]
fn a_service_key_may_serve_over_http_on_loopback() {
    for url in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9"] {
        let config = accepted(&[Key("https://api.example.com", url), Key("https://auth.example.com", url)]);
        assert_eq!(config.connections.len(), 1);
    }
}

#[test]
fn a_secret_that_exists_only_elsewhere_is_no_fault() {
    let text = warnings(&[
        InMain(KEY, "credential = \"CANARY\"\n[connection.b]\nenv = \"OFFHOURS_TEST_CANARY\""),
        AddRule("connection = \"b\""),
    ]);
    assert_eq!(
        text,
        "offhours.toml:4:14: warning: the credential that `credential` names is not here; systemd has to load it\n\
         offhours.toml:6:7: warning: the environment variable that `env` names is not set here\n"
    );
    let config = accepted(&[InMain(KEY, "credential = \"dev-key\"")]);
    assert_eq!(
        config.connections.values().next().map(|c| c.key.clone()),
        Some(KeySource::Secret(SecretSource::Credential("dev-key".to_owned())))
    );
    let config = accepted(&[InMain(KEY, "")]);
    assert_eq!(config.connections.values().next().map(|c| c.key.clone()), Some(KeySource::Ambient));
}

#[test]
fn a_login_names_where_its_password_is() {
    let config = accepted(&[Mail(
        "to = [\"finops@example.com\"]\nusername = \"offhours\"\npassword_env = \"OFFHOURS_TEST_CANARY\"",
    )]);
    let Delivery::Smtp(smtp) = config.mail.unwrap().delivery else { panic!("no server") };
    assert_eq!(smtp.login.unwrap().password, SecretSource::Env("OFFHOURS_TEST_CANARY".to_owned()));
}

#[test]
fn what_is_odd_is_said_and_accepted() {
    let text = warnings(&[
        InRules(UNTIL, "holidays = [\"2025-12-25\"]"),
        InRules(STOP, "stop = \"0 19 25 12 *\"\nskip = [\"2026-12-25\"]\nto = [\"a@example.com\"]"),
    ]);
    assert_eq!(
        text,
        "schedules/a.toml:4:8: warning: because of `skip`, rule `dev-evenings` does not fire before 2027-12-25\n\
         schedules/a.toml:5:6: warning: rule `dev-evenings` names recipients, and offhours.toml has no `[mail]`\n\
         schedules/a.toml:6:12: warning: `holidays` of rule `dev-evenings` has no effect without `until`\n\
         schedules/a.toml:6:12: warning: `holidays` of rule `dev-evenings` is out of date: its last day was 2025-12-25\n"
    );
}

#[test]
fn c72_a_glob_that_looks_like_a_regular_expression_is_said_with_the_glob_to_write() {
    let text = warnings(&[
        AddMain("[protect]\nresource_groups = [\"prod.*\", \"prod*\"]\nconfigurations = [\"^fraud\"]"),
        AddRules("[rule.exclude]\nexecutables = [\"train$\"]"),
    ]);
    let said = |key: &str, glob: &str, meant: &str| {
        format!(
            "`{glob}` in `{key}` looks like a regular expression, but here `.`, `^` and `$` are plain characters: write \
             `{meant}`\n"
        )
    };
    let lines = [
        ("offhours.toml:7:19", said("resource_groups", "prod.*", "prod*")),
        ("offhours.toml:8:18", said("configurations", "^fraud", "fraud*")),
        ("schedules/a.toml:10:15", said("executables", "train$", "*train")),
    ];
    assert_eq!(text, lines.map(|(place, said)| format!("{place}: warning: {said}")).concat());
}

#[test]
fn c72_a_label_without_its_prefix_is_said_with_the_whole_key() {
    let text = warnings(&[AddMain("[protect]\nlabels = { env = \"prod\", \"ext.ai.sap.com/team\" = \"a\" }")]);
    let said = "label `env` has no prefix, and labels of AI Core do: write `ext.ai.sap.com/env`";
    assert_eq!(text, format!("offhours.toml:7:10: warning: {said}\n"));
}

#[test]
fn c74_a_calendar_that_ends_within_a_month_is_said_and_one_of_yearly_events_is_not() {
    let said = "warning: `skip` of rule `dev-evenings` ends on 2026-12-22: add the dates that follow";
    assert!(warnings(&[AddRule("skip = [\"2026-12-21\", \"2026-12-22\"]")]).contains(said));
    assert_eq!(warnings(&[AddRule("skip = [\"2026-12-21\", \"2026-12-24\"]")]), "", "there is time");
    assert_eq!(warnings(&[AddRule("skip = [\"2026-12-01\"]")]), "", "one date is no calendar");
    let yearly = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20201225\r\nRRULE:FREQ=YEARLY\r\n\
                  END:VEVENT\r\nEND:VCALENDAR\r\n";
    assert_eq!(warnings(&[File("schedules/de.ics", yearly), AddRule("holidays = \"de.ics\"")]), "");
}

#[test]
fn nobody_is_told_unless_the_file_says_so() {
    assert_eq!(accepted(&[]).monitoring, MonitoringSettings::default());
    let both = accepted(&[
        AddMain("[monitoring]\nheartbeat_url_file = \"url\"\nlisten = \"[::1]:9464\""),
        File("url", "https://hc.example.com/CANARY\n"),
    ]);
    assert!(matches!(both.monitoring.heartbeat, Some(PingTarget::Elsewhere(SecretSource::File(_)))));
    assert_eq!(both.monitoring.listen, Some("[::1]:9464".parse().unwrap()));
    let here = accepted(&[AddMain("[monitoring]\nheartbeat_url = \"https://hc.example.com/CANARY\"")]);
    assert!(here.monitoring.heartbeat.is_some() && !format!("{here:?}").contains(CANARY));
}

#[test]
fn c79_the_old_name_of_formats_is_read_and_warned_of() {
    let text = warnings(&[Mail("to = [\"finops@example.com\"]\nlocale = \"de\"")]);
    assert!(text.contains("`locale` was renamed to `formats`: it sets how dates and numbers are written"), "{text}");
}

#[test]
fn c54_a_folder_without_rules_is_said_with_what_looks_like_rules_and_is_not_read() {
    let files = Files::new();
    std::fs::rename(files.path("schedules/a.toml"), files.path("schedules/A.TOML")).unwrap();
    files.apply(File("schedules/b.toml.txt", ""));
    std::fs::create_dir(files.path("schedules/team")).unwrap();
    files.apply(File("schedules/team/c.toml", ""));
    files.apply(File("schedules/README.md", "how we write rules"));
    let (config, found) = files.load().unwrap();
    assert!(config.rules.is_empty());
    let found: Vec<String> = found.into_iter().map(|warning| warning.message).collect();
    let has = |text: &str| assert!(found.iter().any(|said| said.contains(text)), "{text} in {found:#?}");
    has("A.TOML` is not read: the name of a rule file ends in `.toml`");
    has("b.toml.txt` is not read");
    has("team` are not read: folders are not");
    has("so nothing is ever stopped");
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn c55_prices_that_make_every_figure_nothing_are_said() {
    let text = warnings(&[AddMain(
        "[prices]\ncurrency = \"EUR\"\ncapacity_unit = \"0\"\nsource = \"x\"\nvalid_from = 2099-01-01\n\
         capacity_units_per_node_hour = { \"infer.s\" = \"0.0\" }",
    )]);
    for said in [
        "no price is in force yet: the first one is valid from 2099-01-01",
        "`capacity_unit` from 2099-01-01 on is 0",
        "`infer.s` costs 0 capacity units",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn c57_a_place_where_no_ledger_can_be_kept_is_said_and_nothing_is_made() {
    let files = Files::with(&[InMain("[connection", "state_dir = \"dev.json/state\"\n[connection")]);
    let (_, found) = files.load().unwrap();
    assert!(found.iter().any(|said| said.message.contains("dev.json` is not a directory")), "{found:?}");
    let (_, none) =
        Files::with(&[InMain("[connection", "state_dir = \"far/away/state\"\n[connection")]).load().unwrap();
    assert!(none.is_empty(), "{none:?}");
}
