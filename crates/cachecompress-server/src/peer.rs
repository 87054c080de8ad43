//! The other end of a connection.

use std::net::IpAddr;

/// The other end of a connection, as requests see it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub(crate) address: IpAddr,
}
