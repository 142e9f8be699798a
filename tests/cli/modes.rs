//! What offhours writes is for its owner only, whatever the umask says.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::bench::{Bench, MAIL_TO_FILES, Said, fleet, idle_rule};

/// Runs a command with a umask that takes nothing away.
fn unmasked(bench: &Bench, arguments: &[&str]) -> Said {
    let plain = bench.command(arguments);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(bench.home.path()).env_clear().env("HOME", bench.home.path());
    Said::of(command.output().unwrap())
}

/// All that lies below `directory`, itself included, which others could look at.
fn seen_by_others(directory: &Path) -> Vec<(PathBuf, u32)> {
    let (mut open, mut seen, mut files) = (vec![directory.to_owned()], Vec::new(), 0);
    while let Some(path) = open.pop() {
        let kind = fs::symlink_metadata(&path).unwrap();
        let mode = kind.permissions().mode() & 0o777;
        let wanted = if kind.is_dir() { 0o700 } else { 0o600 };
        if mode != wanted {
            seen.push((path.clone(), mode));
        }
        files += usize::from(kind.is_file());
        if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(files > 0, "nothing was written");
    seen
}

#[test]
fn e17_mails_in_a_directory_are_for_their_owner() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.configure(&MAIL_TO_FILES.replace("\"outbox\"", "\"deep/outbox\""));
    unmasked(&bench, &["mail", "test"]).ends(0);
    unmasked(&bench, &["fire", "evening"]).ends(0);
    assert_eq!(seen_by_others(&bench.path("deep")), []);
    assert_eq!(seen_by_others(&bench.state()), []);
}

#[test]
fn e17_a_rehearsals_files_are_for_their_owner() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.write("fleet.toml", "[[group]]\nid = \"dev-a\"\n");
    let arguments = ["rehearse", "--fleet", "fleet.toml", "--days", "30", "--output", "deep/rehearsal"];
    unmasked(&bench, &arguments).ends(0);
    assert_eq!(seen_by_others(&bench.path("deep")), []);
}

/// The demo writes over what an earlier one left: neither a file that others could write nor a link is written to.
#[test]
fn e17_a_demos_files_are_for_their_owner() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    fs::create_dir(bench.path("demo")).unwrap();
    fs::set_permissions(bench.path("demo"), fs::Permissions::from_mode(0o700)).unwrap();
    bench.write("demo/report.html", "old");
    fs::set_permissions(bench.path("demo/report.html"), fs::Permissions::from_mode(0o666)).unwrap();
    bench.write("precious", "kept");
    for name in ["report.txt", "fleet.toml", "service-key.json"] {
        symlink(bench.path("precious"), bench.path("demo").join(name)).unwrap();
    }
    unmasked(&bench, &["demo", "--output", "demo"]).ends(0);
    assert_eq!(seen_by_others(&bench.path("demo")), []);
    assert_eq!(fs::read_to_string(bench.path("precious")).unwrap(), "kept");
}
