//! Which offhours.toml is meant.

use std::path::{Path, PathBuf};

use crate::config::fault::{ConfigFault, Faults};

/// The variable that names the file.
const VARIABLE: &str = "OFFHOURS_CONFIG";
/// Where it is looked for otherwise, in this order.
const PLACES: [&str; 2] = ["offhours.toml", "/etc/offhours/offhours.toml"];

/// The configuration's file: `explicit` (`--config`), `$OFFHOURS_CONFIG`, `./offhours.toml`,
/// `/etc/offhours/offhours.toml`. A file that is named is taken even if it does not exist, so that a wrong name is
/// not passed over in silence.
pub fn find(explicit: Option<&Path>) -> Result<PathBuf, Faults> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    PLACES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned).ok_or_else(|| {
        Faults::from(ConfigFault {
            path: PathBuf::from(PLACES[0]),
            line: 1,
            column: 1,
            key: None,
            message: format!("no configuration: neither `./{}` nor `{}` exists", PLACES[0], PLACES[1]),
            hint: Some(format!(
                "copy `offhours.example.toml`, or name a file with `--config` or `${VARIABLE}`; `offhours demo` needs none"
            )),
        })
    })
}
