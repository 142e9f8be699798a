//! For which host the page is asked. A page of the web can have its own name lead to this machine and read what it is
//! answered (DNS rebinding), but it cannot keep its name from being sent along.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Said with 421.
const REFUSAL: &str = "ask for `localhost` or an IP address: this page answers no other host name\n";

/// Lets through what is asked of `localhost`, of an IP address, or of no host at all, which no browser does.
pub(super) async fn only_this_machine(request: Request, next: Next) -> Response {
    let named = request.uri().authority().is_none_or(is_this_machine);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    if named && hosts.all(|host| parsed(host).is_some_and(|host| is_this_machine(&host))) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, [(header::CONNECTION, "close")], REFUSAL).into_response()
    }
}

fn parsed(host: &HeaderValue) -> Option<Authority> {
    Authority::try_from(host.as_bytes()).ok()
}

fn is_this_machine(authority: &Authority) -> bool {
    let host = authority.host();
    let is_address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    };
    let has_login = !authority.as_str().starts_with(host);
    !has_login && (is_address || host.trim_end_matches('.').eq_ignore_ascii_case("localhost"))
}
