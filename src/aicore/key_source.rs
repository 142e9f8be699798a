//! Where a service key comes from: a file, a systemd credential, an environment variable, or SAP's own names.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::aicore::ambient;
use crate::aicore::key::{KeyError, KeyFault, ServiceKey};

/// No service key is larger; in bytes.
const KEY_LIMIT: u64 = 1 << 20;
/// Bits that let anybody but the owner at a secret file.
const GROUP_AND_OTHERS: u32 = 0o077;
/// systemd 252 lets a unit's user read a credential by an ACL, whose mask shows as the group's bits; the directory
/// itself is closed to everybody else.
const OTHERS: u32 = 0o007;

/// A place that holds a service key. It is looked at again whenever a token is needed, so that a rotated key is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file with the JSON as downloaded.
    File(PathBuf),
    /// A systemd credential: the file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// An environment variable that holds the JSON itself.
    Env(String),
    /// The names and files that SAP's SDKs read: the first of `AICORE_SERVICE_KEY`, the other `AICORE_*` variables,
    /// `$AICORE_CONFIG` or `$AICORE_HOME/config.json` (`config_<profile>.json` by `AICORE_PROFILE`), `VCAP_SERVICES`.
    Ambient,
}

impl KeySource {
    /// Loads and checks the key that is there now.
    pub(super) fn load(&self) -> Result<ServiceKey, KeyError> {
        let key = match self {
            Self::File(path) => secret_file(path, GROUP_AND_OTHERS).and_then(|json| parse(&json)),
            Self::Credential(name) => credential(name).and_then(|json| parse(&json)),
            Self::Env(name) => std::env::var(name)
                .map_err(|_| KeyFault::NoVariable(name.clone()))
                .and_then(|json| parse(&SecretString::from(json))),
            Self::Ambient => ambient::of_this_process().load(),
        };
        key.map_err(|fault| KeyError { place: self.clone(), fault })
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Env(name) => write!(f, "environment variable `{name}`"),
            Self::Ambient => f.write_str("the environment (`AICORE_*`, `VCAP_SERVICES`)"),
        }
    }
}

fn parse(json: &SecretString) -> Result<ServiceKey, KeyFault> {
    ServiceKey::parse(json.expose_secret())
}

fn credential(name: &str) -> Result<SecretString, KeyFault> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(KeyFault::BadCredential(name.to_owned()));
    }
    let directory =
        std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| KeyFault::NoCredentials(name.to_owned()))?;
    secret_file(&Path::new(&directory).join(name), OTHERS)
}

/// Reads a secret file that only its owner may read.
pub(super) fn owned_file(path: &Path) -> Result<SecretString, KeyFault> {
    secret_file(path, GROUP_AND_OTHERS)
}

/// Checks what was opened, not what the name points to a moment later.
fn secret_file(path: &Path, forbidden: u32) -> Result<SecretString, KeyFault> {
    let unreadable = |error: std::io::Error| KeyFault::Unreadable { path: path.to_owned(), reason: error.to_string() };
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(KeyFault::NoFile(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = mode(&file.metadata().map_err(unreadable)?);
    if mode & forbidden != 0 {
        return Err(KeyFault::TooOpen { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    let length = file.take(KEY_LIMIT + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > KEY_LIMIT {
        return Err(KeyFault::TooLarge { path: path.to_owned(), limit: KEY_LIMIT });
    }
    Ok(text.into())
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> u32 {
    0
}
