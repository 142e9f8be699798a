//! A configuration on disk in which one file is the fuzzer's: the loader reads files, so that is where they must be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use offhours::config::{self, Config, Faults};

const MAIN: &str = r#"timezone = "Europe/Berlin"
state_dir = "state"
[connection.dev]
service_key = "dev.json"
[calendars]
de = ["2026-12-25"]
[mail]
from = "offhours@example.com"
to = ["finops@example.com"]
directory = "outbox"
"#;

const SERVICE_KEY: &str = r#"{
  "clientid": "c", "clientsecret": "s", "url": "https://auth.example.com",
  "serviceurls": { "AI_API_URL": "https://api.example.com" }
}"#;

/// A directory of this process, in memory where that can be had: a disk would be most of the time.
static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let home = place.join(format!("offhours-fuzz-{}", std::process::id()));
    for name in ["offhours.toml", "rules.toml", "days.ics", "days.txt"] {
        let directory = home.join(name);
        fs::create_dir_all(directory.join("schedules")).unwrap();
        fs::write(directory.join("offhours.toml"), MAIN).unwrap();
        let key = directory.join("dev.json");
        fs::write(&key, SERVICE_KEY).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let holidays = if name.starts_with("days") { format!("holidays = \"{name}\"\n") } else { String::new() };
        let rule = format!(
            "[[rule]]\nname = \"r\"\nstop = \"0 19 * * *\"\nuntil = \"0 7 * * *\"\n{holidays}\
             select = {{ resource_groups = [\"dev-*\"] }}\n"
        );
        fs::write(directory.join("schedules/rules.toml"), rule).unwrap();
    }
    home
});

/// The instant at which files are read.
pub fn now() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// Loads a configuration that is right but for `name` (`offhours.toml`, `rules.toml`, `days.ics` or `days.txt`), which
/// holds `content`.
pub fn load(name: &str, content: &[u8]) -> Result<Config, Faults> {
    let directory = HOME.join(name);
    let main = directory.join("offhours.toml");
    let file = if name == "offhours.toml" { main.clone() } else { directory.join("schedules").join(name) };
    fs::write(file, content).unwrap();
    config::load_at(&main, now()).map(|(config, _)| config)
}

/// Every fault of the file called `name` is at a place of `content`, and none acts on a terminal.
pub fn stand_in(faults: &Faults, name: &str, content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    for fault in faults.iter().filter(|fault| fault.path.ends_with(name)) {
        let line = text.split('\n').nth(fault.line - 1);
        let columns = line.map(|line| line.chars().count() + 2);
        let exists = columns.is_some_and(|columns| (1..=columns).contains(&fault.column));
        assert!(exists, "{}:{} is not in the file: {}", fault.line, fault.column, fault.message);
    }
    let said = faults.to_string();
    assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
}

/// Nothing shows a secret that stands at the end of `content`, where none belongs.
#[allow(dead_code, reason = "a calendar has no keys")]
pub fn show_no_secret(name: &str, content: &[u8]) {
    const SECRET: &str = "SECRET7F3A9B";
    let with_secret = [content, b"\napi_token = \"", SECRET.as_bytes(), b"\"\n"].concat();
    if let Err(faults) = load(name, &with_secret) {
        assert!(!faults.to_string().contains(SECRET), "{faults}");
    }
}
