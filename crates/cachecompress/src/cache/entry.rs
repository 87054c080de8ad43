//! The format of an entry. `docs/format.md` describes it in prose.
//!
//! ```text
//! header, 144 bytes and the fields:
//!      0   8  magic 89 43 43 45 0D 0A 1A 0A
//!      8   2  format, 1
//!     10   1  kind: 1 representation, 2 unprofitable, 3 encoder at fault
//!     11   1  length of the coding's name, 1 to 32
//!     12   4  length of the header, fields included; a multiple of 8, at most 4096
//!     16   8  XXH3-64 of the header with these 8 bytes zero
//!     24   8  length of the source in bytes
//!     32  32  SHA-256 of the source
//!     64  32  the coding's name, padded with zeros
//!     96   8  encoder id
//!    104   8  time of creation, in seconds since 1970
//!    112  32  SHA-256 of the dictionary, or zeros
//!    144      fields: type (2), length (2), bytes; unknown types are skipped; type 0 ends them
//! payload
//! trailer, 32 bytes:
//!      0   8  magic 89 43 43 54 0D 0A 1A 0A
//!      8   8  length of the payload in bytes
//!     16  16  XXH3-128 of header, payload and the 16 bytes before
//! ```
//!
//! All numbers are little-endian.

use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::key::Key;
use crate::http::{ContentCoding, Digest, EncoderId};

const HEADER_MAGIC: [u8; 8] = *b"\x89CCE\r\n\x1a\n";
const TRAILER_MAGIC: [u8; 8] = *b"\x89CCT\r\n\x1a\n";
const FORMAT: u16 = 1;
const CHECKSUM: std::ops::Range<usize> = 16..24;
const CODING: std::ops::Range<usize> = 64..96;
/// The length of a header without its fields.
pub(crate) const FIXED: usize = 144;
const FIELD_SETTINGS: u16 = 1;

/// The longest header.
pub(crate) const MAX_HEADER: usize = 4096;
/// The length of every trailer.
pub(crate) const TRAILER: usize = 32;

/// The kinds of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The payload is the representation.
    Representation,
    /// No payload: encoding this content would not save enough.
    Unprofitable,
    /// No payload: the encoder's output for this content did not decode to it.
    EncoderAtFault,
}

impl Kind {
    /// A word for people and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Representation => "representation",
            Self::Unprofitable => "unprofitable",
            Self::EncoderAtFault => "encoder_at_fault",
        }
    }
}

/// The header of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The kind of the entry.
    pub kind: Kind,
    /// The key under which it is stored.
    pub key: Key,
    /// The source's length in bytes.
    pub source_len: u64,
    /// The time of its writing, in whole seconds.
    pub created: SystemTime,
    /// The digest of the dictionary that is needed to decode it.
    pub dictionary: Option<Digest>,
    /// The encoder's settings, for people.
    pub settings: String,
}

/// The reason why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// It is shorter than its own lengths say, or longer.
    Length,
    /// It has not the magic at its start or end.
    Magic,
    /// A later version wrote it.
    Format,
    /// A checksum is wrong.
    Checksum,
    /// A header field has an impossible value.
    Field,
    /// It is stored under another key's name.
    Key,
    /// A directory, a symlink, a FIFO or the like has its name.
    FileKind,
    /// It may not be read, although it lies in our directory: another user made it.
    Unreadable,
}

impl Damage {
    /// A word or two for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Length => "wrong length",
            Self::Magic => "no entry",
            Self::Format => "unknown format",
            Self::Checksum => "wrong checksum",
            Self::Field => "impossible field",
            Self::Key => "another key's entry",
            Self::FileKind => "wrong kind of file",
            Self::Unreadable => "not readable",
        }
    }
}

impl Header {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[..8].copy_from_slice(&HEADER_MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[10] = match self.kind {
            Kind::Representation => 1,
            Kind::Unprofitable => 2,
            Kind::EncoderAtFault => 3,
        };
        let coding = self.key.coding.as_str().as_bytes();
        bytes[11] = coding.len() as u8;
        bytes[24..32].copy_from_slice(&self.source_len.to_le_bytes());
        bytes[32..64].copy_from_slice(self.key.digest.as_bytes());
        bytes[CODING][..coding.len()].copy_from_slice(coding);
        bytes[96..104].copy_from_slice(self.key.id.as_str().as_bytes());
        let created = self.created.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        bytes[104..112].copy_from_slice(&created.as_secs().to_le_bytes());
        if let Some(dictionary) = &self.dictionary {
            bytes[112..144].copy_from_slice(dictionary.as_bytes());
        }
        // The settings are for people, so they are cut to fit.
        let room = MAX_HEADER - FIXED - 8;
        let settings = &self.settings.as_bytes()[..self.settings.len().min(room)];
        bytes.extend_from_slice(&FIELD_SETTINGS.to_le_bytes());
        bytes.extend_from_slice(&(settings.len() as u16).to_le_bytes());
        bytes.extend_from_slice(settings);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let len = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&len.to_le_bytes());
        let checksum = xxh3_64(&bytes);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`, which may go on behind it. Returns it and its
    /// length. No input makes it panic.
    ///
    /// # Errors
    ///
    /// The damage, if it is no header.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, usize), Damage> {
        if bytes.len() < FIXED {
            return Err(Damage::Length);
        }
        if bytes[..8] != HEADER_MAGIC {
            return Err(Damage::Magic);
        }
        if u16::from_le_bytes([bytes[8], bytes[9]]) != FORMAT {
            return Err(Damage::Format);
        }
        let len = u32_at(bytes, 12) as usize;
        if !(FIXED..=MAX_HEADER).contains(&len) || !len.is_multiple_of(8) || len > bytes.len() {
            return Err(Damage::Length);
        }
        let bytes = &bytes[..len];
        let mut zeroed = bytes.to_vec();
        zeroed[CHECKSUM].fill(0);
        if xxh3_64(&zeroed).to_le_bytes() != bytes[CHECKSUM] {
            return Err(Damage::Checksum);
        }
        let kind = match bytes[10] {
            1 => Kind::Representation,
            2 => Kind::Unprofitable,
            3 => Kind::EncoderAtFault,
            _ => return Err(Damage::Field),
        };
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Damage::Field);
        let coding = bytes[CODING].get(..bytes[11] as usize).ok_or(Damage::Field)?;
        let key = Key {
            digest: Digest::from_bytes(array_at(bytes, 32)),
            coding: ContentCoding::new(text(coding)?).map_err(|_| Damage::Field)?,
            id: EncoderId::parse(text(&bytes[96..104])?).ok_or(Damage::Field)?,
        };
        let created = Duration::from_secs(u64_at(bytes, 104));
        let dictionary: [u8; 32] = array_at(bytes, 112);
        let header = Self {
            kind,
            key,
            source_len: u64_at(bytes, 24),
            created: SystemTime::UNIX_EPOCH.checked_add(created).ok_or(Damage::Field)?,
            dictionary: (dictionary != [0; 32]).then(|| Digest::from_bytes(dictionary)),
            settings: settings(&bytes[FIXED..])?,
        };
        Ok((header, len))
    }
}

fn settings(mut fields: &[u8]) -> Result<String, Damage> {
    let mut settings = String::new();
    while fields.len() >= 4 {
        let kind = u16::from_le_bytes([fields[0], fields[1]]);
        let len = usize::from(u16::from_le_bytes([fields[2], fields[3]]));
        if kind == 0 {
            break;
        }
        let value = fields.get(4..4 + len).ok_or(Damage::Field)?;
        if kind == FIELD_SETTINGS {
            settings = String::from_utf8_lossy(value).into_owned();
        }
        fields = &fields[4 + len..];
    }
    Ok(settings)
}

/// The checksum over an entry, fed in order: header, payload.
pub(crate) struct Checksum(Xxh3);

impl Checksum {
    pub(crate) fn new() -> Self {
        Self(Xxh3::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The trailer for a payload of `payload_len` bytes.
    pub(crate) fn trailer(mut self, payload_len: u64) -> [u8; TRAILER] {
        let mut trailer = [0; TRAILER];
        trailer[..16].copy_from_slice(&trailer_head(payload_len));
        self.0.update(&trailer[..16]);
        trailer[16..].copy_from_slice(&self.0.digest128().to_le_bytes());
        trailer
    }
}

/// The part of a trailer before the checksum.
pub(super) fn trailer_head(payload_len: u64) -> [u8; 16] {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&TRAILER_MAGIC);
    head[8..].copy_from_slice(&payload_len.to_le_bytes());
    head
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// Returns the `N` bytes at `at`. The caller has checked that they are there.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Representation,
            key: Key {
                digest: Digest::of(b"source"),
                coding: ContentCoding::BROTLI,
                id: EncoderId::derive(b"encoder", b"sample"),
            },
            source_len: 123_456,
            created: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            dictionary: None,
            settings: "mbrotli 0.5 quality=5".to_owned(),
        }
    }

    #[test]
    fn header_round_trips() {
        let all = [
            header(),
            Header { dictionary: Some(Digest::of(b"dictionary")), ..header() },
            Header { kind: Kind::Unprofitable, settings: String::new(), ..header() },
            Header { kind: Kind::EncoderAtFault, ..header() },
        ];
        for header in all {
            let mut bytes = header.encode();
            let len = bytes.len();
            assert_eq!(len % 8, 0);
            bytes.extend_from_slice(b"payload");
            assert_eq!(Header::decode(&bytes), Ok((header, len)));
        }
    }

    #[test]
    fn settings_are_cut_when_they_exceed_the_header() {
        let bytes = Header { settings: "x".repeat(100_000), ..header() }.encode();
        assert!(bytes.len() <= MAX_HEADER);
        assert!(Header::decode(&bytes).is_ok());
    }

    #[test]
    fn decode_refuses_a_header_with_one_flipped_bit() {
        let good = header().encode();
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(Header::decode(&bad).is_err(), "bit {at}");
        }
        for len in 0..good.len() {
            assert_eq!(Header::decode(&good[..len]), Err(Damage::Length), "{len} bytes");
        }
    }

    #[test]
    fn decode_skips_unknown_fields() {
        let mut bytes = header().encode();
        let at = bytes.len();
        bytes.extend_from_slice(&[77, 0, 4, 0, 1, 2, 3, 4]);
        // The settings are padded, and padding ends the fields: the unknown one goes in front.
        bytes.copy_within(FIXED..at, FIXED + 8);
        bytes[FIXED..FIXED + 8].copy_from_slice(&[77, 0, 4, 0, 1, 2, 3, 4]);
        let len = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&len.to_le_bytes());
        bytes[CHECKSUM].fill(0);
        let checksum = xxh3_64(&bytes);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Ok((header(), len as usize)));
    }
}
