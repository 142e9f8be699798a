//! A service key: what a BTP administrator downloads so that a program may talk to one AI Core tenant.
//!
//! Where it comes from is a [`KeySource`](crate::aicore::key_source::KeySource); [`ServiceKey::parse`] reads SAP's JSON, without touching anything else.
//! No message made here repeats a value of the key: fields are named, never shown.

use crate::domain::loopback::is_loopback;
use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

pub use crate::aicore::key_fault::KeyFault;

/// Path of the token endpoint below a key's `url` or `certurl`.
const TOKEN_PATH: &str = "/oauth/token";

/// Credentials of one tenant, checked: its URLs are safe to send a secret to.
#[derive(Clone)]
pub struct ServiceKey {
    pub client_id: String,
    pub proof: Proof,
    pub token_url: Url,
    api_url: Url,
    identity_zone: Option<String>,
}

/// How the client proves who it is.
#[derive(Clone)]
pub enum Proof {
    /// A shared secret, sent in the form.
    Secret(SecretString),
    /// A client certificate for mutual TLS; `pem` holds the private key and the certificates.
    Certificate {
        /// Key and certificates, one PEM after the other.
        pem: SecretString,
    },
}

/// A key's fields under SAP's names, before any check.
#[derive(Default)]
pub(super) struct RawKey {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<SecretString>,
    pub(super) url: Option<String>,
    pub(super) cert_url: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) private_key: Option<SecretString>,
    pub(super) api_url: Option<String>,
    pub(super) identity_zone: Option<String>,
}

/// How the place a key was found in spells its fields, so that a message names the one to mend.
pub(super) struct KeySpelling {
    client_id: &'static str,
    secret_or_certificate: &'static str,
    url: &'static str,
    cert_url: &'static str,
    api_url: &'static str,
}

/// The names in a downloaded key and in `VCAP_SERVICES`.
pub(super) const SERVICE_KEY: KeySpelling = KeySpelling {
    client_id: "clientid",
    secret_or_certificate: "clientsecret` or `certificate` and `key",
    url: "url",
    cert_url: "certurl",
    api_url: "serviceurls.AI_API_URL",
};

/// The names that SAP's SDKs read from the environment and from `config.json`.
pub(super) const SDK: KeySpelling = KeySpelling {
    client_id: "AICORE_CLIENT_ID",
    secret_or_certificate: "AICORE_CLIENT_SECRET`, `AICORE_CERT_FILE_PATH` and `AICORE_KEY_FILE_PATH`, or `AICORE_CERT_STR` and `AICORE_KEY_STR",
    url: "AICORE_AUTH_URL",
    cert_url: "AICORE_AUTH_URL",
    api_url: "AICORE_BASE_URL",
};

impl ServiceKey {
    /// Reads a service key's JSON; also one wrapped in `{"credentials": …}`, as `cf service-key` prints it.
    pub fn parse(json: &str) -> Result<Self, KeyFault> {
        let document = object(json)?;
        let fields = document.get("credentials").and_then(Value::as_object).unwrap_or(&document);
        RawKey::from_service_key(fields).check(&SERVICE_KEY)
    }

    /// Base of every call, `{AI_API_URL}/v2`, without a trailing slash.
    pub fn base(&self) -> String {
        format!("{}/v2", self.api_url.as_str().trim_end_matches('/'))
    }

    /// True where the AI API is on this machine, which no proxy serves.
    pub(crate) fn api_is_local(&self) -> bool {
        self.api_url.host_str().is_some_and(is_loopback)
    }

    /// True where the token endpoint is on this machine.
    pub(crate) fn token_is_local(&self) -> bool {
        self.token_url.host_str().is_some_and(is_loopback)
    }

    /// The token endpoint's host, for messages.
    pub fn token_host(&self) -> &str {
        self.token_url.host_str().unwrap_or("")
    }

    /// The AI API's host, for messages.
    pub(crate) fn api_host(&self) -> &str {
        self.api_url.host_str().unwrap_or("")
    }

    /// True where both keys are the same in every field.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.client_id == other.client_id
            && self.token_url == other.token_url
            && self.is_same_tenant_as(other)
            && match (&self.proof, &other.proof) {
                (Proof::Secret(a), Proof::Secret(b))
                | (Proof::Certificate { pem: a }, Proof::Certificate { pem: b }) => {
                    a.expose_secret() == b.expose_secret()
                }
                _ => false,
            }
    }

    /// True where both keys open the same tenant, as far as they say. A stop decided on in one tenant must never be
    /// sent to another because the file was replaced in between.
    pub(crate) fn is_same_tenant_as(&self, other: &Self) -> bool {
        let zones = self.identity_zone.as_ref().zip(other.identity_zone.as_ref());
        self.api_url == other.api_url && zones.is_none_or(|(a, b)| a == b)
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.proof {
            Proof::Secret(_) => "client secret",
            Proof::Certificate { .. } => "certificate",
        };
        f.debug_struct("ServiceKey").field("api", &self.api_url.host_str()).field("kind", &kind).finish_non_exhaustive()
    }
}

impl RawKey {
    pub(super) fn from_service_key(fields: &Map<String, Value>) -> Self {
        let services = fields.get("serviceurls").and_then(Value::as_object);
        Self {
            client_id: text(fields, "clientid"),
            client_secret: text(fields, "clientsecret").map(Into::into),
            url: text(fields, "url"),
            cert_url: text(fields, "certurl"),
            certificate: text(fields, "certificate"),
            private_key: text(fields, "key").map(Into::into),
            api_url: services.and_then(|urls| text(urls, "AI_API_URL")),
            identity_zone: text(fields, "identityzoneid").or_else(|| text(fields, "identityzone")),
        }
    }

    /// The key, where every field it needs is there and its URLs are safe.
    pub(super) fn check(self, names: &KeySpelling) -> Result<ServiceKey, KeyFault> {
        let client_id = self.client_id.ok_or(KeyFault::Missing(names.client_id))?;
        let (proof, token_url) = match (self.client_secret, self.certificate, self.private_key) {
            (Some(secret), _, _) => (Proof::Secret(secret), token_url(self.url, names.url)?),
            (None, Some(certificate), Some(key)) => {
                let pem = format!("{}\n{}\n", newlines(key.expose_secret()), newlines(&certificate));
                (Proof::Certificate { pem: pem.into() }, token_url(self.cert_url, names.cert_url)?)
            }
            _ => return Err(KeyFault::Missing(names.secret_or_certificate)),
        };
        let api = self.api_url.ok_or(KeyFault::Missing(names.api_url))?;
        let api = api.trim_end_matches('/');
        let api_url = safe_url(api.strip_suffix("/v2").unwrap_or(api), names.api_url)?;
        Ok(ServiceKey { client_id, proof, token_url, api_url, identity_zone: self.identity_zone })
    }
}

/// The JSON object in `json`. The parser's own message is not used: it may repeat a value.
pub(super) fn object(json: &str) -> Result<Map<String, Value>, KeyFault> {
    match serde_json::from_str(json.trim_start_matches('\u{feff}')) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(KeyFault::NoObject),
        Err(_) if is_path(json.trim()) => Err(KeyFault::IsPath),
        Err(error) => Err(KeyFault::NotJson { line: error.line(), column: error.column() }),
    }
}

/// True for what looks like a file's name, in a place where the key itself belongs.
fn is_path(text: &str) -> bool {
    let is_short = text.len() < 1_000 && !text.contains(['{', '\n']);
    is_short
        && (text.starts_with(['/', '.', '~'])
            || Path::new(text).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")))
}

/// A field's text; absent, empty and other types are all "missing".
pub(super) fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Keys that went through a shell or a secret store hold the two characters `\n` where a PEM has line ends.
fn newlines(pem: &str) -> String {
    pem.replace("\\n", "\n")
}

/// Some places name the token endpoint itself, some the host it is on.
fn token_url(url: Option<String>, field: &'static str) -> Result<Url, KeyFault> {
    let url = url.ok_or(KeyFault::Missing(field))?;
    let base = url.trim_end_matches('/');
    let base = base.strip_suffix(TOKEN_PATH).unwrap_or(base).trim_end_matches('/');
    safe_url(base, field)?;
    safe_url(&format!("{base}{TOKEN_PATH}"), field)
}

/// A URL that a secret may be sent to: https, or http on this machine, with nothing hidden in it.
fn safe_url(text: &str, field: &'static str) -> Result<Url, KeyFault> {
    let bad = |why| KeyFault::BadUrl { field, why };
    let url = Url::parse(text).map_err(|_| bad("it is not a valid URL; `https://host` is expected"))?;
    match url.scheme() {
        "https" => {}
        "http" if url.host_str().is_some_and(is_loopback) => {}
        "http" => return Err(bad("`http://` would send the secret in clear: use `https://`")),
        _ => return Err(bad("only `https://` is allowed")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds a user name or a password: remove them"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it holds a query or a fragment: remove them"));
    }
    Ok(url)
}
