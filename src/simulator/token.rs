//! The token endpoint: client credentials in, a bearer token out, as OAuth and SAP's XSUAA do it.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::simulator::answer::{Answer, ApiError};
use crate::simulator::received::Received;

const CLIENT_ID: &str = "sb-51a7d0f3-0b1e-4c55-9d5c-7e0c2a6f1b90!b540|aicore!b540";
const SUBDOMAIN: &str = "simulated-tenant";
const TENANT_ID: &str = "1f0b6a4e-6c1f-4e0e-9a63-0d1b6d2f7c11";

/// The credentials that are accepted and the tokens that were given for them.
pub(super) struct IssuedTokens {
    secret: String,
    lifetime: Duration,
    given: HashMap<String, DateTime<Utc>>,
}

impl IssuedTokens {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { secret: random(), lifetime, given: HashMap::new() }
    }

    /// A service key of the client-secret kind.
    pub(super) fn service_key(&self, base_url: &str) -> String {
        let key = json!({
            "serviceurls": {"AI_API_URL": base_url},
            "appname": "51a7d0f3-0b1e-4c55-9d5c-7e0c2a6f1b90!b540|aicore!b540",
            "clientid": CLIENT_ID,
            "clientsecret": self.secret,
            "identityzone": SUBDOMAIN,
            "identityzoneid": TENANT_ID,
            "url": base_url,
            "credential-type": "binding-secret",
        });
        key.to_string()
    }

    /// Answers a request to the token endpoint.
    pub(super) fn answer(&mut self, received: &Received, now: DateTime<Utc>) -> Answer {
        match self.check(received) {
            Ok(()) => {
                let token = format!("{}.{}.{}", random(), random(), random());
                self.given.insert(token.clone(), now + TimeDelta::from_std(self.lifetime).unwrap_or(TimeDelta::MAX));
                Answer::json(
                    200,
                    json!({
                        "access_token": token,
                        "token_type": "bearer",
                        "expires_in": self.lifetime.as_secs(),
                        "scope": "aicore!b540.lm aicore!b540.admin uaa.resource",
                        "jti": random(),
                    }),
                )
            }
            Err((status, error, description)) => {
                Answer::json(status, json!({"error": error, "error_description": description}))
            }
        }
    }

    /// Whether a request carries a token that is good at `now`.
    pub(super) fn accepts(&self, received: &Received, now: DateTime<Utc>) -> Result<(), ApiError> {
        let Some(authorization) = received.header("authorization") else {
            return Err(unauthorized("the header Authorization is required", true));
        };
        let Some(token) = authorization.strip_prefix("Bearer ").or_else(|| authorization.strip_prefix("bearer "))
        else {
            return Err(unauthorized("Authorization must be a bearer token", true));
        };
        match self.given.get(token) {
            None => Err(unauthorized("the token is not valid", false)),
            Some(end) if *end <= now => Err(unauthorized("the token has expired", false)),
            Some(_) => Ok(()),
        }
    }

    fn check(&self, received: &Received) -> Result<(), (u16, &'static str, &'static str)> {
        if received.content_type().as_deref() != Some("application/x-www-form-urlencoded") {
            return Err((400, "invalid_request", "the body must be a form"));
        }
        let form: HashMap<String, String> = url::form_urlencoded::parse(&received.body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str);
        match field("grant_type") {
            None => return Err((400, "invalid_request", "Missing grant type")),
            Some("client_credentials") => {}
            Some(_) => return Err((400, "unsupported_grant_type", "Unsupported grant type")),
        }
        let good = match received.header("authorization") {
            Some(basic) => self.basic().iter().any(|known| known == basic),
            None => field("client_id") == Some(CLIENT_ID) && field("client_secret") == Some(self.secret.as_str()),
        };
        if good { Ok(()) } else { Err((401, "invalid_client", "Bad credentials")) }
    }

    /// The two ways in which clients write HTTP Basic: plain, and form-encoded as RFC 6749 (2.3.1) asks.
    fn basic(&self) -> [String; 2] {
        let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_ID.as_bytes()).collect();
        [CLIENT_ID, &encoded].map(|id| format!("Basic {}", base64(format!("{id}:{}", self.secret).as_bytes())))
    }
}
pub(super) fn is_token_path(path: &str) -> bool {
    path == "/oauth/token"
}

/// The answer to another method than POST, for which OAuth has no error.
pub(super) fn wrong_method() -> Answer {
    let body = json!({"error": "method_not_allowed", "error_description": "Request method is not supported"});
    Answer::json(405, body)
}

fn unauthorized(message: &str, breaks: bool) -> ApiError {
    ApiError { status: 401, code: "01010401", message: message.to_owned(), breaks }
}

fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[bits >> (18 - 6 * place) & 63];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
