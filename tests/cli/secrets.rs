//! No secret is ever printed, logged, stored or mailed: the client's, a token, the mail server's password. Everything is
//! said at trace level, and everything that was said is searched.

use std::process::Command;

use chrono::TimeDelta;
use offhours::simulator::Fault;

use crate::process::bench::{Bench, PASSWORD, fires_soon, fleet, idle_rule, mail_to};
use crate::support::smtp::{Act, Sink};

fn traced(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.command(arguments);
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    command
}

/// Runs a command at trace level and searches what it said.
fn searched(bench: &Bench, arguments: &[&str]) {
    let said = traced(bench, arguments).output().unwrap();
    bench.no_secret_in(&format!("stdout of {arguments:?}"), &said.stdout);
    bench.no_secret_in(&format!("stderr of {arguments:?}"), &said.stderr);
}

#[test]
fn no_command_gives_a_secret_away_at_trace_level() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    let sink = bench.runtime.block_on(Sink::start(|_, _| None));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&mail_to(sink.port));
    for arguments in [
        &["check", "--online"][..],
        &["plan"],
        &["explain", "d001"],
        &["fire", "evening", "--log-format", "json"],
        &["history", "--json"],
        &["report", "--period", "today", "--mail"],
        &["mail", "test"],
        &["mail", "queue"],
    ] {
        searched(&bench, arguments);
    }
    assert!(sink.mails().len() >= 3, "mails were sent, with a login");
    assert!(bench.secrets().len() > 4, "tokens were noted");
    for (_, mail) in sink.mails() {
        bench.no_secret_in("a mail", &mail);
    }
    bench.judge();
}

#[test]
fn neither_does_a_command_that_fails() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    let sink = bench.runtime.block_on(Sink::start(|_, step| {
        step.starts_with("AUTH").then_some(Act::Say("535 5.7.8 credentials canary are wrong"))
    }));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&mail_to(sink.port));
    searched(&bench, &["mail", "test"]);
    for status in [401, 403, 429, 500] {
        bench.simulator.inject(Fault::on("GET", "/deployments").times(2).answers(status));
        searched(&bench, &["plan"]);
    }
    bench.simulator.inject(Fault::on("GET", "/deployments").always().truncates());
    searched(&bench, &["fire", "evening"]);
    bench.simulator.heal();
    bench.simulator.inject(Fault::on("POST", "/oauth/token").always().truncates());
    searched(&bench, &["plan"]);
    bench.no_secret_in_files();
}

#[test]
fn neither_does_the_daemon() {
    let slow = fleet(2).each(|spec| spec.stop_after = TimeDelta::milliseconds(300));
    let bench = Bench::new(slow, &fires_soon("evening"));
    let daemon = bench.daemon_as(traced(&bench, &["run"]));
    daemon.waits_for_log("offhours is ready");
    bench.waits_for_run();
    daemon.signal("HUP");
    daemon.waits_for_log("configuration reloaded");
    assert!(daemon.log().contains("TRACE"), "it was at trace level");
    assert!(daemon.ends().success());
    // The log is one of the files.
    bench.judge();
}
