//! `[monitoring]`: who is told that offhours lives, and where it can be asked.

use std::net::SocketAddr;

use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use crate::config::key::{Typed, section};
use crate::config::secrets::{CredentialName, SecretFile, VariableName, inspect};
use crate::config::section::Section;
use crate::config::value::{Node, Value};
use crate::monitor::MonitoringSettings;
use crate::monitor::ping::{BadPingUrl, PingTarget, PingUrl};
use crate::secret::SecretSource;

section! {
    /// Who is told that the daemon lives, and where it can be asked how it is. All of it is off by default.
    MonitoringKeys {
        /// URL that takes pings as healthchecks.io does: after each run, and once an hour. `/fail` is added to its path
        /// where something is wrong. `https://`, or `http://` on this machine.
        heartbeat_url: PingUrl, Optional r#""https://hc-ping.com/your-uuid""#;
        /// File with that URL, of mode 600: whoever knows it can send pings.
        heartbeat_url_file: SecretFile, Optional r#""heartbeat-url""#;
        /// Name of the systemd credential that holds that URL.
        heartbeat_url_credential: CredentialName, Optional r#""heartbeat-url""#;
        /// Name of the environment variable that holds that URL.
        heartbeat_url_env: VariableName, Optional r#""HEARTBEAT_URL""#;
        /// Loopback address and port at which `/healthz` and `/metrics` are served.
        listen: Loopback, Optional r#""127.0.0.1:9464""#;
    }
}

/// Reads `[monitoring]`, and looks at the heartbeat's URL.
pub(super) fn read(section: &Section<'_, MonitoringKeys>) -> MonitoringSettings {
    MonitoringSettings {
        heartbeat: heartbeat(section),
        listen: section.get(|k| k.listen).map(|Loopback(address)| address),
    }
}

fn heartbeat(section: &Section<'_, MonitoringKeys>) -> Option<PingTarget> {
    let here = section.get(|k| k.heartbeat_url).map(PingTarget::Here);
    let file = section.get(|k| k.heartbeat_url_file).map(|SecretFile(path)| SecretSource::File(path));
    let credential =
        section.get(|k| k.heartbeat_url_credential).map(|CredentialName(name)| SecretSource::Credential(name));
    let env = section.get(|k| k.heartbeat_url_env).map(|VariableName(name)| SecretSource::Env(name));
    let elsewhere = |source: Option<SecretSource>| source.map(PingTarget::Elsewhere);
    let given = [
        (section.has(|k| k.heartbeat_url), "heartbeat_url", section.place_of(|k| k.heartbeat_url), here),
        (
            section.has(|k| k.heartbeat_url_file),
            "heartbeat_url_file",
            section.place_of(|k| k.heartbeat_url_file),
            elsewhere(file),
        ),
        (
            section.has(|k| k.heartbeat_url_credential),
            "heartbeat_url_credential",
            section.place_of(|k| k.heartbeat_url_credential),
            elsewhere(credential),
        ),
        (
            section.has(|k| k.heartbeat_url_env),
            "heartbeat_url_env",
            section.place_of(|k| k.heartbeat_url_env),
            elsewhere(env),
        ),
    ];
    let mut given = given.into_iter().filter(|(given, ..)| *given);
    let (_, key, place, target) = given.next()?;
    for (_, key, place, _) in given {
        place.fault(format!("`{key}` is one heartbeat too many in {}", section.title()), "keep one of them");
    }
    if let Some(PingTarget::Elsewhere(source)) = &target
        && let Some(Err(bad)) = inspect(key, place, source).map(|text| PingUrl::parse(text.expose_secret()))
    {
        place.fault(format!("what `{key}` names {bad}"), HINT);
    }
    target
}

const HINT: &str = "it looks like `https://hc-ping.com/your-uuid`";

impl Typed for PingUrl {
    const WHAT: &'static str = "a URL in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^https?://[^@]+$" })
    }
}

impl Value for PingUrl {
    fn read(node: Node<'_>) -> Option<Self> {
        // No message shows the URL: whoever knows it can send pings.
        Self::parse(node.text(Self::WHAT)?).map_or_else(
            |bad| {
                let hint = if bad == BadPingUrl::Login { "remove it, and change the password" } else { HINT };
                node.refuse_with(format!("`{}` {bad}", node.key), hint)
            },
            Some,
        )
    }
}

/// An address that can only be reached from this machine, with a port.
pub(super) struct Loopback(SocketAddr);

impl Typed for Loopback {
    const WHAT: &'static str = "an address and a port in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^(127\.[0-9.]+|\[::1\]):[0-9]{1,5}$" })
    }
}

impl Value for Loopback {
    fn read(node: Node<'_>) -> Option<Self> {
        let Ok(address) = node.text(Self::WHAT)?.parse::<SocketAddr>() else {
            return node.refuse(format!("`{}` is no address with a port", node.key));
        };
        if !address.ip().is_loopback() {
            let message = format!("`{}` would let other machines ask, without a login", node.key);
            return node
                .refuse_with(message, format!("write `127.0.0.1:{}`; a proxy can serve others", address.port()));
        }
        if address.port() == 0 {
            return node.refuse(format!("`{}` names port 0", node.key));
        }
        Some(Self(address))
    }
}
