//! The last look before a change leaves this machine: its body is given out only if it is still wanted at the moment when
//! the connection takes it. Between a request's turn and that moment lie a name look-up, a connect and a TLS handshake,
//! and a host can sleep for hours in each.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};

/// Asked right before a change is sent: false takes it back.
pub(crate) type StillWanted = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Says whether a body was held back.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBack(Arc<AtomicBool>);

impl HeldBack {
    /// True where nothing of the body was given out, and nothing ever will be.
    pub(super) fn is_true(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
pub(super) struct WantedBody {
    /// The question under way; a mutex only because a body must be `Sync`.
    question: Mutex<Option<BoxFuture<'static, bool>>>,
    still_wanted: StillWanted,
    bytes: Option<Bytes>,
    held_back: HeldBack,
}

/// The body was held back: the request is broken off before the server has all of it.
#[derive(Debug, thiserror::Error)]
#[error("taken back before it was sent")]
pub(super) struct TakenBack;

impl WantedBody {
    /// `bytes`, given out only if `still_wanted` says so then.
    pub(super) fn new(bytes: Vec<u8>, still_wanted: StillWanted) -> (Self, HeldBack) {
        let held_back = HeldBack::default();
        let body =
            Self { question: Mutex::new(None), still_wanted, bytes: Some(bytes.into()), held_back: held_back.clone() };
        (body, held_back)
    }
}

impl Body for WantedBody {
    type Data = Bytes;
    type Error = TakenBack;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TakenBack>>> {
        let body = self.get_mut();
        if body.bytes.is_none() {
            return Poll::Ready(None);
        }
        let question = body.question.get_mut().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = ready!(question.get_or_insert_with(|| (body.still_wanted)()).as_mut().poll(context));
        *question = None;
        let bytes = body.bytes.take().filter(|_| is_wanted);
        Poll::Ready(Some(bytes.map(Frame::data).ok_or_else(|| {
            body.held_back.0.store(true, Ordering::Release);
            TakenBack
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// Exact, so that the server is told a length as it would be for plain bytes.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
