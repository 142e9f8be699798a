//! The key that SAP's own SDKs would find: their environment variables, their `config.json`, a bound service.
//!
//! SAP's SDKs mix values from several places. Here the first place that holds a key is taken whole: a secret must
//! not go to the token endpoint of another tenant.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::aicore::key::{KeyFault, RawKey, SDK, SERVICE_KEY, ServiceKey, object, text};
use crate::secret::{SecretError, SecretSource};

/// Label of the service in `VCAP_SERVICES`.
const VCAP_LABEL: &str = "aicore";
/// The variables that hold a part of the key itself.
const PARTS: [&str; 9] = [
    "AICORE_CLIENT_ID",
    "AICORE_CLIENT_SECRET",
    "AICORE_AUTH_URL",
    "AICORE_CERT_URL",
    "AICORE_BASE_URL",
    "AICORE_CERT_FILE_PATH",
    "AICORE_KEY_FILE_PATH",
    "AICORE_CERT_STR",
    "AICORE_KEY_STR",
];

/// An environment to look in: a function from a variable's name to its value.
pub struct Ambient<F>(pub F);

pub(super) fn of_this_process() -> Ambient<impl Fn(&str) -> Option<String>> {
    Ambient(|name: &str| std::env::var(name).ok())
}

impl<F: Fn(&str) -> Option<String>> Ambient<F> {
    /// The first key there is.
    pub fn load(&self) -> Result<ServiceKey, KeyFault> {
        if let Some(json) = self.variable("AICORE_SERVICE_KEY") {
            return ServiceKey::parse(SecretString::from(json).expose_secret());
        }
        if self.variable("AICORE_CLIENT_ID").is_some() {
            let parts = PARTS.into_iter().filter_map(|name| Some((name.to_owned(), self.variable(name)?.into())));
            return from_sdk_names(&parts.collect());
        }
        if let Some(path) = self.config_file() {
            let json = SecretSource::File(path).read()?;
            let fields = object(json.expose_secret())?;
            return from_sdk_names(&fields);
        }
        match self.variable("VCAP_SERVICES").map(|json| bound_service(&json)).transpose()? {
            Some(Some(raw)) => raw.check(&SERVICE_KEY),
            _ => Err(KeyFault::Nowhere),
        }
    }

    /// A variable's value; an empty one counts as absent.
    fn variable(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    /// The SDKs' configuration file: one that is named must exist, the default one may.
    fn config_file(&self) -> Option<PathBuf> {
        if let Some(path) = self.variable("AICORE_CONFIG") {
            return Some(path.into());
        }
        let profile = self.variable("AICORE_PROFILE").filter(|profile| profile != "default");
        let name = profile.as_ref().map_or("config.json".to_owned(), |profile| format!("config_{profile}.json"));
        let home = self.variable("AICORE_HOME").map(PathBuf::from);
        let is_named = home.is_some() || profile.is_some();
        let home = home.or_else(|| Some(Path::new(&self.variable("HOME")?).join(".aicore")))?;
        let path = home.join(name);
        (is_named || path.exists()).then_some(path)
    }
}

fn from_sdk_names(fields: &Map<String, Value>) -> Result<ServiceKey, KeyFault> {
    let read = |name| text(fields, name).map(|path| owned_or_public(name, Path::new(&path))).transpose();
    let raw = RawKey {
        client_id: text(fields, "AICORE_CLIENT_ID"),
        client_secret: text(fields, "AICORE_CLIENT_SECRET").map(Into::into),
        url: text(fields, "AICORE_AUTH_URL"),
        // SAP's SDKs take the former for certificates where it is set, and else the latter.
        cert_url: text(fields, "AICORE_CERT_URL").or_else(|| text(fields, "AICORE_AUTH_URL")),
        certificate: match read("AICORE_CERT_FILE_PATH")? {
            Some(pem) => Some(pem.expose_secret().to_owned()),
            None => text(fields, "AICORE_CERT_STR"),
        },
        private_key: match read("AICORE_KEY_FILE_PATH")? {
            Some(pem) => Some(pem),
            None => text(fields, "AICORE_KEY_STR").map(Into::into),
        },
        api_url: text(fields, "AICORE_BASE_URL"),
        identity_zone: None,
    };
    raw.check(&SDK)
}

/// A certificate is public; a private key is the owner's alone.
fn owned_or_public(name: &str, path: &Path) -> Result<SecretString, KeyFault> {
    if name == "AICORE_KEY_FILE_PATH" {
        return Ok(SecretSource::File(path.to_owned()).read()?);
    }
    std::fs::read_to_string(path)
        .map(Into::into)
        .map_err(|error| SecretError::Unreadable { path: path.to_owned(), reason: error.to_string() }.into())
}

/// The first service labelled `aicore` of Cloud Foundry's `VCAP_SERVICES`.
fn bound_service(json: &str) -> Result<Option<RawKey>, KeyFault> {
    let services = object(json)?;
    let credentials = services.get(VCAP_LABEL).and_then(|bound| bound.get(0)).and_then(|one| one.get("credentials"));
    Ok(credentials.and_then(Value::as_object).map(RawKey::from_service_key))
}
