//! The part of a conversation that goes in clear: greeting, EHLO, STARTTLS. Nothing of what is heard in it outlives it.

use std::time::Duration;

use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
use lettre::transport::smtp::response::Response;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::mail::delivery_error::{DeliveryError, SmtpStep};
use crate::mail::dial::dial;
use crate::mail::settings::Smtp;
use crate::mail::tls;
use crate::mail::wire::LONGEST_ANSWER;

/// A server that says nothing for so long may be waiting for TLS from us.
const SUSPICIOUS_SILENCE: Duration = Duration::from_secs(10);
/// How long it may take to find out.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// The same as [`agree`], but where the server is silent it is looked whether its port speaks TLS from the first byte: else
/// both would wait for each other.
pub(super) async fn agree_or_tell(
    stream: TcpStream,
    smtp: &Smtp,
    client: &ClientId,
) -> Result<TcpStream, DeliveryError> {
    let (host, port) = (smtp.host.as_str(), smtp.port);
    let agreeing = agree(stream, host, client);
    tokio::pin!(agreeing);
    if let Ok(agreed) = timeout(SUSPICIOUS_SILENCE, &mut agreeing).await {
        return agreed;
    }
    if speaks_tls(host, port).await {
        return Err(DeliveryError::Tls(format!(
            "{host}:{port} speaks TLS from the first byte, and no STARTTLS: write `smtps://{host}:{port}`"
        )));
    }
    agreeing.await
}

/// True where a TLS handshake with the port comes to anything, be it a certificate that nobody trusts.
async fn speaks_tls(host: &str, port: u16) -> bool {
    let probe = async { Some(tls::is_spoken(dial(host, port).await.ok()?, host).await) };
    timeout(PROBE_LIMIT, probe).await.ok().flatten().unwrap_or(false)
}

/// Asks the server at `stream` to begin TLS, and gives the stream back when the next bytes have to be TLS.
pub(super) async fn agree(stream: TcpStream, host: &str, client: &ClientId) -> Result<TcpStream, DeliveryError> {
    let mut stream = BufReader::new(stream);
    answer(&mut stream).await?;
    let offer = ask(&mut stream, Ehlo::new(client.clone())).await?;
    let has_offered =
        ServerInfo::from_response(&offer).is_ok_and(|server| server.supports_feature(Extension::StartTls));
    if !has_offered {
        return Err(DeliveryError::Tls(format!("`{host}` does not offer STARTTLS")));
    }
    ask(&mut stream, Starttls).await?;
    // What comes later is read as TLS, which it would have to be.
    if stream.buffer().is_empty() {
        Ok(stream.into_inner())
    } else {
        let what = "continued without TLS after it had agreed to begin it: somebody may be forging its answers";
        Err(DeliveryError::Tls(format!("`{host}` {what}")))
    }
}

async fn ask(stream: &mut BufReader<TcpStream>, question: impl std::fmt::Display) -> Result<Response, DeliveryError> {
    stream.write_all(question.to_string().as_bytes()).await.map_err(|error| DeliveryError::of_connection(&error))?;
    answer(stream).await
}

/// Reads one answer and not a byte more; one that is no yes is an error.
async fn answer(stream: &mut BufReader<TcpStream>) -> Result<Response, DeliveryError> {
    let mut rest = stream.take(LONGEST_ANSWER as u64);
    let mut text = Vec::new();
    loop {
        let begin = text.len();
        rest.read_until(b'\n', &mut text).await.map_err(|error| DeliveryError::of_connection(&error))?;
        if !text.ends_with(b"\n") {
            return Err(if rest.limit() == 0 { DeliveryError::Endless } else { DeliveryError::hung_up() });
        }
        // A line that another one follows has a hyphen after its code.
        if text.get(begin + 3) != Some(&b'-') {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&text).parse::<Response>();
    let answer = answer.map_err(|_| DeliveryError::Unreachable("its answer is not SMTP".to_owned()))?;
    if answer.is_positive() {
        return Ok(answer);
    }
    let text = answer.message().collect::<Vec<_>>().join(" ");
    Err(DeliveryError::refused(answer.code().into(), &text, SmtpStep::Connect))
}
