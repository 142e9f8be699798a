//! `[monitoring]`: who is told that offhours lives, and where it can be asked.

use std::net::SocketAddr;

use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use crate::config::key::{Typed, section};
use crate::config::secrets::{
    CredentialName, NamedSecret, SecretFile, VariableName, exclude_each_other, inspect, named_secret,
};
use crate::config::section::Section;
use crate::config::value::{Node, Value};
use crate::monitor::MonitoringSettings;
use crate::monitor::ping::{BadPingUrl, PingTarget, PingUrl};

section! {
    /// Who is told that the daemon lives, and where it can be asked how it is. All of it is off by default.
    MonitoringKeys {
        /// URL that takes pings as healthchecks.io does: after each run, and once an hour. `/fail` is added to its path
        /// where something is wrong. `https://`, or `http://` on this machine.
        heartbeat_url: PingUrl, Optional r#""https://hc-ping.com/your-uuid""#;
        /// File with that URL, of mode 600: everybody who knows it can send pings.
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
    let secret =
        named_secret(section, |k| k.heartbeat_url_file, |k| k.heartbeat_url_credential, |k| k.heartbeat_url_env);
    if section.has(|k| k.heartbeat_url) {
        if let Some(secret) = secret {
            exclude_each_other("heartbeat_url", secret.key, secret.place);
        }
        return section.get(|k| k.heartbeat_url).map(PingTarget::Here);
    }
    let NamedSecret { key, place, source } = secret?;
    let source = source?;
    if let Some(Err(bad)) = inspect(key, place, &source).map(|text| PingUrl::parse(text.expose_secret())) {
        place.fault(format!("what `{key}` names {bad}"), HINT);
    }
    Some(PingTarget::Elsewhere(source))
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
            return node.refuse(format!("`{}` is not an address with a port", node.key));
        };
        if !address.ip().is_loopback() {
            let message = format!("`{}` is reachable from other machines, without a login", node.key);
            return node
                .refuse_with(message, format!("write `127.0.0.1:{}`; a proxy can serve others", address.port()));
        }
        if address.port() == 0 {
            return node.refuse(format!("`{}` names port 0", node.key));
        }
        Some(Self(address))
    }
}
