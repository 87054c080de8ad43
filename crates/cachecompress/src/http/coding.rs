//! Content codings (RFC 9110 §8.4.1) and the identifiers of the encoders that produce them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::limits::CODING_NAME;

/// A content coding, RFC 9110 §8.4.1: a token, compared without regard to case.
///
/// Cheap to clone. Stored in lower case, so that equality is case-insensitive.
#[derive(Clone)]
pub struct ContentCoding(Name);

#[derive(Clone)]
enum Name {
    Static(&'static str),
    Shared(Arc<str>),
}

/// The error for a text that is no token of RFC 9110 §5.6.2 of at most 32 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCoding;

impl ContentCoding {
    /// No encoding, RFC 9110 §12.5.3.
    pub const IDENTITY: Self = Self(Name::Static("identity"));
    /// Brotli, RFC 7932.
    pub const BROTLI: Self = Self(Name::Static("br"));
    /// Zstandard, RFC 8878 with the window limit of RFC 9659.
    pub const ZSTD: Self = Self(Name::Static("zstd"));
    /// gzip, RFC 1952.
    pub const GZIP: Self = Self(Name::Static("gzip"));
    /// The zlib format, RFC 1950, which HTTP calls "deflate" (RFC 9110 §8.4.1.2).
    pub const DEFLATE: Self = Self(Name::Static("deflate"));

    /// Brotli with a dictionary, RFC 9842 §4.
    pub const DCB: Self = Self(Name::Static("dcb"));
    /// Zstandard with a dictionary, RFC 9842 §5.
    pub const DCZ: Self = Self(Name::Static("dcz"));

    /// Parses a coding; `x-gzip` means `gzip` (RFC 9110 §8.4.1.3).
    ///
    /// ```
    /// use cachecompress::ContentCoding;
    ///
    /// assert_eq!(ContentCoding::new("GZIP")?, ContentCoding::GZIP);
    /// assert!(ContentCoding::new("no token").is_err());
    /// # Ok::<(), cachecompress::InvalidCoding>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidCoding`] if `text` is empty, longer than 32 bytes or no token.
    pub fn new(text: &str) -> Result<Self, InvalidCoding> {
        if text.is_empty() || text.len() > CODING_NAME || !text.bytes().all(is_token_byte) {
            return Err(InvalidCoding);
        }
        Ok(Self::well_known(text)
            .unwrap_or_else(|| Self(Name::Shared(text.to_ascii_lowercase().into()))))
    }

    /// Returns the coding of that name among the constants, `x-gzip` being `gzip`. Allocates
    /// nothing.
    #[must_use]
    pub fn well_known(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::GZIP);
        }
        const NAMED: [ContentCoding; 7] = [
            ContentCoding::IDENTITY,
            ContentCoding::BROTLI,
            ContentCoding::ZSTD,
            ContentCoding::GZIP,
            ContentCoding::DEFLATE,
            ContentCoding::DCB,
            ContentCoding::DCZ,
        ];
        NAMED.into_iter().find(|coding| coding.as_str().eq_ignore_ascii_case(name))
    }

    /// The coding's name in lower case, as it stands in `Content-Encoding`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Static(name) => name,
            Name::Shared(name) => name,
        }
    }

    /// Whether only a client that has the dictionary can decode it: [`DCB`](Self::DCB) or
    /// [`DCZ`](Self::DCZ).
    #[must_use]
    pub fn needs_dictionary(&self) -> bool {
        matches!(self.as_str(), "dcb" | "dcz")
    }

    /// Whether this is [`IDENTITY`](Self::IDENTITY).
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.as_str() == "identity"
    }
}

/// Whether `byte` is a tchar (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl PartialEq for ContentCoding {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ContentCoding {}

impl Hash for ContentCoding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for ContentCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ContentCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ContentCoding {
    type Err = InvalidCoding;

    fn from_str(text: &str) -> Result<Self, InvalidCoding> {
        Self::new(text)
    }
}

impl fmt::Display for InvalidCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a content coding is a token of at most 32 characters")
    }
}

impl std::error::Error for InvalidCoding {}

/// The identifier of an encoder with all settings that change its output. The same id means the
/// same bytes for the same source.
///
/// It is eight characters of base64url, so that it can stand in an entity tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EncoderId([u8; Self::LEN]);

impl EncoderId {
    /// The length of the text, in bytes.
    pub(crate) const LEN: usize = 8;

    /// Derives an id from a description of the encoder and a sample of its output.
    #[must_use]
    pub(crate) fn derive(description: &[u8], sample: &[u8]) -> Self {
        let mut hasher = super::Hasher::new();
        hasher.update(&(description.len() as u64).to_le_bytes());
        hasher.update(description);
        hasher.update(sample);
        let digest = hasher.finish();
        let text = digest.base64url();
        let mut id = [0; Self::LEN];
        id.copy_from_slice(&text.as_bytes()[..Self::LEN]);
        Self(id)
    }

    /// Parses the eight characters.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::LEN] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|byte| is_base64url_byte(*byte)).then_some(Self(bytes))
    }

    /// The eight characters.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

pub(crate) fn is_base64url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl fmt::Debug for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coding_compares_without_case_and_knows_its_alias() {
        assert_eq!(ContentCoding::new("GZip"), Ok(ContentCoding::GZIP));
        assert_eq!(ContentCoding::new("x-gzip"), Ok(ContentCoding::GZIP));
        assert_eq!(ContentCoding::new("Own-Thing").unwrap().as_str(), "own-thing");
        for bad in ["", "a b", "a;b", "gzip,br", &"x".repeat(33)] {
            assert_eq!(ContentCoding::new(bad), Err(InvalidCoding), "{bad:?}");
        }
    }

    #[test]
    fn id_differs_when_description_or_sample_differ() {
        let id = EncoderId::derive(b"ab", b"c");
        assert_ne!(id, EncoderId::derive(b"a", b"bc"));
        assert_ne!(id, EncoderId::derive(b"ab", b"d"));
        assert_eq!(EncoderId::parse(id.as_str()), Some(id));
        assert_eq!(EncoderId::parse("short"), None);
        assert_eq!(EncoderId::parse("has spac"), None);
    }
}
