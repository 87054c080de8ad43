//! The hash of a file's content in its name, told by the content.
//!
//! Django names a file `logo.8ab59b1d0c5e.png` by the MD5 of its bytes, as Phoenix and Ember do with all
//! of it; Hugo takes the SHA-256. Such a name needs no other evidence.

use md5::Md5;
use sha1::Sha1;
use sha2::Digest as _;

use super::{Digest, SourcePath};

/// The fewest hexadecimal digits that count. By chance one name in four thousand million agrees.
const FEWEST_DIGITS: usize = 8;

/// The comparison of a file's content with the hexadecimal digits in its name.
#[derive(Debug)]
pub(crate) struct ContentHash<'a> {
    /// The parts of the name that may be a hash, or its beginning.
    claims: Vec<&'a str>,
    md5: Md5,
    sha1: Sha1,
}

impl<'a> ContentHash<'a> {
    /// Begins the comparison for the file `path`; `None` if its name has no digits that may be a hash. A
    /// page is never named by its content.
    pub(crate) fn new(path: &'a SourcePath) -> Option<Self> {
        let name = std::str::from_utf8(path.file_name()).ok()?;
        if name.ends_with(".html") || name.ends_with(".htm") {
            return None;
        }
        let is_claim = |part: &&str| {
            (FEWEST_DIGITS..=64).contains(&part.len())
                && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let claims: Vec<_> = name.split(['.', '-', '_']).filter(is_claim).collect();
        (!claims.is_empty()).then(|| Self { claims, md5: Md5::new(), sha1: Sha1::new() })
    }

    /// Takes the next bytes of the content.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sha1.update(bytes);
    }

    /// Whether the name has a hash of the content, which is that of `digest`.
    pub(crate) fn agrees(self, digest: &Digest) -> bool {
        let hashes = [hex(&self.md5.finalize()), hex(&self.sha1.finalize()), digest.hex()];
        self.claims.iter().any(|claim| hashes.iter().any(|hash| hash.starts_with(claim)))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
    const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn agrees(name: &str) -> bool {
        let path = SourcePath::parse(name.as_bytes()).unwrap();
        ContentHash::new(&path).is_some_and(|mut hash| {
            hash.update(b"a");
            hash.update(b"bc");
            hash.agrees(&Digest::of(b"abc"))
        })
    }

    #[test]
    fn name_agrees_with_the_hash_of_its_content_or_its_beginning() {
        for hash in [MD5, SHA1, SHA256] {
            for digits in [8, 12, 20, hash.len()] {
                let hash = &hash[..digits];
                for name in [
                    format!("logo.{hash}.png"),
                    format!("{hash}.pdf"),
                    format!("a/{hash}"),
                    format!("b-{hash}.min.js"),
                    format!("c_{hash}.woff2"),
                ] {
                    assert!(agrees(&name), "{name}");
                }
            }
        }
    }

    #[test]
    fn other_names_do_not_agree() {
        let (short, longer) = (&MD5[..7], format!("{MD5}0"));
        for name in [
            format!("logo.{short}.png"),
            format!("logo.{longer}.png"),
            format!("logo{MD5}.png"),
            format!("logo.{}.png", &MD5[1..]),
            format!("page.{MD5}.html"),
            "logo.00ff00aa.png".to_owned(),
            "logo.png".to_owned(),
        ] {
            assert!(!agrees(&name), "{name}");
        }
    }
}
