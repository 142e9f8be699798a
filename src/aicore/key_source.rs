//! Where a service key comes from: a file, a systemd credential, an environment variable, or SAP's own names.

use std::fmt;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use crate::aicore::ambient;
use crate::aicore::key::ServiceKey;
use crate::aicore::key_fault::KeyFault;
use crate::secret::SecretSource;

/// A place that holds a service key. It is looked at again whenever a token is needed, so that a rotated key is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    Secret(SecretSource),
    /// The names and files that SAP's SDKs read: the first of `AICORE_SERVICE_KEY`, the other `AICORE_*` variables,
    /// `$AICORE_CONFIG` or `$AICORE_HOME/config.json` (`config_<profile>.json` by `AICORE_PROFILE`), `VCAP_SERVICES`.
    Ambient,
}

/// A fault and the place it was found in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service key from {place}: {fault}")]
pub struct KeyError {
    /// Where the key was looked for.
    pub(crate) place: KeySource,
    pub fault: KeyFault,
}

impl ServiceKey {
    /// Loads the key from where `source` says it is, and checks it.
    pub fn load(source: &KeySource) -> Result<Self, KeyError> {
        source.load()
    }
}

impl KeySource {
    /// A file that only its owner may read.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::Secret(SecretSource::File(path.into()))
    }

    /// Loads and checks the key that is there now.
    pub(super) fn load(&self) -> Result<ServiceKey, KeyError> {
        let key = match self {
            Self::Secret(secret) => {
                secret.read().map_err(Into::into).and_then(|json| ServiceKey::parse(json.expose_secret()))
            }
            Self::Ambient => ambient::of_this_process().load(),
        };
        key.map_err(|fault| KeyError { place: self.clone(), fault })
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(secret) => secret.fmt(f),
            Self::Ambient => f.write_str("the environment (`AICORE_*`, `VCAP_SERVICES`)"),
        }
    }
}
