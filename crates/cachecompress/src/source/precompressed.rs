//! Files whose codings were made when the program was built.

use bytes::Bytes;

use crate::http::{ContentCoding, Digest, EncoderId, NamedCoding, Text};

/// A file of [`Embedded::precompressed`](super::Embedded::precompressed), with its codings.
///
/// The crate `cachecompress-build` writes these into the code of a program.
#[derive(Clone, Copy, Debug)]
pub struct PrecompressedFile {
    path: &'static str,
    bytes: &'static [u8],
    digest: Digest,
    is_utf8: Option<bool>,
    codings: &'static [PrecompressedCoding],
}

/// A coding of a [`PrecompressedFile`].
#[derive(Clone, Copy, Debug)]
pub struct PrecompressedCoding {
    coding: &'static str,
    /// The payload and its digest; `None` if none was worth it.
    payload: Option<(&'static [u8], Digest)>,
}

impl PrecompressedFile {
    /// Describes the file at `path`, whose `bytes` have this SHA-256.
    ///
    /// A wrong digest has clients keep other bytes for these.
    #[must_use]
    pub const fn new(
        path: &'static str,
        bytes: &'static [u8],
        digest: [u8; 32],
        codings: &'static [PrecompressedCoding],
    ) -> Self {
        Self { path, bytes, digest: Digest::from_bytes(digest), is_utf8: None, codings }
    }

    /// Tells whether the bytes are text in UTF-8. They are then not looked at for the `charset`, or for
    /// the type of a file without an extension. Default: they are looked at when the service is built.
    #[must_use]
    pub const fn utf8(mut self, is_utf8: bool) -> Self {
        self.is_utf8 = Some(is_utf8);
        self
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from_static(self.bytes)
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}

impl PrecompressedCoding {
    /// Describes the payload of a file in `coding`. The payload has the SHA-256 `digest`, which becomes a
    /// part of its entity tag.
    ///
    /// The payload must decode to the file. Nothing looks at that again.
    #[must_use]
    pub const fn new(coding: &'static str, payload: &'static [u8], digest: [u8; 32]) -> Self {
        Self { coding, payload: Some((payload, Digest::from_bytes(digest))) }
    }

    /// Tells that `coding` saves too little of the file. A client that takes the file as it is gets it so.
    #[must_use]
    pub const fn unprofitable(coding: &'static str) -> Self {
        Self { coding, payload: None }
    }
}

/// The representations of a file that are there without an encoder.
#[derive(Debug)]
pub(crate) struct Precompressed {
    bytes: &'static [u8],
    digest: Digest,
    is_utf8: Option<bool>,
    /// The shortest first.
    payloads: Vec<EncodedAhead>,
    /// The codings that are not worth it.
    unprofitable: Vec<ContentCoding>,
}

/// A coded representation that is a part of the program.
#[derive(Clone, Debug)]
pub(crate) struct EncodedAhead {
    pub(crate) coding: ContentCoding,
    /// The id follows from the payload's digest, so that the same id means the same bytes.
    pub(crate) id: EncoderId,
    pub(crate) payload: Bytes,
}

impl Precompressed {
    /// Describes the representations of `file`.
    ///
    /// # Panics
    ///
    /// If the name of a coding is no token, or `identity`.
    pub(super) fn of(file: &PrecompressedFile) -> Self {
        let (mut payloads, mut unprofitable) = (Vec::new(), Vec::new());
        for PrecompressedCoding { coding: name, payload } in file.codings {
            let coding = match ContentCoding::new(name) {
                Ok(coding) if !coding.is_identity() => coding,
                _ => panic!("no content coding: {name:?} of {:?}", file.path),
            };
            match *payload {
                Some((payload, digest)) => payloads.push(EncodedAhead {
                    coding,
                    id: EncoderId::derive(b"precompressed", digest.as_bytes()),
                    payload: Bytes::from_static(payload),
                }),
                None => unprofitable.push(coding),
            }
        }
        payloads.sort_by_key(|encoded| encoded.payload.len());
        let PrecompressedFile { bytes, digest, is_utf8, .. } = *file;
        Self { bytes, digest, is_utf8, payloads, unprofitable }
    }

    /// Whether this is about the file of this very buffer and this digest.
    pub(super) fn is_of(&self, bytes: &[u8], digest: Option<Digest>) -> bool {
        std::ptr::eq(bytes, self.bytes) && digest == Some(self.digest)
    }

    /// The build's answer to the question whether the bytes are UTF-8.
    pub(crate) fn text(&self) -> Option<Text> {
        self.is_utf8.map(|is_utf8| if is_utf8 { Text::Utf8 } else { Text::Other })
    }

    /// The payloads, the shortest first.
    pub(crate) fn payloads(&self) -> &[EncodedAhead] {
        &self.payloads
    }

    /// Returns the payload in `coding`.
    pub(crate) fn payload(&self, coding: &ContentCoding) -> Option<&EncodedAhead> {
        self.payloads.iter().find(|encoded| encoded.coding == *coding)
    }

    /// Returns the payload of exactly this representation.
    pub(crate) fn named(&self, named: &NamedCoding) -> Option<&EncodedAhead> {
        self.payload(&named.coding).filter(|encoded| named.id == Some(encoded.id))
    }

    /// The codings that save too little.
    pub(crate) fn unprofitable(&self) -> &[ContentCoding] {
        &self.unprofitable
    }
}
