//! The systemd unit is the one that docs/operations.md describes.

use std::fs;

use offhours::cli::exit::Exit;

use super::blocks::section;
use super::{OPERATIONS, root};

#[test]
fn the_unit_is_the_one_it_describes() {
    let unit = fs::read_to_string(root().join("systemd/offhours.service")).unwrap();
    let value =
        |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(value("WatchdogSec="), ["60"]);
    assert_eq!(value("ExecStart="), ["/usr/local/bin/offhours run"]);
    assert_eq!(
        value("LoadCredential="),
        ["service-key:/etc/offhours/service-key.json", "smtp-password:/etc/offhours/smtp-password"]
    );
    let never = [Exit::Usage, Exit::Config, Exit::Ledger].map(|exit| (exit as u8).to_string());
    assert_eq!(value("RestartPreventExitStatus="), [never.join(" ")]);
    let section = section(OPERATIONS, "Under systemd").join("\n");
    for name in
        ["credential = \"service-key\"", "password_credential = \"smtp-password\"", "/etc/offhours/service-key.json"]
    {
        assert!(section.contains(name), "{name}");
    }
}
