//! The name that this machine gives itself in EHLO. RFC 5321, 4.1.4: a full name, or the address in brackets.

use std::net::SocketAddr;

use lettre::transport::smtp::extension::ClientId;

/// What to say in EHLO over a connection from `local`: what `[mail]` says, else the machine's full name, else its address.
pub(super) fn name(configured: Option<&str>, local: SocketAddr) -> ClientId {
    choose(configured, rustix::system::uname().nodename().to_str().ok(), local)
}

fn choose(configured: Option<&str>, host: Option<&str>, local: SocketAddr) -> ClientId {
    // A bare name is refused by servers that want a full one (`reject_non_fqdn_helo_hostname`); an address never is.
    let full = host.filter(|host| host.trim_matches('.').contains('.') && *host != "localhost.localdomain");
    match (configured.or(full), local) {
        (Some(name), _) => ClientId::Domain(name.to_owned()),
        (None, SocketAddr::V4(local)) => ClientId::Ipv4(*local.ip()),
        (None, SocketAddr::V6(local)) => ClientId::Ipv6(*local.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn e32_this_machine_says_a_full_name_or_its_address_and_never_a_bare_name() {
        let from = |local: &str, configured, host| choose(configured, host, local.parse().unwrap()).to_string();
        let local = "192.0.2.7:40000";
        assert_eq!(from(local, Some("mail.example.com"), Some("vm-17")), "mail.example.com");
        assert_eq!(from(local, None, Some("vm-17.example.com")), "vm-17.example.com");
        assert_eq!(from(local, None, Some("vm-17")), "[192.0.2.7]");
        assert_eq!(from(local, None, Some("localhost.localdomain")), "[192.0.2.7]");
        assert_eq!(from("[2001:db8::7]:40000", None, None), "[IPv6:2001:db8::7]");
    }
}
