//! The proof that an encoder's output decodes to its source.

use std::fmt;

use super::traits::Decoding;
use crate::error::{Error, ErrorKind};
use crate::http::{Digest, Hasher};
use crate::limits::PIECE;

/// A decoder of an encoding's output that digests the decoded bytes.
///
/// - A decoder that fails, or produces another number of bytes than the source has, is an error of
///   kind [`Encoder`](ErrorKind::Encoder).
/// - Otherwise [`finish`](Self::finish) returns the digest of the decoded bytes, which the caller
///   compares with the source's.
/// - Without a decoder it returns `None` and proves nothing.
pub(crate) struct Proof {
    decoding: Option<Box<dyn Decoding>>,
    decoded: Decoded,
}

struct Decoded {
    hasher: Hasher,
    len: u64,
    source_len: u64,
    /// Compares the decoded bytes at an offset with those of the source.
    comparison: Option<Comparison>,
    differs: Option<Error>,
}

/// A comparison of bytes with those of the source at an offset.
pub(crate) type Comparison = Box<dyn FnMut(&[u8], u64) -> Result<(), Error> + Send>;

impl Proof {
    /// Starts a proof for a source of `source_len` bytes.
    #[must_use]
    pub(crate) fn new(decoding: Option<Box<dyn Decoding>>, source_len: u64) -> Self {
        let mut decoding = decoding;
        if let Some(decoding) = &mut decoding {
            decoding.limit(source_len);
        }
        let decoded =
            Decoded { hasher: Hasher::new(), len: 0, source_len, comparison: None, differs: None };
        Self { decoding, decoded }
    }

    /// Compares the decoded bytes with the source as they come, so that [`write`](Self::write) fails at the
    /// first wrong one. Somebody else's coded bytes need that, before a reader gets them.
    pub(crate) fn comparing(mut self, comparison: Comparison) -> Self {
        self.decoded.comparison = Some(comparison);
        self
    }

    /// Decodes the next coded bytes, cut anywhere.
    ///
    /// # Errors
    ///
    /// If they are not of the coding, or decode to more than the source's length, or to other bytes than
    /// those that they are compared with.
    pub(crate) fn write(&mut self, coded: &[u8]) -> Result<(), Error> {
        let Some(decoding) = &mut self.decoding else { return Ok(()) };
        for coded in coded.chunks(PIECE) {
            decoding.write(coded, &mut |bytes| self.decoded.take(bytes)).map_err(disproved)?;
            self.decoded.check()?;
        }
        Ok(())
    }

    /// Ends the proof; returns the digest of the decoded bytes, or `None` without a decoder.
    ///
    /// # Errors
    ///
    /// If the coded bytes are not complete, or decode to another length than the source's.
    pub(crate) fn finish(self) -> Result<Option<Digest>, Error> {
        let Self { decoding, mut decoded } = self;
        let Some(decoding) = decoding else { return Ok(None) };
        decoding.finish(&mut |bytes| decoded.take(bytes)).map_err(disproved)?;
        decoded.check()?;
        if decoded.len < decoded.source_len {
            return Err(Error::new(
                ErrorKind::Encoder,
                "the coded bytes decode to less than the source",
            ));
        }
        Ok(Some(decoded.hasher.finish()))
    }
}

impl Decoded {
    /// Counts all bytes and hashes those within the source's length; any more are an error anyway.
    fn take(&mut self, bytes: &[u8]) {
        let at = self.len;
        self.len = self.len.saturating_add(bytes.len() as u64);
        if self.len > self.source_len {
            return;
        }
        self.hasher.update(bytes);
        if let Some(compare) = &mut self.comparison
            && self.differs.is_none()
        {
            self.differs = compare(bytes, at).err();
        }
    }

    fn check(&mut self) -> Result<(), Error> {
        if let Some(error) = self.differs.take() {
            return Err(error);
        }
        if self.len > self.source_len {
            return Err(Error::new(
                ErrorKind::Encoder,
                "the coded bytes decode to more than the source",
            ));
        }
        Ok(())
    }
}

/// Turns any error of a decoder into one of the kind [`Encoder`](ErrorKind::Encoder).
fn disproved(cause: Error) -> Error {
    match cause.kind() {
        ErrorKind::Encoder => cause,
        _ => Error::new(ErrorKind::Encoder, "the coded bytes cannot be decoded").with_cause(cause),
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("decoding", &self.decoding.is_some())
            .field("decoded", &self.decoded.len)
            .field("source_len", &self.decoded.source_len)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder that turns every byte into `times` bytes and ignores its limit.
    struct Repeat {
        times: usize,
        written: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    }

    impl Decoding for Repeat {
        fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
            self.written.fetch_add(coded.len(), std::sync::atomic::Ordering::Relaxed);
            for byte in coded {
                sink(&vec![*byte; self.times]);
            }
            Ok(())
        }

        fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
            Ok(())
        }
    }

    fn repeat(times: usize) -> (Box<dyn Decoding>, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
        let written = std::sync::Arc::default();
        (Box::new(Repeat { times, written: std::sync::Arc::clone(&written) }), written)
    }

    #[test]
    fn proof_returns_the_digest_of_the_decoded_bytes() -> Result<(), Error> {
        let mut proof = Proof::new(Some(repeat(2).0), 6);
        proof.write(b"a")?;
        proof.write(b"bc")?;
        assert_eq!(proof.finish()?, Some(Digest::of(b"aabbcc")));
        assert_eq!(Proof::new(None, 6).finish()?, None);
        Ok(())
    }

    #[test]
    fn proof_fails_when_the_length_is_not_the_sources() -> Result<(), Error> {
        let mut proof = Proof::new(Some(repeat(1).0), 3);
        proof.write(b"ab")?;
        assert_eq!(proof.finish().map_err(|error| error.kind()), Err(ErrorKind::Encoder));

        let mut proof = Proof::new(Some(repeat(1).0), 3);
        assert_eq!(proof.write(b"abcd").map_err(|error| error.kind()), Err(ErrorKind::Encoder));
        Ok(())
    }

    /// A broken encoder's output may decode to far more than the source. The proof stops a decoder
    /// without a limit at the next piece, not at the end of its input.
    #[test]
    fn proof_stops_a_decoder_that_ignores_its_limit() {
        let (decoding, written) = repeat(1000);
        let mut proof = Proof::new(Some(decoding), 10);
        assert!(proof.write(&vec![0; 100 * PIECE]).is_err());
        assert_eq!(written.load(std::sync::atomic::Ordering::Relaxed), PIECE);
    }
}
