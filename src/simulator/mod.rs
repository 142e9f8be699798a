//! Floor 1: a stand-in for AI Core, served over HTTP. For rehearsals, for practice and for tests.
//!
//! It is a second reading of SAP's description, made without looking at our client: where the description forbids a
//! request, the request is refused, and written down as a [`Violation`]. Behaviour is a pure function of what was asked
//! and what time it is, so that a week of virtual time takes a moment.
//!
//! A [`Fleet`] says what there is, a [`Fault`] what goes wrong, the journal what was asked.
//!
//! Client and server may share a current-thread runtime whose clock is paused. A request over loopback then takes no
//! time: tokio's clock jumps only when no socket has news, and loopback delivers at once. (It needs a tokio in which a
//! task woken by a socket keeps the clock still; 1.54 is one.)

mod answer;
mod call;
mod carry_out;
mod connection;
mod fault;
mod fleet;
mod fleet_file;
mod fleet_raw;
mod journal;
mod live;
mod query;
mod received;
mod sentences;
mod serve;
mod spec;
mod token;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::fault::Fault;
pub use self::fleet::{Fleet, InstanceType};
pub(crate) use self::fleet_file::FleetError;
pub use self::journal::Entry;
pub(crate) use self::journal::Violation;
pub use self::spec::{Behaviour, Component, DetailsSpelling, Model, Moment, Redeployed, Spec};

use self::connection::{ConnectionCutter, TenantListener};
use self::serve::Shared;
use self::world::World;
use crate::clock::Clock;
use crate::domain::deployment::Status;

/// How long a shutdown waits for answers under way.
const GRACE: Duration = Duration::from_secs(5);

/// A running simulation.
pub struct Simulator {
    shared: Arc<Shared>,
    base_url: String,
    server: JoinHandle<()>,
}

/// One deployment at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub status: Status,
    pub configuration_id: String,
    /// All of it, as the API writes it.
    pub json: serde_json::Value,
}

impl Simulator {
    /// Serves `fleet` on `listen` until it is shut down or dropped. Port 0 is any free port.
    pub async fn start(fleet: Fleet, clock: Clock, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let world = World::new(fleet, base_url.clone(), clock.now());
        let shared = Arc::new(Shared::new(world, clock));
        let app = Router::new().fallback(serve::answer).with_state(Arc::clone(&shared));
        let over = shared.over.clone();
        let server = tokio::spawn(async move {
            let service = app.into_make_service_with_connect_info::<ConnectionCutter>();
            let served =
                axum::serve(TenantListener { listener }, service).with_graceful_shutdown(over.cancelled_owned());
            // It accepts until told to stop, and has no error to give.
            let _ = served.await;
        });
        Ok(Self { shared, base_url, server })
    }

    /// Where the API is: what a service key calls `AI_API_URL`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where tokens are: what a service key calls `url`.
    pub fn auth_url(&self) -> &str {
        &self.base_url
    }

    /// A service key of the client-secret kind that opens this tenant, as JSON.
    pub fn service_key(&self) -> String {
        self.shared.state().tokens.service_key(&self.base_url)
    }

    /// Every request so far, in the order in which they came.
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.state().journal.clone()
    }

    /// The same, and takes them out, so that a simulation of months does not keep them all. What comes of requests still
    /// under way is then not written down.
    pub fn take_journal(&self) -> Vec<Entry> {
        let mut state = self.shared.state();
        state.taken += state.journal.len();
        std::mem::take(&mut state.journal)
    }

    /// Every request so far that nobody should have sent: against SAP's description, a PATCH for a deployment that is
    /// STOPPING or STOPPED, or one that holds the bytes `DELETED`.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.state().journal.iter().flat_map(Entry::violations).collect()
    }

    /// Puts a fault in the way of the requests that come from now on. The first that strikes a request has it.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
    }

    /// One deployment as it is now; none where the API shows none.
    pub fn deployment(&self, group: &str, id: &str) -> Option<Snapshot> {
        let (mut state, now) = (self.shared.state(), self.shared.clock.now());
        state.world.catch_up(now);
        let live = state.world.find(group, id, now)?;
        Some(Snapshot {
            status: live.status.clone(),
            configuration_id: live.spec.configuration_id.clone(),
            json: wire::deployment_alone(live, &self.base_url),
        })
    }

    /// Every deployment that there is now: group, id and status.
    pub fn statuses(&self) -> Vec<(String, String, Status)> {
        let (mut state, now) = (self.shared.state(), self.shared.clock.now());
        state.world.catch_up(now);
        state.world.statuses(now)
    }

    /// Somebody creates a deployment now: UNKNOWN, then PENDING, then RUNNING.
    pub fn create(&self, spec: Spec) {
        let now = self.shared.clock.now();
        self.shared.state().world.create(spec, now);
    }

    /// Puts a deployment in place as if the fleet had had it from the start.
    pub fn place(&self, spec: Spec) {
        self.shared.state().world.place(spec);
    }

    /// Somebody deletes a deployment now, whatever its status. False where it is not there.
    pub fn delete(&self, group: &str, id: &str) -> bool {
        let (mut state, now) = (self.shared.state(), self.shared.clock.now());
        state.world.catch_up(now);
        state.world.remove(group, id, now)
    }

    /// Stops serving; answers under way are finished, hanging ones are cut.
    pub async fn shutdown(mut self) {
        self.shared.over.cancel();
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.over.cancel();
    }
}
