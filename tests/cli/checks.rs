//! `check` as an engineer, a pipeline and a new tenant meet it.

use chrono::TimeDelta;
use offhours::simulator::{Fault, Fleet};
use serde_json::Value;

use crate::process::bench::{Bench, MAIL_TO_FILES, PASSWORD, Said, fleet, idle_rule, mail_to, now};
use crate::support::given::PRICES;
use crate::support::smtp::{Act, Sink};

const OFFHOURS: &str = "ext.ai.sap.com/offhours";

fn evenings(keys: &str, select: &str) -> String {
    format!(
        "[[rule]]\nname = \"evenings\"\nstop = \"0 19 * * MON-FRI\"\nuntil = \"0 7 * * MON-FRI\"\n{keys}\n[rule.select]\n{select}\n"
    )
}

fn warnings(said: &Value) -> Vec<String> {
    let list = said["warnings"].as_array().unwrap().iter();
    list.map(|warning| warning["message"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn has(warnings: &[String], wanted: &str) {
    assert!(warnings.iter().any(|warning| warning.contains(wanted)), "{wanted}\nis not among\n{warnings:#?}");
}

#[test]
fn c76_an_online_check_says_what_it_saw_when_all_is_well_and_sends_nothing() {
    let tenant = Fleet::new()
        .group("dev-a")
        .running("d001", "infer.s")
        .running("d002", "infer.s")
        .configuration("chat-keep")
        .group("dev-b")
        .label(OFFHOURS, "off")
        .running("d101", "infer.s")
        .group("other")
        .running("d201", "infer.s");
    let rules = evenings("mode = \"observe\"", "resource_groups = [\"dev-*\"]");
    let bench = Bench::new(tenant, &(rules + "[rule.exclude]\nconfigurations = [\"*-keep\"]\n"));
    let sink = bench.runtime.block_on(Sink::start(|_, _| None));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&(PRICES.to_owned() + &mail_to(sink.port)));
    let said = bench.run(&["check", "--online", "--strict"]).ends(0).out;
    for line in [
        "connection dev: key accepted by 127.0.0.1; 4 resource groups; takes stops in bulk",
        "\n  matches 3 deployments now, and would stop 1\n",
        &format!("mail: 127.0.0.1:{} in clear on this machine answers, and accepts the login of `offhours`", sink.port),
    ] {
        assert!(said.contains(line), "{line}\nis not in\n{said}");
    }
    let json = bench.run(&["check", "--online", "--json"]).ends(0).json();
    assert_eq!(json["online"]["connections"][0]["resource_groups"], 4);
    assert_eq!(json["online"]["rules"][0]["would_stop"], 1);
    assert_eq!(json["online"]["mail"]["accepted"], true);
    assert!(sink.mails().is_empty() && sink.lines().iter().any(|line| line == "QUIT"), "{:?}", sink.lines());
    assert!(bench.asked().is_empty());
}

#[test]
fn c76_a_mail_server_that_takes_no_login_is_a_problem_and_the_rest_is_said() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let refuses = |_: usize, step: &str| step.starts_with("AUTH").then_some(Act::Say("535 5.7.8 no"));
    let sink = bench.runtime.block_on(Sink::start(refuses));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&mail_to(sink.port));
    let said = bench.run(&["check", "--online"]).ends(1).out;
    assert!(said.contains("warning: mail: 127.0.0.1:") && said.contains("the login was refused"), "{said}");
    assert!(said.contains("connection dev: key accepted"), "{said}");
}

#[test]
fn c76_what_a_key_may_not_list_is_said_and_no_pattern_is_judged_by_it() {
    let rules = evenings("max_stops = 1", "resource_groups = [\"dev-a\"]")
        + "[rule.exclude]\nresource_groups = [\"nowhere\"]\n";
    let bench = Bench::new(fleet(2), &rules);
    bench.configure(&format!("[protect]\nresource_groups = [\"prdo*\"]\n{MAIL_TO_FILES}"));
    bench.simulator.inject(Fault::on("GET", "/admin/resourceGroups").always().answers(403));
    let said = bench.run(&["check", "--online"]).ends(0).out;
    assert!(said.contains("resource groups and their labels cannot be listed with this key"), "{said}");
    assert!(said.contains("would stop 2 now, and max_stops = 1: such a run is `blocked` and stops nothing"), "{said}");
    assert!(!said.contains("covers nothing"), "{said}");
}

#[test]
fn c72_each_pattern_that_protects_nothing_is_named_and_each_that_does_is_not() {
    let tenant = Fleet::new()
        .group("dev-a")
        .label("ext.ai.sap.com/env", "dev")
        .running("d001", "infer.s")
        .configuration("chat")
        .group("prod-a")
        .running("d201", "infer.s")
        .configuration("pay");
    let rules = evenings("", "resource_groups = [\"dev-*\", \"dve-b\"]\nlabels = { env = \"dev\" }");
    let bench = Bench::new(
        tenant,
        &(rules + "[rule.exclude]\nconfigurations = [\"chat\", \"pay\", \"*-kepe\"]\nids = [\"d001\", \"d999\"]\n"),
    );
    bench.configure(&format!(
        "[protect]\nresource_groups = [\"prdo*\", \"prod*\"]\nlabels = {{ env = \"dev\" }}\n\
         configurations = [\"pay\", \"pya\"]\n{MAIL_TO_FILES}"
    ));
    let said = warnings(&bench.run(&["check", "--online", "--json"]).ends(0).json());
    for wanted in [
        "`[protect]`: resource group `prdo*` covers nothing",
        "`[protect]`: label `env` = `dev` covers nothing on this tenant, so it protects nothing; groups carry \
         `ext.ai.sap.com/env`: write that",
        "`[protect]`: configuration `pya` covers nothing",
        "`[rule.select]`: no resource group is called `dve-b`",
        "`[rule.select]`: no resource group has the label `env` = `dev`; groups carry `ext.ai.sap.com/env`",
    ] {
        has(&said, wanted);
    }
    let silent = |wanted: &str| assert!(!said.iter().any(|warning| warning.contains(wanted)), "{said:#?}");
    silent("`prod*`");
    silent("configuration `pay` covers nothing on this tenant");
    // Without the label that no group has, the rule sees dev-a.
    bench.write(
        "schedules/rules.toml",
        &(evenings("", "resource_groups = [\"dev-*\"]")
            + "[rule.exclude]\nconfigurations = [\"chat\", \"*-kepe\"]\nids = [\"d001\", \"d999\"]\n"),
    );
    let said = warnings(&bench.run(&["check", "--online", "--json"]).ends(0).json());
    has(&said, "`[rule.exclude]`: configuration `*-kepe` covers nothing in the rule's resource groups");
    has(&said, "`[rule.exclude]`: id `d999` covers nothing");
    assert!(!said.iter().any(|warning| warning.contains("`chat`") || warning.contains("`d001`")), "{said:#?}");
}

#[test]
fn c73_an_online_check_names_each_group_whose_labels_it_does_not_understand() {
    let tenant = Fleet::new()
        .group("dev-a")
        .label(OFFHOURS, "disabled")
        .group("dev-b")
        .label("ext.ai.sap.com/offhours-hold-until", "tomorrow")
        .group("dev-c")
        .label("ext.ai.sap.com/off-hours", "off")
        .running("d001", "infer.s")
        .group("dev-d")
        .label(OFFHOURS, "keep")
        .group("dev-e")
        .label(OFFHOURS, "on");
    let bench = Bench::new(tenant, &evenings("", "resource_groups = [\"*\"]"));
    let said = warnings(&bench.run(&["check", "--online", "--json"]).ends(0).json());
    has(&said, "resource group `dev-a` is left: its label `offhours` = `disabled` is not understood");
    has(&said, "resource group `dev-b` is left: its label `offhours-hold-until` = `tomorrow` is no RFC 3339 instant");
    has(&said, "resource group `dev-c` is left: its label `ext.ai.sap.com/off-hours` is not understood");
    assert!(!said.iter().any(|warning| warning.contains("dev-d") || warning.contains("dev-e")), "{said:#?}");
}

#[test]
fn c73_every_command_leaves_what_a_label_that_is_not_understood_may_keep() {
    let tenant = Fleet::new().group("dev-a").label(OFFHOURS, "never").running("d001", "infer.s");
    let observing = evenings("mode = \"observe\"", "resource_groups = [\"dev-*\"]").replace("evenings", "watch");
    let bench = Bench::new(tenant, &(evenings("", "resource_groups = [\"dev-*\"]") + &observing));
    let reason = "opted out by label: `offhours` = `never` is not understood";
    for command in
        [&["explain", "d001"][..], &["plan", "--json"], &["fire", "evenings", "--json"], &["fire", "watch", "--json"]]
    {
        let said = bench.run(command).ends(0).out;
        assert!(said.contains(reason), "{command:?}: {said}");
    }
    let rehearsed = bench.run(&["rehearse", "--days", "3", "--json"]).ends(0).out;
    assert!(!rehearsed.contains("d001\",\"outcome\":\"stopped"), "{rehearsed}");
    assert!(bench.asked().is_empty());
}

#[test]
fn c75_rules_are_checked_where_there_are_no_keys() {
    let bench = Bench::new(fleet(1), &evenings("mode = \"observe\"", "resource_groups = [\"dev-*\"]"));
    bench.configure(&(PRICES.to_owned() + &mail_to(25) + "[monitoring]\nheartbeat_url_file = \"url\"\n"));
    std::fs::remove_file(bench.path("dev.json")).unwrap();
    bench.run(&["check"]).ends(3);
    let said = bench.run(&["check", "--no-secrets", "--strict"]).ends(0);
    assert!(said.out.contains("no faults, 1 rule") && said.err.is_empty(), "{said:?}");
    bench.write("schedules/rules.toml", &evenings("max_stops = 0", "resource_groups = [\"dev-*\"]"));
    bench.run(&["check", "--no-secrets"]).ends(3);
    bench.run(&["check", "--no-secrets", "--online"]).ends(2);
}

#[test]
fn c75_strict_takes_a_warning_for_a_fault_and_json_has_both_with_their_places() {
    let bench = Bench::new(fleet(1), &evenings("skip = [\"2020-12-25\"]", "resource_groups = [\"dev-*\"]"));
    bench.configure(&(PRICES.to_owned() + MAIL_TO_FILES));
    bench.run(&["check", "--no-secrets"]).ends(0);
    let said = bench.run(&["check", "--no-secrets", "--strict", "--json"]).ends(3);
    assert_eq!(said.err, "error: 1 warning, and with `--strict` there must be none\n");
    let said = said.json();
    let warning = &said["warnings"][0];
    assert_eq!(
        (&warning["severity"], &warning["line"], &warning["key"]),
        (&"warning".into(), &5.into(), &"skip".into())
    );
    assert_eq!(said["faults"], serde_json::json!([]));

    bench.write("schedules/rules.toml", &evenings("max_stops = 0\nmni_age = \"1h\"", "resource_groups = [\"dev-*\"]"));
    let said = bench.run(&["check", "--json"]).ends(3);
    assert!(said.err.contains("2 faults in 1 file"), "{}", said.err);
    let faults = said.json()["faults"].clone();
    let fault = |n: usize| {
        let of = |field: &str| faults[n][field].to_string();
        format!("{} {}:{} {} {}", of("path"), of("line"), of("column"), of("key"), of("severity"))
    };
    assert_eq!(fault(0), "\"schedules/rules.toml\" 5:13 \"max_stops\" \"fault\"");
    assert_eq!(fault(1), "\"schedules/rules.toml\" 6:1 \"mni_age\" \"fault\"");
    assert!(faults[0]["message"].as_str().unwrap().contains("out of range"));
    assert!(faults[1]["hint"].as_str().unwrap().contains("`min_age`"));
}

#[test]
fn c77_a_rule_that_enforces_and_has_never_run_is_named_until_it_has() {
    let odd = |said: Said| warnings(&said.ends(0).json());
    let wanted = "enforces and has never run: run it with `mode = \"observe\"` for a week first";
    let bench = Bench::new(fleet(1), &evenings("", "resource_groups = [\"dev-*\"]"));
    has(&odd(bench.run(&["check", "--json"])), wanted);
    assert!(!bench.state().exists(), "a check makes no ledger");
    assert!(!odd(bench.run(&["check", "--json", "--no-secrets"])).contains(&wanted.to_owned()));
    bench.write("schedules/rules.toml", &evenings("mode = \"observe\"", "resource_groups = [\"dev-*\"]"));
    assert!(!odd(bench.run(&["check", "--json"])).contains(&wanted.to_owned()));
    bench.run(&["fire", "evenings"]).ends(0);
    bench.write("schedules/rules.toml", &evenings("", "resource_groups = [\"dev-*\"]"));
    assert!(!odd(bench.run(&["check", "--json"])).contains(&wanted.to_owned()));
}

#[test]
fn c71_a_check_says_what_is_odd_about_a_schedule() {
    let rules = evenings("", "resource_groups = [\"dev-*\"]");
    let bench = Bench::new(fleet(1), &rules);
    let said = |stop: &str| {
        bench.write("schedules/rules.toml", &rules.replace("0 19 * * MON-FRI", stop));
        warnings(&bench.run(&["check", "--json"]).ends(0).json())
    };
    has(&said("0 19 * * * *"), "six fields begin with seconds; did you mean `0 19 * * *`?");
    has(&said("0 19 1-7 * MON"), "either is enough: it occurs on each day `1-7` and on each `MON`");
    has(&said("0 19 1-7 * MON"), "write `0 19 * * MON#1`");
    has(&said("45 6 * * MON-FRI"), "lasts 15 minutes");
    has(&said("30 7 * * MON-FRI"), "over the working hours of");
    let usual = said("0 19 * * MON-FRI").join("\n");
    assert!(!usual.contains("`stop`") && !usual.contains("working hours"), "{usual}");
}

#[test]
fn c70_next_and_check_say_the_same_of_a_schedule_that_is_none() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    for cron in ["0 7pm * * *", "0 19 * * ? *", "Mon..Fri 19:00", "0 19 * * FRO"] {
        let next = bench.run(&["next", cron, "--timezone", "UTC"]).ends(2).err;
        bench.write(
            "schedules/rules.toml",
            &evenings("", "resource_groups = [\"a\"]").replace("0 19 * * MON-FRI", cron),
        );
        let check = bench.run(&["check"]).ends(3).err;
        let said = check.lines().next().unwrap().split_once(": ").unwrap().1;
        assert!(next.contains(said), "{said}\nis not in\n{next}");
    }
}

#[test]
fn c53_check_lists_a_calendars_days_by_their_names() {
    let bench = Bench::new(fleet(1), &evenings("holidays = \"free.ics\"", "resource_groups = [\"dev-*\"]"));
    let in_a_month = now() + TimeDelta::days(30);
    let (day, shown) = (in_a_month.format("%Y%m%d"), in_a_month.format("%-d %b %Y"));
    bench.write(
        "schedules/free.ics",
        &format!(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:{day}\nSUMMARY:Founders' day\nEND:VEVENT\nBEGIN:VEVENT\n\
             DTSTART:20260102T090000\nSUMMARY:Standup\nEND:VEVENT\nEND:VCALENDAR\n"
        ),
    );
    let said = bench.run(&["check"]).ends(0);
    assert!(said.out.contains(&format!("free.ics\n  {shown}  Founders' day\n")), "{}", said.out);
    assert!(
        said.out.contains("free.ics:6:1: warning: a meeting of some hours is not a whole day and is skipped"),
        "{}",
        said.out
    );
    let json = bench.run(&["check", "--json"]).ends(0).json();
    assert_eq!(json["calendars"][0]["days"][0]["name"], "Founders' day");
}
