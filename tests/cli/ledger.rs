//! Backup and restore as people type them, and a state directory that is not theirs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use offhours::ledger::lock::DaemonLock;

use crate::process::bench::{Bench, fleet, idle_rule, names};

fn bench() -> Bench {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.run(&["fire", "evening"]).ends(0);
    bench
}

#[test]
fn p45_a_backup_is_put_back_and_what_that_means_is_said() {
    let bench = bench();
    bench.run(&["ledger", "backup", "monday"]).ends(0);
    let add = ["hold", "add", "--rule", "evening", "--until", "12h", "--reason", "training"];
    bench.run(&add).ends(0);

    let said = bench.run(&["ledger", "restore", "monday"]).ends(0);
    for part in [
        "restored from monday\n",
        "the ledger that was there is kept as ",
        "firings that were due before are not caught up\n",
        "kept from the ledger before: 1 hold not in the backup\n",
        "runs and stops since the backup are not in it",
        "1 run, 1 deployment, 1 mail\n",
    ] {
        assert!(said.out.contains(part), "`{part}` is not in: {}", said.out);
    }
    assert!(bench.run(&["hold", "list"]).ends(0).out.contains("training"));
    let json = bench.run(&["ledger", "restore", "monday", "--json"]).ends(0).json();
    assert_eq!(
        (&json["restored"], &json["holds_carried_over"], &json["runs"]),
        (&"monday".into(), &1.into(), &1.into())
    );
    assert!(json["kept"].as_str().unwrap().contains("ledger.sqlite3.20"), "{json}");
    assert_eq!(names(&bench.state()).iter().filter(|name| name.starts_with("ledger.sqlite3.20")).count(), 2);
    bench.run(&["ledger", "verify"]).ends(0);
    bench.judge();
}

#[test]
fn p45_five_for_what_is_no_backup_and_seventy_five_beside_a_daemon() {
    let bench = bench();
    bench.run(&["ledger", "restore", "nowhere"]).ends(5);
    bench.write("nonsense", "this is no database");
    bench.run(&["ledger", "restore", "nonsense"]).ends(5);
    bench.run(&["ledger", "backup", "monday"]).ends(0);
    let _daemon = DaemonLock::take(&bench.state()).unwrap();
    let said = bench.run(&["ledger", "restore", "monday"]).ends(75);
    assert!(said.err.contains(&format!("(pid {})", std::process::id())), "{}", said.err);
}

/// `sudo offhours history` over the ledger of the service's user.
#[test]
fn p41_every_command_refuses_the_ledger_of_somebody_else_and_says_what_to_type() {
    const NOBODY: u32 = 65534;
    let bench = bench();
    bench.run(&["ledger", "backup", "monday"]).ends(0);
    if chown(bench.state(), Some(NOBODY), None).is_err() {
        eprintln!("skipped: only root can give a directory away");
        return;
    }
    let before = names(&bench.state());
    for command in [
        &["run"][..],
        &["status"],
        &["history"],
        &["plan"],
        &["fire", "evening"],
        &["hold", "list"],
        &["hold", "remove", "1"],
        &["mail", "queue"],
        &["report"],
        &["ledger", "verify"],
        &["ledger", "backup", "another"],
        &["ledger", "restore", "monday"],
    ] {
        let said = bench.run(command).ends(5);
        assert!(
            said.err.contains("belongs to user 65534") && said.err.contains("offhoursctl"),
            "{command:?}: {said:?}"
        );
    }
    assert_eq!(names(&bench.state()), before);
    assert!(!bench.path("another").exists());
}

#[test]
fn p43_three_where_anybody_could_have_written_a_rule() {
    let bench = bench();
    fs::set_permissions(bench.path("schedules/rules.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    for command in [&["run"][..], &["check"], &["fire", "evening"], &["plan"]] {
        let said = bench.run(command).ends(3);
        let line = "schedules/rules.toml:1:1: this file can be written by anybody (mode 666)";
        assert!(said.err.contains(line) || said.out.contains(line), "{command:?}: {said:?}");
    }
}
