//! Floor 1: where a secret is written down, and reading it. Secrets never stand in TOML.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

/// Files with secrets are small; a larger one is a mistake.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Bits that let anybody but the owner at a secret file.
const GROUP_AND_OTHERS: u32 = 0o077;
/// systemd 252 lets a unit's user read a credential by an ACL, whose mask shows as the group's bits; the directory
/// itself is closed to everybody else.
const OTHERS: u32 = 0o007;

/// Where a secret is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that only its owner may read.
    File(PathBuf),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    Env(String),
}

/// Why a secret cannot be had. Never contains any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be opened or read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    /// Others could read it too.
    #[error("`{}` can be read by group or others: run `chmod 600 {}`", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// A directory, a pipe or a device.
    #[error("`{}` is not a regular file", .0.display())]
    NoFile(PathBuf),
    /// Too large to be what it should be.
    #[error("`{}` is larger than 1 MiB: this is not the file you mean", .0.display())]
    TooLarge(PathBuf),
    #[error("`{}` is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// No credentials directory.
    #[error(
        "the credential `{0}` is wanted, but `$CREDENTIALS_DIRECTORY` is not set: add `LoadCredential={0}:…` to the unit"
    )]
    NoCredentials(String),
    /// A name that would leave the directory.
    #[error("`{0}` is not a valid credential name: letters, digits, `.`, `_` and `-` are allowed")]
    CredentialName(String),
    #[error("the environment variable `{0}` is not set, or is not UTF-8")]
    NoVariable(String),
}

impl SecretSource {
    /// Reads the secret as it stands, line ends included.
    pub(crate) fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::File(path) => read_file(path, GROUP_AND_OTHERS),
            Self::Credential(name) => {
                let well_formed = !name.is_empty()
                    && !name.starts_with('.')
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
                if !well_formed {
                    return Err(SecretError::CredentialName(name.chars().take(80).collect()));
                }
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                read_file(&Path::new(&directory).join(name), OTHERS)
            }
            Self::Env(name) => {
                std::env::var(name).map(SecretString::from).map_err(|_| SecretError::NoVariable(name.clone()))
            }
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Env(name) => write!(f, "environment variable `{name}`"),
        }
    }
}

/// Reads a secret file, refusing one that anybody with the `forbidden` permission bits could read.
fn read_file(path: &Path, forbidden: u32) -> Result<SecretString, SecretError> {
    let unreadable =
        |error: std::io::Error| SecretError::Unreadable { path: path.to_owned(), reason: error.to_string() };
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SecretError::NoFile(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    // What was opened is checked, not what the name points to a moment later.
    if file.metadata().map_err(unreadable)?.permissions().mode() & forbidden != 0 {
        return Err(SecretError::Exposed(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(SecretError::TooLarge(path.to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText(path.to_owned()))?;
    Ok(SecretString::from(text.trim_start_matches('\u{feff}')))
}
