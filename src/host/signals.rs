//! What the outside wants of the daemon.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end cleanly.
    End,
}

/// The signals a long-running command listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    wishes: mpsc::UnboundedReceiver<Wish>,
}

impl Signals {
    /// Begins to listen; from now on these signals do not end the process by themselves.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (sender, wishes) = mpsc::unbounded_channel();
        let meanings = [
            (SignalKind::hangup(), Wish::Reload),
            (SignalKind::terminate(), Wish::End),
            (SignalKind::interrupt(), Wish::End),
        ];
        for (kind, wish) in meanings {
            let mut received = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move { while received.recv().await.is_some() && sender.send(wish).is_ok() {} });
        }
        Ok(Self { wishes })
    }

    pub(crate) async fn next(&mut self) -> Wish {
        match self.wishes.recv().await {
            Some(wish) => wish,
            // The senders live as long as the runtime does.
            None => std::future::pending().await,
        }
    }
}
