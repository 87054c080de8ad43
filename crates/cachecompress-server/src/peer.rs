//! The other end of a connection.

use std::fmt;
use std::net::IpAddr;

/// The other end of a connection, as requests see it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: ClientAddress,
    /// Whether the client speaks TLS.
    pub(crate) secure: bool,
    /// The host for which the client was shown a certificate (SNI), in lower case.
    pub(crate) server_name: Option<String>,
}

/// The address of a client, without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(IpAddr);

impl Peer {
    /// A client of which only its address is known.
    pub(crate) fn at(address: ClientAddress) -> Self {
        Self { address, secure: false, server_name: None }
    }
}

impl From<IpAddr> for ClientAddress {
    /// An IPv4 address that stands as an IPv6 one becomes IPv4 again.
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
