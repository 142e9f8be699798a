//! The daemon as a process: it fires, it is signalled, it is killed at the worst moment, its disk is full, and what the
//! tenant saw decides whether that was well done.

pub mod bench;
mod bounds;
mod clock;
mod disks;
mod kills;
mod life;
mod loops;
mod mails;
mod order;
