//! The faults of the API, one by one, against a server made for them. Server and client share the test's own
//! runtime, so that tokio's paused clock runs both.

mod bodies;
mod keys;
mod lists;
mod pace;
mod server;
mod stops;
mod tokens;
