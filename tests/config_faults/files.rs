//! A configuration on disk that is right until it is edited.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use offhours::config::{self, Config, Faults, Warning};
use tempfile::TempDir;

/// Stands for a secret wherever one may be misplaced; no text of ours may ever show it.
pub const CANARY: &str = "CANARY";

pub const MAIN: &str = r#"timezone = "Europe/Berlin"

[connection.dev]
service_key = "dev.json"
"#;
pub const ZONE: &str = r#"timezone = "Europe/Berlin""#;
pub const KEY: &str = r#"service_key = "dev.json""#;

pub const RULES: &str = r#"[[rule]]
name = "dev-evenings"
stop = "0 19 * * MON-FRI"
until = "0 7 * * MON-FRI"

[rule.select]
resource_groups = ["dev-*"]
"#;
pub const NAME: &str = r#"name = "dev-evenings""#;
pub const STOP: &str = r#"stop = "0 19 * * MON-FRI""#;
pub const UNTIL: &str = r#"until = "0 7 * * MON-FRI""#;
pub const SELECT: &str = "[rule.select]\nresource_groups = [\"dev-*\"]";
pub const GROUPS: &str = r#"resource_groups = ["dev-*"]"#;

pub const SERVICE_KEY: &str = r#"{
  "clientid": "sb-CANARY", "clientsecret": "CANARY", "url": "https://auth.example.com",
  "serviceurls": { "AI_API_URL": "https://api.example.com" }
}"#;

pub const ICS_WITH_TIME: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20261224T140000Z\r\nSUMMARY:Party\r\n\
                             END:VEVENT\r\nEND:VCALENDAR\r\n";

/// A configuration in a directory of its own, right until it is edited.
pub struct Files {
    directory: TempDir,
}

/// What is done to the right files.
#[derive(Clone, Copy)]
pub enum Edit {
    Main(&'static str),
    Rules(&'static str),
    /// The first text is replaced by the second.
    InMain(&'static str, &'static str),
    InRules(&'static str, &'static str),
    Key(&'static str, &'static str),
    /// Lines at the end of the file.
    AddMain(&'static str),
    AddRules(&'static str),
    /// A line of the rule itself.
    AddRule(&'static str),
    /// `[prices]` with all but these lines.
    Prices(&'static str),
    /// `[mail]` with all but these lines.
    Mail(&'static str),
    MailToMany,
    File(&'static str, &'static str),
    Mode(&'static str, u32),
    LargeRules,
    ManyRules,
    BytesInRules(&'static [u8], &'static [u8]),
}
pub use Edit::*;

impl Files {
    pub fn new() -> Self {
        let files = Self { directory: TempDir::new().unwrap() };
        fs::create_dir(files.path("schedules")).unwrap();
        files.write("offhours.toml", MAIN);
        files.write("schedules/a.toml", RULES);
        files.write("dev.json", SERVICE_KEY);
        files
    }

    pub fn with(edits: &[Edit]) -> Self {
        let files = Self::new();
        for edit in edits {
            files.apply(*edit);
        }
        files
    }

    pub fn apply(&self, edit: Edit) {
        const RULES_FILE: &str = "schedules/a.toml";
        match edit {
            Main(text) => self.write("offhours.toml", text),
            Rules(text) => self.write(RULES_FILE, text),
            InMain(old, new) => self.replace("offhours.toml", old.as_bytes(), new.as_bytes()),
            InRules(old, new) => self.replace(RULES_FILE, old.as_bytes(), new.as_bytes()),
            Key(old, new) => self.replace("dev.json", old.as_bytes(), new.as_bytes()),
            AddMain(lines) => self.replace("offhours.toml", KEY.as_bytes(), format!("{KEY}\n\n{lines}").as_bytes()),
            AddRules(lines) => self.replace(RULES_FILE, GROUPS.as_bytes(), format!("{GROUPS}\n\n{lines}").as_bytes()),
            AddRule(line) => self.replace(RULES_FILE, UNTIL.as_bytes(), format!("{UNTIL}\n{line}").as_bytes()),
            Prices(lines) => {
                let prices = format!(
                    "\n[prices]\ncurrency = \"EUR\"\nsource = \"order form 4711\"\nvalid_from = 2026-01-01\n{lines}\n"
                );
                self.write("offhours.toml", format!("{MAIN}{prices}"));
            }
            Mail(lines) => {
                let mail = format!(
                    "\n[mail]\nsmtp = \"smtps://mail.example.com\"\nfrom = \"offhours@example.com\"\n{lines}\n"
                );
                self.write("offhours.toml", format!("{MAIN}{mail}"));
            }
            MailToMany => {
                let to: Vec<String> = (0..51).map(|n| format!("\"a{n}@example.com\"")).collect();
                let mail =
                    format!("\n[mail]\ndirectory = \"outbox\"\nfrom = \"a@example.com\"\nto = [{}]\n", to.join(", "));
                self.write("offhours.toml", format!("{MAIN}{mail}"));
            }
            File(name, text) => self.write(name, text),
            Mode(name, mode) => fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap(),
            LargeRules => self.write(RULES_FILE, format!("{RULES}{}", "# ".repeat(524_288))),
            ManyRules => self.write(RULES_FILE, many_rules(0..1001)),
            BytesInRules(old, new) => self.replace(RULES_FILE, old, new),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
        if Path::new(name).extension().is_none_or(|ending| ending != "toml") {
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    fn replace(&self, name: &str, old: &[u8], new: &[u8]) {
        let text = fs::read(self.path(name)).unwrap();
        let at = text.windows(old.len()).position(|window| window == old).expect("the text to be replaced is there");
        self.write(name, [&text[..at], new, &text[at + old.len()..]].concat());
    }

    pub fn load(&self) -> Result<(Config, Vec<Warning>), Faults> {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        config::load_at(&self.path("offhours.toml"), now)
    }

    /// All that is printed, without the directory.
    pub fn faults(&self) -> String {
        let faults = self.load().expect_err("there is a fault").to_string();
        self.without_directory(&faults)
    }

    /// `text`, with paths as they are seen from the directory.
    pub fn without_directory(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

pub fn many_rules(numbers: std::ops::Range<usize>) -> String {
    let mut text = String::new();
    for n in numbers {
        let rule = RULES.replace("dev-evenings", &format!("rule-{n}"));
        let _ = writeln!(text, "{rule}");
    }
    text
}
