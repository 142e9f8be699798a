//! What became of a mail that was taken.

/// What became of a mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The server's last reply, or the file that was written.
    pub reply: String,
}
