//! What can be asked for on this machine: `/healthz` and `/metrics`, without a login and without a secret in them.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::monitor::authority::only_this_machine;
use crate::monitor::listener::PageListener;
use crate::monitor::text::CONTENT_TYPE;
use crate::monitor::vitals::Vitals;

/// Where the page is asked for; kept open while [`StatusPage::serve`] runs.
#[derive(Debug)]
pub struct StatusPage {
    listener: TcpListener,
}

impl StatusPage {
    /// Listens on `address`.
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Where it listens; tells the port that the system chose.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until dropped.
    pub async fn serve(self, vitals: Vitals) {
        let routes = Router::new()
            .route("/healthz", get(healthz))
            .route("/metrics", get(metrics))
            .fallback(nothing)
            .method_not_allowed_fallback(nothing)
            .layer(from_fn(only_this_machine))
            .with_state(vitals);
        // It never ends: errors of single connections are those connections'.
        let _ = axum::serve(PageListener::new(self.listener), routes).await;
    }
}

async fn healthz(State(vitals): State<Vitals>) -> Response {
    let (status, text) = match vitals.health() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(ailment) => (StatusCode::SERVICE_UNAVAILABLE, format!("{ailment}\n")),
    };
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), FAREWELL], text).into_response()
}

async fn metrics(State(vitals): State<Vitals>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE), FAREWELL], vitals.metrics()).into_response()
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, [FAREWELL], "only GET /healthz and GET /metrics are here\n").into_response()
}

/// Each connection has one answer, so that a few idle ones do not keep others out.
const FAREWELL: (header::HeaderName, &str) = (header::CONNECTION, "close");
