//! Dictionaries of codings: the content of another version of a file.

use std::fmt;
use std::sync::{Arc, OnceLock};

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
    #[cfg(any(feature = "brotli", feature = "zstd"))]
    pub(super) fn of(bytes: &[u8]) -> Self {
        let kept: Arc<[u8]> = bytes.into();
        Self::new(Digest::of(bytes), bytes.len() as u64, move || Ok(Arc::clone(&kept)))
    }

    /// The SHA-256 of its bytes.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Its length in bytes.
    #[cfg(feature = "zstd")]
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns its bytes, which agree with its digest. They stay in memory as long as the dictionary.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if they cannot be had, which says nothing against the encoder.
    pub(crate) fn bytes(&self) -> Result<Arc<[u8]>, Error> {
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
        let missing = Dictionary::new(digest, 10, || Err(Error::new(ErrorKind::Io, "it is gone")));
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
