//! HTTP around the tenant: reads a request, keeps the journal, lets faults strike, answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::simulator::answer::Answer;
use crate::simulator::call::Operation;
use crate::simulator::carry_out::RequestContext;
use crate::simulator::connection::ConnectionCutter;
use crate::simulator::fault::{self, Canned, Fault, Trick};
use crate::simulator::journal::Entry;
use crate::simulator::received::Received;
use crate::simulator::token::{self, IssuedTokens};
use crate::simulator::world::World;

/// Larger bodies are refused; the largest one that SAP's description allows is a bulk request of 100 ids.
const LARGEST_BODY: usize = 1 << 20;

/// What all connections share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) over: CancellationToken,
    state: Mutex<Inner>,
}

/// The state, of which one request at a time has hold.
pub(super) struct Inner {
    pub(super) world: World,
    pub(super) tokens: IssuedTokens,
    pub(super) journal: Vec<Entry>,
    /// Requests whose entries were taken out of the journal.
    pub(super) taken: usize,
    pub(super) faults: Vec<Fault>,
}

impl Shared {
    pub(super) fn new(world: World, clock: Clock) -> Self {
        let tokens = IssuedTokens::new(world.tenant.token_lifetime);
        let inner = Inner { world, tokens, journal: Vec::new(), taken: 0, faults: Vec::new() };
        Self { clock, over: CancellationToken::new(), state: Mutex::new(inner) }
    }

    /// The state. A test's panic while it held it is that test's, not ours.
    pub(super) fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<ConnectionCutter>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return respond(413, &[], Body::empty());
    };
    let received = Received {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
    };
    let (number, trick, latency) = shared.state().open(&received, shared.clock.now());
    if !latency.is_zero() {
        shared.clock.pause(latency).await;
    }
    let exchange = Exchange { shared: &shared, received: &received, number, scissors: &scissors };
    exchange.answer(trick).await
}

/// One request on its way to an answer.
struct Exchange<'a> {
    shared: &'a Shared,
    received: &'a Received,
    number: usize,
    scissors: &'a ConnectionCutter,
}

impl Exchange<'_> {
    async fn answer(&self, trick: Option<Trick>) -> Response {
        match trick {
            None => self.give(self.act()),
            Some(Trick::Delay(wait)) => {
                self.shared.clock.pause(wait).await;
                self.give(self.act())
            }
            Some(Trick::Rewrite(change)) => {
                let mut answer = self.act();
                change(&mut answer.body);
                self.give(answer)
            }
            Some(Trick::Answer(canned)) => self.give_canned(canned),
            Some(Trick::DoneThenAnswer(canned)) => {
                self.act();
                self.give_canned(canned)
            }
            Some(Trick::Hang) => self.hang().await,
            Some(Trick::DoneThenHang) => {
                self.act();
                self.hang().await
            }
            Some(Trick::Drop) => self.drop_line(),
            Some(Trick::DoneThenDrop) => {
                self.act();
                self.drop_line()
            }
            Some(Trick::Truncate) => truncated(&self.act()),
        }
    }

    fn act(&self) -> Answer {
        let now = self.shared.clock.now();
        self.shared.state().act(self.received, self.number, now)
    }

    fn give(&self, answer: Answer) -> Response {
        let mut answer = answer;
        answer.headers.push(("content-type".to_owned(), content_type(&answer).to_owned()));
        self.shared.state().note(self.number, |entry| entry.status = Some(answer.status));
        respond(answer.status, &answer.headers, Body::from(answer.body.to_string()))
    }

    fn give_canned(&self, canned: Canned) -> Response {
        self.shared.state().note(self.number, |entry| entry.status = Some(canned.status));
        respond(canned.status, &canned.headers, Body::from(canned.body))
    }

    /// Waits until the simulator is shut down, or the client has gone.
    async fn hang(&self) -> Response {
        self.shared.over.cancelled().await;
        self.drop_line()
    }

    fn drop_line(&self) -> Response {
        self.scissors.cut();
        respond(500, &[], Body::empty())
    }
}

impl Inner {
    /// Writes a request down, with what is wrong with it, and looks which fault strikes it.
    fn open(
        &mut self,
        received: &Received,
        now: chrono::DateTime<chrono::Utc>,
    ) -> (usize, Option<Trick>, std::time::Duration) {
        self.world.catch_up(now);
        let mut entry = Entry::new(received, now);
        entry.violations = self.violations(received, now);
        self.journal.push(entry);
        let trick = fault::strike(&mut self.faults, received);
        (self.taken + self.journal.len() - 1, trick, self.world.tenant.latency)
    }

    /// Adds to the entry of a request, where nobody has taken it meanwhile.
    fn note(&mut self, number: usize, add: impl FnOnce(&mut Entry)) {
        let place = number.checked_sub(self.taken);
        if let Some(entry) = place.and_then(|place| self.journal.get_mut(place)) {
            add(entry);
        }
    }

    fn violations(&self, received: &Received, now: chrono::DateTime<chrono::Utc>) -> Vec<String> {
        let mut found = Vec::new();
        if received.method == "PATCH" && received.body.windows(7).any(|bytes| bytes == b"DELETED") {
            found.push("a PATCH holds the bytes DELETED".to_owned());
        }
        if token::is_token_path(&received.path) {
            return found;
        }
        found.extend(self.tokens.accepts(received, now).err().filter(|error| error.breaks).map(|error| error.message));
        match Operation::read(received) {
            Err(error) if error.breaks => found.push(error.message),
            Ok(Operation::In(group, call)) => {
                for live in call.patched().into_iter().filter_map(|id| self.world.find(&group, id, now)) {
                    if live.status.is_off() {
                        found.push(format!("a PATCH for {}, which is {}", live.spec.id, live.status));
                    }
                }
            }
            _ => {}
        }
        found
    }

    fn act(&mut self, received: &Received, number: usize, now: chrono::DateTime<chrono::Utc>) -> Answer {
        if token::is_token_path(&received.path) {
            return if received.method == "POST" { self.tokens.answer(received, now) } else { token::wrong_method() };
        }
        let request_id = received.header("x-request-id").map_or_else(|| request_id(number), str::to_owned);
        let context = RequestContext { now, request_id: &request_id, target: &received.path };
        let call = self.tokens.accepts(received, now).and_then(|()| Operation::read(received));
        let mut answer = match call {
            Ok(call) => self.world.carry_out(call, &context),
            Err(error) => error.answer(&request_id, &received.path),
        };
        answer.headers.push(("x-request-id".to_owned(), request_id));
        self.note(number, |entry| entry.effects.clone_from(&answer.effects));
        answer
    }
}

/// An id in the shape of AI Core's, the same in every simulation.
fn request_id(number: usize) -> String {
    format!("51a7d0f3-0b1e-4c55-9d5c-{number:012x}")
}

fn content_type(answer: &Answer) -> &'static str {
    // `$count` is the one answer that is no JSON document but plain text.
    if answer.body.is_number() { "text/plain" } else { "application/json" }
}

/// Half of an answer whose head promises all of it.
fn truncated(answer: &Answer) -> Response {
    let whole = answer.body.to_string();
    let half = Bytes::copy_from_slice(&whole.as_bytes()[..whole.len() / 2]);
    let parts = [Ok(half), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
    let headers = [
        ("content-type".to_owned(), content_type(answer).to_owned()),
        ("content-length".to_owned(), whole.len().to_string()),
    ];
    respond(answer.status, &headers, Body::from_stream(stream::iter(parts)))
}

fn respond(status: u16, headers: &[(String, String)], body: Body) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    // A test may have asked for a header or status that HTTP does not know.
    builder.body(body).unwrap_or_else(|e| Response::new(Body::from(format!("simulator: {e}"))))
}
