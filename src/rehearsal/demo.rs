//! The built-in tenant of `offhours demo` and the rules it is rehearsed with. Its files are written out before they are
//! read, so that a reader can look at them, change them and rehearse again.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::config::{self, Faults};
use crate::domain::hold::{Hold, Target};
use crate::domain::id::{BadId, ResourceGroup};
use crate::private_file;
use crate::rehearsal::{Rehearsal, RehearsalError, io, write};
use crate::simulator::{Fleet, FleetError};

/// Where in the files things are.
const FILES: [(&str, &str); 4] = [
    ("offhours.toml", include_str!("demo/offhours.toml")),
    ("schedules/evenings.toml", include_str!("demo/schedules/evenings.toml")),
    ("schedules/weekends.toml", include_str!("demo/schedules/weekends.toml")),
    ("fleet.toml", include_str!("demo/fleet.toml")),
];
/// Monday morning of a week at whose end Europe puts its clocks back, in Berlin.
const FROM: &str = "2026-10-19T06:00:00+02:00";
/// The end of its Sunday; off windows go on until Monday morning.
const TO: &str = "2026-10-25T23:59:59+01:00";
/// The service key that stands in `offhours.toml`'s place for one, until the simulator has made its own.
const KEY: &str = r#"{"clientid":"demo","clientsecret":"demo","url":"http://127.0.0.1:9","serviceurls":{"AI_API_URL":"http://127.0.0.1:9"}}"#;

/// Why the demo could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Its files could not be written.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// Its configuration has faults, which is a fault of offhours.
    #[error("{0}")]
    Config(#[from] Faults),
    /// Its fleet has faults, which is a fault of offhours.
    #[error("the demo's fleet: {0}")]
    Fleet(#[from] FleetError),
    /// A name or an instant in it means nothing, which is a fault of offhours.
    #[error("the demo's hold: {0}")]
    Hold(#[from] BadId),
    /// An instant in it means nothing.
    #[error("the demo's week: {0}")]
    Week(#[from] chrono::ParseError),
}

/// The built-in fleet.
pub fn fleet() -> Result<Fleet, FleetError> {
    Fleet::parse(include_str!("demo/fleet.toml"))
}

/// Writes the demo's files into `output` and prepares its week.
pub fn prepare(output: &Path) -> Result<Rehearsal, DemoError> {
    for (name, text) in FILES {
        let path = output.join(name);
        let directory = path.parent().unwrap_or(output);
        private_file::make_directory(directory).map_err(io(format!("cannot make `{}`", directory.display())))?;
        write(&path, text)?;
    }
    write(&output.join("service-key.json"), KEY)?;
    let (config, _) = config::load(&output.join("offhours.toml"))?;
    let fleets = config.connections.keys().map(|name| Ok((name.clone(), fleet()?)));
    let fleets = fleets.collect::<Result<BTreeMap<_, _>, FleetError>>()?;
    let hold = Hold {
        id: 1,
        target: Target::ResourceGroup(ResourceGroup::new("dev-vision")?),
        created_at: instant("2026-10-21T16:40:00+02:00")?,
        until: instant("2026-10-22T07:00:00+02:00")?,
        reason: "training night for the defects model".to_owned(),
        by: "ada".to_owned(),
    };
    let output = output.to_owned();
    Ok(Rehearsal { config, fleets, holds: vec![hold], from: instant(FROM)?, to: instant(TO)?, output })
}

fn instant(text: &str) -> Result<DateTime<Utc>, chrono::ParseError> {
    text.parse::<DateTime<chrono::FixedOffset>>().map(|at| at.to_utc())
}
