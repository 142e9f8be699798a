//! TLS to a mail server. Its certificate is trusted where this machine trusts it, as everywhere else in offhours.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::mail::delivery_error::DeliveryError;

/// Begins TLS on `stream`, on which nothing of the server's may be unread, and makes sure that `host` answers.
pub(super) async fn protect(stream: TcpStream, host: &str, port: u16) -> Result<TlsStream<TcpStream>, DeliveryError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| DeliveryError::Tls(format!("no certificate can be for `{host}`")))?;
    let config = config().map_err(|error| DeliveryError::Tls(error.to_string()))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| failure(host, port, &error))
}

/// True where the other end of `stream` speaks TLS, be it with a certificate that nobody trusts.
pub(super) async fn is_spoken(stream: TcpStream, host: &str) -> bool {
    let (Ok(name), Ok(config)) = (ServerName::try_from(host.to_owned()), config()) else { return false };
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(_) => true,
        Err(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
        }
    }
}

/// Made for each connection, so that certificates which the machine has learnt to trust are trusted.
fn config() -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth())
}

fn failure(host: &str, port: u16, error: &io::Error) -> DeliveryError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => DeliveryError::Tls(format!(
            "what came from {host}:{port} where TLS had to begin is not TLS: it looks like a port that speaks clear text \
             first (then write `smtp+starttls://`), or somebody may be forging it"
        )),
        Some(inner @ rustls::Error::InvalidCertificate(_)) => DeliveryError::Tls(format!(
            "{inner}, for {host}:{port}. A company's own CA must be in this machine's store (`update-ca-certificates`), or \
             in the file that `SSL_CERT_FILE` names"
        )),
        Some(inner) => DeliveryError::Tls(inner.to_string()),
        None => DeliveryError::of_connection(error),
    }
}
