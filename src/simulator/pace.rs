//! Keeps virtual time from running away while bytes are under way.
//!
//! tokio's paused clock jumps to the next timer as soon as the runtime parks, and it parks to wait for a socket. A
//! request over loopback would find its own timeout over before its answer is read. The runtime does not park while
//! a task is runnable, so this one stays runnable as long as anything passes over a connection, and then lets the
//! runtime park once: time jumps by one timer, and whoever waited for it has the time it needs again.

use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::simulator::line::Traffic;

/// So many looks at the sockets in a row must have found nothing. A request takes three: there, back, and the next.
const QUIET_LOOKS: usize = 32;
/// After traffic it must also have been quiet for so long by the machine's clock: the kernel may deliver late.
const QUIET_FOR: Duration = Duration::from_micros(300);

/// Runs until `over`.
pub(super) async fn keep(traffic: Traffic, over: CancellationToken) -> io::Result<()> {
    let (bell, ear) = UnixStream::pair()?;
    let mut heard = traffic.count();
    while !over.is_cancelled() {
        heard = quiet(&traffic, heard).await;
        // The bell rings while the runtime parks, so that it parks once and this task is the first to run.
        bell.try_write(&[1])?;
        ear.readable().await?;
        while ear.try_read(&mut [0; 8]).is_ok() {}
    }
    Ok(())
}

/// Comes back when all is quiet, with the traffic so far.
async fn quiet(traffic: &Traffic, before: u64) -> u64 {
    let mut seen = traffic.count();
    let mut since = (seen != before).then(std::time::Instant::now);
    let mut looks = 0;
    while looks < QUIET_LOOKS || since.is_some_and(|since| since.elapsed() < QUIET_FOR) {
        tokio::task::yield_now().await;
        looks += 1;
        if traffic.count() != seen {
            seen = traffic.count();
            since = Some(std::time::Instant::now());
            looks = 0;
        }
    }
    seen
}
