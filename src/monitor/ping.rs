//! Telling a watcher that offhours lives, in the way of healthchecks.io: a GET of a URL says that all is well, a GET
//! of the URL with `/fail` at its end of path that something is not. A watcher that hears nothing raises the alarm.
//!
//! Whoever knows the URL can send pings, so it is treated as a secret: no log, error or `Debug` shows it.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::domain::loopback::is_loopback;
use crate::domain::plain_text::clean;
use crate::secret::{SecretError, SecretSource};

/// A ping is answered by then, or has failed. In seconds.
const LIMIT: u64 = 10;
/// Redirects that are followed.
const MOST_REDIRECTS: usize = 3;
/// What the path ends in where something is wrong.
const FAIL: &str = "fail";

/// What a ping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PingStatus {
    Well,
    /// A run ended badly, or rules cannot fire.
    Unwell,
}

/// A URL that takes pings: `https://`, or `http://` on this machine.
#[derive(Clone)]
pub struct PingUrl(SecretString);

/// Why a text is no such URL. Never shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPingUrl {
    #[error("is not a valid URL")]
    NoUrl,
    /// Not a scheme that protects it.
    #[error("is neither `https://`, nor `http://` on this machine")]
    Scheme,
    /// User or password in it.
    #[error("has a login in it")]
    Login,
}

/// Where the URL is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PingTarget {
    /// In offhours.toml itself.
    Here(PingUrl),
    /// Where secrets are; read anew for each ping.
    Elsewhere(SecretSource),
}

/// Why a ping did not arrive. Never shows the URL.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The URL cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What is written where the URL should be.
    #[error("the heartbeat's URL {0}")]
    Url(#[from] BadPingUrl),
    /// No answer in time.
    #[error("no answer within {LIMIT} seconds")]
    TimedOut,
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// The answer leads to another host, or in circles.
    #[error("answered {0}, a redirect; write the URL that it redirects to")]
    Redirected(StatusCode),
    #[error("answered {0}")]
    Refused(StatusCode),
}

impl PingUrl {
    /// Reads a URL; spaces and line ends around it do not count.
    pub fn parse(text: &str) -> Result<Self, BadPingUrl> {
        let url = Url::parse(text.trim()).map_err(|_| BadPingUrl::NoUrl)?;
        let loopback = url.host_str().is_some_and(is_loopback);
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(BadPingUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadPingUrl::Login);
        }
        Ok(Self(SecretString::from(url.as_str())))
    }

    /// The URL that carries `sign`. A query stays where it is.
    fn with(&self, sign: PingStatus) -> Result<Url, BadPingUrl> {
        let mut url = Url::parse(self.0.expose_secret()).map_err(|_| BadPingUrl::NoUrl)?;
        if sign == PingStatus::Unwell {
            url.path_segments_mut().map_err(|()| BadPingUrl::NoUrl)?.pop_if_empty().push(FAIL);
        }
        Ok(url)
    }
}

impl PartialEq for PingUrl {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for PingUrl {}

impl fmt::Debug for PingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PingUrl(…)")
    }
}

impl PingTarget {
    fn url(&self) -> Result<PingUrl, PingError> {
        match self {
            Self::Here(url) => Ok(url.clone()),
            Self::Elsewhere(source) => Ok(PingUrl::parse(source.read()?.expose_secret())?),
        }
    }
}

/// Tells `target` how things are; one attempt of at most ten seconds.
pub async fn ping(target: &PingTarget, sign: PingStatus) -> Result<(), PingError> {
    let url = target.url()?.with(sign)?;
    // A client of its own for each ping: there is one an hour, and no connection is to be kept open between them.
    let mut builder = Client::builder()
        .redirect(Policy::custom(same_host))
        .timeout(Duration::from_secs(LIMIT))
        // One version of HTTP whose traces are known to hold no URL.
        .http1_only()
        .user_agent(concat!("offhours/", env!("CARGO_PKG_VERSION")));
    if url.scheme() == "http" {
        builder = builder.no_proxy();
    }
    let request = async { builder.build()?.get(url).send().await };
    let status = request.await.map_err(|error| failed(&error))?.status();
    match status {
        _ if status.is_success() => Ok(()),
        _ if status.is_redirection() => Err(PingError::Redirected(status)),
        _ => Err(PingError::Refused(status)),
    }
}

/// A URL that is a secret is not carried to another host, port or scheme.
fn same_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let seen = attempt.previous();
    let stays = seen.last().is_some_and(|last| last.origin() == attempt.url().origin());
    if stays && seen.len() <= MOST_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// Only the innermost cause is told: the outer ones hold the URL.
fn failed(error: &reqwest::Error) -> PingError {
    if error.is_timeout() {
        return PingError::TimedOut;
    }
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    let innermost = cause.map_or_else(|| "the request failed".to_owned(), ToString::to_string);
    PingError::Connection(clean(&innermost))
}

#[cfg(test)]
mod tests {
    use super::{BadPingUrl, PingStatus, PingUrl};

    #[test]
    fn a_ping_url_is_https_or_stays_on_this_machine() {
        for good in ["https://hc-ping.com/4711", "http://127.0.0.1:8000/p", "http://[::1]/p", " http://localhost/p\n"] {
            assert!(PingUrl::parse(good).is_ok(), "{good}");
        }
        let cases = [
            ("hc-ping.com/4711", BadPingUrl::NoUrl),
            ("http://hc-ping.com/4711", BadPingUrl::Scheme),
            ("http://127.0.0.1.example.com/", BadPingUrl::Scheme),
            ("file:///etc/passwd", BadPingUrl::Scheme),
            ("https://user:pw@hc-ping.com/4711", BadPingUrl::Login),
        ];
        for (bad, why) in cases {
            assert_eq!(PingUrl::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_bad_sign_is_a_longer_path() {
        let unwell = |url: &str| PingUrl::parse(url).unwrap().with(PingStatus::Unwell).unwrap().to_string();
        assert_eq!(unwell("https://hc-ping.com/4711"), "https://hc-ping.com/4711/fail");
        assert_eq!(unwell("https://hc-ping.com/4711/"), "https://hc-ping.com/4711/fail");
        assert_eq!(unwell("https://hc-ping.com/4711?create=1"), "https://hc-ping.com/4711/fail?create=1");
        assert_eq!(unwell("https://hc-ping.com"), "https://hc-ping.com/fail");
    }

    #[test]
    fn nothing_shows_the_url() {
        assert_eq!(format!("{:?}", PingUrl::parse("https://hc-ping.com/4711").unwrap()), "PingUrl(…)");
    }
}
