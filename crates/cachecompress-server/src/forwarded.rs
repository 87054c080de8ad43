//! The client behind trusted proxies: `Forwarded` (RFC 7239), `X-Forwarded-For` and `-Proto`.
//!
//! Each proxy adds the address from which it was asked. So the lists are read from the right: an
//! address counts as long as the one to its right is a trusted proxy's. The first that is not is the
//! client. Anything further left is the client's own text, and is not read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;

use crate::peer::{ClientAddress, Peer};

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The addresses of the proxies that speak for their clients. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Arc<[IpNet]>);

/// One step of a request on its way here, as the proxy that took it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hop {
    /// The address from which the proxy was asked, unless it hides it.
    from: Option<IpAddr>,
    /// Whether it was asked over TLS.
    https: Option<bool>,
}

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Whether the host at `address` is a trusted proxy. If there are any, those on Unix sockets
    /// are: the socket's permissions say who may connect.
    pub(crate) fn contain(&self, address: ClientAddress) -> bool {
        match address {
            ClientAddress::Ip(address) => self.0.iter().any(|network| network.contains(&address)),
            ClientAddress::Unix => !self.0.is_empty(),
        }
    }

    /// The client of a request with these `headers` that came from `peer`; `None` if that is no
    /// trusted proxy, and so the client itself.
    pub(crate) fn client(&self, peer: &Peer, headers: &HeaderMap) -> Option<Peer> {
        if !self.contain(peer.address) {
            return None;
        }
        let (address, secure) =
            match (self.forwarded(peer, headers), self.x_forwarded(peer, headers)) {
                (Some(one), Some(other)) => agreed(peer, one, other),
                (told, other) => told.or(other).unwrap_or((peer.address, peer.secure)),
            };
        Some(Peer { address, secure, proxied: true, ..peer.clone() })
    }

    /// The client's address and whether it has TLS, by `Forwarded`; `None` without one.
    fn forwarded(&self, peer: &Peer, headers: &HeaderMap) -> Option<(ClientAddress, bool)> {
        if !headers.contains_key(header::FORWARDED) {
            return None;
        }
        let hops = elements(headers.get_all(header::FORWARDED).iter()).map_while(hop);
        Some(self.follow(peer, None, hops))
    }

    /// The same by `X-Forwarded-For` and `X-Forwarded-Proto`; `None` if there is neither.
    fn x_forwarded(&self, peer: &Peer, headers: &HeaderMap) -> Option<(ClientAddress, bool)> {
        if ![X_FORWARDED_FOR, X_FORWARDED_PROTO].iter().any(|name| headers.contains_key(*name)) {
            return None;
        }
        let schemes = headers.get_all(X_FORWARDED_PROTO).iter();
        let mut schemes = elements(schemes).map(is_https).peekable();
        let https = schemes.peek().copied().flatten();
        // A list that is shorter than that of the addresses ends with the client's scheme.
        let mut scheme = None;
        let addresses = elements(headers.get_all(X_FORWARDED_FOR).iter());
        let hops = addresses.map_while(|element| {
            scheme = schemes.next().unwrap_or(scheme);
            Some(Hop { from: Some(address(element)?), https: scheme })
        });
        Some(self.follow(peer, https, hops))
    }

    /// Follows the `hops`, of which the last one comes first, from `peer`, which is a proxy, to the
    /// client. `https` is the scheme that counts without any hop.
    fn follow(
        &self,
        peer: &Peer,
        mut https: Option<bool>,
        hops: impl Iterator<Item = Hop>,
    ) -> (ClientAddress, bool) {
        let mut address = peer.address;
        for hop in hops {
            https = hop.https;
            let Some(from) = hop.from else { break };
            address = from.into();
            if !self.contain(address) {
                break;
            }
        }
        // Where no proxy tells, the connection shows what there is to know.
        (address, https.unwrap_or(peer.secure))
    }
}

/// The client of which both kinds of fields tell.
///
/// Most proxies write one kind and pass the other on as the client sent it. So neither can be
/// preferred, and where they differ the proxy is all that is known.
fn agreed(
    peer: &Peer,
    (one, one_secure): (ClientAddress, bool),
    (other, other_secure): (ClientAddress, bool),
) -> (ClientAddress, bool) {
    match one == other {
        true => (one, one_secure && other_secure),
        false => (peer.address, false),
    }
}

/// The elements of a list in several `lines`, the last one first. Empty ones are left out.
fn elements<'h>(
    lines: impl DoubleEndedIterator<Item = &'h HeaderValue>,
) -> impl Iterator<Item = &'h [u8]> {
    lines
        .rev()
        .flat_map(|line| {
            let mut rest = Some(line.as_bytes());
            std::iter::from_fn(move || {
                let (before, element) = split_last(rest?);
                rest = before;
                Some(element.trim_ascii())
            })
        })
        .filter(|element| !element.is_empty())
}

/// Splits a list at its last comma that is in no quotes.
///
/// Because it is read from the right, a quote that the client left open ends before what the proxy
/// has added.
fn split_last(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' => quoted ^= !quoted || !is_escaped(&list[..at]),
            b',' if !quoted => return (Some(&list[..at]), &list[at + 1..]),
            _ => {}
        }
    }
    (None, list)
}

/// Whether the byte after `text` stands behind a backslash that is not escaped itself.
fn is_escaped(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Reads an element of `Forwarded`: `for=192.0.2.60;proto=https;by=203.0.113.43`.
fn hop(element: &[u8]) -> Option<Hop> {
    let (mut from, mut proto) = (None, None);
    let mut rest = element;
    while !rest.is_empty() {
        let name_len = rest.iter().position(|byte| *byte == b'=')?;
        let name = &rest[..name_len];
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return None;
        }
        let (value, after) = value(&rest[name_len + 1..])?;
        let known = match name {
            name if name.eq_ignore_ascii_case(b"for") => Some(&mut from),
            name if name.eq_ignore_ascii_case(b"proto") => Some(&mut proto),
            _ => None,
        };
        // Each parameter stands once in an element (RFC 7239 §4).
        if known.is_some_and(|known| known.replace(value).is_some()) {
            return None;
        }
        rest = match after.trim_ascii_start() {
            [] => &[],
            [b';', after @ ..] => after.trim_ascii_start(),
            _ => return None,
        };
    }
    let from = match from.as_deref() {
        None => None,
        Some(hidden) if is_hidden(hidden) => None,
        Some(node) => Some(address(node)?),
    };
    Some(Hop { from, https: proto.and_then(|proto| is_https(&proto)) })
}

/// Splits a token or a quoted string from what follows, and takes its quotes away.
///
/// Addresses with colons and brackets need quotes. Not all proxies know.
fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let in_value = |byte: &u8| is_token(*byte) || b":[]/".contains(byte);
        let (value, rest) = text.split_at(text.iter().take_while(|byte| in_value(byte)).count());
        return (!value.is_empty()).then(|| (value.to_vec(), rest));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    loop {
        match bytes.next()? {
            (at, b'"') => return Some((value, &quoted[at + 1..])),
            (_, b'\\') => value.push(*bytes.next()?.1),
            (_, byte) => value.push(*byte),
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a proxy tells no address: `unknown`, or a name of its own like `_hidden` (RFC 7239 §6).
fn is_hidden(node: &[u8]) -> bool {
    let name = node.split(|byte| *byte == b':').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"unknown") || name.starts_with(b"_")
}

fn is_https(scheme: &[u8]) -> Option<bool> {
    match scheme.to_ascii_lowercase().as_slice() {
        b"https" => Some(true),
        b"http" => Some(false),
        _ => None,
    }
}

/// Reads an address, which may have a port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, and
/// the bare IPv6 address that `X-Forwarded-For` has.
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    let is_port = |port: &str| {
        let hidden = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match port.strip_prefix('_') {
            Some(name) => !name.is_empty() && name.bytes().all(hidden),
            None => (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()),
        }
    };
    let (address, port) = match node.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']')?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (address, port) = node.split_once(':')?;
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), Some(port))
        }
    };
    port.is_none_or(is_port).then_some(address)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        lines.iter().map(field).collect()
    }

    /// The client of a request from 10.0.0.1, as the log has it, and what is known of its TLS.
    fn client(lines: &[(&'static str, &str)]) -> (String, Option<bool>) {
        let plain = Peer::at(IpAddr::from([10, 0, 0, 1]).into());
        let secure = Peer { secure: true, ..plain.clone() };
        let [plain, secure] =
            [plain, secure].map(|peer| proxies().client(&peer, &headers(lines)).unwrap());
        assert!(plain.proxied && secure.proxied && plain.address == secure.address);
        let https = (plain.secure == secure.secure).then_some(plain.secure);
        (plain.address.to_string(), https)
    }

    fn forwarded(line: &str) -> (String, Option<bool>) {
        client(&[("forwarded", line)])
    }

    fn is(address: &str, https: Option<bool>) -> (String, Option<bool>) {
        (address.to_owned(), https)
    }

    #[test]
    fn client_is_the_rightmost_address_that_is_not_trusted() {
        let x = |line| client(&[(X_FORWARDED_FOR, line)]);
        assert_eq!(x("192.0.2.9"), is("192.0.2.9", None));
        assert_eq!(x("1.1.1.1, 192.0.2.9, 10.0.0.2"), is("192.0.2.9", None));
        assert_eq!(x("10.9.9.9,10.0.0.2 "), is("10.9.9.9", None), "all are proxies: the first");
        assert_eq!(x("2001:db8::1,,[fd00::1]:80, "), is("2001:db8::1", None));
        assert_eq!(x("192.0.2.9:4711"), is("192.0.2.9", None));
        assert_eq!(x("::ffff:192.0.2.9"), is("192.0.2.9", None));
        assert_eq!(
            client(&[(X_FORWARDED_FOR, "1.1.1.1, 192.0.2.9"), (X_FORWARDED_FOR, "10.0.0.2")]),
            is("192.0.2.9", None),
            "lines are one list"
        );
        assert_eq!(client(&[]), is("10.0.0.1", None));
    }

    #[test]
    fn malformed_address_ends_the_search() {
        for bad in
            ["", "x", "1.2.3", "1.2.3.4:x", "1.2.3.4:123456", "[::1", "[::1]x", "\"1.2.3.4\""]
        {
            let line = format!("192.0.2.9, {bad}, 10.0.0.3");
            let expected = if bad.is_empty() { "192.0.2.9" } else { "10.0.0.3" };
            assert_eq!(client(&[(X_FORWARDED_FOR, &line)]), is(expected, None), "{bad:?}");
        }
        for bad in [
            "for",
            "for=",
            "=1.2.3.4",
            "for=1.2.3",
            "for=1.2.3.4 proto=https",
            "for=1.2.3.4;for=1.2.3.5",
            "for=\"1.2.3.4",
            "for=\"[::1\"",
            "f(r=1.2.3.4",
            "1.2.3.4",
        ] {
            let line = format!("for=192.0.2.9, {bad}, for=10.0.0.3;proto=http");
            assert_eq!(forwarded(&line), is("10.0.0.3", Some(false)), "{bad:?}");
        }
    }

    #[test]
    fn forwarded_element_tells_address_and_scheme() {
        assert_eq!(forwarded("for=192.0.2.9;proto=https"), is("192.0.2.9", Some(true)));
        assert_eq!(forwarded("PROTO=HTTP; For=\"192.0.2.9:80\""), is("192.0.2.9", Some(false)));
        assert_eq!(forwarded("for=\"[2001:db8::1]:_x-1\";by=_a"), is("2001:db8::1", None));
        assert_eq!(
            forwarded("for=\"[2001:db8::1]\";proto=\"ht\\tps\""),
            is("2001:db8::1", Some(true))
        );
        assert_eq!(forwarded("for=[2001:db8::1]:80"), is("2001:db8::1", None), "without quotes");
        assert_eq!(forwarded("for=1.1.1.1, for=unknown;proto=https"), is("10.0.0.1", Some(true)));
        assert_eq!(forwarded("for=1.1.1.1, for=_hidden"), is("10.0.0.1", None));
        assert_eq!(forwarded("for=1.1.1.1, by=10.0.0.1"), is("10.0.0.1", None));
        assert_eq!(forwarded("host=\"a,for=1.1.1.1\";for=192.0.2.9"), is("192.0.2.9", None));
        assert_eq!(forwarded("x=\"\\\",\\\\\";for=192.0.2.9"), is("192.0.2.9", None));
        assert_eq!(
            forwarded("for=192.0.2.9;proto=https, for=10.0.0.2;proto=http"),
            is("192.0.2.9", Some(true)),
            "the scheme is that of the client's own connection"
        );
    }

    #[test]
    fn fields_that_disagree_name_no_client_and_no_tls() {
        let x = [(X_FORWARDED_FOR, "192.0.2.9"), (X_FORWARDED_PROTO, "https")];
        let both = |line| client(&[x[0], x[1], ("forwarded", line)]);
        assert_eq!(both("for=192.0.2.9;proto=https"), is("192.0.2.9", Some(true)));
        assert_eq!(both("for=192.0.2.9;proto=http"), is("192.0.2.9", Some(false)));
        for line in
            ["for=6.6.6.6;proto=https", "for=10.0.0.7", "for=_x;proto=https", "nonsense", ""]
        {
            assert_eq!(both(line), is("10.0.0.1", Some(false)), "{line:?}");
        }
        // The proxy writes one of the fields, and passes on what its client sends in another.
        let passed =
            |field, line| client(&[(field, line), ("forwarded", "for=6.6.6.6;proto=https")]);
        assert_eq!(passed(X_FORWARDED_FOR, "192.0.2.9"), is("10.0.0.1", Some(false)));
        assert_eq!(passed(X_FORWARDED_PROTO, "http"), is("10.0.0.1", Some(false)));
        assert_eq!(
            client(&[x[0], ("forwarded", "for=192.0.2.9;proto=https")]),
            is("192.0.2.9", None),
            "a client that knows its address has no TLS either"
        );
    }

    #[test]
    fn scheme_is_the_one_beside_the_clients_address() {
        let x =
            |for_line, proto| client(&[(X_FORWARDED_FOR, for_line), (X_FORWARDED_PROTO, proto)]);
        assert_eq!(x("192.0.2.9", "https"), is("192.0.2.9", Some(true)));
        assert_eq!(x("192.0.2.9", "https, http"), is("192.0.2.9", Some(false)), "not the client's");
        assert_eq!(x("192.0.2.9, 10.0.0.2", "https, http"), is("192.0.2.9", Some(true)));
        assert_eq!(x("192.0.2.9, 10.0.0.2", "https"), is("192.0.2.9", Some(true)), "for all hops");
        assert_eq!(x("192.0.2.9", "gopher"), is("192.0.2.9", None));
        let alone = client(&[(X_FORWARDED_PROTO, "https")]);
        assert_eq!(alone, is("10.0.0.1", Some(true)), "a proxy may tell the scheme alone");
    }

    #[test]
    fn peer_that_is_not_trusted_speaks_for_nobody() {
        let lines = headers(&[(X_FORWARDED_FOR, "1.1.1.1"), ("forwarded", "for=1.1.1.1")]);
        let stranger = Peer::at(IpAddr::from([192, 0, 2, 1]).into());
        assert_eq!(proxies().client(&stranger, &lines), None);
        let unix = Peer::at(ClientAddress::Unix);
        assert_eq!(proxies().client(&unix, &lines).unwrap().address.to_string(), "1.1.1.1");
        assert_eq!(TrustedProxies::default().client(&unix, &lines), None);
    }

    /// Text that a client may send as a field's value.
    fn sent() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[ -~]{0,20}",
            prop::sample::select(vec!["\"", "\\", ",", ";", "for=1.1.1.1", "10.0.0.5", "=", "["])
                .prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().trim().to_owned())
    }

    proptest! {
        #[test]
        fn client_cannot_change_what_a_proxy_appends(text in sent(), hops in 0..3_usize) {
            let (mut x, mut standard) = (format!("{text}, 192.0.2.9"), format!("{text}, for=192.0.2.9;proto=http"));
            for hop in 0..hops {
                x += &format!(", 10.0.1.{hop}");
                standard += &format!(", for=10.0.1.{hop};proto=https");
            }
            prop_assert_eq!(client(&[(X_FORWARDED_FOR, &x)]), is("192.0.2.9", None));
            prop_assert_eq!(forwarded(&standard), is("192.0.2.9", Some(false)));
            let lines = [("forwarded", text.as_str()), ("forwarded", "for=192.0.2.9;proto=http")];
            prop_assert_eq!(client(&lines), is("192.0.2.9", Some(false)));
        }

        #[test]
        fn client_cannot_name_itself_in_a_field_that_its_proxy_passes_on(text in sent()) {
            for lines in [
                &[(X_FORWARDED_FOR, "192.0.2.9"), ("forwarded", text.as_str())][..],
                &[("forwarded", "for=192.0.2.9"), (X_FORWARDED_FOR, text.as_str())],
                &[("forwarded", "for=192.0.2.9"), (X_FORWARDED_PROTO, text.as_str())],
            ] {
                let (address, https) = client(lines);
                prop_assert!(["192.0.2.9", "10.0.0.1"].contains(&&*address), "{}", address);
                prop_assert!(https != Some(true));
            }
        }

        #[test]
        fn written_elements_are_read_again(
            v4 in any::<[u8; 4]>(), v6 in any::<[u8; 16]>(), port in any::<u16>(), https: bool,
        ) {
            let scheme = if https { "https" } else { "http" };
            for (node, ip) in [
                (format!("{}", IpAddr::from(v4)), IpAddr::from(v4)),
                (format!("\"{}:{port}\"", IpAddr::from(v4)), IpAddr::from(v4)),
                (format!("\"[{}]\"", IpAddr::from(v6)), IpAddr::from(v6)),
                (format!("\"[{}]:{port}\"", IpAddr::from(v6)), IpAddr::from(v6)),
            ] {
                let element = format!("by=_us;for={node};proto={scheme}");
                let expected = Hop { from: Some(ip), https: Some(https) };
                prop_assert_eq!(hop(element.as_bytes()), Some(expected));
            }
        }
    }
}
