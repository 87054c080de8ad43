//! The other end of a connection.

use std::fmt;
use std::net::IpAddr;

/// The client of a request, as far as it is known.
///
/// A connection has one, with what its socket tells. Behind trusted proxies each request has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: ClientAddress,
    /// Whether the client speaks TLS: with this server, or with its proxy, if that is trusted and
    /// says so.
    pub(crate) secure: bool,
    /// The host for which the client was shown a certificate (SNI), in lower case.
    pub(crate) server_name: Option<String>,
    /// The version of TLS that is spoken with this server, such as `TLSv1.3`.
    pub(crate) tls: Option<&'static str>,
    /// Whether a trusted proxy speaks for the client.
    pub(crate) proxied: bool,
}

/// The address of a client, without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAddress {
    /// An IP address. An IPv4 address does not stand as an IPv6 one.
    Ip(IpAddr),
    /// The other end of a Unix socket, which has no address.
    Unix,
}

impl Peer {
    /// A client of which only its address is known.
    pub(crate) fn at(address: ClientAddress) -> Self {
        Self { address, secure: false, server_name: None, tls: None, proxied: false }
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address.to_canonical())
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}
