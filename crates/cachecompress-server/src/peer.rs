//! The other end of a connection.

use std::net::IpAddr;

/// The other end of a connection, as requests see it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: IpAddr,
    /// Whether the client speaks TLS.
    pub(crate) secure: bool,
    /// The host for which the client was shown a certificate (SNI), in lower case.
    pub(crate) server_name: Option<String>,
}

impl Peer {
    /// A client of which only its address is known.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self { address, secure: false, server_name: None }
    }
}
