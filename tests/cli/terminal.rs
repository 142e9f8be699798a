//! What a person at a terminal sees, and is asked. `script` (bsdutils, part of every Debian) gives the terminal.

use std::io::Write;
use std::process::{Command, Stdio};

use offhours::simulator::Fleet;

use crate::cli::said::fits;
use crate::process::bench::{Bench, Said, fleet, idle_rule};

/// Runs a command on a terminal of so many columns; `typed` is what the person types.
fn on_terminal(bench: &Bench, columns: u32, arguments: &str, typed: &str) -> Said {
    let plain = bench.command(&[]);
    let line = format!("stty rows 24 cols {columns}; exec {} {arguments}", plain.get_program().to_str().unwrap());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(bench.home.path());
    command.env_clear().env("HOME", bench.home.path()).env("USER", "ada").env("PATH", "/usr/bin:/bin");
    command.env("TERM", "dumb").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let said = Said::of(child.wait_with_output().unwrap());
    Said { out: said.out.replace('\r', ""), ..said }
}

/// The long name has joints, at which it may go on in the next line.
fn long_names() -> Fleet {
    fleet(3).each(|spec| spec.configuration_name = Some(format!("invoice-extraction-for-{}-in-the-south", spec.id)))
}

#[test]
fn u03_a_table_is_as_wide_as_the_terminal() {
    let bench = Bench::new(long_names(), &idle_rule("evening"));
    let wide = on_terminal(&bench, 160, "plan", "").ends(0).out;
    assert!(wide.contains("d001        invoice-extraction-for-d001-in-the-south\n"), "{wide:?}");
    let narrow = on_terminal(&bench, 44, "plan", "").ends(0).out;
    let table = narrow.lines().filter(|line| line.starts_with(' '));
    assert!(table.clone().count() > 4 && table.clone().all(|line| line.chars().count() <= 44), "{narrow}");
    for word in ["extraction-", "south"] {
        assert!(narrow.contains(word), "`{word}` is broken: {narrow}");
    }
    fits(&on_terminal(&bench, 80, "plan", "").ends(0).out);
}

#[test]
fn u04_fire_stops_nothing_before_a_person_has_agreed() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    for answer in ["\n", "n\n", "evenin\n", "\u{4}"] {
        let said = on_terminal(&bench, 100, "fire evening", answer).ends(1);
        for part in ["2 would be stopped", "Stop 2 deployments?", "cannot be started again", "nothing was fired"] {
            assert!(said.out.contains(part), "`{part}` is not in: {}", said.out);
        }
    }
    assert!(bench.asked().is_empty());
    assert_eq!(bench.history().len(), 0);
    on_terminal(&bench, 100, "fire evening", "evening\n").ends(0);
    assert_eq!(bench.asked().len(), 2);
    bench.judge();
}

#[test]
fn fire_asks_nothing_of_scripts_nor_where_nothing_would_be_stopped() {
    let bench = Bench::new(fleet(1), &idle_rule("evening").replace("until", "mode = \"observe\"\nuntil"));
    let said = on_terminal(&bench, 100, "fire evening", "").ends(0);
    assert!(!said.out.contains("Stop 1"), "{}", said.out);
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let said = on_terminal(&bench, 100, "fire evening --yes", "").ends(0);
    assert!(!said.out.contains("Stop 1"), "{}", said.out);
    assert_eq!(bench.asked().len(), 1);
}
