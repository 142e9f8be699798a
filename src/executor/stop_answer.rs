//! What followed from asking for a stop.

use crate::aicore::Error;
use crate::executor::stop_attempt::StopEnd;

/// What followed from asking once.
pub(super) enum StopAnswer {
    /// It was accepted, or may have been: AI Core's status will tell.
    Watch,
    /// It has come to an end without a stop of ours.
    Over(StopEnd),
    /// The same, and no request was sent.
    Unsent(StopEnd),
    /// It was surely not done, and should be asked for singly.
    Singly,
    /// It was taken back: something has come in between for one of its batch.
    TakenBack {
        /// True where it had been sent, and was refused.
        was_refused: bool,
    },
    /// The run is no longer ours to go on with, so that nobody here knows.
    Interrupted,
}

/// What came of sending one request.
pub(super) enum Sent {
    /// AI Core has accepted it.
    Accepted,
    /// It was taken back: it was not sent, or not once more after it was refused.
    TakenBack {
        /// True where it had been sent.
        was_refused: bool,
    },
    /// It failed, or nobody knows: it was given up while it was under way.
    Open(Option<Error>),
}
