//! A simulated tenant with a configuration for it, for papers that show what the program prints of one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use super::configuration::write_secret;
use super::offhours;

const MAIN: &str = "\
timezone = \"UTC\"
state_dir = \"state\"
[connection.dev]
service_key = \"dev.json\"
[protect]
resource_groups = [\"prod*\"]
[prices]
currency = \"EUR\"
capacity_unit = \"0.95\"
source = \"test\"
valid_from = 2026-01-01
capacity_units_per_node_hour = { \"infer.s\" = \"0.90\" }
[mail]
directory = \"mails\"
from = \"offhours@example.com\"
to = [\"a@example.com\"]
[calendars]
days = [\"2045-12-25\"]
";

/// A process that ends with the test.
pub(super) struct Process(pub(super) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rule of these resource groups.
pub(super) fn rule(name: &str, keys: &str, groups: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\n{keys}[rule.select]\nresource_groups = [\"{groups}\"]\n")
}

/// A tenant, the demo's where `fleet` names no file, with its key and a configuration with `rules` in `home`.
pub(super) fn tenant(home: &Path, fleet: &[&str], rules: &str) -> Process {
    let mut command = offhours();
    command.args(["simulator", "--listen", "127.0.0.1:0"]).args(fleet).current_dir(home);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let key = lines.nth(1).unwrap().unwrap();
    let tenant = Process(child);
    write_secret(&home.join("dev.json"), &key);
    fs::create_dir(home.join("schedules")).unwrap();
    fs::write(home.join("offhours.toml"), MAIN).unwrap();
    fs::write(home.join("schedules/rules.toml"), rules).unwrap();
    tenant
}
