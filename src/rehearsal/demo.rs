//! The built-in tenant of `offhours demo` and the rules it is rehearsed with. Its files are written out before they are
//! read, so that a reader can look at them, change them and rehearse again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::config::{self, Faults};
use crate::domain::hold::{Hold, HoldTarget};
use crate::domain::id::{BadId, ResourceGroup};
use crate::private_file;
use crate::rehearsal::{MAILS, Rehearsal, RehearsalError, STATE, io, write};
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
pub(crate) enum DemoError {
    /// Something of somebody's own is there.
    #[error("`{}` holds a configuration or a ledger that is not the demo's: name another directory with `--output`", .0.display())]
    Occupied(PathBuf),
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

pub(crate) fn fleet() -> Result<Fleet, FleetError> {
    Fleet::parse(include_str!("demo/fleet.toml"))
}

/// Writes the demo's files into `output`, in place of those of an earlier demo, and prepares its week.
pub(crate) fn prepare(output: &Path) -> Result<Rehearsal, DemoError> {
    forget_earlier(output)?;
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
        target: HoldTarget::ResourceGroup(ResourceGroup::new("dev-vision")?),
        created_at: instant("2026-10-21T16:40:00+02:00")?,
        until: instant("2026-10-22T07:00:00+02:00")?,
        reason: "training night for the defects model".to_owned(),
        by: "ada".to_owned(),
        removed_at: None,
    };
    let output = output.to_owned();
    Ok(Rehearsal { config, fleets, holds: vec![hold], from: instant(FROM)?, to: instant(TO)?, output })
}

/// Takes away what an earlier demo left. A directory with somebody's own configuration is left as it is.
fn forget_earlier(output: &Path) -> Result<(), DemoError> {
    let own = output.join(FILES[0].0);
    let is_file = own.symlink_metadata().is_ok_and(|found| found.is_file());
    let first_line = |text: &str| text.lines().next().map(str::to_owned);
    let is_demos = || fs::read_to_string(&own).is_ok_and(|text| first_line(&text) == first_line(FILES[0].1));
    if is_file && !is_demos() {
        return Err(DemoError::Occupied(output.to_owned()));
    }
    for made in [STATE, MAILS] {
        let made = output.join(made);
        match made.symlink_metadata() {
            Ok(_) if !is_file => return Err(DemoError::Occupied(output.to_owned())),
            Ok(found) if found.is_dir() => {
                fs::remove_dir_all(&made).map_err(io(format!("cannot remove `{}`", made.display())))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn instant(text: &str) -> Result<DateTime<Utc>, chrono::ParseError> {
    text.parse::<DateTime<chrono::FixedOffset>>().map(|at| at.to_utc())
}
