//! What is wrong with a service key. Places and fields are named; values never are.

use crate::secret::SecretError;

/// What is wrong with a service key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// None of the places SAP's SDKs look in holds a key.
    #[error("there is none: set `AICORE_SERVICE_KEY`, or name the key's file as `service_key` in `[connection]`")]
    Nowhere,
    #[error("it is not valid JSON from line {line}, column {column} on")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A file's name, where the key itself is expected.
    #[error("it is the name of a file, and the key itself is expected: name a file with `service_key = \"dev.json\"`")]
    IsPath,
    /// JSON, but no object.
    #[error("it is not a JSON object: use the service key as downloaded from the BTP cockpit")]
    NoObject,
    /// A field is absent or empty.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A URL that no secret may be sent to.
    #[error("`{field}` cannot be used: {why}")]
    BadUrl {
        field: &'static str,
        /// What is wrong and what would be right.
        why: &'static str,
    },
    /// Certificate and private key are not a usable pair of PEMs.
    #[error("`certificate` and `key` are not a usable PEM pair: download the key again (X.509 v1 is not supported)")]
    BadCertificate,
    /// No client could be built: nearly always the machine's CA certificates.
    #[error("no TLS client could be made: is the package `ca-certificates` installed")]
    NoTls,
    /// The key was replaced by one for another tenant while we run.
    #[error("it was replaced by a key of another tenant; nothing is sent there: restart offhours if that is wanted")]
    AnotherTenant,
}
