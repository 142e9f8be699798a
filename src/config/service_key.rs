//! Whether a service key can be used: that it is JSON with the fields a token needs, and that its URLs are plain
//! HTTPS. Stands in for `crate::aicore::ServiceKey::load` until that is there.

use secrecy::ExposeSecret;
use serde_json::Value as Json;
use url::{Host, Url};

use crate::aicore::KeySource;
use crate::secret::SecretSource;

/// The call site to swap: says what is wrong with the key that `source` names. Never contains any of it but host
/// names.
pub(super) fn check_service_key(source: &KeySource) -> Result<(), String> {
    let source = match source {
        KeySource::File(path) => SecretSource::File(path.clone()),
        KeySource::Credential(name) => SecretSource::Credential(name.clone()),
        KeySource::Env(name) => SecretSource::Env(name.clone()),
        KeySource::Ambient => return Ok(()),
    };
    let text = source.read().map_err(|error| error.to_string())?;
    // serde_json names line and column of a mistake, and repeats nothing.
    let json: Json = serde_json::from_str(text.expose_secret()).map_err(|error| format!("it is no JSON: {error}"))?;
    check(&json)
}

fn check(json: &Json) -> Result<(), String> {
    let text = |path: &str| json.pointer(path).and_then(Json::as_str).filter(|text| !text.is_empty());
    let need = |path: &str| text(path).ok_or_else(|| format!("`{}` is missing", field(path)));
    need("/clientid")?;
    if text("/certificate").is_some() || text("/key").is_some() {
        need("/certificate")?;
        need("/key")?;
        check_url("certurl", need("/certurl")?)?;
    } else {
        need("/clientsecret")?;
        check_url("url", need("/url")?)?;
    }
    check_url("serviceurls.AI_API_URL", need("/serviceurls/AI_API_URL")?)
}

fn field(path: &str) -> String {
    path.trim_start_matches('/').replace('/', ".")
}

fn check_url(field: &str, text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("`{field}` is no URL: {error}"))?;
    let problem = match url.scheme() {
        "https" => None,
        "http" if is_loopback(url.host()) => None,
        "http" => Some("is http, which sends secrets in clear; only https is allowed, or a loopback address"),
        _ => Some("is neither https nor a loopback address"),
    };
    let problem = problem
        .or_else(|| (!url.username().is_empty() || url.password().is_some()).then_some("holds user info"))
        .or_else(|| url.query().is_some().then_some("has a query"))
        .or_else(|| url.fragment().is_some().then_some("has a fragment"));
    problem.map_or(Ok(()), |problem| Err(format!("its `{field}` {problem}")))
}

/// True for addresses that never leave this machine.
pub(super) fn is_loopback<S: AsRef<str>>(host: Option<Host<S>>) -> bool {
    match host {
        Some(Host::Domain(name)) => name.as_ref().eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
