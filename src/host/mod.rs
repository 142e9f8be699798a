//! Floor 1: the machine around the daemon. Signals, and systemd's readiness, status and watchdog.

pub(crate) mod signals;
pub(crate) mod systemd;
