//! A listener whose connections send by `sendfile`.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::stream::Stream;

/// A listener whose connections send stored files by `sendfile`. With the feature `axum` it is an
/// `axum::serve::Listener`.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self(tcp)
    }
}

impl Listener {
    /// Accepts a connection, with `TCP_NODELAY` set.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::accept`].
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        // A failure costs speed only.
        let _ = stream.set_nodelay(true);
        Ok((stream.into(), peer))
    }

    /// Returns the address of the listening socket.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::local_addr`].
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(feature = "axum")]
mod for_axum {
    use std::io;
    use std::net::SocketAddr;

    use axum::extract::connect_info::Connected;
    use axum::serve::IncomingStream;

    use super::{Listener, Stream};
    use crate::limits::ACCEPT_BACKOFF;
    use crate::log;
    use crate::sendfile::Connection;

    impl axum::serve::Listener for Listener {
        type Io = Stream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (Stream, SocketAddr) {
            loop {
                match Self::accept(self).await {
                    Ok(accepted) => return accepted,
                    Err(error) if is_about_the_connection(&error) => {}
                    Err(error) => {
                        log::warn!(%error, "cannot accept connections; trying again");
                        tokio::time::sleep(ACCEPT_BACKOFF).await;
                    }
                }
            }
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Self::local_addr(self)
        }
    }

    impl Connected<IncomingStream<'_, Listener>> for Connection {
        fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
            stream.io().connection()
        }
    }

    /// Whether `accept` failed because the connection is gone already.
    fn is_about_the_connection(error: &io::Error) -> bool {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
    }
}
