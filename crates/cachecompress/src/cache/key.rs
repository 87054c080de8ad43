//! The cache key, and the name of an entry's file.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use crate::http::{ContentCoding, Digest, EncoderId};

/// A cache key: the content, the coding, and the encoder that makes one of the other.
///
/// Nothing of a request is in it but the negotiated coding, which is one of the server's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The digest of the source's bytes.
    pub digest: Digest,
    /// The content coding.
    pub coding: ContentCoding,
    /// The encoder with all its settings.
    pub id: EncoderId,
}

/// The name of an entry's file: 64 hexadecimal characters of the digest, `-`, and 16 of coding
/// and id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    digest: [u8; 32],
    tail: u64,
}

impl Key {
    pub(super) fn name(&self) -> Name {
        let mut hash = Xxh3::new();
        hash.update(self.coding.as_str().as_bytes());
        hash.update(&[0]);
        hash.update(self.id.as_str().as_bytes());
        Name { digest: *self.digest.as_bytes(), tail: hash.digest() }
    }

    /// The name of the entry's file, which tells nothing of where the content lies.
    #[cfg(feature = "tier")]
    pub(crate) fn file_name(&self) -> String {
        self.name().to_string()
    }

    /// Whether `text` is the name of an entry's file.
    #[cfg(feature = "tier")]
    pub(crate) fn is_file_name(text: &str) -> bool {
        Name::parse(text).is_some()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{}-{}", self.digest, self.coding, self.id)
    }
}

impl Name {
    const LEN: usize = 64 + 1 + 16;

    /// Parses a file's name; `None` for any other file in the directory.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let (hex, tail) = (bytes.get(..64)?, bytes.get(65..)?);
        if bytes.len() != Self::LEN || bytes[64] != b'-' || !hex.iter().chain(tail).all(lower_hex) {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self { digest, tail: u64::from_str_radix(&text[65..], 16).ok()? })
    }

    /// The digest of the source's bytes.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(self.digest)
    }

    /// The directory that holds the entry, one of 256.
    pub(super) fn shard(&self) -> u8 {
        self.digest[0]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:016x}", self.tail)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_differs_by_digest_coding_and_id_and_parses_back() {
        let key = |content: &[u8], coding, id: &[u8]| Key {
            digest: Digest::of(content),
            coding,
            id: EncoderId::derive(id, b""),
        };
        let keys = [
            key(b"a", ContentCoding::GZIP, b"1"),
            key(b"b", ContentCoding::GZIP, b"1"),
            key(b"a", ContentCoding::ZSTD, b"1"),
            key(b"a", ContentCoding::GZIP, b"2"),
        ];
        for (i, one) in keys.iter().enumerate() {
            let text = one.name().to_string();
            assert_eq!(text.len(), Name::LEN);
            assert_eq!(Name::parse(&text), Some(one.name()));
            assert!(keys[i + 1..].iter().all(|other| other.name() != one.name()));
        }
    }

    #[test]
    fn parse_refuses_other_names() {
        let good = Key {
            digest: Digest::of(b""),
            coding: ContentCoding::GZIP,
            id: EncoderId::derive(b"", b""),
        };
        let good = good.name().to_string();
        for bad in [
            String::new(),
            good[1..].to_owned(),
            format!("{good}0"),
            good.to_uppercase(),
            good.replace('-', "_"),
            format!("+{}", &good[1..]),
            "é".repeat(40) + "a",
        ] {
            assert_eq!(Name::parse(&bad), None, "{bad:?}");
        }
    }
}
