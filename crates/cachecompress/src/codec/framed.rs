//! The framing that the two codings of RFC 9842 share: a stream begins with a fixed magic number and the
//! dictionary's SHA-256, and is then a stream of the plain coding that refers to the dictionary.

use super::traits::{Decoding, Encoding};
use crate::error::{Error, ErrorKind};
use crate::http::Digest;

/// Returns the bytes before the stream of the plain coding: `magic`, and the dictionary's digest.
pub(super) fn header(magic: &[u8], digest: &Digest) -> Vec<u8> {
    [magic, digest.as_bytes()].concat()
}

/// An encoding with a header before its output.
pub(super) struct Framed {
    /// The header, until it is written.
    pub(super) header: Vec<u8>,
    pub(super) inner: Box<dyn Encoding>,
}

impl Encoding for Framed {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.append(&mut self.header);
        self.inner.write(piece, out)
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        out.append(&mut self.header);
        self.inner.finish(out)
    }
}

/// A decoding of a stream that must begin with a header.
pub(super) struct FramedDecoding {
    /// The rest of the header.
    pub(super) header: Vec<u8>,
    pub(super) inner: Box<dyn Decoding>,
}

impl Decoding for FramedDecoding {
    fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let (header, rest) = coded.split_at(self.header.len().min(coded.len()));
        if !self.header.starts_with(header) {
            return Err(wrong("the stream is of another format, or for another dictionary"));
        }
        self.header.drain(..header.len());
        // The decoder gets no empty write, which would begin nothing.
        if rest.is_empty() { Ok(()) } else { self.inner.write(rest, sink) }
    }

    fn finish(self: Box<Self>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        if !self.header.is_empty() {
            return Err(wrong("the stream is not complete"));
        }
        self.inner.finish(sink)
    }

    fn limit(&mut self, bytes: u64) {
        self.inner.limit(bytes);
    }
}

/// A decoding that cannot begin.
pub(super) struct Impossible(pub(super) &'static str);

impl Decoding for Impossible {
    fn write(&mut self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        Err(wrong(self.0))
    }

    fn finish(self: Box<Self>, _: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        Err(wrong(self.0))
    }
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::Encoder, message)
}
