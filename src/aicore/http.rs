//! One HTTP exchange: sent once, never redirected, over within its time, never larger than its cap.

use std::error::Error;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Identity, RequestBuilder, Response};

use crate::aicore::error::{NoAnswer, NoConnection};
use crate::domain::loopback::is_loopback;

/// No body is read beyond this many bytes, after decompression.
pub(super) const BODY_CAP: usize = 16 << 20;
/// An error's text is cut here; in bytes.
const ERROR_BODY_CAP: usize = 64 << 10;
/// A connection is there by then, or nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 connection is asked whether it still lives: a host's sleep breaks them unnoticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// An answer, read to its end.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// A header's text, where it is text.
    pub(super) fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }

    /// True where the answer says that it is JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.header(CONTENT_TYPE).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    }
}

/// A client that follows no redirect. `is_local` leaves the system's proxy out; `identity` is for mutual TLS.
pub(super) fn client(is_local: bool, identity: Option<Identity>) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("offhours/", env!("CARGO_PKG_VERSION")));
    if is_local {
        builder = builder.no_proxy();
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    builder.build()
}

/// Sends `request` and reads the answer, all within `limit`.
pub(super) async fn exchange(request: RequestBuilder, limit: Duration) -> Result<Reply, NoAnswer> {
    tokio::time::timeout(limit, read(request)).await.unwrap_or(Err(NoAnswer::TimedOut(limit)))
}

async fn read(request: RequestBuilder) -> Result<Reply, NoAnswer> {
    let mut response = request.send().await.map_err(|error| sending(&error))?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let body = match body(&mut response, if status.is_success() { BODY_CAP } else { ERROR_BODY_CAP }).await {
        Ok(body) => body,
        // The status of a refusal says enough; its text is a courtesy.
        Err(_) if !status.is_success() => Vec::new(),
        Err(trouble) => return Err(trouble),
    };
    Ok(Reply { status: status.as_u16(), headers, body })
}

async fn body(response: &mut Response, cap: usize) -> Result<Vec<u8>, NoAnswer> {
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(NoAnswer::TooLarge(cap));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| NoAnswer::Truncated)? {
        if body.len() + chunk.len() > cap {
            return Err(NoAnswer::TooLarge(cap));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Only the innermost cause is told: the outer ones hold the URL.
fn sending(error: &reqwest::Error) -> NoAnswer {
    let mut is_distrust = false;
    let mut innermost: Option<&dyn Error> = error.source();
    while let Some(cause) = innermost {
        is_distrust |= is_about_certificate(cause);
        match cause.source() {
            Some(inner) => innermost = Some(inner),
            None => break,
        }
    }
    let cause = innermost
        .map_or_else(|| "request failed".to_owned(), |cause| crate::domain::plain_text::clean_name(&cause.to_string()));
    if !error.is_connect() {
        return NoAnswer::Lost(cause);
    }
    let to = error.url().and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    let proxy =
        error.url().filter(|url| !url.host_str().is_some_and(is_loopback)).and_then(|url| proxy_for(url.as_str()));
    NoAnswer::NotConnected(NoConnection { to, proxy, cause, is_distrust })
}

fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    // `io::Error::source` passes over the error it wraps, which may be one of its kind.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    wrapped.is_some_and(|wrapped| is_about_certificate(wrapped))
}

/// The proxy that the environment names for a URL: host and port, never its login.
fn proxy_for(url: &str) -> Option<String> {
    let proxy = Matcher::from_env().intercept(&url.parse().ok()?)?;
    let authority = proxy.uri().authority()?;
    Some(
        authority.port_u16().map_or_else(|| authority.host().to_owned(), |port| format!("{}:{port}", authority.host())),
    )
}

#[cfg(test)]
mod tests {
    use super::{NoAnswer, client, exchange};
    use crate::aicore::error::NoConnection;
    use std::time::Duration;

    #[tokio::test]
    async fn e34_no_connection_says_to_which_host_and_port() {
        crate::aicore::crypto::install_crypto();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let request = client(true, None).unwrap().get(format!("http://{closed}/v2/lm/deployments?secret=CANARY"));
        let Err(NoAnswer::NotConnected(failure)) = exchange(request, Duration::from_secs(10)).await else {
            panic!("connected")
        };
        let said = failure.to_string();
        assert!(said.starts_with(&format!("no connection to {closed} (")) && said.contains("refused"), "{said}");
        assert!(!said.contains("CANARY") && !failure.is_distrust);
    }

    #[test]
    fn e34_a_certificate_that_is_not_trusted_names_the_store_and_a_proxy_is_named_without_its_login() {
        let failure = NoConnection {
            to: Some("api.example.com:443".to_owned()),
            proxy: Some("proxy.example.com:3128".to_owned()),
            cause: "invalid peer certificate: UnknownIssuer".to_owned(),
            is_distrust: true,
        };
        let said = failure.to_string();
        for part in
            ["to api.example.com:443", "the proxy proxy.example.com:3128", "update-ca-certificates", "SSL_CERT_FILE"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}
