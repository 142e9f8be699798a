//! `[connection.NAME]`: one AI Core tenant, and where its service key is.

use secrecy::ExposeSecret;

use crate::aicore::{self, KeyFault, KeySource, ServiceKey};
use crate::config::key::section;
use crate::config::secrets::{CredentialName, NamedSecret, SecretFile, VariableName, inspect, named_secret};
use crate::config::section::Section;
use crate::domain::id::ConnectionName;

/// One AI Core tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub name: ConnectionName,
    pub key: KeySource,
}

section! {
    /// One AI Core tenant. With none of the keys, the names that SAP's SDKs read: the `AICORE_*` variables,
    /// `~/.aicore/config.json`, `VCAP_SERVICES`.
    ConnectionKeys {
        /// File with the service key as downloaded, of mode 600.
        service_key: SecretFile, Optional r#""dev.json""#;
        /// Name of the systemd credential that holds the service key.
        credential: CredentialName, Optional r#""dev-key""#;
        /// Name of the environment variable that holds the service key.
        env: VariableName, Optional r#""AICORE_SERVICE_KEY""#;
    }
    const SECRETS: &'static str = "name where the service key is: `service_key = \"dev.json\"` (a file of mode 600), \
                                   `credential = \"dev-key\"` or `env = \"AICORE_SERVICE_KEY\"`";
}

/// Reads `[connection.NAME]`, and looks at its key.
pub(super) fn read(section: &Section<'_, ConnectionKeys>) -> Option<Connection> {
    let name = match ConnectionName::new(section.name()) {
        Ok(name) => Some(name),
        Err(bad) => {
            section.place().fault(bad.to_string(), "for example `[connection.dev]`");
            None
        }
    };
    let secret = named_secret(section, |k| k.service_key, |k| k.credential, |k| k.env);
    let is_ambient = secret.is_none();
    let key = match &secret {
        None => Some(KeySource::Ambient),
        Some(secret) => secret.source.clone().map(KeySource::Secret),
    };
    if let Some(NamedSecret { key, place, source: Some(source) }) = secret
        && let Some(json) = inspect(key, place, &source)
        && let Err(why) = ServiceKey::parse(json.expose_secret()).and_then(|key| aicore::inspect(&key))
    {
        place.fault(
            format!("the service key that `{key}` names cannot be used: {why}"),
            "download the service key again from the BTP cockpit",
        );
    }
    if is_ambient && section.place().reading.has_secrets {
        inspect_ambient(section);
    }
    Some(Connection { name: name?, key: key? })
}

/// Looks at the key that SAP's SDKs would find. One that is not there is only odd: it may be where the daemon runs.
fn inspect_ambient(section: &Section<'_, ConnectionKeys>) {
    let place = section.place();
    match ServiceKey::load(&KeySource::Ambient).map_err(|error| error.fault).and_then(|key| aicore::inspect(&key)) {
        Ok(()) => {}
        Err(KeyFault::Nowhere) => place.warn(format!(
            "{} names no service key, and none is found where SAP's SDKs look (`AICORE_SERVICE_KEY`, \
             `~/.aicore/config.json`, `VCAP_SERVICES`)",
            section.title()
        )),
        Err(why) => place.fault(
            format!("the service key in the environment of {} cannot be used: {why}", section.title()),
            "correct the `AICORE_*` variables or `~/.aicore/config.json`, or name a key: `service_key = \"dev.json\"`",
        ),
    }
}
