//! Each exit code, provoked, and the sentence that comes with it.

use std::io::Read;
use std::process::Stdio;

use offhours::ledger::lock::DaemonLock;
use offhours::simulator::{Behaviour, Fault};

use crate::process::bench::{Bench, fleet, idle_rule};
use crate::support::smtp::Sink;

#[test]
fn zero_where_all_is_well_and_one_where_a_run_is_not() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    bench.run(&["fire", "evening"]).ends(0);
    let stubborn = fleet(2).each(|spec| {
        if spec.id == "d002" {
            spec.behaviour = Behaviour::Refuses;
        }
    });
    let bench = Bench::new(stubborn, &idle_rule("evening"));
    let said = bench.run(&["fire", "evening", "--json"]).ends(1);
    assert_eq!((&said.json()["result"], &said.json()["totals"]["stopped"]), (&"partial".into(), &1.into()));
}

#[test]
fn one_where_a_report_that_was_to_be_mailed_has_not_left() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    assert_eq!(bench.run(&["report", "--mail"]).ends(0).out, "a@example.com: sent\n");
    bench.configure("[mail]\nfrom = \"o@example.com\"\nto = [\"a@example.com\"]\nsmtp = \"smtp://127.0.0.1:9\"\n");
    let said = bench.run(&["report", "--mail"]).ends(1);
    assert!(said.out.starts_with("a@example.com: not sent yet, it waits in the outbox: "), "{}", said.out);
    let said = bench.run(&["report", "--mail", "--json"]).ends(1);
    assert_eq!(said.json()[0]["state"], "queued");
}

#[test]
fn one_where_max_stops_blocks_the_whole_run() {
    let bench = Bench::new(fleet(3), &idle_rule("evening").replace("until", "max_stops = 2\nuntil"));
    let said = bench.run(&["fire", "evening"]).ends(1);
    assert!(said.out.contains("blocked"), "{}", said.out);
    assert!(bench.asked().is_empty());
    bench.judge();
}

#[test]
fn two_for_a_command_line_that_means_nothing() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    for line in [
        &["nonsense"][..],
        &["plan", "evenin"],
        &["plan", "--at", "someday"],
        &["history", "--since", "30M"],
        &["history", "evening"],
        &["history", "evening@2026-11-23T18:00:00Z"],
        &["history", "evening", "--rule", "evening"],
        &["next", "* * * * *"],
        &["hold", "add", "--until", "12h", "--reason", "x"],
        &["hold", "add", "--rule", "evening", "--deployment", "d001", "--until", "12h", "--reason", "x"],
        &["hold", "add", "--rule", "evening", "--until", "2020-01-01", "--reason", "x"],
        &["hold", "add", "--rule", "evening", "--until", "30M", "--reason", "meant to be minutes"],
        &["hold", "add", "--rule", "evening", "--until", "12h", "--reason", "x", "--by", " "],
        &["hold", "add", "--configuration", "chat-*", "--until", "12h", "--reason", "a pattern holds nothing"],
        &["hold", "add", "--configuration", " ", "--until", "12h", "--reason", "x"],
        &["report", "--period", "someday"],
        &["explain", ".."],
    ] {
        let said = bench.run(line).ends(2);
        assert!(said.out.is_empty() && said.err.starts_with("error: "), "{said:?}");
    }
}

#[test]
fn three_for_a_configuration_with_faults_or_none_at_all() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.run(&["--config", "nowhere.toml", "plan"]).ends(3);
    bench.write("offhours.toml", "timezone = \"CET\"\n");
    for command in ["run", "check", "plan", "report"] {
        let said = bench.run(&[command]).ends(3);
        assert!(said.err.contains("offhours.toml:1:"), "{}", said.err);
    }
    std::fs::remove_file(bench.path("offhours.toml")).unwrap();
    bench.run(&["plan"]).ends(3);
}

#[test]
fn four_with_one_sentence_that_says_what_to_do_where_the_secret_is_wrong() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let mut key: serde_json::Value = serde_json::from_str(&bench.simulator.service_key()).unwrap();
    key["clientsecret"] = "canary-wrong-secret".into();
    bench.secret_file("dev.json", &key.to_string());
    for command in [&["plan"][..], &["explain", "d001"], &["fire", "evening"]] {
        let said = bench.run(command).ends(4);
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains("service key"), "what to do is not said: {all}");
        assert!(!all.contains("canary"), "{all}");
    }
    insta::assert_snapshot!("wrong_secret", crate::cli::said::masked(&bench.transcript(&["plan"])));
    assert!(bench.asked().is_empty());
}

#[test]
fn four_where_ai_core_cannot_be_reached() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.simulator.inject(Fault::on("*", "").always().drops());
    let mut key: serde_json::Value = serde_json::from_str(&bench.simulator.service_key()).unwrap();
    // Nobody listens on the discard port.
    key["url"] = "http://127.0.0.1:9".into();
    bench.secret_file("dev.json", &key.to_string());
    bench.run(&["plan"]).ends(4);
    bench.run(&["fire", "evening"]).ends(4);
}

/// A certificate that this machine does not trust, as of a company's own CA.
#[test]
fn e34_a_certificate_that_is_not_trusted_says_where_this_machine_looks() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sink = runtime.block_on(Sink::start_protected(|_, _| None));
    let mut key: serde_json::Value = serde_json::from_str(&bench.simulator.service_key()).unwrap();
    key["url"] = format!("https://localhost:{}", sink.port).into();
    bench.secret_file("dev.json", &key.to_string());
    let said = bench.run(&["plan"]).ends(4).err;
    assert!(said.contains(&format!("no connection to localhost:{}", sink.port)), "{said}");
    assert!(said.contains("`update-ca-certificates`") && said.contains("`SSL_CERT_FILE`"), "{said}");
}

#[test]
fn p07_p10_five_for_the_state_directory_and_seventy_five_where_another_holds_it() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.write("state", "a file");
    bench.run(&["hold", "list"]).ends(5);
    std::fs::remove_file(bench.state()).unwrap();
    std::fs::create_dir(bench.state()).unwrap();
    let _held = DaemonLock::take(&bench.state()).unwrap();
    let said = bench.run(&["run"]).ends(75);
    assert!(said.err.contains(&format!("(pid {})", std::process::id())), "{}", said.err);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let arguments = ["next", "* * * * * *", "--timezone", "UTC", "--count", "100000"];
    let mut child = bench.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 20];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}
