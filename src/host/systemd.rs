//! Readiness, STATUS= and the watchdog of systemd. Without systemd all of it does nothing.

use sd_notify::NotifyState;

/// Tells systemd that the daemon works.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that a reload has begun; [`ready`] ends it.
pub(crate) fn reloading() {
    tell(&[NotifyState::Reloading]);
}

/// Tells systemd that the daemon is ending.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What `systemctl status` shows.
pub(crate) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Feeds the watchdog. Called from the heartbeat only, so that a daemon whose heart stands still is restarted.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

fn tell(states: &[NotifyState<'_>]) {
    // Where nobody listens there is nothing to tell.
    let _ = sd_notify::notify(states);
}
