//! Listening sockets that the program is started with: systemd's socket activation
//! (`sd_listen_fds(3)`), and what passes sockets as it does.
//!
//! They outlive the program. So they are used as they are, with one queue for all threads, and at
//! the end whatever waits in it is left for the next program.

use crate::exit::Failure;
use crate::listener::Listeners;

/// The sockets by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) site: Vec<Listeners>,
    /// The sockets with the name `redirect-from`.
    pub(crate) redirect: Vec<Listeners>,
    /// The sockets with the name `admin`.
    pub(crate) admin: Vec<Listeners>,
}

/// There are none on this system.
#[cfg(not(unix))]
pub(crate) fn take(_: usize) -> Result<Inherited, Failure> {
    Ok(Inherited::default())
}

/// Takes the sockets over, each for so many `threads` that accept. The admin's has one.
///
/// # Errors
///
/// [`Failure::Runtime`] if one of them is no listening socket of a stream.
#[cfg(unix)]
pub(crate) fn take(threads: usize) -> Result<Inherited, Failure> {
    let mut given = listenfd::ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut inherited = Inherited::default();
    for place in 0..given.len() {
        let name = names.next().unwrap_or_default();
        let refusal = |reason: &str| {
            let number = place + 1;
            Failure::Runtime(format!(
                "cannot use socket {number} of LISTEN_FDS (`{name}`): {reason}; give sockets with \
                 ListenStream= and Accept=no"
            ))
        };
        let socket = socket(&mut given, place).map_err(|error| refusal(&error.to_string()))?;
        if !listens(&socket) {
            return Err(refusal("it does not listen"));
        }
        let (list, threads) = match name {
            "admin" => (&mut inherited.admin, 1),
            "redirect-from" => (&mut inherited.redirect, threads),
            _ => (&mut inherited.site, threads),
        };
        let listeners = Listeners::inherited(socket, threads);
        list.push(listeners.map_err(|error| refusal(&error.to_string()))?);
    }
    Ok(inherited)
}

/// Whether a socket listens.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn listens(socket: &socket2::Socket) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).is_ok_and(|listens| listens)
}

/// Takes it for granted: Apple's systems do not tell. A socket that does not listen fails at its first
/// `accept`.
#[cfg(target_vendor = "apple")]
fn listens(_: &socket2::Socket) -> bool {
    true
}

/// The socket at a `place` among those given, which is TCP's or a Unix one.
#[cfg(unix)]
fn socket(given: &mut listenfd::ListenFd, place: usize) -> std::io::Result<socket2::Socket> {
    // A socket of another kind stays where it is.
    match given.take_tcp_listener(place) {
        Ok(tcp) => tcp.map(socket2::Socket::from),
        Err(_) => given.take_unix_listener(place)?.map(socket2::Socket::from),
    }
    .ok_or_else(|| std::io::ErrorKind::NotFound.into())
}
