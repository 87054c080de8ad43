//! The bytes of one representation, on their way from the network to the new file.

use std::io;

use cachecompress::codec::Decoding;
use cachecompress::{ContentCoding, Digest, codec};
use sha2::{Digest as _, Sha256};

use super::delta;
use super::target::{Replacement, Target};
use super::trouble::Trouble;
use super::verify::{Expected, Verdict};

/// A coding of a response; `None` is identity.
pub(super) type Coding = Option<&'static str>;

/// The codings that are asked for, and those with a dictionary.
pub(super) const CODINGS: &str = "zstd, br, gzip";
pub(super) const DELTAS: &str = "dcb, dcz";

const KNOWN: [&str; 5] = ["dcb", "dcz", "zstd", "br", "gzip"];

/// A representation that is being decoded.
pub(super) struct Transfer<'d> {
    pub(super) coding: Coding,
    /// Its strong entity tag, by which it can be resumed.
    pub(super) tag: Option<String>,
    /// Its length in coded bytes, if the server has told it.
    pub(super) whole: Option<u64>,
    pub(super) expected: Option<Expected>,
    decoder: Option<Box<dyn Decoding + 'd>>,
    hasher: Sha256,
    new: Replacement,
    decoded: u64,
}

/// A new content that is whole and right.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) new: Replacement,
    pub(super) digest: Digest,
    pub(super) len: u64,
    pub(super) coding: Coding,
    /// The field by which it was verified.
    pub(super) verified: Option<&'static str>,
}

/// Reads a Content-Encoding.
///
/// # Errors
///
/// If it cannot be decoded.
pub(super) fn parse_coding(field: Option<&str>) -> Result<Coding, Trouble> {
    let name = field.unwrap_or_default().trim().to_ascii_lowercase();
    match &*name {
        "" | "identity" => Ok(None),
        "x-gzip" => Ok(Some("gzip")),
        name => match KNOWN.into_iter().find(|known| *known == name) {
            Some(known) => Ok(Some(known)),
            None => Err(Trouble::last(format!("the server sends the coding {name}, unasked"))),
        },
    }
}

/// Whether a coding has a dictionary.
pub(super) fn is_delta(coding: Coding) -> bool {
    matches!(coding, Some("dcb" | "dcz"))
}

impl<'d> Transfer<'d> {
    /// Begins with no bytes. `dictionary` is the one that was offered.
    ///
    /// # Errors
    ///
    /// If the new file cannot be written, or there is no such dictionary.
    pub(super) fn begin(
        target: &Target,
        coding: Coding,
        dictionary: Option<(&'d [u8], &Digest)>,
    ) -> Result<Self, Trouble> {
        let broken = |error: cachecompress::Error| Trouble::Delta(error.to_string());
        let decoder = match (coding, dictionary) {
            (None, _) => None,
            (Some("dcb"), Some((bytes, digest))) => {
                Some(delta::dcb(bytes, digest).map_err(broken)?)
            }
            (Some("dcz"), Some((bytes, digest))) => {
                Some(delta::dcz(bytes, digest).map_err(broken)?)
            }
            (Some("dcb" | "dcz"), None) => {
                let sentence = "the server sends a delta, and there is no dictionary";
                return Err(Trouble::Delta(sentence.to_owned()));
            }
            (Some(name), _) => {
                let coding = ContentCoding::new(name).ok();
                let decoder = coding.as_ref().and_then(codec::decoder);
                Some(decoder.ok_or_else(|| Trouble::last(format!("{name} cannot be decoded")))?)
            }
        };
        let new = target.begin().map_err(|error| unwritable(target, &error))?;
        Ok(Self {
            coding,
            tag: None,
            whole: None,
            expected: None,
            decoder,
            hasher: Sha256::new(),
            new,
            decoded: 0,
        })
    }

    /// The bytes of the new content so far.
    pub(super) fn decoded(&self) -> u64 {
        self.decoded
    }

    /// Decodes the next coded bytes.
    ///
    /// # Errors
    ///
    /// If they do not decode, or the disk does not take the result.
    pub(super) fn write(&mut self, coded: &[u8], target: &Target) -> Result<(), Trouble> {
        let Some(mut decoder) = self.decoder.take() else {
            return self.take(coded).map_err(|error| unwritable(target, &error));
        };
        let mut written = Ok(());
        let decoded = decoder.write(coded, &mut |bytes| {
            if written.is_ok() {
                written = self.take(bytes);
            }
        });
        self.decoder = Some(decoder);
        written.map_err(|error| unwritable(target, &error))?;
        decoded.map_err(|error| self.damaged(&error))
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.decoded += bytes.len() as u64;
        self.new.write(bytes)
    }

    /// Ends the decoding, and verifies the whole.
    ///
    /// # Errors
    ///
    /// If the bytes are not whole, or are not those that the server names.
    pub(super) fn finish(mut self, target: &Target) -> Result<Whole, Trouble> {
        if let Some(decoder) = self.decoder.take() {
            let mut written = Ok(());
            let ended = decoder.finish(&mut |bytes| {
                if written.is_ok() {
                    written = self.take(bytes);
                }
            });
            written.map_err(|error| unwritable(target, &error))?;
            ended.map_err(|error| self.damaged(&error))?;
        }
        let digest = Digest::from_bytes(self.hasher.clone().finalize().into());
        let verdict = self.expected.as_ref().map(|expected| (expected.judge(&digest), expected));
        let verified = match verdict {
            Some((Verdict::Same, expected)) => Some(expected.field()),
            Some((Verdict::Other, expected)) => {
                let field = expected.field();
                let sentence = format!("its SHA-256 is {}, and {field} says other", digest.hex());
                return Err(match is_delta(self.coding) {
                    true => Trouble::Delta(sentence),
                    // The file may have been replaced between two responses.
                    false => Trouble::Restart(format!("the wrong bytes came: {sentence}")),
                });
            }
            Some((Verdict::Unknown, _)) | None => None,
        };
        Ok(Whole { new: self.new, digest, len: self.decoded, coding: self.coding, verified })
    }

    fn damaged(&self, why: &cachecompress::Error) -> Trouble {
        match is_delta(self.coding) {
            true => Trouble::Delta(why.to_string()),
            false => Trouble::Restart(format!("the response is damaged: {why}")),
        }
    }
}

/// The sentence about a disk that refuses a part of the new file.
pub(super) fn unwritable(target: &Target, error: &io::Error) -> Trouble {
    let sentence = format!("cannot write {}: {error}", target.shown());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full(sentence),
        _ => Trouble::Last(sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coding_is_known_or_refused() {
        let parsed = |field| parse_coding(field).ok();
        for identity in [None, Some(""), Some("identity"), Some(" Identity ")] {
            assert_eq!(parsed(identity), Some(None), "{identity:?}");
        }
        assert_eq!(parsed(Some("X-GZIP")), Some(Some("gzip")));
        assert_eq!(parsed(Some("dcz")), Some(Some("dcz")));
        for refused in ["compress", "gzip, br", "deflate", "zstd-nodict"] {
            assert_eq!(parsed(Some(refused)), None, "{refused}");
        }
    }
}
