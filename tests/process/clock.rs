//! A clock that was ahead: what the daemon, `status` and the watcher say of it, and the command that ends it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use offhours::domain::run::RunResult;
use offhours::ledger::Ledger;
use offhours::ledger::cursors::Cursor;

use crate::process::bench::{Bench, MAIL_TO_FILES, fleet, now, rule, waits_until};

/// The daemon looks once a minute, and the machine may be busy.
const MINUTES: Duration = Duration::from_secs(240);

/// A watcher that takes every ping and keeps the paths.
fn watcher() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            kept.lock().unwrap().extend(line.split(' ').nth(1).map(str::to_owned));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, asked)
}

#[test]
fn t21_a_clock_that_was_200_days_ahead_silences_nothing_unsaid_and_one_command_ends_it() {
    let bench = Bench::new(fleet(2), &rule("evening", "* * * * * *"));
    let (address, pinged) = watcher();
    bench.configure(&format!("{MAIL_TO_FILES}[monitoring]\nheartbeat_url = \"http://{address}/p\"\n"));
    let ledger = Ledger::open(&bench.state()).unwrap();
    let cursor = Cursor { schedule: "* * * * * * UTC".to_owned(), after: now() + TimeDelta::days(200) };
    let name = "evening".parse().unwrap();
    bench.runtime.block_on(ledger.write(move |tx| tx.move_cursor(&name, &cursor))).unwrap();

    let daemon = bench.daemon();
    daemon.waits_for_log("a day before the newest entry of the ledger");
    let status = bench.run(&["status"]).ends(1);
    assert!(status.out.contains("offhours ledger trust-clock") && status.out.contains("not now"), "{}", status.out);
    assert_eq!(bench.run(&["status", "--json"]).ends(1).json()["rules"][0]["next_firing"], serde_json::Value::Null);
    let waits_for_ping = |path: &str| {
        let started = Instant::now();
        while !pinged.lock().unwrap().iter().any(|pinged| pinged == path) {
            assert!(started.elapsed() < MINUTES, "no ping of {path}; the log:\n{}", daemon.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    waits_for_ping("/p/fail");
    assert!(!pinged.lock().unwrap().contains(&"/p".to_owned()), "it was never well");

    let shown = bench.run(&["ledger", "trust-clock"]).ends(1);
    assert!(shown.out.contains("rule evening, which does not fire before 20"), "{}", shown.out);
    assert!(
        shown.out.ends_with("nothing was changed: if the clock is right, run `offhours ledger trust-clock --yes`\n")
    );
    bench.run(&["status"]).ends(1);
    let done = bench.run(&["ledger", "trust-clock", "--yes", "--json"]).ends(0).json();
    assert_eq!((&done["changed"], &done["rules"][0]["rule"]), (&true.into(), &"evening".into()));
    let again = bench.run(&["ledger", "trust-clock", "--yes"]).ends(0);
    assert!(again.out.contains("nothing in the ledger contradicts it"), "{}", again.out);

    // It knows within a minute, and fires.
    waits_for_ping("/p");
    bench.run(&["status"]).ends(0);
    waits_until("a run that stops both", || {
        bench.history().iter().any(|run| run.result == RunResult::Done && run.tally().stopped == 2)
    });
    assert!(bench.history().iter().all(|run| run.firing.at <= now()));
    bench.judge();
}
