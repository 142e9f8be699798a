//! Which hosts are this machine itself: what is sent there is read by nobody on the way.

use std::net::IpAddr;

/// True for `localhost` and loopback addresses; an IPv6 address may stand in brackets, as it does in a URL.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "localhost.example.com", "10.0.0.1", "0.0.0.0", "[::2]", "example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
