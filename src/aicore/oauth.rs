//! One request for a token: the client-credentials grant, by secret or by client certificate.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Client, Identity};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::aicore::answer::retry_after;
use crate::aicore::error::{ErrorResponse, NoAnswer, Refusal};
use crate::aicore::http::{Reply, client, exchange};
use crate::aicore::key::{KeyFault, Proof, ServiceKey};

/// Taken where the answer does not say how long a token lives.
const UNSAID_LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// No token is believed to live shorter,
const SHORTEST_LIFETIME: TimeDelta = TimeDelta::minutes(1);
/// or longer.
const LONGEST_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// A token is renewed at least this long before it ends.
const EARLY: TimeDelta = TimeDelta::seconds(60);
/// OAuth's words for "these credentials are no good". Only these are repeated in messages.
const REFUSALS: [&str; 7] = [
    "invalid_client",
    "unauthorized_client",
    "invalid_grant",
    "invalid_scope",
    "access_denied",
    "unauthorized",
    "unsupported_grant_type",
];

/// A token and when to have a new one.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: SecretString,
    /// `Bearer …`, marked as sensitive.
    pub(super) header: HeaderValue,
    pub(super) renew_at: DateTime<Utc>,
}

/// Why there is no token.
pub(super) enum Denied {
    /// The credentials are no good: asking again does not help.
    Credentials(Refusal),
    /// Something else, which may pass; with the pause the endpoint asked for.
    NoAnswer(NoAnswer, Option<Duration>),
}

#[derive(Serialize)]
struct Grant<'a> {
    #[serde(rename = "grant_type")]
    kind: &'static str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
}

/// A client for the token endpoint of `key`.
pub(super) fn token_client(key: &ServiceKey) -> Result<Client, KeyFault> {
    let (identity, fault) = match &key.proof {
        Proof::Secret(_) => (None, KeyFault::NoTls),
        Proof::Certificate { pem } => {
            let identity = Identity::from_pem(pem.expose_secret().as_bytes());
            (Some(identity.map_err(|_| KeyFault::BadCertificate)?), KeyFault::BadCertificate)
        }
    };
    client(key.token_is_local(), identity).map_err(|_| fault)
}

/// Looks whether a client can be made of `key`: a certificate and its private key may be no pair, or no PEM at all.
pub fn inspect(key: &ServiceKey) -> Result<(), KeyFault> {
    match &key.proof {
        Proof::Secret(_) => Ok(()),
        Proof::Certificate { .. } => {
            // Files are read before anything else has happened in this process.
            crate::aicore::crypto::install_crypto();
            token_client(key).map(drop)
        }
    }
}
pub(super) async fn ask(
    client: &Client,
    key: &ServiceKey,
    limit: Duration,
    now: DateTime<Utc>,
) -> Result<Token, Denied> {
    let client_secret = match &key.proof {
        Proof::Secret(secret) => Some(secret.expose_secret()),
        Proof::Certificate { .. } => None,
    };
    let grant = Grant { kind: "client_credentials", client_id: &key.client_id, client_secret };
    let request = client.post(key.token_url.clone()).header("accept", "application/json").form(&grant);
    let reply = exchange(request, limit).await.map_err(|trouble| Denied::NoAnswer(trouble, None))?;
    tracing::debug!(host = key.token_host(), status = reply.status, "asked for a token");
    match reply.status {
        200 => token(&reply, now).map_err(|found| Denied::NoAnswer(NoAnswer::Odd(found), None)),
        status => Err(denied(status, &reply, key, now)),
    }
}

/// The endpoint's own texts are left out: some repeat what they were sent.
fn denied(status: u16, reply: &Reply, key: &ServiceKey, now: DateTime<Utc>) -> Denied {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let said = body.get("error").and_then(Value::as_str);
    let word = REFUSALS.into_iter().find(|word| said == Some(word));
    if status == 401 || (matches!(status, 400 | 403) && word.is_some()) {
        return Denied::Credentials(Refusal::Endpoint { host: key.token_host().to_owned(), status, word });
    }
    let pause = reply.header(RETRY_AFTER).and_then(|text| retry_after(text, now));
    Denied::NoAnswer(NoAnswer::Status(ErrorResponse { status, ..ErrorResponse::default() }), pause)
}

fn token(reply: &Reply, now: DateTime<Utc>) -> Result<Token, &'static str> {
    if !reply.is_json() {
        return Err("no JSON: is the key's `url` right, or a proxy or login page in between");
    }
    let body: Value = serde_json::from_slice(&reply.body).map_err(|_| "broken JSON")?;
    let text = body.get("access_token").and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = text.ok_or("JSON without `access_token`")?;
    let mut header =
        HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| "a token that cannot be sent in a header")?;
    header.set_sensitive(true);
    let renew_at = now + usable_for(lifetime(body.get("expires_in")));
    Ok(Token { text: text.to_owned().into(), header, renew_at })
}

/// How long a token lives, from `expires_in` in seconds.
fn lifetime(expires_in: Option<&Value>) -> TimeDelta {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(seconds) = seconds.filter(|seconds: &f64| !seconds.is_nan()) else { return UNSAID_LIFETIME };
    let within = seconds.clamp(SHORTEST_LIFETIME.as_seconds_f64(), LONGEST_LIFETIME.as_seconds_f64());
    TimeDelta::from_std(Duration::from_secs_f64(within)).unwrap_or(SHORTEST_LIFETIME)
}

/// A token is renewed a tenth of its life before its end, at least a minute; one that lives for less than two
/// minutes is used for half its life, or every call would ask for another.
fn usable_for(lifetime: TimeDelta) -> TimeDelta {
    lifetime - EARLY.max(lifetime / 10).min(lifetime / 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{lifetime, usable_for};

    #[test]
    fn a04_a_tokens_life_is_clamped_and_it_is_renewed_early() {
        let cases = [
            (json!(7200), 7200 - 720),
            (json!("3600"), 3600 - 360),
            (json!(null), 300 - 60),
            (json!("soon"), 300 - 60),
            (json!({}), 300 - 60),
            (json!(0), 30),
            (json!(-5), 30),
            (json!(90), 45),
            (json!(1_000_000_000_000_u64), 86_400 - 8_640),
        ];
        for (expires_in, seconds) in cases {
            assert_eq!(usable_for(lifetime(Some(&expires_in))).num_seconds(), seconds, "{expires_in}");
        }
        assert_eq!(usable_for(lifetime(None)).num_seconds(), 240);
    }
}
