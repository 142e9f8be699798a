//! A disk that is full, a state directory that cannot be used, a ledger that is damaged or too new.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use offhours::domain::run::RunResult;
use offhours::ledger::{FILE, Ledger};

use crate::process::bench::{Bench, Said, fires_soon, fleet, idle_rule, waits_until};

/// A small file system at `path`; none where this machine lets nobody mount.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn at(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=600k,mode=700", "none"]).arg(&path).output();
        mount.is_ok_and(|said| said.status.success()).then_some(Self(path))
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        // It ends with "no space left on device".
        let ballast = fs::File::create(self.0.join("ballast")).unwrap();
        let _ = std::io::copy(&mut std::io::repeat(0), &mut &ballast);
    }

    pub fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

// p05. No act without a durable claim, and no end of the daemon either. It tries again each minute, which a test cannot
// wait for; the next start stands for it.
#[test]
fn p05_on_a_full_disk_nothing_is_claimed_nothing_is_stopped_and_the_daemon_stays_up() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    let Some(disk) = SmallDisk::at(bench.state()) else { return };
    let mut daemon = bench.daemon();
    disk.fill();
    daemon.waits_for_log("nothing is stopped; trying again in 60 seconds");
    assert!(daemon.is_up());
    assert!(daemon.log().contains("a firing is due and could not be claimed"), "{}", daemon.log());
    assert!(bench.asked().is_empty());
    disk.free();
    assert!(daemon.ends().success());

    let _daemon = bench.daemon();
    assert_eq!(bench.waits_for_run().result, RunResult::Done);
    assert_eq!(bench.asked(), ["d001", "d002"]);
    bench.judge();
}

#[test]
fn p13_a_daemon_that_finds_its_disk_full_says_so_and_starts_once_there_is_room() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let Some(disk) = SmallDisk::at(bench.state()) else { return };
    disk.fill();
    let said = bench.run(&["hold", "add", "--rule", "evening", "--until", "2h", "--reason", "training"]).ends(5);
    assert!(!said.err.contains("must belong"), "{said:?}");
    let mut daemon = bench.daemon_as(bench.command(&["run"]));
    daemon.waits_for_log("the disk is full");
    assert!(daemon.is_up());
    disk.free();
    daemon.waits_for_log("offhours is ready");
    assert!(daemon.ends().success());
}

// p06. Outcomes are kept and written again; no PATCH is repeated, and there is one mail.
#[test]
fn p06_outcomes_that_find_the_disk_full_are_kept_until_there_is_room() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    let Some(disk) = SmallDisk::at(bench.state()) else { return };
    let daemon = bench.daemon();
    bench.waits_for_patch();
    disk.fill();
    daemon.waits_for_log("could not be written; it is kept and written again");
    disk.free();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.tally().stopped), (RunResult::Done, 2));
    assert_eq!(bench.asked(), ["d001", "d002"]);
    assert!(daemon.ends().success());
    assert_eq!(bench.outbox().len(), 1);
    bench.judge();
}

// p47. It says so within a beat, though nothing is due, and stays up: put back, the ledger is the one that it was.
#[test]
fn p47_a_daemon_whose_ledger_is_moved_away_says_so_at_once_and_makes_no_other() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let mut daemon = bench.daemon();
    fs::rename(bench.state(), bench.path("away")).unwrap();
    daemon.waits_for_log("was moved, replaced or removed while offhours ran");
    daemon.waits_for_log("nothing is stopped; trying again in 60 seconds");
    assert!(daemon.is_up() && !bench.state().exists());
    fs::rename(bench.path("away"), bench.state()).unwrap();
    assert!(daemon.ends().success());
    assert!(bench.run(&["ledger", "verify"]).ends(0).err.is_empty());
}

// p07. One line that says what to do, and nothing touched.
#[test]
fn p07_a_state_directory_that_cannot_be_used_ends_the_daemon_with_one_clear_line() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    fs::create_dir(bench.state()).unwrap();

    fs::set_permissions(bench.state(), fs::Permissions::from_mode(0o777)).unwrap();
    let said = bench.run(&["run"]).ends(5);
    let line = "error: the state directory `state` can be written by group or others: run `chmod 700 state`";
    assert_eq!(said.err.trim_end().lines().last(), Some(line));
    assert_eq!(fs::read_dir(bench.state()).unwrap().count(), 0);
    fs::set_permissions(bench.state(), fs::Permissions::from_mode(0o700)).unwrap();

    let garbage = b"this is no database, whatever its name says".repeat(100);
    fs::write(bench.state().join(FILE), &garbage).unwrap();
    let said = bench.run(&["run"]).ends(5);
    assert!(said.err.contains("is damaged and was left as it is: restore a backup"), "{said:?}");
    assert_eq!(fs::read(bench.state().join(FILE)).unwrap(), garbage);
    fs::remove_file(bench.state().join(FILE)).unwrap();

    if let Some(said) = bench.read_only(&["run"]) {
        let said = said.ends(5);
        assert!(said.err.contains("it must belong to the user that runs offhours and be writable"), "{said:?}");
    }
    fs::remove_dir(bench.state()).unwrap();

    fs::write(bench.state(), "a file").unwrap();
    bench.run(&["run"]).ends(5);
    bench.run(&["history"]).ends(5);
}

#[test]
fn p12_a_ledger_of_a_newer_version_is_refused_and_not_changed() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    drop(Ledger::open(&bench.state()).unwrap());
    let file = bench.state().join(FILE);
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = fs::read(&file).unwrap();
    for command in [&["run"][..], &["history"], &["plan"], &["fire", "evening"], &["hold", "list"], &["mail", "queue"]]
    {
        let said = bench.run(command).ends(5);
        assert!(said.err.contains("has format 99, this offhours knows formats up to 5"), "{said:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(bench.asked().is_empty());
}

// p12: who reads its output may go away.
#[test]
fn p12_it_goes_on_when_nobody_reads_what_it_says() {
    let bench = Bench::new(fleet(1), &fires_soon("evening"));
    let mut command = bench.command(&["run"]);
    command.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    drop((daemon.stdout.take(), daemon.stderr.take()));
    let run = bench.waits_for_run();
    assert_eq!(run.result, RunResult::Done);
    assert!(daemon.try_wait().unwrap().is_none());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    bench.judge();
}

#[test]
fn a_bad_configuration_starts_no_daemon() {
    let bench = Bench::new(fleet(1), "[[rule]]\nname = \"evening\"\nstop = \"0 25 * * *\"\n");
    let said = bench.run(&["run"]).ends(3);
    assert!(said.err.contains("rules.toml:3:8: "), "{}", said.err);
    assert!(!bench.state().exists(), "and nothing was begun");
    assert!(bench.simulator.journal().is_empty());
}

impl Bench {
    /// A command that finds the state directory on a read-only file system; none where that cannot be had.
    fn read_only(&self, arguments: &[&str]) -> Option<Said> {
        let state = self.state();
        let mount = |options: &[&str]| {
            let said = Command::new("mount").args(options).arg(&state).arg(&state).output();
            said.is_ok_and(|said| said.status.success())
        };
        if !mount(&["--bind"]) {
            return None;
        }
        let said = mount(&["-o", "remount,ro,bind"]).then(|| self.run(arguments));
        waits_until("the end of the mount", || {
            Command::new("umount").arg(&state).output().is_ok_and(|said| said.status.success())
        });
        said
    }
}
