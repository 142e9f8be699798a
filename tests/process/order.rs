//! p04: what is on the disk before anything leaves the machine. strace notes every write, sync and send, in order.

use std::fs;
use std::process::Command;

use crate::process::bench::{Bench, PASSWORD, fires_soon, fleet, mail_to};
use crate::support::smtp::Sink;

/// The daemon's calls, in the order of their ends for syncs and of their beginnings for sends.
struct Calls(Vec<String>);

impl Calls {
    /// The first call that holds all of `words`.
    fn first(&self, words: &[&str]) -> usize {
        let found = self.0.iter().position(|call| words.iter().all(|word| call.contains(word)));
        found.unwrap_or_else(|| panic!("no call with {words:?}"))
    }

    /// True where something holding `text` was written into the log and synced before call `end`.
    fn is_durable_before(&self, text: &str, end: usize) -> bool {
        let before = &self.0[..end];
        let written = before.iter().position(|call| call.contains("pwrite64(") && call.contains(text));
        written.is_some_and(|at| before[at..].iter().any(|call| is_sync(call)))
    }
}

fn is_sync(call: &str) -> bool {
    let ended = call.trim_end().ends_with("= 0");
    ended && (call.contains("fdatasync") || call.contains("fsync"))
}

#[test]
fn p04_claim_and_requests_are_synced_before_the_first_patch_and_the_result_before_the_mail() {
    if Command::new("strace").arg("-V").output().is_err() {
        return;
    }
    let bench = Bench::new(fleet(1), &fires_soon("evening"));
    let sink = bench.runtime.block_on(Sink::start(|_, _| None));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&mail_to(sink.port));
    let trace = bench.path("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-D", "-s", "5000", "-e", "trace=pwrite64,fsync,fdatasync,sendto,write,writev", "-o"]);
    let daemon = bench.daemon_within(command.arg(&trace));
    daemon.waits_for_log("offhours is ready");
    bench.waits_for_run();
    assert!(daemon.ends().success());
    let calls = Calls(fs::read_to_string(&trace).unwrap().lines().map(str::to_owned).collect());
    // The trace holds what was sent, secrets included.
    fs::remove_file(&trace).unwrap();

    let patch = calls.first(&["PATCH /v2/lm/deployments"]);
    assert!(calls.is_durable_before("executor-", patch), "the claim");
    assert!(calls.is_durable_before("configuration-of-d001", patch), "the request");
    let greeting = calls.first(&["EHLO "]);
    assert!(greeting > patch);
    assert!(calls.is_durable_before("@offhours.invalid", greeting), "result and mail");
    bench.judge();
}
