//! Dictionaries of codings, and the framing that the two codings of RFC 9842 share.
//!
//! The content of a dictionary is another version of the file. A coded stream begins with a fixed magic
//! number and the dictionary's SHA-256, and is then a stream of the plain coding that refers to it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::traits::{Decoding, Encoding};
use crate::error::{Error, ErrorKind};
use crate::http::Digest;

/// A dictionary, whose bytes are brought when they are needed first.
pub(crate) struct Dictionary {
    digest: Digest,
    len: u64,
    bytes: OnceLock<Arc<[u8]>>,
    bring: Bring,
}

/// Brings the bytes of a dictionary. The caller compares them with the digest.
type Bring = Box<dyn Fn() -> Result<Arc<[u8]>, Error> + Send + Sync>;

impl Dictionary {
    /// Describes the dictionary of `len` bytes with this `digest`. `bring` finds its bytes, and may take
    /// long.
    pub(crate) fn new(
        digest: Digest,
        len: u64,
        bring: impl Fn() -> Result<Arc<[u8]>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { digest, len, bytes: OnceLock::new(), bring: Box::new(bring) }
    }

    /// Makes a dictionary of bytes that are there.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let kept: Arc<[u8]> = bytes.into();
        Self::new(Digest::of(bytes), bytes.len() as u64, move || Ok(Arc::clone(&kept)))
    }

    /// The SHA-256 of its bytes.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns its bytes, which agree with its digest. They stay in memory as long as the dictionary.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if they cannot be had, which says nothing against the encoder.
    pub(super) fn bytes(&self) -> Result<Arc<[u8]>, Error> {
        if let Some(bytes) = self.bytes.get() {
            return Ok(Arc::clone(bytes));
        }
        let bytes = (self.bring)().map_err(|cause| {
            Error::new(ErrorKind::Busy, "a dictionary cannot be read").with_cause(cause)
        })?;
        if bytes.len() as u64 != self.len || Digest::of(&bytes) != self.digest {
            return Err(Error::new(ErrorKind::Busy, "a dictionary has other bytes than its own"));
        }
        Ok(Arc::clone(self.bytes.get_or_init(|| bytes)))
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary").field("digest", &self.digest).field("len", &self.len).finish()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_digest_or_length_are_refused() {
        let digest = Digest::of(b"dictionary");
        let with = |len, bytes: &'static [u8]| {
            Dictionary::new(digest, len, move || Ok(bytes.into())).bytes()
        };
        assert_eq!(with(10, b"dictionary").ok().as_deref(), Some(&b"dictionary"[..]));
        for (len, bytes) in [(10, &b"Dictionary"[..]), (9, b"dictionary"), (10, b"")] {
            let error = with(len, bytes).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::Busy), "{len} {bytes:?}");
        }
        let missing = Dictionary::new(digest, 10, || Err(wrong("it is gone")));
        assert_eq!(missing.bytes().err().map(|error| error.kind()), Some(ErrorKind::Busy));
    }

    #[test]
    fn bytes_are_brought_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        let brought = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&brought);
        let dictionary = Dictionary::new(Digest::of(b"a"), 1, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(b"a"[..].into())
        });
        assert!(dictionary.bytes().is_ok() && dictionary.bytes().is_ok());
        assert_eq!(brought.load(Ordering::Relaxed), 1);
    }
}
