//! Why there is no usable service key. Places and fields are named; values never are.

use std::path::PathBuf;

use crate::aicore::key_source::KeySource;

/// A fault and the place it was found in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service key from {place}: {fault}")]
pub struct KeyError {
    /// Where the key was looked for.
    pub place: KeySource,
    /// What is wrong with it.
    pub fault: KeyFault,
}

/// What is wrong with a service key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The file could not be read; the system's reason.
    #[error("cannot read `{}`: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Others than the owner may read it.
    #[error("`{0}` can be read by others (mode {mode:03o}): `chmod 600 {0}`", .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, a pipe or a device.
    #[error("`{}` is no regular file", .0.display())]
    NoFile(PathBuf),
    /// Larger than any key.
    #[error("`{}` is larger than {limit} bytes: it is no service key", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The variable is not set, or not UTF-8.
    #[error("the environment variable `{0}` is not set")]
    NoVariable(String),
    /// Not started with systemd's `LoadCredential=`.
    #[error("`$CREDENTIALS_DIRECTORY` is not set: add `LoadCredential={0}:/path/to/key.json` to the unit")]
    NoCredentials(String),
    /// A credential's name is a file name.
    #[error("`{0}` is no credential's name: it must be a file name without `/`")]
    BadCredential(String),
    /// None of the places SAP's SDKs look in holds a key.
    #[error("there is none: set `AICORE_SERVICE_KEY`, or name the key's file as `service_key` in `[connection]`")]
    Nowhere,
    /// Not JSON.
    #[error("it is no JSON from line {line}, column {column} on")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON, but no object.
    #[error("it is no JSON object: use the service key as downloaded from the BTP cockpit")]
    NoObject,
    /// A field is absent or empty.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A URL that no secret may be sent to.
    #[error("`{field}` cannot be used: {why}")]
    BadUrl {
        /// The field.
        field: &'static str,
        /// What is wrong and what would be right.
        why: &'static str,
    },
    /// Certificate and private key are not a usable pair of PEMs.
    #[error("`certificate` and `key` are no usable PEM pair: download the key again (X.509 v1 is not supported)")]
    BadCertificate,
    /// No client could be built: nearly always the machine's CA certificates.
    #[error("no TLS client could be made: is the package `ca-certificates` installed")]
    NoTls,
    /// The key was replaced by one for another tenant while we run.
    #[error("it was replaced by a key of another tenant; nothing is sent there: restart offhours if that is wanted")]
    AnotherTenant,
}
