//! The bytes of a connection as HTTP sees them, with or without TLS beneath.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::deadlines::{MeteredStream, Preface};

/// The stream between HTTP and a connection's socket.
///
/// A stream that is dropped before its shutdown ends without `close_notify`, so a client sees that
/// the last response is not whole.
#[derive(Debug)]
pub(crate) struct ClientStream {
    layer: Layer,
    preface: Preface,
}

#[derive(Debug)]
enum Layer {
    Plain(MeteredStream),
    Tls(Box<TlsStream<MeteredStream>>),
}

impl ClientStream {
    /// A stream without TLS.
    pub(crate) fn plain(stream: MeteredStream, preface: Preface) -> Self {
        Self { layer: Layer::Plain(stream), preface }
    }

    /// A stream in which TLS has been agreed on.
    pub(crate) fn tls(stream: Box<TlsStream<MeteredStream>>, preface: Preface) -> Self {
        Self { layer: Layer::Tls(stream), preface }
    }
}

/// Calls a method of the layer, whichever it is.
macro_rules! on_layer {
    ($layer:expr, $stream:ident => $call:expr) => {
        match $layer {
            Layer::Plain($stream) => $call,
            Layer::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(on_layer!(&mut self.layer, stream => Pin::new(stream).poll_read(cx, buffer)))?;
        self.preface.look(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_layer!(&mut self.layer, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_layer!(&mut self.layer, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        on_layer!(&self.layer, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_layer!(&mut self.layer, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_layer!(&mut self.layer, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
