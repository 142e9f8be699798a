//! How a tenant ends its lists.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// What is known of how a tenant ends its lists.
///
/// SAP's description of `count` can be read as that of the page ("number of the resource instances in the list"), and a
/// server may send fewer than were asked for. So a short page proves nothing by itself: the page after it does. That is
/// asked for once for each size, not for each list.
#[derive(Default)]
pub(super) struct PageEnds {
    /// The largest page that was the whole of its list.
    whole: Mutex<usize>,
    /// True where more came after a page that was shorter than what was asked for.
    pub(super) are_capped: AtomicBool,
}

/// Whether a page is the last one of its list.
pub(super) enum End<'a> {
    Sure,
    /// The next page tells.
    ReadOn,
    /// The next page tells, and whoever asks for it tells the others by this.
    Prove(MutexGuard<'a, usize>),
}

impl PageEnds {
    /// How sure it is that the first page of a list, with so many entries, is its last one too.
    pub(super) async fn of_first(&self, entries: usize) -> End<'_> {
        if entries == 0 {
            return End::Sure;
        }
        // A round number may be the server's own limit, and a list of just that length says nothing of others.
        let is_round = entries >= 50 && entries.is_multiple_of(25);
        if is_round || self.are_capped.load(Ordering::Acquire) {
            return End::ReadOn;
        }
        let whole = self.whole.lock().await;
        if entries <= *whole { End::Sure } else { End::Prove(whole) }
    }
}
