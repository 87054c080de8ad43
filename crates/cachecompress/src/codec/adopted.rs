//! Codings that somebody else has encoded, beside a file or in its place.

use std::borrow::Cow;
use std::error::Error as _;
use std::sync::Arc;
use std::{fmt, io};

use super::registry::Codec;
use super::traits::{Decoding, Encoder, Encoding, Settings};
use crate::error::Error;
use crate::http::{CodedFile, ContentCoding, Digest, EncoderId};

/// An encoder that copies coded bytes.
struct Copy {
    digest: Digest,
    decoder: fn() -> Box<dyn Decoding>,
}

struct Copying;

impl Codec {
    /// Returns a codec whose output is the bytes of `file`; `None` if its coding cannot be decoded here.
    pub(crate) fn adopting(file: Arc<CodedFile>) -> Option<Self> {
        let decoder = decoder_of(&file.coding)?;
        let id = EncoderId::derive(b"sibling", file.digest.as_bytes());
        let encoder = Arc::new(Copy { digest: file.digest, decoder });
        Some(Self::adopted(file, encoder, id))
    }
}

/// Begins a decoder of `coding` that takes what browsers take; `None` if the coding cannot be decoded here.
///
/// - It decodes `br`, `zstd` and `gzip`, each with its cargo feature.
/// - A zstd frame may have a window of at most 8 MiB (RFC 9659), and gzip one member.
///
/// ```
/// use cachecompress::{ContentCoding, Error, codec};
///
/// # fn main() -> Result<(), Error> {
/// # if cfg!(not(feature = "gzip")) { return Ok(()) }
/// let coded = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0";
/// let mut decoding = codec::decoder(&ContentCoding::GZIP).expect("it is built in");
/// let mut decoded = Vec::new();
/// decoding.write(coded, &mut |bytes| decoded.extend_from_slice(bytes))?;
/// decoding.finish(&mut |bytes| decoded.extend_from_slice(bytes))?;
/// assert_eq!(decoded, b"a");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn decoder(coding: &ContentCoding) -> Option<Box<dyn Decoding>> {
    decoder_of(coding).map(|begin| begin())
}

/// Returns the function that begins a decoder of `coding`, which takes what browsers take.
fn decoder_of(coding: &ContentCoding) -> Option<fn() -> Box<dyn Decoding>> {
    #[cfg(feature = "brotli")]
    if *coding == ContentCoding::BROTLI {
        return Some(super::brotli::decoder);
    }
    #[cfg(feature = "zstd")]
    if *coding == ContentCoding::ZSTD {
        return Some(super::zstd::decoder);
    }
    #[cfg(feature = "gzip")]
    if *coding == ContentCoding::GZIP {
        return Some(super::gzip::decoder);
    }
    let _ = coding;
    None
}

/// Whether a decoder was stopped because of the length of its output.
pub(crate) fn is_too_long(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::FileTooLarge)
}

/// Whether files in `coding` can be decoded here.
pub(crate) fn has_decoder(coding: &ContentCoding) -> bool {
    decoder_of(coding).is_some()
}

/// Decodes a whole file in `coding`, as browsers do.
///
/// # Errors
///
/// If it is not sound, has something behind its end, or decodes to more than `most` bytes.
pub(crate) fn decode_file(
    coding: &ContentCoding,
    coded: &[u8],
    most: u64,
) -> Result<Vec<u8>, Error> {
    let begin = decoder_of(coding)
        .ok_or_else(|| Error::config("the coding of a file cannot be decoded here"))?;
    let mut decoding = begin();
    decoding.limit(most);
    let mut out = Vec::new();
    decoding.write(coded, &mut |bytes| out.extend_from_slice(bytes))?;
    decoding.finish(&mut |bytes| out.extend_from_slice(bytes))?;
    Ok(out)
}

impl Encoder for Copy {
    fn settings(&self) -> Settings {
        Settings {
            encoder: Cow::Borrowed("sibling"),
            version: Cow::Owned(self.digest.hex()),
            parameters: Vec::new(),
        }
    }

    fn begin(&self, _: u64) -> Result<Box<dyn Encoding>, Error> {
        Ok(Box::new(Copying))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        Some((self.decoder)())
    }
}

impl Encoding for Copying {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("digest", &self.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{CODED_EXTENSIONS, SourcePath};

    fn file(digest: &[u8], coding: ContentCoding) -> Arc<CodedFile> {
        Arc::new(CodedFile {
            path: SourcePath::root().join("a.gz"),
            coding,
            digest: Digest::of(digest),
            len: 1,
            bytes: None,
        })
    }

    #[test]
    fn id_names_the_coded_bytes() {
        for (_, coding) in CODED_EXTENSIONS {
            let id =
                |digest| Codec::adopting(file(digest, coding.clone())).map(|codec| codec.id(9));
            assert_eq!(id(b"one"), id(b"one"));
            let has_decoder = decoder_of(&coding).is_some();
            assert_eq!(id(b"one") != id(b"other"), has_decoder, "{coding}");
        }
        assert!(Codec::adopting(file(b"one", ContentCoding::DEFLATE)).is_none());
    }
}
