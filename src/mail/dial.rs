//! A connection to a mail server, by whichever of its addresses answers.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// One of the server's addresses; then the next one is tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// Connects to the first of the server's addresses that answers.
pub(super) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "its host name has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The final dot is a small packet after large ones: it would wait for their acknowledgement.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}
