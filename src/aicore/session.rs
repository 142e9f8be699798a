//! One client's way to AI Core: a call goes through the limiter with a token, is judged, and is repeated where that is
//! allowed. Readers and stoppers of one connection share a session.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use reqwest::{Body, Client, Method};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::aicore::answer::refusal;
use crate::aicore::error::{CallName, Error, ErrorResponse, NoAnswer};
use crate::aicore::http::{Reply, client, exchange};
use crate::aicore::key::{KeyFault, ServiceKey};
use crate::aicore::key_source::{KeyError, KeySource};
use crate::aicore::limiter::{ConcurrencyLimiter, Permit};
use crate::aicore::oauth::Token;
use crate::aicore::options::Options;
use crate::aicore::page_ends::PageEnds;
use crate::aicore::retry::{Budget, pause_before_retry};
use crate::aicore::token::TokenSource;
use crate::aicore::wanted::{HeldBack, StillWanted, WantedBody};
use crate::clock::Clock;
use crate::domain::id::ResourceGroup;

const RESOURCE_GROUP: HeaderName = HeaderName::from_static("ai-resource-group");
/// SAP tells clients apart by it.
const CLIENT_TYPE: (HeaderName, &str) = (HeaderName::from_static("ai-client-type"), "offhours");

/// What is shared by everybody who talks to one tenant.
pub(super) struct ApiSession {
    base: String,
    http: Client,
    tokens: TokenSource,
    limiter: ConcurrencyLimiter,
    budget: Budget,
    clock: Clock,
    request_timeout: Duration,
    longest_pause: Duration,
    /// How this tenant ends its lists.
    pub(super) ends: PageEnds,
}

/// A call, ready to be sent any number of times.
pub(super) struct ApiCall {
    method: Verb,
    /// Below `/v2`, made of constants and checked ids.
    path: String,
    query: Option<String>,
    group: Option<ResourceGroup>,
    prefer: Option<String>,
    still_wanted: Option<StillWanted>,
}

enum Verb {
    Get,
    Patch { content_type: &'static str, body: Vec<u8> },
}

/// Why an answer with the right status is none.
pub(super) enum Unread {
    /// It broke off.
    Cut,
    Odd(&'static str),
}

impl ApiCall {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Verb::Get, path: path.into(), query: None, group: None, prefer: None, still_wanted: None }
    }

    pub(super) fn patch(path: impl Into<String>, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { method: Verb::Patch { content_type, body }, ..Self::get(path) }
    }

    pub(super) fn within(self, group: &ResourceGroup) -> Self {
        Self { group: Some(group.clone()), ..self }
    }

    pub(super) fn query(self, query: String) -> Self {
        Self { query: Some(query), ..self }
    }

    /// With this `Prefer` header.
    pub(super) fn prefer(self, preference: String) -> Self {
        Self { prefer: Some(preference), ..self }
    }

    /// Sent only if it is still wanted then.
    pub(super) fn while_wanted(self, still_wanted: Option<StillWanted>) -> Self {
        Self { still_wanted, ..self }
    }

    pub(super) fn asked(&self) -> CallName {
        let method = if self.is_change() { "PATCH" } else { "GET" };
        CallName { method, path: self.path.clone(), group: self.group.clone() }
    }

    fn is_change(&self) -> bool {
        matches!(self.method, Verb::Patch { .. })
    }
    fn success(&self) -> u16 {
        if self.is_change() { 202 } else { 200 }
    }
}

impl ApiSession {
    /// Loads the key from `source`; nothing is sent yet.
    pub(super) fn connect(source: KeySource, options: Options) -> Result<Self, Error> {
        crate::aicore::crypto::install_crypto();
        let key = ServiceKey::load(&source)?;
        let no_tls = |_| KeyError { place: source.clone(), fault: KeyFault::NoTls };
        let http = client(key.api_is_local(), None).map_err(no_tls)?;
        let base = key.base();
        let tokens = TokenSource::new(source, key, options.clock.clone(), options.request_timeout)?;
        Ok(Self {
            base,
            http,
            tokens,
            limiter: ConcurrencyLimiter::new(options.in_flight, options.per_second, options.clock.clone()),
            budget: Budget::new(),
            clock: options.clock,
            request_timeout: options.request_timeout,
            longest_pause: options.longest_pause,
            ends: PageEnds::default(),
        })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends `call` until it succeeds or must not be repeated; `read` makes the result of a JSON answer.
    pub(super) async fn send<T>(&self, call: &ApiCall, read: impl Fn(&Reply) -> Result<T, Unread>) -> Result<T, Error> {
        self.budget.earn();
        let mut attempt = 1;
        loop {
            let error = match self.send_authorized(call, &read).await {
                Ok(value) => return Ok(value),
                Err(error) => error.after_refusals(attempt > 1),
            };
            let Some(pause) = pause_before_retry(&error, attempt, fastrand::f64()) else { return Err(error) };
            let is_invited = matches!(error, Error::RateLimited { pause: Some(_), .. });
            if pause > self.longest_pause || !(is_invited || self.budget.spend()) {
                return Err(error);
            }
            tracing::debug!(attempt, pause.ms = pause.as_millis(), "will ask again: {error}");
            // A pause that the server asked for is waited for at the limiter, by all tasks.
            if !is_invited {
                self.clock.pause(pause).await;
            }
            attempt += 1;
        }
    }

    /// One attempt, with another token and one more try where AI Core no longer takes the token.
    async fn send_authorized<T>(
        &self,
        call: &ApiCall,
        read: &impl Fn(&Reply) -> Result<T, Unread>,
    ) -> Result<T, Error> {
        let (serial, reply) = self.attempt(call, None).await?;
        let (serial, (token, reply)) = match reply {
            (_, reply) if reply.status == 401 => {
                self.attempt(call, Some(serial)).await.map_err(|error| error.after_refusals(true))?
            }
            other => (serial, other),
        };
        if reply.status == call.success() {
            return self.success(call, &token, &reply, read);
        }
        let answer = ErrorResponse::of(&reply, token.text.expose_secret(), self.clock.now());
        if let Some(pause) = answer.retry_after {
            self.limiter.pause(pause);
        }
        match answer.status {
            401 => return Err(self.tokens.rejected(serial, call.asked(), answer).await),
            429 => self.limiter.reduce(),
            _ => {}
        }
        Err(refusal(call.asked(), answer))
    }

    /// Sends once. `stale` is the number of a token that was not taken.
    async fn attempt(&self, call: &ApiCall, stale: Option<u64>) -> Result<(u64, (Token, Reply)), Error> {
        let (permit, (serial, token)) = self.admission(call, stale).await?;
        let withdrawn = || Error::Withdrawn { asked: call.asked().into(), was_refused: false };
        if let Some(still_wanted) = &call.still_wanted
            && !still_wanted().await
        {
            return Err(withdrawn());
        }
        let started = Instant::now();
        let (request, held_back) = self.request(call, &token);
        let reply = exchange(request, self.request_timeout).await;
        drop(permit);
        log(call, started.elapsed(), &reply);
        if held_back.is_true() {
            return Err(withdrawn());
        }
        Ok((serial, (token, reply.map_err(|trouble| failure(call.asked(), trouble, call.success()))?)))
    }

    /// Waits for a place and a token. A token can take so long that AI Core has asked for a pause meanwhile.
    async fn admission(&self, call: &ApiCall, stale: Option<u64>) -> Result<(Permit<'_>, (u64, Token)), Error> {
        loop {
            let permit = self.limiter.acquire(self.longest_pause).await.map_err(|pause| Error::RateLimited {
                asked: call.asked().into(),
                answer: None,
                pause: Some(pause),
            })?;
            let token = match stale {
                Some(serial) => self.tokens.renewed(serial).await?,
                None => self.tokens.current().await?,
            };
            if self.limiter.is_ready() {
                return Ok((permit, token));
            }
        }
    }

    fn request(&self, call: &ApiCall, token: &Token) -> (reqwest::RequestBuilder, HeldBack) {
        let query = call.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}{}{query}", self.base, call.path);
        let mut held_back = HeldBack::default();
        let mut request = match &call.method {
            Verb::Get => self.http.request(Method::GET, url),
            Verb::Patch { content_type, body } => {
                let body = match &call.still_wanted {
                    Some(still_wanted) => {
                        let (body, sign) = WantedBody::new(body.clone(), Arc::clone(still_wanted));
                        held_back = sign;
                        Body::wrap(body)
                    }
                    None => body.clone().into(),
                };
                self.http.request(Method::PATCH, url).header(CONTENT_TYPE, *content_type).body(body)
            }
        };
        if let Some(group) = &call.group {
            request = request.header(RESOURCE_GROUP, group.as_str());
        }
        if let Some(preference) = &call.prefer {
            request = request.header("prefer", preference);
        }
        let (name, value) = CLIENT_TYPE;
        request = request.header(AUTHORIZATION, token.header.clone()).header(ACCEPT, "application/json");
        (request.header(name, value), held_back)
    }

    fn success<T>(
        &self,
        call: &ApiCall,
        token: &Token,
        reply: &Reply,
        read: &impl Fn(&Reply) -> Result<T, Unread>,
    ) -> Result<T, Error> {
        let found = match if reply.is_json() { read(reply) } else { Err(Unread::Odd("not JSON")) } {
            Ok(value) => {
                self.limiter.increase();
                return Ok(value);
            }
            Err(Unread::Cut) => return Err(Error::Truncated { asked: call.asked().into(), status: reply.status }),
            Err(Unread::Odd(found)) => found,
        };
        let answer = ErrorResponse::of(reply, token.text.expose_secret(), self.clock.now());
        Err(Error::UnexpectedResponse { asked: call.asked().into(), answer: answer.into(), found })
    }
}

/// The error that a broken exchange means for `asked`.
fn failure(asked: CallName, trouble: NoAnswer, success: u16) -> Error {
    let asked = Box::new(asked);
    match trouble {
        NoAnswer::Truncated => Error::Truncated { asked, status: success },
        NoAnswer::TooLarge(limit) => Error::TooLarge { asked, limit },
        trouble => Error::Unreachable { asked, trouble: trouble.into() },
    }
}

/// Method, path, group, status, time, request id: never a header's value beyond that id, never a query, never a body.
fn log(call: &ApiCall, took: Duration, reply: &Result<Reply, NoAnswer>) {
    let CallName { method, path, group } = call.asked();
    let group = group.as_ref().map(ResourceGroup::as_str);
    let ms = took.as_millis();
    match reply {
        Ok(reply) => {
            let request_id =
                reply.header(HeaderName::from_static("x-request-id")).map(crate::domain::plain_text::clean_name);
            tracing::debug!(group, status = reply.status, ms, request_id, "{method} {path} answered {}", reply.status);
        }
        Err(trouble) => tracing::debug!(group, ms, "{method} {path} failed: {trouble}"),
    }
}

/// How a JSON error counts: one that ends too early was cut off.
pub(super) fn unread(error: &serde_json::Error) -> Unread {
    if error.is_eof() { Unread::Cut } else { Unread::Odd("JSON of another shape than this call's answer") }
}
