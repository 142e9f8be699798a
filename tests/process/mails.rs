//! The mail of a run, when the daemon dies around it or cannot note that it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::process::bench::{AUTH_PLAIN, Bench, PASSWORD, fires_soon, fleet, idle_rule, mail_to, waits_until};
use crate::process::disks::SmallDisk;
use crate::support::smtp::{Act, Sink};

/// A bench whose mails go to a server that follows `script`.
fn with_server(script: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static) -> (Bench, Sink) {
    let bench = Bench::new(fleet(1), &fires_soon("evening"));
    let sink = bench.runtime.block_on(Sink::start(script));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&mail_to(sink.port));
    (bench, sink)
}

fn reached(sink: &Sink, step: &str) {
    waits_until(step, || sink.journal.lock().unwrap().steps.iter().any(|known| known == step));
}

#[test]
fn p03_killed_before_the_mail_was_sent_it_is_sent_once_after_the_restart() {
    let (bench, sink) =
        with_server(|connection, step| (connection == 1 && step.starts_with("AUTH")).then_some(Act::Silence));
    let daemon = bench.daemon();
    waits_until("the login", || sink.lines().iter().any(|line| line.starts_with("AUTH")));
    assert!(sink.lines().iter().any(|line| line.contains(AUTH_PLAIN)), "the canary is what it claims to be");
    daemon.kill();
    let _daemon = bench.daemon();
    bench.waits_for_run();
    assert_eq!((sink.mails().len(), bench.history().len()), (1, 1));
    assert_eq!(bench.asked(), ["d001"]);
    bench.judge();
}

// The one moment at which a mail may come twice: the server has it, and we do not know. It is the same mail to the byte.
#[test]
fn p03_e05_killed_between_the_servers_yes_and_our_note_the_same_mail_is_sent_again() {
    let (bench, sink) = with_server(|connection, step| (connection == 1 && step == "DOT").then_some(Act::Silence));
    let daemon = bench.daemon();
    reached(&sink, "DOT");
    daemon.kill();
    let _daemon = bench.daemon();
    bench.waits_for_run();
    let sent = sink.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1], "identical bytes, Message-ID included");
    bench.judge();
}

// A stop of the daemon is no crash: a mail that is under way is finished, and not sent again.
#[test]
fn p08_sigterm_waits_for_the_mail_under_way() {
    let (bench, sink) =
        with_server(|_, step| (step == "DOT").then_some(Act::Late(Duration::from_secs(2), "250 taken")));
    let daemon = bench.daemon();
    reached(&sink, "DOT");
    assert!(daemon.ends().success());
    let _daemon = bench.daemon();
    bench.waits_for_run();
    assert_eq!(sink.sent().len(), 1);
    bench.judge();
}

// What it could not send stays in the outbox.
#[test]
fn p08_a_person_who_waits_for_a_silent_mail_server_may_go() {
    let (bench, sink) = with_server(|_, step| (step == "GREETING").then_some(Act::Silence));
    bench.write("schedules/rules.toml", &idle_rule("evening"));
    let mut fire = bench.daemon_as(bench.command(&["fire", "evening"]));
    reached(&sink, "GREETING");
    fire.signal("INT");
    assert!(fire.waits_for_end().success());
    assert_eq!(bench.mails().iter().map(|mail| mail.state.as_str()).collect::<Vec<_>>(), ["queued"]);
    bench.judge();
}

#[test]
fn p10_two_processes_that_deliver_at_once_send_each_mail_once() {
    let (bench, sink) =
        with_server(|_, step| (step == "DOT").then_some(Act::Late(Duration::from_secs(1), "250 taken")));
    bench.write("schedules/rules.toml", &(idle_rule("one") + &idle_rule("two")));
    let fires = ["one", "two"].map(|rule| bench.daemon_as(bench.command(&["fire", rule])));
    for mut fire in fires {
        assert!(fire.waits_for_end().success(), "{}", fire.log());
    }
    assert_eq!(sink.sent().len(), 2);
    bench.judge();
}

#[test]
fn p06_a_mail_whose_delivery_cannot_be_noted_on_a_full_disk_is_not_sent_again() {
    let full = Arc::new(AtomicBool::new(false));
    let may_answer = Arc::clone(&full);
    let bench = Bench::new(fleet(1), &fires_soon("evening"));
    let Some(disk) = SmallDisk::at(bench.state()) else { return };
    let sink = bench.runtime.block_on(Sink::start(move |_, step| {
        // Answers late enough for the disk to be full by then.
        (step == "DOT" && !may_answer.load(Ordering::SeqCst)).then_some(Act::Late(Duration::from_secs(1), "250 taken"))
    }));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&mail_to(sink.port));
    let daemon = bench.daemon();
    reached(&sink, "DOT");
    disk.fill();
    full.store(true, Ordering::SeqCst);
    daemon.waits_for_log("what came of mail 1 could not be written");
    disk.free();
    bench.waits_for_run();
    assert_eq!(sink.sent().len(), 1);
    bench.judge();
}
