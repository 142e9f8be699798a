//! The token of one client: kept while it is good, asked for by one task at a time, never hammered for.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use tokio::sync::Mutex;

use crate::aicore::error::{CallName, Error, ErrorResponse, NoAnswer, Refusal};
use crate::aicore::key::{KeyFault, ServiceKey};
use crate::aicore::key_source::{KeyError, KeySource};
use crate::aicore::oauth::{Denied, Token, ask, token_client};
use crate::aicore::retry::{ATTEMPTS, backoff};
use crate::clock::Clock;

/// No token is asked for so soon after the credentials were rejected: accounts get locked.
const AFTER_REJECTION: TimeDelta = TimeDelta::seconds(60);
/// Nor so soon after the endpoint was in trouble, so that tasks that waited together fail together.
const AFTER_TROUBLE: TimeDelta = TimeDelta::seconds(5);
/// The longest pause between two attempts that the endpoint may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct TokenSource {
    source: KeySource,
    clock: Clock,
    limit: Duration,
    /// Whoever holds it asks for a token; the others wait for the result.
    state: Mutex<State>,
}

struct State {
    key: ServiceKey,
    client: Client,
    token: Option<(u64, Token)>,
    /// Number of the newest token.
    serial: u64,
    failed: Option<(DateTime<Utc>, Error)>,
}

impl TokenSource {
    /// Tokens for `key`, which came from `source`. `limit` is the time one attempt may take.
    pub(super) fn new(source: KeySource, key: ServiceKey, clock: Clock, limit: Duration) -> Result<Self, KeyError> {
        let client = token_client(&key).map_err(|fault| KeyError { place: source.clone(), fault })?;
        let state = State { key, client, token: None, serial: 0, failed: None };
        Ok(Self { source, clock, limit, state: Mutex::new(state) })
    }
    pub(super) async fn current(&self) -> Result<(u64, Token), Error> {
        let mut state = self.state.lock().await;
        self.current_of(&mut state).await
    }

    /// Another token than number `serial`, which AI Core did not take.
    pub(super) async fn renewed(&self, serial: u64) -> Result<(u64, Token), Error> {
        let mut state = self.state.lock().await;
        state.token = state.token.take().filter(|(current, _)| *current != serial);
        self.current_of(&mut state).await
    }

    /// AI Core did not take number `serial` either, although it was new: the credentials are no good.
    pub(super) async fn rejected(&self, serial: u64, asked: CallName, answer: ErrorResponse) -> Error {
        let mut state = self.state.lock().await;
        let error = self.auth(Refusal::Api { asked, answer });
        if state.serial == serial {
            state.token = None;
            state.failed = Some((self.clock.now(), error.clone()));
        }
        error
    }

    async fn current_of(&self, state: &mut State) -> Result<(u64, Token), Error> {
        let now = self.clock.now();
        if let Some((serial, token)) = state.token.as_ref().filter(|(_, token)| now < token.renew_at) {
            return Ok((*serial, token.clone()));
        }
        match self.ask_for_one(state).await {
            Ok(token) => {
                state.serial += 1;
                state.failed = None;
                state.token = Some((state.serial, token.clone()));
                Ok((state.serial, token))
            }
            Err(error) => {
                state.token = None;
                Err(error)
            }
        }
    }

    async fn ask_for_one(&self, state: &mut State) -> Result<Token, Error> {
        // A key that cannot be read is looked for again after a rest too, or all who wait would do so in turn.
        if let Some(error @ Error::Key(_)) = self.resting(state) {
            return Err(error);
        }
        let mut attempt = 1;
        loop {
            let (error, pause) = match self.ask_once(state, attempt).await {
                Ok(token) => return Ok(token),
                Err(failure) => failure,
            };
            let may_pass = matches!(error, Error::Token { .. } | Error::Key(_)) && self.resting(state).is_none();
            if !may_pass || attempt >= ATTEMPTS || pause > LONGEST_PAUSE {
                return Err(self.remember(state, error));
            }
            self.clock.pause(pause.max(backoff(attempt, fastrand::f64()))).await;
            attempt += 1;
        }
    }

    /// One attempt; on failure also the pause that the endpoint asked for.
    async fn ask_once(&self, state: &mut State, attempt: u32) -> Result<Token, (Error, Duration)> {
        // A file may be read while it is being replaced, so this too is tried again.
        self.refresh_key(state).map_err(|error| (error.into(), Duration::ZERO))?;
        if let Some(error) = self.resting(state) {
            return Err((error, Duration::ZERO));
        }
        ask(&state.client, &state.key, self.limit, self.clock.now()).await.map_err(|denied| match denied {
            Denied::Credentials(refusal) => (self.auth(refusal), Duration::ZERO),
            Denied::NoAnswer(trouble, pause) => (no_token(state, attempt, trouble), pause.unwrap_or_default()),
        })
    }

    /// Keeps a failure, so that nobody asks again too soon. The time of the first one counts.
    fn remember(&self, state: &mut State, error: Error) -> Error {
        if self.resting(state).is_none() {
            state.failed = Some((self.clock.now(), error.clone()));
        }
        error
    }

    /// The last failure, while it is too early to ask again. A clock that went backwards does not lengthen that.
    fn resting(&self, state: &State) -> Option<Error> {
        let (at, error) = state.failed.as_ref()?;
        let rest = if matches!(error, Error::Auth { .. }) { AFTER_REJECTION } else { AFTER_TROUBLE };
        let elapsed = self.clock.now() - *at;
        (TimeDelta::zero() <= elapsed && elapsed < rest).then(|| error.clone())
    }

    /// Takes over a key that was replaced in its place. X.509 keys live for a week.
    fn refresh_key(&self, state: &mut State) -> Result<(), KeyError> {
        let key = ServiceKey::load(&self.source)?;
        if key.is_same_as(&state.key) {
            return Ok(());
        }
        let fault = |fault| KeyError { place: self.source.clone(), fault };
        if !key.is_same_tenant_as(&state.key) {
            return Err(fault(KeyFault::AnotherTenant));
        }
        state.client = token_client(&key).map_err(fault)?;
        state.key = key;
        state.failed = None;
        tracing::info!("took over the new service key from {}", self.source);
        Ok(())
    }

    fn auth(&self, refusal: Refusal) -> Error {
        Error::Auth { place: self.source.clone().into(), refusal: refusal.into() }
    }
}

fn no_token(state: &State, attempts: u32, trouble: NoAnswer) -> Error {
    Error::Token { host: state.key.token_host().to_owned(), attempts, trouble: trouble.into() }
}
