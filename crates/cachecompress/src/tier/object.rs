//! The objects of a shared store: their names, their bytes, and their signatures.
//!
//! Without keys an object is exactly the file of an entry. With keys it is that file in signed segments:
//!
//! ```text
//!      0   8  magic 89 43 43 53 0D 0A 1A 0A
//!      8   8  length of the entry's file in bytes
//! then for each 256 KiB of the file, the last of which may be shorter:
//!          32  HMAC-SHA-256 of the context, the object's name, the length, the segment's number and bytes
//!              the segment's bytes
//! ```
//!
//! All numbers are little-endian. Each segment is checked before a byte of it is used, so that a reader of
//! a growing body gets no byte that the keys' owner has not signed.

use std::borrow::Cow;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use object_store::path::Path;
use sha2::Sha256;

use crate::cache::{Checksum, Damage, Header, Key, Kind, MAX_HEADER, TRAILER};
use crate::error::{Error, ErrorKind};

const MAGIC: [u8; 8] = *b"\x89CCS\r\n\x1a\n";
/// The length of the magic and the length.
const HEAD: u64 = 16;
const SIGNATURE: usize = 32;
/// The bytes under one signature.
pub(super) const SEGMENT: usize = 256 * 1024;
/// The meaning of the signatures, which no other use of the keys has.
const CONTEXT: &[u8] = b"cachecompress tier object 1\0";

/// The place of the object of `key` beneath `prefix`.
pub(super) fn path_of(prefix: &Path, key: &Key) -> Path {
    path_of_name(prefix, &key.file_name())
}

/// The place of the object of the entry with this `name`, beneath `prefix`.
pub(super) fn path_of_name(prefix: &Path, name: &str) -> Path {
    let directory = name.get(..2).unwrap_or(name);
    prefix.clone().join("v1").join("e").join(directory).join(name)
}

/// The secrets that sign objects. The first signs; any of them may have signed.
pub(super) struct Keys(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// Takes the secrets, of which there must be one.
    pub(super) fn new(secrets: &[Vec<u8>]) -> Option<Self> {
        let key = |secret: &Vec<u8>| Hmac::<Sha256>::new_from_slice(secret).ok();
        let keys: Option<Vec<_>> = secrets.iter().map(key).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    /// Signs the segment `number` of an entry's file.
    fn sign(&self, segment: &Segment<'_>) -> [u8; SIGNATURE] {
        segment.hash(&self.0[0]).finalize().into_bytes().into()
    }

    /// Whether one of the keys has signed. Takes the same time for every wrong signature.
    fn have_signed(&self, segment: &Segment<'_>, signature: &[u8]) -> bool {
        self.0.iter().any(|key| segment.hash(key).verify_slice(signature).is_ok())
    }
}

/// A part of an entry's file.
struct Segment<'a> {
    name: &'a str,
    file_len: u64,
    number: u64,
    bytes: &'a [u8],
}

impl Segment<'_> {
    fn hash(&self, key: &Hmac<Sha256>) -> Hmac<Sha256> {
        let mut hash = key.clone();
        hash.update(CONTEXT);
        hash.update(self.name.as_bytes());
        hash.update(&self.file_len.to_le_bytes());
        hash.update(&self.number.to_le_bytes());
        hash.update(self.bytes);
        hash
    }
}

/// The length of the object of an entry's file of `file_len` bytes.
pub(super) fn object_len(file_len: u64, is_signed: bool) -> u64 {
    match is_signed {
        true => HEAD + file_len + file_len.div_ceil(SEGMENT as u64) * SIGNATURE as u64,
        false => file_len,
    }
}

/// Makes an object from an entry's file, segment by segment.
pub(super) struct ObjectWriter {
    keys: Option<Arc<Keys>>,
    name: String,
    file_len: u64,
    number: u64,
}

impl ObjectWriter {
    pub(super) fn new(keys: Option<Arc<Keys>>, key: &Key, file_len: u64) -> Self {
        Self { keys, name: key.file_name(), file_len, number: 0 }
    }

    /// Adds the next [`SEGMENT`] bytes of the file, or the rest, to `object`.
    pub(super) fn add(&mut self, bytes: &[u8], object: &mut Vec<u8>) {
        if let Some(keys) = &self.keys {
            if self.number == 0 {
                object.extend_from_slice(&MAGIC);
                object.extend_from_slice(&self.file_len.to_le_bytes());
            }
            let Self { name, file_len, number, .. } = self;
            let segment = Segment { name, file_len: *file_len, number: *number, bytes };
            object.extend_from_slice(&keys.sign(&segment));
        }
        self.number += 1;
        object.extend_from_slice(bytes);
    }
}

/// The entry that a reader of an object expects.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) key: Key,
    /// The length of the source in bytes.
    pub(crate) source_len: u64,
    /// The longest payload in bytes.
    pub(crate) max_payload: u64,
}

impl Expected {
    /// Whether an object of `len` bytes can be what is expected.
    pub(super) fn may_have(&self, len: u64) -> bool {
        let longest = self.max_payload.saturating_add((MAX_HEADER + TRAILER) as u64);
        len > TRAILER as u64 && len <= object_len(longest, true)
    }
}

/// The expectation of a reader of an object.
#[derive(Clone, Debug)]
enum Expectation {
    /// The entry of a source that is known.
    Entry(Expected),
    /// Any entry that has this name.
    Named(String),
}

impl Expectation {
    fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Entry(expected) => expected.key.file_name().into(),
            Self::Named(name) => name.into(),
        }
    }

    fn is_met_by(&self, header: &Header) -> bool {
        match self {
            Self::Entry(Expected { key, source_len, .. }) => {
                header.key == *key && header.source_len == *source_len
            }
            Self::Named(name) => header.key.file_name() == *name,
        }
    }

    /// The longest payload in bytes.
    fn max_payload(&self) -> u64 {
        match self {
            Self::Entry(expected) => expected.max_payload,
            Self::Named(_) => u64::MAX,
        }
    }
}

/// Reads an object as its bytes come, and hands out its payload.
///
/// - A signature is checked before the bytes under it are used, if there are keys.
/// - The header must have the expected key and source, and the trailer the checksum of all bytes.
#[derive(Debug)]
pub(super) struct ObjectReader {
    expected: Expectation,
    keys: Option<Arc<Keys>>,
    object_len: u64,
    /// The bytes that were not used yet.
    pending: Vec<u8>,
    frame: Frame,
    entry: EntryReader,
}

/// The framing of an object.
#[derive(Debug)]
enum Frame {
    /// The first bytes have not come yet.
    Unknown,
    /// The bytes are those of the entry's file.
    Plain,
    /// The bytes come in signed segments.
    Signed { file_len: u64, number: u64, left: u64 },
}

impl ObjectReader {
    /// Begins to read an object of `object_len` bytes.
    pub(super) fn new(expected: Expected, keys: Option<Arc<Keys>>, object_len: u64) -> Self {
        Self::begin_with(Expectation::Entry(expected), keys, object_len)
    }

    /// Begins to read an object of `object_len` bytes that lies under the `name` of an entry.
    pub(super) fn of_name(name: String, keys: Option<Arc<Keys>>, object_len: u64) -> Self {
        Self::begin_with(Expectation::Named(name), keys, object_len)
    }

    /// The header of the entry, once it is known.
    pub(super) fn header(&self) -> Option<&Header> {
        self.entry.header.as_ref()
    }

    fn begin_with(expected: Expectation, keys: Option<Arc<Keys>>, object_len: u64) -> Self {
        let entry = EntryReader::default();
        Self { expected, keys, object_len, pending: Vec::new(), frame: Frame::Unknown, entry }
    }

    /// Takes the next bytes. Adds the bytes of the payload that are known now to `payload`.
    ///
    /// # Errors
    ///
    /// If the object is not the expected one. It is then of no further use.
    pub(super) fn take(&mut self, bytes: &[u8], payload: &mut Vec<u8>) -> Result<(), Error> {
        self.pending.extend_from_slice(bytes);
        if let Frame::Unknown = self.frame {
            if self.pending.len() < MAGIC.len() {
                return Ok(());
            }
            self.begin()?;
        }
        loop {
            match &mut self.frame {
                Frame::Unknown => return Ok(()),
                Frame::Plain => {
                    let bytes = std::mem::take(&mut self.pending);
                    return self.entry.take(&self.expected, self.object_len, &bytes, payload);
                }
                Frame::Signed { file_len, number, left } => {
                    let len = (*left).min(SEGMENT as u64) as usize;
                    if *left == 0 {
                        return if self.pending.is_empty() {
                            Ok(())
                        } else {
                            Err(refused("is too long"))
                        };
                    }
                    if self.pending.len() < SIGNATURE + len {
                        return Ok(());
                    }
                    let name = &self.expected.name();
                    let (signature, rest) = self.pending.split_at(SIGNATURE);
                    let bytes = &rest[..len];
                    let segment = Segment { name, file_len: *file_len, number: *number, bytes };
                    if self.keys.as_ref().is_some_and(|keys| !keys.have_signed(&segment, signature))
                    {
                        return Err(refused("is not signed by one of the keys"));
                    }
                    self.entry.take(&self.expected, *file_len, bytes, payload)?;
                    *number += 1;
                    *left -= len as u64;
                    self.pending.drain(..SIGNATURE + len);
                }
            }
        }
    }

    /// Ends the object.
    ///
    /// # Errors
    ///
    /// If bytes are missing, or its checksum is wrong.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if !self.pending.is_empty() {
            return Err(refused("is cut off"));
        }
        self.entry.finish()
    }

    /// Tells the framing from the first bytes.
    fn begin(&mut self) -> Result<(), Error> {
        if self.pending[..MAGIC.len()] != MAGIC {
            if self.keys.is_some() {
                return Err(refused("is not signed"));
            }
            self.frame = Frame::Plain;
            return Ok(());
        }
        let Some(len) = self.pending.get(MAGIC.len()..HEAD as usize) else { return Ok(()) };
        let mut bytes = [0; 8];
        bytes.copy_from_slice(len);
        let file_len = u64::from_le_bytes(bytes);
        if file_len >= self.object_len || object_len(file_len, true) != self.object_len {
            return Err(refused("has another length than it says"));
        }
        self.frame = Frame::Signed { file_len, number: 0, left: file_len };
        self.pending.drain(..HEAD as usize);
        Ok(())
    }
}

/// Reads an entry's file as its bytes come.
#[derive(Default)]
struct EntryReader {
    /// The bytes of the header, or of the trailer, that have come.
    held: Vec<u8>,
    /// The header, once it is known.
    header: Option<Header>,
    /// The checksum behind the header, once that is known.
    checksum: Option<Checksum>,
    payload_len: u64,
    /// The bytes of payload that are still to come.
    left: u64,
}

impl std::fmt::Debug for EntryReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryReader").field("left", &self.left).finish_non_exhaustive()
    }
}

impl EntryReader {
    fn take(
        &mut self,
        expected: &Expectation,
        file_len: u64,
        mut bytes: &[u8],
        payload: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.checksum.is_none() {
            self.held.extend_from_slice(bytes);
            let Some(header_len) = self.read_header(expected, file_len)? else { return Ok(()) };
            let held = std::mem::take(&mut self.held);
            return self.take(expected, file_len, &held[header_len..], payload);
        }
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes[..len]);
        }
        payload.extend_from_slice(&bytes[..len]);
        self.left -= len as u64;
        bytes = &bytes[len..];
        if self.held.len() + bytes.len() > TRAILER {
            return Err(refused("is too long"));
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// Reads the header, once it is there; returns its length.
    fn read_header(
        &mut self,
        expected: &Expectation,
        file_len: u64,
    ) -> Result<Option<usize>, Error> {
        let is_whole = self.held.len() >= MAX_HEADER || self.held.len() as u64 >= file_len;
        let (header, len) = match Header::decode(&self.held) {
            Err(Damage::Length) if !is_whole => return Ok(None),
            Err(Damage::Magic) => return Err(refused("is no entry")),
            Err(_) => return Err(refused("has a damaged header")),
            Ok(found) => found,
        };
        if !expected.is_met_by(&header) {
            return Err(refused("belongs to another file"));
        }
        let frame = (len + TRAILER) as u64;
        let payload_len =
            file_len.checked_sub(frame).filter(|len| (1..=expected.max_payload()).contains(len));
        let (Kind::Representation, None, Some(payload_len)) =
            (header.kind, header.dictionary, payload_len)
        else {
            return Err(refused("has an impossible header"));
        };
        let mut checksum = Checksum::new();
        checksum.update(&self.held[..len]);
        self.checksum = Some(checksum);
        self.header = Some(header);
        (self.payload_len, self.left) = (payload_len, payload_len);
        Ok(Some(len))
    }

    fn finish(&mut self) -> Result<(), Error> {
        let Some(checksum) = self.checksum.take().filter(|_| self.left == 0) else {
            return Err(refused("is cut off"));
        };
        if self.held != checksum.trailer(self.payload_len) {
            return Err(refused("has a wrong checksum"));
        }
        Ok(())
    }
}

/// The beginning of a sentence about an object that is not the expected one.
const OBJECT: &str = "the object in the shared store ";

/// The error of an object that is not the expected one.
fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::Encoder, format!("{OBJECT}{why}"))
}

/// The damage of an object, without the beginning of the sentence about it.
pub(super) fn damage(error: &Error) -> String {
    let sentence = error.to_string();
    sentence.strip_prefix(OBJECT).map_or_else(|| sentence.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::http::{ContentCoding, Digest, EncoderId};

    const SECRET: &[u8] = b"a secret of the tests";

    fn keys(secrets: &[&[u8]]) -> Option<Arc<Keys>> {
        Keys::new(&secrets.iter().map(|secret| secret.to_vec()).collect::<Vec<_>>()).map(Arc::new)
    }

    fn expected(max_payload: u64) -> Expected {
        let key = Key {
            digest: Digest::of(b"source"),
            coding: ContentCoding::new("br").unwrap(),
            id: EncoderId::derive(b"encoder", b"sample"),
        };
        Expected { key, source_len: 1_000_000, max_payload }
    }

    /// The file of an entry that has this payload.
    fn file(expected: &Expected, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            kind: Kind::Representation,
            key: expected.key.clone(),
            source_len: expected.source_len,
            created: SystemTime::UNIX_EPOCH,
            dictionary: None,
            settings: "encoder 1 level=5".to_owned(),
        };
        let mut file = header.encode();
        file.extend_from_slice(payload);
        let mut checksum = Checksum::new();
        checksum.update(&file);
        file.extend_from_slice(&checksum.trailer(payload.len() as u64));
        file
    }

    fn object(keys: Option<Arc<Keys>>, expected: &Expected, file: &[u8]) -> Vec<u8> {
        let is_signed = keys.is_some();
        let mut writer = ObjectWriter::new(keys, &expected.key, file.len() as u64);
        let mut object = Vec::new();
        file.chunks(SEGMENT).for_each(|segment| writer.add(segment, &mut object));
        assert_eq!(object.len() as u64, object_len(file.len() as u64, is_signed));
        object
    }

    /// Reads an object in parts of `size` bytes. Returns its payload, and what was known of it when the
    /// error came.
    fn read(
        expected: &Expected,
        keys: Option<Arc<Keys>>,
        object: &[u8],
        size: usize,
    ) -> (Vec<u8>, Result<(), Error>) {
        let mut reader = ObjectReader::new(expected.clone(), keys, object.len() as u64);
        let mut payload = Vec::new();
        for part in object.chunks(size) {
            if let Err(error) = reader.take(part, &mut payload) {
                return (payload, Err(error));
            }
        }
        let end = reader.finish();
        (payload, end)
    }

    #[test]
    fn object_is_read_in_parts_of_any_size() {
        let signer = keys(&[SECRET]);
        for len in [1, 100, SEGMENT - 400, SEGMENT, 2 * SEGMENT + 17] {
            let payload: Vec<u8> = (0..len).map(|at| (at / 3) as u8).collect();
            let expected = expected(3 << 20);
            let file = file(&expected, &payload);
            for keys in [None, signer.clone()] {
                let object = object(keys.clone(), &expected, &file);
                assert!(keys.is_some() || object == file, "it is the entry's file");
                assert!(expected.may_have(object.len() as u64));
                for size in [1, 7, 4096, 300_000, usize::MAX] {
                    if size == 1 && len > 1000 {
                        continue;
                    }
                    let (read, end) = read(&expected, keys.clone(), &object, size);
                    assert!(end.is_ok() && read == payload, "{len} by {size}: {end:?}");
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let expected = expected(1 << 20);
        let file = file(&expected, &[7; 300]);
        for keys in [None, keys(&[SECRET])] {
            let good = object(keys.clone(), &expected, &file);
            for at in 0..good.len() {
                for bit in [1, 16, 128] {
                    let mut bad = good.clone();
                    bad[at] ^= bit;
                    let (_, end) = read(&expected, keys.clone(), &bad, 64);
                    assert!(end.is_err(), "bit {bit} at {at}, {keys:?}");
                }
                let (_, end) = read(&expected, keys.clone(), &good[..at], 64);
                assert!(end.is_err(), "{at} bytes, {keys:?}");
            }
            let (_, end) = read(&expected, keys.clone(), &[&good[..], b"x"].concat(), 64);
            assert!(end.is_err(), "a byte more, {keys:?}");
        }
    }

    /// A reader of a growing body has no byte that nobody has signed.
    #[test]
    fn bytes_behind_a_wrong_signature_are_not_handed_out() {
        let expected = expected(3 << 20);
        let payload = vec![9; 2 * SEGMENT];
        let keys = keys(&[SECRET]);
        let file = file(&expected, &payload);
        let mut object = object(keys.clone(), &expected, &file);
        // In the second segment.
        let at = SEGMENT + 200;
        object[at] ^= 1;
        let (read, end) = read(&expected, keys, &object, 1000);
        assert!(end.is_err() && read.len() < SEGMENT, "{} bytes", read.len());
    }

    #[test]
    fn signed_segments_cannot_be_moved() {
        let expected = expected(3 << 20);
        let keys = keys(&[SECRET]);
        let file = file(&expected, &vec![9; 3 * SEGMENT]);
        let object = object(keys.clone(), &expected, &file);
        let signed = SEGMENT + SIGNATURE;
        let head = HEAD as usize;
        let swapped = [
            &object[..head + signed],
            &object[head + 2 * signed..head + 3 * signed],
            &object[head + signed..head + 2 * signed],
            &object[head + 3 * signed..],
        ];
        let (_, end) = read(&expected, keys, &swapped.concat(), 1 << 20);
        assert!(end.is_err());
    }

    #[test]
    fn keys_decide_which_objects_are_taken() {
        const OTHER: &[u8] = b"another secret of the tests";
        let expected = expected(1 << 20);
        let file = file(&expected, &[7; 300]);
        let plain = object(None, &expected, &file);
        let signed = object(keys(&[SECRET]), &expected, &file);
        for (object, secrets, is_taken) in [
            (&plain, &[][..], true),
            (&plain, &[SECRET], false),
            (&signed, &[], true),
            (&signed, &[SECRET], true),
            (&signed, &[OTHER, SECRET], true),
            (&signed, &[OTHER], false),
        ] {
            let (_, end) = read(&expected, keys(secrets), object, 100);
            assert_eq!(end.is_ok(), is_taken, "{secrets:?}");
        }
    }

    #[test]
    fn object_of_another_key_source_or_length_is_refused() {
        let right = expected(1 << 20);
        let object = file(&right, &[7; 300]);
        let other = Key { digest: Digest::of(b"other"), ..right.key.clone() };
        let wrong = [
            Expected { key: other, ..right.clone() },
            Expected { source_len: 999_999, ..right.clone() },
            Expected { max_payload: 299, ..right.clone() },
        ];
        for expected in wrong {
            assert!(read(&expected, None, &object, 100).1.is_err(), "{expected:?}");
        }
        assert!(!right.may_have(10 << 30) && !right.may_have(0));
    }

    #[test]
    fn path_has_nothing_but_the_digest_and_the_encoder() {
        let expected = expected(1);
        let name = expected.key.file_name();
        let path = path_of(&Path::from("fleet/site"), &expected.key);
        assert_eq!(path.to_string(), format!("fleet/site/v1/e/{}/{name}", &name[..2]));
    }
}
