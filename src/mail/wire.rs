//! What lettre reads and writes: a connection whose protection has begun already, and whose answers come to an end.
//!
//! lettre keeps what it has read when STARTTLS begins TLS, and would believe inside TLS what was said in clear
//! (CVE-2011-0411). So it never sees the clear part: it begins anew on a [`Wire`], inside TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of one answer. lettre gives up at 100,000 as well, but only where a line ends.
pub(super) const LONGEST_ANSWER: usize = 128 * 1024;

/// What a server says first. After STARTTLS it says it to nobody but us, in clear; lettre wants to hear it all the same.
const GREETING: &[u8] = b"220 greeted before\r\n";
#[derive(Debug, thiserror::Error)]
#[error("an answer of the server is longer than {} KiB", LONGEST_ANSWER / 1024)]
pub(super) struct EndlessAnswer;

/// A connection to a mail server.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    /// Read before anything of the stream.
    greeting: &'static [u8],
    /// Bytes that were read since something was written.
    heard: usize,
}

impl<S> Wire<S> {
    /// A connection on which the server's greeting is still to come.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, greeting: b"", heard: 0 }
    }

    /// A connection on which the server has said its greeting before.
    pub(super) fn greeted(stream: S) -> Self {
        Self { greeting: GREETING, ..Self::new(stream) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.greeting.split_at(self.greeting.len().min(buf.remaining()));
        if !now.is_empty() {
            buf.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.heard += buf.filled().len() - before;
        let has_end = self.heard <= LONGEST_ANSWER;
        Poll::Ready(if has_end { Ok(()) } else { Err(io::Error::other(EndlessAnswer)) })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard = 0;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Wire<S> {
    /// lettre asks for it where its own caller does, and we do not.
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{EndlessAnswer, LONGEST_ANSWER, Wire};

    #[tokio::test]
    async fn a_greeting_that_was_said_before_comes_first_and_once() {
        let mut read = Vec::new();
        Wire::greeted(&b"250 inside\r\n"[..]).read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"220 greeted before\r\n250 inside\r\n");
    }

    #[tokio::test]
    async fn e13_only_what_comes_after_one_question_is_counted_together() {
        let (ours, mut server) = tokio::io::duplex(4 * LONGEST_ANSWER);
        let mut wire = Wire::new(ours);
        let mut answer = vec![0; LONGEST_ANSWER];
        for _ in 0..2 {
            server.write_all(&answer).await.unwrap();
            wire.write_all(b"NOOP\r\n").await.unwrap();
            wire.read_exact(&mut answer).await.unwrap();
        }
        server.write_all(b"x").await.unwrap();
        let error = wire.read_u8().await.unwrap_err();
        assert!(error.get_ref().unwrap().is::<EndlessAnswer>());
    }
}
