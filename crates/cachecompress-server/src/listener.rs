//! The listening sockets, and the loop that accepts connections from them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::exit::Failure;
use crate::flag_values::ListenAddress;
use crate::limits::{ACCEPT_QUEUE, FIRST_ACCEPT_BACKOFF, LAST_ACCEPT_BACKOFF};
use crate::peer::ClientAddress;
use crate::printer::EscapedPath;
use crate::shutdown::Draining;
use crate::transport::Transport;
#[cfg(unix)]
use crate::unix_socket::{self, SocketFile};

/// The sockets that listen on one address.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// The address.
    pub(crate) address: BoundAddress,
    /// The sockets, one for each thread that accepts.
    pub(crate) sockets: Vec<ListeningSocket>,
    /// The file of a Unix socket, which goes when this does.
    #[cfg(unix)]
    pub(crate) file: Option<SocketFile>,
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    socket: Socket,
    /// Whether it outlives the program, and with it the connections that wait to be accepted.
    outlives: bool,
}

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BoundAddress {
    /// An IP address, with the port that the system chose for port 0.
    Ip(SocketAddr),
    /// The file of a Unix socket.
    #[cfg_attr(not(unix), allow(dead_code, reason = "this system has none"))]
    Unix(PathBuf),
}

/// The files of the Unix sockets that listen. They go when this does.
#[derive(Debug, Default)]
pub(crate) struct SocketFiles {
    #[cfg(unix)]
    files: Vec<SocketFile>,
}

impl SocketFiles {
    /// Takes over the file of `listeners`, if there is one.
    pub(crate) fn keep(&mut self, listeners: &mut Listeners) {
        #[cfg(unix)]
        self.files.extend(listeners.file.take());
        #[cfg(not(unix))]
        let _ = listeners;
    }
}

impl Listeners {
    /// Listeners of a `socket` that the program was started with, for so many `threads`. The
    /// connections in its queue at the end are for the next program.
    ///
    /// # Errors
    ///
    /// If the socket has no address of a known kind, or cannot be copied.
    #[cfg(unix)]
    pub(crate) fn inherited(socket: Socket, threads: usize) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let address = match (local.as_socket(), local.as_pathname()) {
            (Some(address), _) => BoundAddress::Ip(address),
            (None, Some(path)) => BoundAddress::Unix(path.to_owned()),
            (None, None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        socket.set_nonblocking(true)?;
        let own = |socket| ListeningSocket { socket, outlives: true };
        let sockets = copies(socket, threads)?.into_iter().map(own).collect();
        Ok(Self { address, sockets, file: None })
    }

    /// Listeners whose queues end with the program.
    fn own(address: BoundAddress, sockets: Vec<Socket>) -> Self {
        let own = |socket| ListeningSocket { socket, outlives: false };
        let sockets = sockets.into_iter().map(own).collect();
        Self {
            address,
            sockets,
            #[cfg(unix)]
            file: None,
        }
    }
}

impl BoundAddress {
    /// The port, if there is one.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// The address as it is announced: `http://127.0.0.1:8080`, or `unix:/run/site.sock`.
    pub(crate) fn announced(&self, scheme: &str) -> String {
        match self {
            Self::Ip(address) => format!("{scheme}://{address}"),
            Self::Unix(path) => format!("unix:{}", EscapedPath(path)),
        }
    }
}

/// An address to bind, and whether an IPv6 socket leaves IPv4 to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: SocketAddr,
    only_v6: bool,
}

/// Binds `wanted`, for which `flag` asked, for so many `threads` that accept. The IPv4 addresses
/// among `all` that the program binds have their ports to themselves. A Unix socket gets
/// `socket_mode`.
///
/// # Errors
///
/// [`Failure::Runtime`] with the flag to change.
pub(crate) fn bind(
    wanted: &ListenAddress,
    all: &[ListenAddress],
    flag: &str,
    threads: usize,
    socket_mode: u32,
) -> Result<Vec<Listeners>, Failure> {
    let one = |address: SocketAddr| {
        let any = address.is_ipv6() && address.ip().is_unspecified();
        let only_v6 = any && all.iter().any(|other| takes_ipv4(other, address.port()));
        listen(Place { address, only_v6 }, threads)
    };
    match wanted {
        ListenAddress::Ip(address) => {
            one(*address).map(|bound| vec![bound]).map_err(|error| refusal(address, flag, &error))
        }
        ListenAddress::Any(port) => any(*port, threads)
            .map(|bound| vec![bound])
            .map_err(|error| refusal(wanted, flag, &error)),
        ListenAddress::Name(name, port) => {
            let addresses = (name.as_str(), *port).to_socket_addrs();
            let addresses = addresses.map_err(|error| refusal(wanted, flag, &error))?;
            each_of(addresses, one).map_err(|(address, error)| match address {
                Some(address) => refusal(&address, flag, &error),
                None => refusal(wanted, flag, &error),
            })
        }
        ListenAddress::Unix(path) => listen_unix(path, threads, socket_mode)
            .map(|bound| vec![bound])
            .map_err(|error| unix_refusal(path, flag, &error)),
    }
}

/// Binds `port` on all addresses of the machine.
fn any(port: u16, threads: usize) -> io::Result<Listeners> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match listen(Place { address: v6, only_v6: false }, threads) {
        Err(error) if is_about_the_family(&error) => {
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            listen(Place { address: v4, only_v6: false }, threads)
        }
        bound => bound,
    }
}

/// Binds those of a name's `addresses` that the machine has. Fails with the address at fault, if it
/// is one.
fn each_of(
    addresses: impl Iterator<Item = SocketAddr>,
    bind: impl Fn(SocketAddr) -> io::Result<Listeners>,
) -> Result<Vec<Listeners>, (Option<SocketAddr>, io::Error)> {
    let mut bound = Vec::new();
    let mut missing = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses.collect::<BTreeSet<_>>() {
        match bind(address) {
            Ok(one) => bound.push(one),
            // A name may have IPv6 addresses where the machine has none.
            Err(error) if is_about_the_family(&error) => missing = error,
            Err(error) => return Err((Some(address), error)),
        }
    }
    if bound.is_empty() { Err((None, missing)) } else { Ok(bound) }
}

/// Whether `other` may be an IPv4 address of `port`.
fn takes_ipv4(other: &ListenAddress, port: u16) -> bool {
    match other {
        ListenAddress::Ip(address) => address.is_ipv4() && address.port() == port && port != 0,
        ListenAddress::Name(_, other) => *other == port && port != 0,
        ListenAddress::Any(_) | ListenAddress::Unix(_) => false,
    }
}

/// Whether an address cannot be bound because the machine does not have it or its family.
fn is_about_the_family(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

fn refusal(address: &dyn fmt::Display, flag: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("address in use; choose another with {flag}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("permission denied; choose a port above 1023 with {flag}")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; choose another with {flag}")
        }
        _ => format!("{error}; choose another address with {flag}"),
    };
    Failure::Runtime(format!("cannot listen on {address}: {reason}"))
}

fn unix_refusal(path: &Path, flag: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "a server listens there; end it, or choose another path",
        io::ErrorKind::AlreadyExists => "there is a file that is no socket; choose another path",
        io::ErrorKind::NotFound => "there is no such directory; create it, or choose another path",
        io::ErrorKind::InvalidInput => "the path is too long for a socket; choose a shorter one",
        io::ErrorKind::Unsupported => "this system has no Unix sockets; choose an IP address",
        _ => {
            let path = EscapedPath(path);
            let text =
                format!("cannot listen on unix:{path}: {error}; choose another path with {flag}");
            return Failure::Runtime(text);
        }
    };
    Failure::Runtime(format!("cannot listen on unix:{}: {reason} with {flag}", EscapedPath(path)))
}

#[cfg(unix)]
fn listen_unix(path: &Path, threads: usize, mode: u32) -> io::Result<Listeners> {
    let (socket, file) = unix_socket::bind(path, mode)?;
    socket.listen(ACCEPT_QUEUE)?;
    let address = BoundAddress::Unix(path.to_owned());
    Ok(Listeners { file: Some(file), ..Listeners::own(address, copies(socket, threads)?) })
}

#[cfg(not(unix))]
fn listen_unix(_: &Path, _: usize, _: u32) -> io::Result<Listeners> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Copies `socket` for so many `threads`, which then accept from its one queue.
fn copies(socket: Socket, threads: usize) -> io::Result<Vec<Socket>> {
    let mut sockets = (1..threads).map(|_| socket.try_clone()).collect::<io::Result<Vec<_>>>()?;
    sockets.push(socket);
    Ok(sockets)
}

fn listen(place: Place, threads: usize) -> io::Result<Listeners> {
    // The first socket shares its address with none, so that an address in use is an error. (Two
    // programs of one user that start in the same moment may still come to share it.)
    let first = socket(place)?;
    first.bind(&place.address.into())?;
    let bound = first.local_addr()?.as_socket().unwrap_or(place.address);
    let sockets = if cfg!(target_os = "linux") && threads > 1 {
        share(Place { address: bound, ..place }, threads)?
    } else {
        first.listen(ACCEPT_QUEUE)?;
        copies(first, threads)?
    };
    Ok(Listeners::own(BoundAddress::Ip(bound), sockets))
}

/// Binds sockets among which the kernel divides the connections to `place`.
#[cfg(unix)]
fn share(place: Place, threads: usize) -> io::Result<Vec<Socket>> {
    let bind = |_| {
        let socket = socket(place)?;
        socket.set_reuse_port(true)?;
        socket.bind(&place.address.into())?;
        Ok(socket)
    };
    let sockets = (0..threads).map(bind).collect::<io::Result<Vec<_>>>()?;
    sockets.iter().try_for_each(|socket| socket.listen(ACCEPT_QUEUE))?;
    Ok(sockets)
}

/// Fails: on this system all threads accept from one queue.
#[cfg(not(unix))]
fn share(_: Place, _: usize) -> io::Result<Vec<Socket>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn socket(place: Place) -> io::Result<Socket> {
    let domain = Domain::for_address(place.address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // On Windows the option lets another program take the address over.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    if place.address.is_ipv6() {
        let set = socket.set_only_v6(place.only_v6);
        // A system that never takes IPv4 by such a socket refuses only the wish that it does.
        if place.only_v6 {
            set?;
        }
    }
    Ok(socket)
}

/// Accepts from `listener` and spawns `serve` for each connection, until `draining` begins. Then
/// takes the connections that the kernel has accepted already, and closes the socket. One that
/// outlives the program keeps them.
///
/// - No more connections than `limit` has permits are served at once. One more waits here, and
///   further ones in the kernel's queue.
/// - An `accept` that fails for want of descriptors or memory is tried again a little later, while
///   the connections there are go on.
pub(crate) async fn accept<F>(
    listener: ListeningSocket,
    limit: Arc<Semaphore>,
    mut draining: Draining,
    serve: impl Fn(Transport, ClientAddress, Draining) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let ListeningSocket { socket, outlives } = listener;
    let listener = match Acceptor::new(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot wait for connections");
            return;
        }
    };
    let mut backoff = FIRST_ACCEPT_BACKOFF;
    loop {
        let accepted = tokio::select! {
            biased;
            () = draining.begun() => break,
            accepted = listener.accept() => accepted,
        };
        let (transport, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_about_the_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::select! {
                    () = draining.begun() => break,
                    () = tokio::time::sleep(backoff) => {}
                }
                backoff = (backoff * 2).min(LAST_ACCEPT_BACKOFF);
                continue;
            }
        };
        backoff = FIRST_ACCEPT_BACKOFF;
        // The permit is taken only once there is a connection, because another thread may need it
        // meanwhile.
        let permit = tokio::select! {
            biased;
            () = draining.begun() => None,
            permit = Arc::clone(&limit).acquire_owned() => permit.ok(),
        };
        let connection = serve(transport, client, draining.clone());
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    if outlives {
        return;
    }
    // Clients in the kernel's queue believe that they are connected. tokio would return only those
    // of them that it has been notified of.
    let Ok(listener) = listener.into_socket() else { return };
    while let Ok((stream, peer)) = listener.accept() {
        if let Ok(transport) = transport_of(stream) {
            tokio::spawn(serve(transport, client_of(&peer), draining.clone()));
        }
    }
}

/// A listening socket of either kind, on a runtime.
enum Acceptor {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: Socket) -> io::Result<Self> {
        #[cfg(unix)]
        if socket.local_addr()?.is_unix() {
            return UnixListener::from_std(socket.into()).map(Self::Unix);
        }
        TcpListener::from_std(socket.into()).map(Self::Tcp)
    }

    async fn accept(&self) -> io::Result<(Transport, ClientAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                Ok((stream.into(), client.ip().into()))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((stream.into(), ClientAddress::Unix))
            }
        }
    }

    fn into_socket(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Socket::from),
            #[cfg(unix)]
            Self::Unix(listener) => listener.into_std().map(Socket::from),
        }
    }
}

/// Brings an accepted connection to the runtime.
fn transport_of(stream: Socket) -> io::Result<Transport> {
    stream.set_nonblocking(true)?;
    #[cfg(unix)]
    if stream.local_addr()?.is_unix() {
        return tokio::net::UnixStream::from_std(stream.into()).map(Transport::from);
    }
    TcpStream::from_std(stream.into()).map(Transport::from)
}

fn client_of(peer: &SockAddr) -> ClientAddress {
    peer.as_socket().map_or(ClientAddress::Unix, |address| address.ip().into())
}

/// Whether `accept` failed because its connection is gone, so that the next one may succeed.
fn is_about_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
