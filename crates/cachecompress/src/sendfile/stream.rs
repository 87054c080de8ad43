//! A connection's socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::connection::{Connection, Place};

/// A TCP connection that sends the pieces that its bodies gave out from their files, and all other
/// bytes as they are.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    connection: Connection,
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        let connection = Connection::new(tcp.peer_addr().ok());
        Self { tcp, connection }
    }
}

impl AsRef<TcpStream> for Stream {
    fn as_ref(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Stream {
    /// Returns the connection that the stream's requests need for `sendfile`.
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Sends the first of `slices` from its file, or else all that come before one that was
    /// given out; returns the number of bytes.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let slices = &slices[slices.iter().take_while(|slice| slice.is_empty()).count()..];
        for (ahead, slice) in slices.iter().enumerate().filter(|(_, slice)| !slice.is_empty()) {
            match self.connection.place_of(slice) {
                Some(place) if ahead == 0 => return self.poll_sendfile(cx, slice, &place),
                Some(_) => return self.poll_ahead(cx, &slices[..ahead]),
                None => {}
            }
        }
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn poll_sendfile(
        &self,
        cx: &mut Context<'_>,
        memory: &[u8],
        place: &Place,
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.poll_try(cx, || os::sendfile(&self.tcp, place, memory.len())))?;
        if sent == 0 {
            let message = "a file that is being sent has been cut off";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
        }
        Poll::Ready(Ok(sent))
    }

    /// Sends `slices` with `MSG_MORE`, because a piece follows at once and both may go out together.
    fn poll_ahead(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_try(cx, || os::send_ahead(&self.tcp, slices))
    }

    fn poll_try(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            match self.tcp.try_io(Interest::WRITABLE, &send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.connection.has_pieces() {
            return self.poll_send(cx, &[IoSlice::new(bytes)]);
        }
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.has_pieces() {
            return self.poll_send(cx, slices);
        }
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    /// Always true, or hyper would copy the pieces.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(target_os = "linux")]
mod os {
    use std::io::{self, IoSlice};

    use rustix::io::Errno;
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    use tokio::net::TcpStream;

    use super::Place;
    use crate::limits::{SENDFILE_BUFFER, SENDFILE_CALL};

    pub(super) fn sendfile(tcp: &TcpStream, place: &Place, len: usize) -> io::Result<usize> {
        let (file, mut offset) = (place.mapping.file(), place.offset);
        match rustix::fs::sendfile(tcp, file, Some(&mut offset), len.min(SENDFILE_CALL)) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => read_and_send(tcp, place, len),
            sent => Ok(sent?),
        }
    }

    /// Reads a piece and sends it, for a file system that has no `sendfile`.
    fn read_and_send(tcp: &TcpStream, place: &Place, len: usize) -> io::Result<usize> {
        let mut buffer = vec![0; len.min(SENDFILE_BUFFER)];
        let read = rustix::io::pread(place.mapping.file(), &mut *buffer, place.offset)?;
        Ok(rustix::net::send(tcp, &buffer[..read], SendFlags::NOSIGNAL)?)
    }

    pub(super) fn send_ahead(tcp: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        Ok(sendmsg(tcp, slices, &mut SendAncillaryBuffer::default(), flags)?)
    }
}

/// Never called, because nothing is given out on this platform.
#[cfg(not(target_os = "linux"))]
mod os {
    use std::io::{self, IoSlice};

    use tokio::net::TcpStream;

    use super::Place;

    pub(super) fn sendfile(_: &TcpStream, _: &Place, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn send_ahead(_: &TcpStream, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
