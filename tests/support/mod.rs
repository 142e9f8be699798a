//! What several tests need.

pub mod given;
pub mod smtp;
