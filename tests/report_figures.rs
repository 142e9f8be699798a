//! The same figure everywhere: in text, HTML, CSV and JSON, to the cent.

use std::collections::BTreeMap;
use std::io::Read;

use crate::report_support::{
    Become, HOSTILE, berlin, blocked, context, csv, decimal, digest, failure, good, history_table, hostile, huge,
    json_period, json_run, kind, last_week, observed, partial, priced, row, run, week,
};
use chrono::TimeDelta;
use offhours::domain::avoided::AvoidedState;
use offhours::domain::deployment::Status;
use offhours::domain::locale::Locale;
use offhours::domain::plain_text::LONGEST;
use offhours::domain::reason::{Reason, ReasonCode};
use offhours::domain::rule::Mode;
use offhours::domain::run::{DeploymentResult, Outcome, Run, RunResult};
use offhours::report::grid::Screen;
use offhours::report::{
    AttachedFile, Content, CsvForm, CsvWriter, LARGEST_ATTACHMENTS, PeriodReport, ReportContext, Trend, TrendPoint,
    period_report, run_report, run_summary,
};
use rust_decimal::Decimal;

/// The largest mail that leaves, in bytes.
const LARGEST: usize = 256 * 1024;

fn records(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    ::csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

/// What is in an attachment that was compressed.
fn unzipped(attachment: &AttachedFile) -> Vec<u8> {
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(attachment.bytes.as_slice()).read_to_end(&mut whole).unwrap();
    whole
}

fn total_of_csv(bytes: &[u8], column: &str) -> Decimal {
    records(bytes).iter().map(|record| &record[column]).filter(|text| !text.is_empty()).map(|text| decimal(text)).sum()
}

fn period(runs: &[Run], locale: Locale) -> (Content, serde_json::Value) {
    let (zone, period, trend) = (berlin(), last_week(), Trend::default());
    let digest = digest(runs);
    let report =
        PeriodReport { period: &period, digest: &digest, trend: &trend, holds: &[], notes: &[], restates: None };
    (period_report(&report, &ReportContext { locale, ..context(&zone) }), json_period(&report, runs))
}

#[test]
fn a_weeks_total_is_one_figure_in_four_forms() {
    let runs = week();
    let (content, json) = period(&runs, Locale::En);
    let rows = runs.iter().filter(|run| run.mode == Mode::Enforce).flat_map(|run| &run.deployments);
    let expected: Decimal = rows.filter_map(|row| row.avoided().cost).map(|money| money.amount).sum();
    assert_eq!(expected, decimal("1004.67"));
    assert!(content.subject.contains("EUR 1,004.67 avoided (estimate)"), "{}", content.subject);
    // The share, the figure, and the total of the runs' table; in HTML the title too.
    assert_eq!(content.text.matches("EUR 1,004.67").count(), 3, "{}", content.text);
    assert_eq!(content.html.matches("EUR\u{a0}1,004.67").count(), 4, "{}", content.html);
    assert_eq!(total_of_csv(&csv(&runs), "avoided_cost"), expected);
    assert_eq!(json["totals"]["cost"], serde_json::json!({ "EUR": "1004.67" }));
    let by_run = json["runs"].as_array().unwrap().iter().filter_map(|run| run["totals"]["cost"].as_str()).map(decimal);
    assert_eq!(by_run.sum::<Decimal>(), expected);
    let (german, _) = period(&runs, Locale::De);
    assert!(german.text.contains("EUR 1.004,67") && german.html.contains("EUR\u{a0}1.004,67"));
}

#[test]
fn what_was_off_anyway_is_none_of_a_weeks_stops() {
    let mut runs = week();
    let off = row("team-a", 90, "chat", "infer.s", 1, priced("0.9", "0.95", "EUR"));
    runs[0].deployments.push(DeploymentResult { outcome: Outcome::AlreadyOff, ..off });
    let text = period(&runs, Locale::En).0.text;
    assert!(text.contains("35 deployments stopped in 6 runs."), "{text}");
    assert!(text.contains("2 of 37 stops were not confirmed in time."), "{text}");
}

#[test]
fn a_week_with_trouble_says_so_in_its_subject() {
    let subject = |runs: &[Run]| period(runs, Locale::En).0.subject;
    assert!(subject(&[good()]).starts_with("offhours: 7 stopped, EUR "), "{}", subject(&[good()]));
    assert!(subject(&[good(), blocked()]).starts_with("offhours: ACTION NEEDED, 7 stopped, EUR "));
    assert!(subject(&[good(), partial()]).starts_with("offhours: ACTION NEEDED, 2 not confirmed stopped, EUR "));
}

/// Unconfirmed on one evening, and still STOPPING on the next: AI Core has not said that it is off.
#[test]
fn what_hangs_in_stopping_needs_a_person_until_it_is_off() {
    let evening = partial();
    let stuck = evening.deployments.iter().find(|row| row.outcome == Outcome::Unconfirmed).unwrap();
    let next = |status: &str| {
        let met = DeploymentResult {
            outcome: Outcome::AlreadyOff,
            reason: Some(Reason::AlreadyOff { status: Status::from(status), asked: None }),
            ..stuck.clone()
        };
        Run { deployments: vec![met], ..run("dev-evenings", "2026-11-24T18:00:00Z", RunResult::Done) }
    };
    let subject = |status| period(&[evening.clone(), next(status)], Locale::En).0.subject;
    assert!(subject("STOPPING").contains("2 not confirmed stopped"), "{}", subject("STOPPING"));
    assert!(subject("STOPPED").contains("1 not confirmed stopped"), "{}", subject("STOPPED"));
}

/// Two windows of observing rules that overlap: an hour that both would have avoided exists once.
#[test]
fn what_two_windows_would_have_avoided_is_counted_once() {
    let early = observed();
    let mut late = early.clone();
    late.firing.at += TimeDelta::hours(4);
    (late.started_at, late.finished_at) = (late.firing.at, late.firing.at);
    late.off_window.from = late.firing.at;
    late.off_window.to = early.off_window.to + TimeDelta::hours(2);
    let hours = |runs: &[Run]| {
        let json = period(runs, Locale::En).1;
        let total = decimal(json["would_have_avoided"]["node_hours"].as_str().unwrap());
        assert_eq!(total_of_csv(&csv(runs), "would_avoid_node_hours"), total);
        let rows = json["runs"].as_array().unwrap().iter().flat_map(|run| run["deployments"].as_array().unwrap());
        let by_row = rows.filter_map(|row| row["would_avoid"]["node_hours"].as_str()).map(decimal);
        assert_eq!(by_row.sum::<Decimal>(), total);
        total
    };
    let nodes: u32 = early.deployments.iter().filter(|row| row.would_stop()).map(|row| row.rate.nodes).sum();
    let once = hours(std::slice::from_ref(&early));
    assert_eq!(hours(&[early, late]), once + Decimal::from(2 * nodes), "the later window adds its last two hours");
}

#[test]
fn what_was_observed_is_in_no_total() {
    let mut runs = week();
    let before = period(&runs, Locale::En).1["totals"].clone();
    runs.retain(|run| run.mode == Mode::Enforce);
    assert_eq!(period(&runs, Locale::En).1["totals"], before);
    let watched = [observed()];
    let (content, json) = period(&watched, Locale::En);
    assert_eq!(json["totals"]["cost"], serde_json::json!({}));
    assert_eq!(json["would_have_avoided"]["cost"], serde_json::json!({ "EUR": "114.52" }));
    assert_eq!(total_of_csv(&csv(&watched), "avoided_cost"), Decimal::ZERO);
    assert_eq!(total_of_csv(&csv(&watched), "would_avoid_cost"), decimal("114.52"));
    assert!(content.subject.contains("0 stopped, nothing avoided"), "{}", content.subject);
}

#[test]
fn a_run_shows_its_total_in_four_forms() {
    for run in [good(), partial()] {
        let zone = berlin();
        let content = run_report(&run, &context(&zone));
        let total = run.totals().cost.unwrap().amount;
        assert_eq!(json_run(&run)["totals"]["cost"], total.to_string());
        assert_eq!(total_of_csv(&content.attachments[0].bytes, "avoided_cost"), total);
        assert!(content.text.contains(&format!("EUR {total}")));
        assert!(content.html.contains(&format!("EUR\u{a0}{total}")), "no line is broken between them");
    }
}

#[test]
fn a_restated_report_says_so() {
    let (zone, runs, period, trend) = (berlin(), week(), last_week(), Trend::default());
    let restates = Some(crate::report_support::utc("2026-11-23T07:00:00Z"));
    let digest = digest(&runs);
    let report = PeriodReport { period: &period, digest: &digest, trend: &trend, holds: &[], notes: &[], restates };
    let content = period_report(&report, &context(&zone));
    for body in [content.text, content.html] {
        assert!(body.contains("RESTATED: this replaces the report of Mon 23 Nov 2026, 08:00 CET."), "{body}");
    }
    assert_eq!(json_period(&report, &runs)["restates"], "2026-11-23T07:00:00Z");
}

#[test]
fn two_currencies_are_never_added_up() {
    let mut both = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Done);
    for (number, currency) in ["EUR", "USD"].into_iter().enumerate() {
        both.deployments.push(row("dev", number, "x", "infer.s", 1, priced("1", "1.00", currency)).stopped(&both, 0));
    }
    let runs = [both];
    let (content, json) = period(&runs, Locale::En);
    assert_eq!(json["totals"]["cost"], serde_json::json!({ "EUR": "12.00", "USD": "12.00" }));
    assert!(content.subject.contains("EUR 12.00 and USD 12.00 avoided"), "{}", content.subject);
    assert!(!content.text.contains("24.00") && !content.html.contains("24.00"));
}

#[test]
fn unpriced_is_node_hours_and_never_no_money() {
    let mut run = good();
    run.deployments.retain(|row| row.projected.state == AvoidedState::Unpriced);
    let zone = berlin();
    let content = run_report(&run, &context(&zone));
    assert_eq!(content.subject, "offhours: 1 stopped, 11.944 node hours avoided (estimate, unpriced) · dev-evenings");
    assert!(!content.text.contains("EUR") && !content.html.contains("EUR"), "{}", content.text);
    assert_eq!(records(&csv(&[run]))[0]["avoided_cost"], "");
}

#[test]
fn a28_hostile_names_do_no_harm() {
    let (zone, run) = (berlin(), hostile());
    let content = run_report(&run, &context(&zone));
    assert_eq!(content.subject, "offhours: ACTION NEEDED, 8 of 16 not confirmed stopped · dev-evenings");
    for body in [&content.text, &content.html] {
        let harmful = |c: char| {
            (c.is_control() && c != '\n')
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c)
        };
        assert_eq!(body.chars().find(|c| harmful(*c)), None);
        assert!(!body.contains(&"x".repeat(LONGEST + 1)));
        assert!(!body.contains("\nBcc:"));
    }
    for text in ["<script", "<img"] {
        assert!(!content.html.contains(text), "{text}");
    }
    for record in records(&content.attachments[0].bytes) {
        for (column, value) in &record {
            assert!(!value.starts_with(['=', '+', '-', '@', '\t', '\r']), "{column}: {value}");
            assert!(value.chars().count() <= LONGEST + 1 && !value.contains(['\r', '\n']), "{column}: {value}");
        }
    }
    // A program gets the names as they are.
    let json = json_run(&run).to_string();
    let back: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(back["deployments"][3]["configuration_name"], HOSTILE[1]);
}

/// A large tenant: most of what was left has no row of its own, and every form counts it.
#[test]
fn p36_what_was_left_without_a_row_is_counted_in_every_form_and_the_rows_called_a_sample() {
    let zone = berlin();
    let context = context(&zone);
    let mut run = good();
    run.left_out = [(kind(ReasonCode::NotSelected), 99_000), (kind(ReasonCode::Protected), 1_000)].into();
    assert_eq!(run.tally().left, 100_013);

    let mail = run_report(&run, &context);
    let text = mail.text.replace('\n', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("100,013 left on"), "{text}");
    assert!(text.contains(
        "100,000 of them are only counted and have no row of their own; the rows and the cost are of a sample."
    ));
    assert!(text.contains("99,000 deployments") && text.contains("1,009 deployments"), "{text}");
    assert!(text.contains("Of what was left on it has a sample; 100,000 more are only counted."), "{text}");
    assert!(mail.html.contains("100,013") && mail.html.contains("99,000") && mail.html.contains("1,009"));
    assert_eq!(records(&mail.attachments[0].bytes).len(), run.deployments.len());

    let json = json_run(&run);
    assert_eq!(json["left_out"], serde_json::json!({ "not selected": 99_000, "protected": 1_000 }));
    assert_eq!(json["totals"]["left"], 100_013);
    let table = history_table(std::slice::from_ref(&run), &context);
    assert!(table.contains("100,013"), "{table}");
    let summary = run_summary(&run, &context, Screen::PIPE).replace('\n', " ");
    assert!(summary.contains("99,000 not selected") && summary.contains("100,013 left"), "{summary}");

    let runs = [run.clone(), run];
    let (content, json) = period(&runs, Locale::En);
    let text = content.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("198,000 deployments") && text.contains("200,026 left on"), "{text}");
    assert!(text.contains("Of what was left on it has a sample; 200,000 more are only counted."), "{text}");
    assert_eq!(json["runs"][1]["totals"]["left"], 100_013);
}

#[test]
fn p36_a_run_of_which_nothing_has_a_row_says_what_it_left() {
    let zone = berlin();
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Done);
    run.left_out = [(kind(ReasonCode::NotSelected), 3)].into();
    let mail = run_report(&run, &context(&zone));
    assert!(mail.text.contains("0 stopped · 0 not confirmed · 3 left on"), "{}", mail.text);
    assert!(mail.attachments.is_empty());
}

/// An observed run: what would be left is what has no row too.
#[test]
fn p36_an_observed_run_counts_what_would_be_left_without_a_row() {
    let zone = berlin();
    let mut run = observed();
    run.left_out = [(kind(ReasonCode::NotSelected), 5_000)].into();
    let mail = run_report(&run, &context(&zone));
    assert!(mail.text.contains("7 would be stopped · 5,013 would be left"), "{}", mail.text);
}

/// A CSV of 26 MB becomes one of less than 5, and the mail names it as it is.
#[test]
fn e21_a_run_of_fifty_thousand_stops_attaches_its_csv_compressed() {
    let zone = berlin();
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Done);
    let shape = run.clone();
    let one = row("dev", 0, "model", "infer.s", 1, priced("1", "1", "EUR")).stopped(&shape, 60);
    run.deployments = vec![one; 50_000];
    let mail = run_report(&run, &context(&zone));
    let [attachment] = mail.attachments.as_slice() else { panic!("{} attachments", mail.attachments.len()) };
    assert_eq!(attachment.name, "offhours-dev-evenings-20261123T180000Z.csv.gz");
    assert_eq!(attachment.content_type, "application/gzip");
    let whole = unzipped(attachment);
    assert!(whole.len() > LARGEST_ATTACHMENTS && attachment.bytes.len() < LARGEST_ATTACHMENTS);
    assert_eq!(whole, csv(&[run]));
}

/// Names that nobody can compress.
#[test]
fn e22_a_csv_that_is_too_large_also_compressed_is_left_out_and_the_mail_says_how_to_get_it() {
    let zone = berlin();
    let mut noise = fastrand::Rng::with_seed(22);
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Done);
    let shape = run.clone();
    let one = row("dev", 0, "model", "infer.s", 1, priced("1", "1", "EUR")).stopped(&shape, 60);
    let random = || -> String { std::iter::repeat_with(|| noise.alphanumeric()).take(180).collect() };
    let names: Vec<String> = std::iter::repeat_with(random).take(40_000).collect();
    run.deployments =
        names.into_iter().map(|name| DeploymentResult { configuration_name: Some(name), ..one.clone() }).collect();
    let mail = run_report(&run, &context(&zone));
    assert!(mail.attachments.is_empty());
    let text = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("Its CSV is too large for a mail; `offhours history --since 2026-11-23T18:00:00Z --rule dev-evenings --json` prints each row."), "{text}");
}

#[test]
fn e11_ten_thousand_rows_are_cut_with_totals_and_the_csv_has_them_all() {
    let (zone, run) = (berlin(), huge());
    let content = run_report(&run, &context(&zone));
    // base64 makes four bytes of three, and a line end for each 76.
    assert!((content.text.len() + content.html.len()) * 4 / 3 * 78 / 76 < LARGEST);
    let total = run.totals();
    let shown = format!("EUR {}", {
        let text = total.cost.unwrap().amount.to_string();
        let (whole, cents) = text.split_once('.').unwrap();
        format!("{},{}.{cents}", &whole[..whole.len() - 3], &whole[whole.len() - 3..])
    });
    assert!(content.text.contains(&shown) && content.html.contains(&shown.replace(' ', "\u{a0}")), "{shown}");
    assert!(content.html.len() < 102_000, "Gmail clips it: {} bytes", content.html.len());
    assert!(content.text.contains(" more; the CSV has them all."));
    assert!(content.html.contains(" more; the CSV has them all."));
    assert_eq!(records(&unzipped(&content.attachments[0])).len(), 10_000);
}

#[test]
fn e11_a_mail_has_as_many_rows_as_gmail_shows_and_they_add_up() {
    let mut run = run("dev-evenings", "2026-11-23T18:00:00Z", RunResult::Done);
    for number in 0..450 {
        let shape = run.clone();
        run.deployments.push(row("dev", number, "short", "infer.s", 1, priced("1", "1", "EUR")).stopped(&shape, 60));
    }
    let zone = berlin();
    let content = run_report(&run, &context(&zone));
    assert!(content.html.len() < 102_000, "{} bytes", content.html.len());
    assert!(content.text.contains("350 more; the CSV has them all."), "{}", content.text);
    assert!(content.html.contains("350 more; the CSV has them all."));
    let amount = |label: &str| -> Decimal {
        let line = content.text.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
        decimal(&line.rsplit("EUR ").next().unwrap().replace(',', ""))
    };
    let shown = amount("Total") / Decimal::from(450) * Decimal::from(100);
    assert_eq!(shown + amount("All others"), amount("Total"), "{}", content.text);
}

/// Twelve teams, each with an evening rule over a month of 22 working days, and one evening that failed.
fn month_of_twelve_teams() -> Vec<Run> {
    let mut runs = Vec::new();
    for day in 1..=22 {
        for team in 1..=12 {
            let at = format!("2026-11-{day:02}T18:00:00Z");
            let result = if (day, team) == (3, 5) { RunResult::Failed } else { RunResult::Done };
            let mut one = run(&format!("team-{team:02}-evenings"), &at, result);
            let shape = one.clone();
            let model = row("dev", team, "model", "infer.s", 1, priced("0.9", "0.95", "EUR"));
            one.deployments.push(match result {
                RunResult::Failed => {
                    DeploymentResult { outcome: Outcome::Failed, reason: Some(failure("403")), ..model }
                }
                _ => model.stopped(&shape, 60),
            });
            runs.push(one);
        }
    }
    runs
}

#[test]
fn e52_a_month_has_a_row_for_each_rule_the_runs_with_problems_and_rows_that_add_up() {
    let runs = month_of_twelve_teams();
    let (content, _) = period(&runs, Locale::En);
    assert!(content.html.len() < 102_000, "{} bytes", content.html.len());
    let text = &content.text;
    let section = |heading: &str| {
        let from = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading} in {text}"));
        text[from + 1..].split("\n\n").next().unwrap().to_owned()
    };
    let by_rule = section("BY RULE");
    let amounts: Vec<Decimal> = by_rule
        .lines()
        .filter_map(|line| line.rsplit_once("EUR "))
        .map(|(_, amount)| decimal(&amount.replace(',', "")))
        .collect();
    let (total, rows) = amounts.split_last().unwrap();
    assert_eq!((rows.len(), rows.iter().sum::<Decimal>()), (12, *total), "{by_rule}");
    assert!(by_rule.contains("22 runs · 1 with problems"), "{by_rule}");
    let problems = section("RUNS WITH PROBLEMS");
    assert_eq!(problems.matches("team-").count(), 1, "{problems}");
    assert!(!text.contains("\nRUNS\n"), "264 runs are read by nobody");
}

#[test]
fn e52_a_report_says_which_share_was_avoided_and_what_the_period_is_against_others() {
    let mut runs = week();
    // Nothing without a price, so that a share can be told.
    for run in &mut runs {
        run.deployments.retain(|row| row.rate.cost().is_some());
    }
    let (zone, span, digest) = (berlin(), last_week(), digest(&runs));
    let month = Some(TrendPoint::known("November", Some(decimal("3456.00"))));
    let trend = Trend { month, ..crate::report_support::trend() };
    let report = PeriodReport { period: &span, digest: &digest, trend: &trend, holds: &[], notes: &[], restates: None };
    let text = period_report(&report, &context(&zone)).text.split_whitespace().collect::<Vec<_>>().join(" ");
    let enforced = runs.iter().filter(|run| run.mode == Mode::Enforce);
    let wanted = enforced.flat_map(|run| run.deployments.iter().map(move |row| (run, row))).filter(|(_, row)| {
        matches!(row.outcome, Outcome::Stopped | Outcome::Failed | Outcome::Unconfirmed) || row.hold().is_some()
    });
    let potential: Decimal =
        wanted.filter_map(|(run, row)| row.count_from(run, run.off_window.from).cost).map(|cost| cost.amount).sum();
    let percent = (decimal("1004.67") * Decimal::ONE_HUNDRED / potential).floor();
    let share = format!(
        "{percent} % of what the stopped, failed and held ones would have cost in their off windows was avoided:"
    );
    assert!(text.contains(&share), "{share} {text}");
    assert!(text.contains("EUR 333.62 more than in the period before (EUR 671.05)."), "{text}");
    assert!(text.contains("November so far: EUR 3,456.00."), "{text}");
}

/// What Excel needs to open a file by a double click where its language is German.
#[test]
fn e53_a_csv_for_a_german_excel_has_the_same_figures() {
    let runs = week();
    let mut bytes = Vec::new();
    let mut writer = CsvWriter::with(CsvForm::Excel(berlin()), &mut bytes);
    for run in &runs {
        let _ = run.tell(&mut writer);
    }
    writer.finish().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let text = text.strip_prefix('\u{feff}').expect("a byte order mark");
    let mut reader = csv_reader(text);
    let heads = reader.headers().unwrap().clone();
    let column = heads.iter().position(|head| head == "avoided_cost").unwrap();
    let requested = heads.iter().position(|head| head == "requested_at").unwrap();
    let (mut sum, mut rows) = (Decimal::ZERO, 0);
    for record in reader.records() {
        let record = record.unwrap();
        rows += 1;
        assert!(!record[column].contains('.'), "{}", &record[column]);
        assert!(!record[requested].contains('T'), "Excel reads no RFC 3339: {}", &record[requested]);
        if !record[column].is_empty() {
            sum += decimal(&record[column].replace(',', "."));
        }
    }
    assert_eq!(sum, total_of_csv(&csv(&runs), "avoided_cost"));
    assert_eq!(rows, runs.iter().map(|run| run.deployments.len()).sum::<usize>());
}

fn csv_reader(text: &str) -> ::csv::Reader<&[u8]> {
    ::csv::ReaderBuilder::new().delimiter(b';').from_reader(text.as_bytes())
}
