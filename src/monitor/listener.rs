//! The page's connections: few at once and none for long, so that whoever opens many harms neither the daemon, which
//! needs descriptors of its own to stop anything, nor others who ask.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// Connections at once. One more ends the oldest: who has something to ask has asked it by then.
const MOST_CONNECTIONS: usize = 16;
/// A connection that is not over by then is cut. A request and its answer take milliseconds.
const LONGEST_CONNECTION: Duration = Duration::from_secs(5);

/// Where connections come in.
pub(super) struct PageListener {
    listener: TcpListener,
    /// Of each connection that may still be open, what ends it; the oldest first.
    open: VecDeque<CancellationToken>,
}

impl PageListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, open: VecDeque::new() }
    }

    fn make_room(&mut self) {
        self.open.retain(|connection| !connection.is_cancelled());
        while self.open.len() >= MOST_CONNECTIONS
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.cancel();
        }
    }
}

pub(super) struct PageConnection {
    stream: TcpStream,
    time_is_up: Pin<Box<Sleep>>,
    /// A newer connection needs its place.
    is_ended: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Tells the door that it is closed.
    _open: DropGuard,
}

impl Listener for PageListener {
    type Io = PageConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (PageConnection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.make_room();
        let connection = CancellationToken::new();
        self.open.push_back(connection.clone());
        let line = PageConnection {
            stream,
            time_is_up: Box::pin(sleep(LONGEST_CONNECTION)),
            is_ended: Box::pin(connection.clone().cancelled_owned()),
            _open: connection.drop_guard(),
        };
        (line, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl PageConnection {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        // Both are asked, so that either wakes the connection.
        let time_is_up = self.time_is_up.as_mut().poll(cx).is_ready();
        self.is_ended.as_mut().poll(cx).is_ready() || time_is_up
    }
}

impl AsyncRead for PageConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PageConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use axum::serve::Listener;
    use futures_util::FutureExt;
    use tokio::io::{AsyncRead, ReadBuf};
    use tokio::net::{TcpListener, TcpStream};

    use super::{MOST_CONNECTIONS, PageConnection, PageListener};

    /// Whether a connection over which nobody has said anything may go on.
    fn is_open(line: &mut PageConnection) -> bool {
        let mut buffer = [0; 8];
        let read = poll_fn(|cx| Pin::new(&mut *line).poll_read(cx, &mut ReadBuf::new(&mut buffer)));
        read.now_or_never().is_none()
    }

    #[tokio::test]
    async fn p58_a_connection_too_many_ends_the_oldest_and_one_that_is_closed_leaves_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut door = PageListener::new(listener);
        let address = door.local_addr().unwrap();
        let (mut callers, mut lines) = (Vec::new(), Vec::new());
        for _ in 0..MOST_CONNECTIONS {
            callers.push(TcpStream::connect(address).await.unwrap());
            lines.push(door.accept().await.0);
        }
        assert!(lines.iter_mut().all(is_open));
        callers.push(TcpStream::connect(address).await.unwrap());
        lines.push(door.accept().await.0);
        let open: Vec<bool> = lines.iter_mut().map(is_open).collect();
        assert_eq!(open.iter().position(|open| *open), Some(1), "the oldest, and no other: {open:?}");
        assert_eq!(open.iter().filter(|open| **open).count(), MOST_CONNECTIONS);
        lines.pop();
        callers.push(TcpStream::connect(address).await.unwrap());
        lines.push(door.accept().await.0);
        assert!(is_open(&mut lines[1]), "there was room");
    }
}
