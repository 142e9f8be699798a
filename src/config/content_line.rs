//! A line of a calendar file, and what is wrong with one.

/// A fault in a calendar's file.
pub(super) struct BadLine {
    /// The line, from 1.
    pub(super) line: usize,
    pub(super) message: String,
    /// What would be right.
    pub(super) hint: &'static str,
}
pub(super) struct ContentLine {
    /// From 1.
    pub(super) number: usize,
    pub(super) name: String,
    /// What stands between name and value, in capitals.
    pub(super) parameters: String,
    pub(super) value: String,
}

pub(super) fn refuse(line: usize, message: impl Into<String>, hint: &'static str) -> BadLine {
    BadLine { line, message: message.into(), hint }
}
