//! The listening sockets, and the loop that accepts connections from them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::exit::Failure;
use crate::limits::{ACCEPT_QUEUE, FIRST_ACCEPT_BACKOFF, LAST_ACCEPT_BACKOFF};
use crate::shutdown::Draining;

/// The sockets that listen on one address.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// The address, with the port that the system chose for port 0.
    pub(crate) address: SocketAddr,
    /// The sockets, one for each thread that accepts.
    pub(crate) sockets: Vec<Socket>,
}

/// Binds `address`, for which `flag` asked, for so many `threads` that accept.
///
/// # Errors
///
/// [`Failure::Runtime`] with the flag to change.
pub(crate) fn bind(address: SocketAddr, flag: &str, threads: usize) -> Result<Listeners, Failure> {
    listen(address, threads).map_err(|error| {
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
    })
}

fn listen(address: SocketAddr, threads: usize) -> io::Result<Listeners> {
    // The first socket shares its address with none, so that an address in use is an error. (Two
    // programs of one user that start in the same moment may still come to share it.)
    let first = socket(address)?;
    first.bind(&address.into())?;
    let bound = first.local_addr()?.as_socket().unwrap_or(address);
    let sockets = if cfg!(target_os = "linux") && threads > 1 {
        share(bound, threads)?
    } else {
        first.listen(ACCEPT_QUEUE)?;
        let mut sockets =
            (1..threads).map(|_| first.try_clone()).collect::<io::Result<Vec<_>>>()?;
        sockets.push(first);
        sockets
    };
    Ok(Listeners { address: bound, sockets })
}

/// Binds sockets among which the kernel divides the connections to `address`.
#[cfg(unix)]
fn share(address: SocketAddr, threads: usize) -> io::Result<Vec<Socket>> {
    let bind = |_| {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    let sockets = (0..threads).map(bind).collect::<io::Result<Vec<_>>>()?;
    sockets.iter().try_for_each(|socket| socket.listen(ACCEPT_QUEUE))?;
    Ok(sockets)
}

/// Fails: on this system all threads accept from one queue.
#[cfg(not(unix))]
fn share(_: SocketAddr, _: usize) -> io::Result<Vec<Socket>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // On Windows the option lets another program take the address over.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// Accepts from `listener` and spawns `serve` for each connection, until `draining` begins. Then
/// takes the connections that the kernel has accepted already, and closes the socket.
///
/// - No more connections than `limit` has permits are served at once. One more waits here, and
///   further ones in the kernel's queue.
/// - An `accept` that fails for want of descriptors or memory is tried again a little later, while
///   the connections there are go on.
pub(crate) async fn accept<F>(
    listener: Socket,
    limit: Arc<Semaphore>,
    mut draining: Draining,
    serve: impl Fn(TcpStream, SocketAddr, Draining) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = match TcpListener::from_std(listener.into()) {
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
        let (stream, peer) = match accepted {
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
        let connection = serve(stream, peer, draining.clone());
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    // Clients in the kernel's queue believe that they are connected. tokio would return only those
    // of them that it has been notified of.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, peer)) = listener.accept() {
        if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream))
        {
            tokio::spawn(serve(stream, peer, draining.clone()));
        }
    }
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
