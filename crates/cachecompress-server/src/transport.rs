//! The socket beneath a connection, TCP's or a Unix one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cachecompress::sendfile::{Connection, Stream};
#[cfg(unix)]
use rustix::net::{RecvFlags, recv};
#[cfg(unix)]
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

#[cfg(target_os = "linux")]
use crate::limits::{LONGEST_WRITE_TIMEOUT, SHORTEST_WRITE_TIMEOUT};

/// A connected socket. TLS and HTTP lie above it.
#[derive(Debug)]
pub(crate) enum Transport {
    /// A TCP connection, which may send files by `sendfile`.
    Tcp(Stream),
    /// A connection to a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Transport {
    /// Sets the socket up for requests and responses. Returns whether the kernel now gives it up
    /// when its client takes nothing for as long as `write_timeout`.
    ///
    /// Only Linux does that, and only for TCP. Without an option the connection is merely slower.
    pub(crate) fn set_up(&self, write_timeout: Duration) -> bool {
        match self {
            Self::Tcp(stream) => set_up_tcp(stream.as_ref(), write_timeout),
            #[cfg(unix)]
            Self::Unix(_) => false,
        }
    }

    /// Lets the end of the socket be a reset, which frees what the kernel holds of it.
    pub(crate) fn reset_at_end(&self) {
        match self {
            Self::Tcp(stream) => {
                let _ = stream.as_ref().set_zero_linger();
            }
            // The bytes that the peer of a Unix socket has yet to take lie in its own queue.
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }

    /// Waits for bytes, and copies the first of them without taking them. 0: the peer has ended.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.as_ref().peek(bytes).await,
            #[cfg(unix)]
            Self::Unix(socket) => {
                let mut peek = || Ok(recv(socket, &mut *bytes, RecvFlags::PEEK)?.0);
                socket.async_io(Interest::READABLE, &mut peek).await
            }
        }
    }

    /// The connection that sends files by `sendfile`, if this is one that can.
    pub(crate) fn sendfile(&self) -> Option<Connection> {
        match self {
            Self::Tcp(stream) => Some(stream.connection()),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }
}

fn set_up_tcp(tcp: &TcpStream, write_timeout: Duration) -> bool {
    let _ = tcp.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        let timeout = write_timeout.clamp(SHORTEST_WRITE_TIMEOUT, LONGEST_WRITE_TIMEOUT);
        socket2::SockRef::from(tcp).set_tcp_user_timeout(Some(timeout)).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = write_timeout;
        false
    }
}

impl From<TcpStream> for Transport {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(Stream::from(tcp))
    }
}

#[cfg(unix)]
impl From<UnixStream> for Transport {
    fn from(unix: UnixStream) -> Self {
        Self::Unix(unix)
    }
}

/// Calls a method of the socket, whichever it is.
macro_rules! on_socket {
    ($transport:expr, $socket:ident => $call:expr) => {
        match $transport {
            Transport::Tcp($socket) => $call,
            #[cfg(unix)]
            Transport::Unix($socket) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        on_socket!(self, socket => socket.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(cx))
    }
}
