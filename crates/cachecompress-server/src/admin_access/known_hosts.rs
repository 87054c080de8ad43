//! The hosts for which the admin listener answers.
//!
//! A page of any site may have its own name resolved to this machine's address, and then read what a
//! listener here answers (DNS rebinding). The browser still names that site in Host, so that a listener
//! which answers for names that it knows gives such a page nothing. No page can have an address for a
//! name, so that every address is known.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use crate::hosts::{ipv6_literal, without_port};

/// The names of the admin listener. Every IP address is known beside them, and `localhost`.
#[derive(Clone, Debug)]
pub(crate) struct KnownHosts(HashSet<String>);

impl KnownHosts {
    /// Knows these `names`, as [`hosts::host`](crate::hosts::host) has parsed them.
    pub(crate) fn new(names: &[String]) -> Self {
        Self(names.iter().cloned().chain(["localhost".to_owned()]).collect())
    }

    /// Whether `authority` is known, whatever its port is: a tunnel or a container's port has another.
    ///
    /// A name is the same in upper case and with a dot at its end.
    pub(crate) fn know(&self, authority: &[u8]) -> bool {
        let name = without_port(authority);
        if ipv6_literal(name).is_some() {
            return true;
        }
        let name = String::from_utf8_lossy(name.strip_suffix(b".").unwrap_or(name));
        name.parse::<Ipv4Addr>().is_ok() || self.0.contains(&name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_given_names_are_known_and_others_are_not() {
        let hosts = KnownHosts::new(&["admin.example".to_owned()]);
        for authority in [
            "127.0.0.1",
            "127.0.0.1:9000",
            "192.0.2.7:80",
            "[::1]",
            "[::1]:9000",
            "[2001:DB8::1]:9000",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LocalHost:9000",
            "localhost.:9000",
            "admin.example",
            "ADMIN.example.:443",
            "127.0.0.1.",
        ] {
            assert!(hosts.know(authority.as_bytes()), "{authority}");
        }
        for authority in [
            "",
            ":9000",
            ".",
            "evil.example",
            "evil.example:9000",
            "admin.example.evil.example",
            "x.admin.example",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example",
            "127.1",
            "0x7f000001",
            "2130706433",
            "[::1",
            "[fe80::1%25eth0]",
            "localhost..",
        ] {
            assert!(!hosts.know(authority.as_bytes()), "{authority}");
        }
    }
}
