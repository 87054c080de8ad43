//! The SHA-256 of a source's bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Digest as _;

use super::field::trim_ows;

/// The field that tells the digest of a representation (RFC 9530 §3).
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// The field that asks for it (RFC 9530 §4).
pub(crate) const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// The SHA-256 of a source's bytes, by which the cache and entity tags name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Computes a [`Digest`] piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hasher(sha2::Sha256);

impl Digest {
    /// The number of characters of [`base64url`](Self::base64url) that an entity tag carries:
    /// 132 bits.
    pub const TAG_LEN: usize = 22;

    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Takes the 32 bytes of a digest computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal characters.
    #[must_use]
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Parses what [`hex`](Self::hex) returns.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 64 || !bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }

    /// 43 characters of base64url without padding, RFC 4648 §5.
    #[must_use]
    pub fn base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The value of [`REPR_DIGEST`] for a representation with these bytes.
    #[must_use]
    pub(crate) fn repr_digest(&self) -> HeaderValue {
        let value = format!("sha-256=:{}:", STANDARD.encode(self.0));
        HeaderValue::try_from(value).expect("base64 is visible ASCII")
    }
}

/// Whether a request asks for the SHA-256 of the representation. The last member of that name counts
/// (RFC 9651 §3.2). A preference of 0 refuses it.
#[must_use]
pub(crate) fn wants_repr_digest(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(WANT_REPR_DIGEST).into_iter().map(HeaderValue::as_bytes);
    let members = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let mut preferences = members.filter_map(|member| trim_ows(member).strip_prefix(b"sha-256="));
    matches!(preferences.next_back(), Some([b'1'..=b'9'] | b"10"))
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl Hasher {
    /// Starts with no bytes.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `bytes`.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    #[must_use]
    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_no_bytes_is_the_published_one() {
        let empty = Digest::of(b"");
        assert_eq!(empty.hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(empty.base64url().len(), 43);
        let mut pieces = Hasher::new();
        pieces.update(b"ab");
        pieces.update(b"c");
        assert_eq!(pieces.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn repr_digest_is_that_of_the_rfc() {
        // RFC 9530, appendix A.
        let value = Digest::of(b"{\"title\": \"New Title\"}\n").repr_digest();
        assert_eq!(value, "sha-256=:mEkdbO7Srd9LIOegftO0aBX+VPTVz7/CSHes2Z27gc4=:");
    }

    #[test]
    fn repr_digest_is_wanted_only_by_a_positive_preference_for_sha_256() {
        let wants = |lines: &[&'static str]| {
            let line = |line: &&'static str| (WANT_REPR_DIGEST, HeaderValue::from_static(line));
            wants_repr_digest(&lines.iter().map(line).collect())
        };
        for lines in [
            &["sha-256=10"][..],
            &["sha-512=3, sha-256=1,unixsum=0"],
            &["sha-512=10", "sha-256=9"],
            &["sha-256=0, sha-256=2"],
        ] {
            assert!(wants(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["sha-512=10"],
            &["sha-256"],
            &["sha-256=0"],
            &["sha-256=11"],
            &["sha-256=-1"],
            &["sha-256=1.0"],
            &["sha-256=2", "sha-256=0"],
            &["xsha-256=1"],
        ] {
            assert!(!wants(lines), "{lines:?}");
        }
    }
}
