//! Ports for programs that cannot choose one and tell it.

use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The first of [`COUNT`] ports that no system gives to a connection by itself: those begin at 32768 on
/// Linux. A port of those could be taken between its choice and its use.
const FIRST: u16 = 21_000;
const COUNT: u16 = 11_000;

/// Returns a port that is free at `address`. A program gets each port once.
///
/// # Panics
///
/// If none is free.
#[must_use]
pub fn free_port(address: IpAddr) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at once begin at different ports.
    let offset = std::process::id().wrapping_mul(97);
    let mut tries = (0..COUNT).map(|_| {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_add(offset);
        FIRST + u16::try_from(next % u32::from(COUNT)).unwrap()
    });
    tries.find(|port| TcpListener::bind((address, *port)).is_ok()).expect("a free port")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn ports_differ_and_are_free() {
        let address = Ipv4Addr::LOCALHOST.into();
        let (one, other) = (free_port(address), free_port(address));
        assert_ne!(one, other);
        assert!(TcpListener::bind((address, other)).is_ok());
    }
}
