//! What can be told of a configuration that may have faults: enough to find the ledger and to say what a hold covers. A
//! run is given a [`Config`] only, which has none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::connection::Connection;
use crate::config::fault::{Faults, Warning};
use crate::config::fingerprint::Fingerprint;
use crate::config::resolved::Config;
use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::locale::Locale;
use crate::domain::money::Prices;
use crate::domain::rule::Rule;
use crate::domain::selection::Exclusion;
use crate::domain::zone::Zone;

/// A configuration as far as it was understood.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    pub(super) config: Config,
    /// What keeps it from being used.
    pub(crate) faults: Option<Faults>,
    pub(crate) warnings: Vec<Warning>,
}

/// How the files compare with the configuration that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnDisk {
    /// They are what was read.
    Same,
    /// They are not the files that the daemon reads; it goes by those of this offhours.toml.
    Another(PathBuf),
    /// They were changed, and not read since.
    Changed,
    /// They were changed and have faults: so many, and the first of them.
    Faulty(usize, String),
}

impl Outline {
    /// All that was understood, for commands that only show. Nothing is stopped by it: `run` and `fire` take what
    /// [`load`](crate::config::load()) gives.
    pub(crate) fn for_reading(&self) -> &Config {
        &self.config
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.config.path
    }

    /// How people type a command that reaches the ledger, without the command itself.
    pub(crate) fn command(&self) -> &str {
        &self.config.command
    }

    pub(crate) fn rules(&self) -> &[Arc<Rule>] {
        &self.config.rules
    }

    pub(crate) fn zone(&self) -> Option<&Zone> {
        self.config.zone.as_ref()
    }

    pub(crate) fn zone_or_utc(&self) -> Zone {
        self.config.zone_or_utc()
    }

    /// In whose form dates and numbers are written.
    pub(crate) fn locale(&self) -> Locale {
        self.config.locale()
    }

    pub(crate) fn connections(&self) -> &BTreeMap<ConnectionName, Connection> {
        &self.config.connections
    }

    /// What no rule stops.
    pub(crate) fn protect(&self) -> &Exclusion {
        &self.config.protect
    }

    pub(crate) fn prices(&self) -> &Prices {
        &self.config.prices
    }

    /// Rules with `enabled = false`.
    pub(crate) fn disabled(&self) -> &[RuleName] {
        &self.config.disabled
    }

    /// How it compares with the configuration whose fingerprint was `in_force`, which the daemon read from `daemons`.
    pub(crate) fn compared_with(&self, in_force: &Fingerprint, daemons: Option<&Path>) -> OnDisk {
        if self.config.fingerprint == *in_force {
            return OnDisk::Same;
        }
        let real = |path: &Path| path.canonicalize().ok().or_else(|| std::path::absolute(path).ok());
        if let Some(other) = daemons.filter(|daemons| real(daemons) != real(self.path())) {
            return OnDisk::Another(other.to_owned());
        }
        let first = |faults: &Faults| faults.iter().next().map(ToString::to_string).unwrap_or_default();
        let text = |faults: &Faults| first(faults).lines().next().unwrap_or_default().to_owned();
        self.faults.as_ref().map_or(OnDisk::Changed, |faults| OnDisk::Faulty(faults.iter().count(), text(faults)))
    }
}
