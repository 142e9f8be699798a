//! A scenario as sentences: rules, a fleet, an instant, and what is in the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use offhours::simulator::{Fault, Fleet};

use crate::scenario::fired::Fired;
use crate::scenario::stage::Stage;
use crate::support::given::{PRICES, main_file};

/// Virtual time begins so long before the instant that a scenario names.
pub const LEAD: TimeDelta = TimeDelta::minutes(10);

/// Weekday evenings in Berlin over every group that begins with `dev-`.
pub const EVENINGS: &str = r#"
[[rule]]
name = "dev-evenings"
stop = "0 19 * * MON-FRI"
until = "0 7 * * MON-FRI"
max_stops = 300
[rule.select]
resource_groups = ["dev-*"]
"#;

/// What is set up before anything happens.
pub struct Scenario {
    rules: Vec<String>,
    main: String,
    pub fleet: Fleet,
    pub at: DateTime<Utc>,
    /// When virtual time begins, where that is not [`LEAD`] before.
    pub begins: Option<DateTime<Utc>>,
    pub faults: Vec<Fault>,
}

impl Scenario {
    /// No rule and an empty tenant, on a Friday evening before Europe's clocks go forward.
    pub fn new() -> Self {
        Self {
            rules: Vec::new(),
            main: main_file(),
            fleet: Fleet::new(),
            at: instant("2026-03-27T19:00:00+01:00"),
            begins: None,
            faults: Vec::new(),
        }
    }

    /// With the rule [`EVENINGS`].
    pub fn evenings() -> Self {
        Self::new().rule(EVENINGS)
    }

    /// One more file of rules.
    pub fn rule(mut self, text: &str) -> Self {
        self.rules.push(text.to_owned());
        self
    }

    /// [`EVENINGS`] with more keys of the rule, before its sections.
    pub fn evenings_with(keys: &str) -> Self {
        Self::new().rule(&EVENINGS.replace("max_stops = 300", keys))
    }

    /// More sections of offhours.toml.
    pub fn main(mut self, text: &str) -> Self {
        self.main.push_str(text);
        self
    }

    /// Another `[prices]`.
    pub fn prices(mut self, text: &str) -> Self {
        self.main = self.main.replace(PRICES, text);
        self
    }

    /// What the tenant has.
    pub fn fleet(mut self, fleet: Fleet) -> Self {
        self.fleet = fleet;
        self
    }

    /// The instant that matters; virtual time begins [`LEAD`] before.
    pub fn at(mut self, text: &str) -> Self {
        self.at = instant(text);
        self
    }

    /// What goes wrong between client and tenant.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Sets everything up.
    pub fn start(self) -> Stage {
        Stage::new(self)
    }

    /// Sets everything up, and lets what is due at the instant be carried out.
    pub fn fire(self) -> Fired {
        self.start().fire()
    }

    /// Sets everything up, and lets a person fire a rule at the instant.
    pub fn fire_by_hand(self, rule: &str) -> Fired {
        let stage = self.start();
        stage.wait_until(stage.at);
        let run = stage.fire_by_hand(rule).unwrap();
        Fired { stage, runs: vec![run] }
    }

    /// The same, where offhours slept over the instant and wakes so long after it.
    pub fn fire_late(mut self, late: TimeDelta) -> Fired {
        let at = self.at;
        self.at = at + late;
        let mut scenario = self;
        scenario.begins = Some(at - LEAD);
        scenario.fire()
    }

    /// Writes the files that a user writes.
    pub fn write_files(&self, directory: &Path, service_key: &str) {
        fs::create_dir(directory.join("schedules")).unwrap();
        fs::write(directory.join("offhours.toml"), &self.main).unwrap();
        for (index, rule) in self.rules.iter().enumerate() {
            fs::write(directory.join(format!("schedules/{index:02}.toml")), rule).unwrap();
        }
        let key = directory.join("dev.json");
        fs::write(&key, service_key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// An instant with any offset.
pub fn instant(text: &str) -> DateTime<Utc> {
    text.parse::<DateTime<FixedOffset>>().unwrap_or_else(|error| panic!("{text}: {error}")).to_utc()
}
