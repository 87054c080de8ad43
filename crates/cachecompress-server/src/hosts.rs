//! The hosts of sites, and the choice of a site by a request's host.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use crate::limits::HOST_BYTES;

/// The hosts of several sites, which are numbered from 0.
///
/// An exact name goes before a wildcard, and a longer wildcard before a shorter one. Unknown hosts have
/// the first site.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    exact: HashMap<Box<[u8]>, usize>,
    /// By the name behind `*.`.
    wildcards: HashMap<Box<[u8]>, usize>,
}

impl Hosts {
    /// Collects the hosts of `sites`.
    ///
    /// # Errors
    ///
    /// A sentence about a host that is none or has two sites, or about a site that no request reaches.
    pub(crate) fn new<'a>(sites: impl IntoIterator<Item = &'a [String]>) -> Result<Self, String> {
        let mut hosts = Self::default();
        for (site, names) in sites.into_iter().enumerate() {
            if site > 0 && names.is_empty() {
                return Err(format!("site {} of `[[sites]]` has no `hosts`; name them", site + 1));
            }
            for name in names {
                let name = host(name)?;
                let (names, key) = match name.strip_prefix("*.") {
                    Some(behind) => (&mut hosts.wildcards, behind),
                    None => (&mut hosts.exact, &*name),
                };
                if names.insert(key.as_bytes().into(), site).is_some_and(|other| other != site) {
                    return Err(format!("`{name}` is a host of two sites; remove one of them"));
                }
            }
        }
        Ok(hosts)
    }

    /// Whether all hosts have the first site.
    pub(crate) fn have_one_site(&self) -> bool {
        self.exact.values().chain(self.wildcards.values()).all(|site| *site == 0)
    }

    /// Returns the number of the site of `authority`, which is a host, perhaps with a port.
    pub(crate) fn site_of(&self, authority: &[u8]) -> usize {
        let name = without_port(authority);
        let name = name.strip_suffix(b".").unwrap_or(name);
        let literal = ipv6_literal(name).map(|address| format!("[{address}]"));
        let name = literal.as_ref().map_or(name, |literal| literal.as_bytes());
        let mut lower = [0; HOST_BYTES];
        let Some(lower) = lower.get_mut(..name.len()) else { return 0 };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if let Some(site) = self.exact.get(lower) {
            return *site;
        }
        if self.wildcards.is_empty() {
            return 0;
        }
        let dots = lower.iter().enumerate().filter(|(at, byte)| **byte == b'.' && *at > 0);
        let mut behind = dots.map(|(at, _)| &lower[at + 1..]);
        behind.find_map(|name| self.wildcards.get(name)).copied().unwrap_or(0)
    }
}

/// Returns the host of `authority`, which may have a user before it and a port behind it.
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    let user = authority.iter().rposition(|byte| *byte == b'@');
    let host = user.map_or(authority, |at| &authority[at + 1..]);
    let end = match host {
        [b'[', ..] => host.iter().position(|byte| *byte == b']').map(|at| at + 1),
        _ => host.iter().position(|byte| *byte == b':'),
    };
    end.map_or(host, |end| &host[..end])
}

/// The IPv6 address that `host` is, in brackets (RFC 3986 §3.2.2).
pub(crate) fn ipv6_literal(host: &[u8]) -> Option<Ipv6Addr> {
    let address = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(address).ok()?.parse().ok()
}

/// Parses a value of `hosts`: a name, `*.` and a name, or an IP address. It is in lower case then and
/// ends with no dot. An IPv6 address has its one canonical form.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    let literal = ipv6_literal(lower.as_bytes());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let advice = if !name.is_ascii() {
        "write it in ASCII, as the browser sends it (xn--…)"
    } else if name.contains('*') {
        "`*` stands only at the beginning, as in `*.example.com`"
    } else if name.contains("//") {
        "leave the scheme out"
    } else if name.contains(':') && literal.is_none() {
        "leave the port out; an IPv6 address stands in brackets"
    } else if name.is_empty() || name.len() > HOST_BYTES || name.split('.').any(str::is_empty) {
        "write a name such as `www.example.com`, or `*.example.com`"
    } else if literal.is_none() && !name.bytes().all(is_name) {
        "it has letters, digits, dots and hyphens only"
    } else {
        return Ok(literal.map_or(lower, |address| format!("[{address}]")));
    };
    Err(format!("`{text}` is no host: {advice}"))
}

/// Whether `host` is `uri-host [ ":" port ]` (RFC 9110 §7.2). It may be empty (RFC 9112 §3.2).
pub(crate) fn is_host(host: &[u8]) -> bool {
    // Nearly every host is a name of letters, digits, dots and hyphens.
    let simple = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    match &host[host.iter().take_while(simple).count()..] {
        [] => return true,
        [b':', port @ ..] if port.len() < 5 && port.iter().all(u8::is_ascii_digit) => return true,
        _ => {}
    }
    let (name, port) = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b""[..]),
    };
    let port_fits = port.iter().all(u8::is_ascii_digit)
        && (port.is_empty() || std::str::from_utf8(port).is_ok_and(|p| p.parse::<u16>().is_ok()));
    port_fits && (ipv6_literal(name).is_some() || is_reg_name(name))
}

/// Whether `name` is a reg-name (RFC 3986 §3.2.2). An IPv4 address is one.
fn is_reg_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((byte, tail)) = rest.split_first() {
        rest = match byte {
            b'%' => match tail {
                [high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    tail
                }
                _ => return false,
            },
            byte if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => tail,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(sites: &[&[&str]]) -> Result<Hosts, String> {
        let sites: Vec<Vec<String>> =
            sites.iter().map(|names| names.iter().map(|&name| name.into()).collect()).collect();
        Hosts::new(sites.iter().map(Vec::as_slice))
    }

    #[test]
    fn exact_host_goes_before_the_longest_wildcard() {
        let hosts = hosts(&[
            &["example.com", "*.example.com"],
            &["*.docs.example.com", "Other.Example."],
            &["v1.docs.example.com", "[::1]", "127.0.0.1"],
        ]);
        let hosts = hosts.unwrap();
        for (authority, site) in [
            ("example.com", 0),
            ("www.example.com", 0),
            ("a.b.example.com", 0),
            ("docs.example.com", 0),
            ("v2.docs.example.com", 1),
            ("x.v1.docs.example.com", 1),
            ("v1.docs.example.com", 2),
            ("V1.Docs.EXAMPLE.com.:8443", 2),
            ("other.example", 1),
            ("OTHER.example:80", 1),
            ("x.other.example", 0),
            ("user@other.example:80", 1),
            ("[::1]:8080", 2),
            ("[::1]", 2),
            ("127.0.0.1:8080", 2),
            ("unknown", 0),
            (".docs.example.com", 0),
            ("", 0),
            (":80", 0),
            (".", 0),
        ] {
            assert_eq!(hosts.site_of(authority.as_bytes()), site, "{authority}");
        }
        let long = format!("{}.docs.example.com", "a".repeat(300));
        assert_eq!(hosts.site_of(long.as_bytes()), 0, "no host is so long");
    }

    #[test]
    fn lookup_agrees_with_one_that_compares_names_one_by_one() {
        let lists: [&[&str]; 4] =
            [&["*.a"], &["a", "*.b.a"], &["c.b.a", "*.c.b.a"], &["*.d.c.b.a", "b.a"]];
        let hosts = hosts(&lists).unwrap();
        let by_hand = |host: &str| {
            let names = || {
                lists.iter().enumerate().flat_map(|(at, list)| list.iter().map(move |n| (at, *n)))
            };
            let exact = names().find(|(_, name)| *name == host);
            let wild = names().filter(|(_, name)| {
                name.strip_prefix('*')
                    .is_some_and(|end| host.ends_with(end) && host.len() > end.len())
            });
            exact.or_else(|| wild.max_by_key(|(_, name)| name.len())).map_or(0, |(site, _)| site)
        };
        let labels = ["a", "b", "c", "d"];
        for number in 0..4_usize.pow(5) {
            for depth in 1..=5 {
                let name: Vec<_> =
                    (0..depth).map(|place| labels[number / 4_usize.pow(place) % 4]).collect();
                let name = name.join(".");
                assert_eq!(hosts.site_of(name.as_bytes()), by_hand(&name), "{name}");
            }
        }
    }

    #[test]
    fn ipv6_address_is_one_host_however_it_is_spelled() {
        let hosts = hosts(&[&["a"], &["[2001:DB8:0:0::1]"]]).unwrap();
        for authority in ["[2001:db8::1]", "[2001:0DB8::0:1]:80", "[2001:db8:0:0:0:0:0:1]"] {
            assert_eq!(hosts.site_of(authority.as_bytes()), 1, "{authority}");
        }
        assert_eq!(hosts.site_of(b"[2001:db8::2]"), 0);
    }

    #[test]
    fn wrong_hosts_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "write a name"),
            (".", "write a name"),
            ("a..b", "write a name"),
            ("*.", "only at the beginning"),
            ("*", "only at the beginning"),
            ("a.*.b", "only at the beginning"),
            ("example.com:80", "leave the port out"),
            ("::1", "leave the port out"),
            ("https://example.com", "leave the scheme out"),
            ("example.com/shop", "letters, digits"),
            ("b\u{fc}cher.example", "xn--"),
        ] {
            let error = host(text).unwrap_err();
            assert!(error.contains(reason) && error.contains(&format!("`{text}`")), "{error}");
        }
        let twice = hosts(&[&["a.example"], &["A.example."]]).unwrap_err();
        assert!(twice.contains("two sites"), "{twice}");
        let spelled = hosts(&[&["[0:0::1]"], &["[::1]"]]).unwrap_err();
        assert!(spelled.contains("`[::1]` is a host of two sites"), "{spelled}");
        let none = hosts(&[&[], &[]]).unwrap_err();
        assert!(none.contains("site 2"), "{none}");
        assert!(hosts(&[&["a.example", "a.example"]]).unwrap().have_one_site());
    }
}
