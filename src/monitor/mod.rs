//! Floor 1: being observed. Silence is the worst failure, so somebody else is told that offhours lives ([`ping`]), and
//! whoever asks is shown how it is ([`page`]).
//!
//! [`vitals`] is what the daemon knows of itself; it is written by the daemon and read by the page. Beside `aicore`
//! the only module that names `reqwest` (a ping knows nothing of AI Core), beside `simulator` the only one that names
//! `axum` (the page must not depend on the simulator), and the only one that names `prometheus-client`.

use std::net::SocketAddr;

use crate::monitor::ping::PingTarget;

mod authority;
pub mod ledger_gauges;
mod listener;
pub mod page;
pub mod ping;
mod text;
pub mod vitals;

/// `[monitoring]`: who is told, and where it can be asked for. Without it, nobody and nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonitoringSettings {
    pub heartbeat: Option<PingTarget>,
    /// Where `/healthz` and `/metrics` are served; always a loopback address.
    pub listen: Option<SocketAddr>,
}
