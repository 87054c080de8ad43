//! The model of an entry's bytes.

use std::time::{Duration, SystemTime};

use arbitrary::{Result, Unstructured};
use xxhash_rust::xxh3::xxh3_64;

use crate::cache::{Checksum, Damage, Entry, Header, Key, Kind, MAX_HEADER, ReadError, TRAILER};
use crate::fs::{Disk as _, MemoryDisk};
use crate::http::{ContentCoding, Digest, EncoderId};

/// Checks the parser of entries (header, payload and trailer) against any bytes.
///
/// It tries the bytes themselves, and the bytes sealed with right checksums, so that the parser
/// sees their fields. It tries them behind the fixed fields of a good header, too, and a good entry
/// with some damage.
pub fn entry(input: &[u8]) {
    survives(input);
    survives(&sealed(input));
    let mut choices = Unstructured::new(input);
    if let Ok(header) = any_header(&mut choices) {
        let fixed = &header.encode()[..144];
        survives(&sealed(&[fixed, choices.peek_bytes(choices.len()).unwrap_or_default()].concat()));
        reads_back(&header);
        // The damage that was done when the choices ran out suffices.
        let _ = damaged(&header, &mut choices);
    }
}

/// Checks that decoding does not panic, and that a decoded header reads back as itself.
fn survives(bytes: &[u8]) {
    let Ok((header, len)) = Header::decode(bytes) else { return };
    assert!(len <= bytes.len() && len <= MAX_HEADER && len.is_multiple_of(8), "{len}");
    assert!(header.settings.len() <= 3 * MAX_HEADER, "a header's settings outgrow it");
    let again = header.encode();
    assert!(again.len() <= MAX_HEADER, "{} bytes", again.len());
    let (read, _) = Header::decode(&again).expect("an encoded header decodes");
    // Settings are text for people. Bytes that are no UTF-8, and text that is too long, are
    // dropped.
    assert_eq!(
        Header { settings: String::new(), ..read },
        Header { settings: String::new(), ..header.clone() }
    );
    reads_back(&header);
}

fn reads_back(header: &Header) {
    let bytes = header.encode();
    let read = Header::decode(&bytes).expect("an encoded header decodes");
    assert_eq!(read.1, bytes.len());
    if header.settings.len() <= MAX_HEADER - 144 - 8 {
        assert_eq!(read.0, *header);
    }
}

/// Seals `input` as a header of this format, with right length and checksum.
fn sealed(input: &[u8]) -> Vec<u8> {
    let mut bytes = input[..input.len().min(MAX_HEADER)].to_vec();
    bytes.resize(bytes.len().max(144).next_multiple_of(8), 0);
    bytes[..8].copy_from_slice(b"\x89CCE\r\n\x1a\n");
    bytes[8..10].copy_from_slice(&[1, 0]);
    let len = bytes.len() as u32;
    bytes[12..16].copy_from_slice(&len.to_le_bytes());
    bytes[16..24].fill(0);
    let checksum = xxh3_64(&bytes);
    bytes[16..24].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn any_header(choices: &mut Unstructured<'_>) -> Result<Header> {
    let codings = [
        ContentCoding::BROTLI,
        ContentCoding::ZSTD,
        ContentCoding::GZIP,
        ContentCoding::DCB,
        ContentCoding::new("x-a-coding-of-thirty-two-bytes-.").expect("a token"),
    ];
    let dictionary: Option<[u8; 32]> = choices.arbitrary()?;
    Ok(Header {
        kind: *choices.choose(&[Kind::Representation, Kind::Unprofitable, Kind::EncoderAtFault])?,
        key: Key {
            digest: Digest::from_bytes(choices.arbitrary()?),
            coding: choices.choose(&codings)?.clone(),
            id: EncoderId::derive(&choices.arbitrary::<[u8; 4]>()?, b""),
        },
        source_len: choices.arbitrary()?,
        // The clock of every platform goes so far.
        created: SystemTime::UNIX_EPOCH + Duration::from_secs(choices.arbitrary::<u32>()?.into()),
        dictionary: dictionary.filter(|bytes| *bytes != [0; 32]).map(Digest::from_bytes),
        // A header has no room for the longest of these.
        settings: "s".repeat(choices.int_in_range(0..=8000)?) + choices.arbitrary()?,
    })
}

/// Checks that a good entry is verified, and that no changed one is, or panics.
fn damaged(header: &Header, choices: &mut Unstructured<'_>) -> Result<()> {
    let kept = header.kind == Kind::Representation;
    let payload = if kept { choices.arbitrary::<&[u8]>()? } else { &[] };
    let mut bytes = header.encode();
    bytes.extend_from_slice(payload);
    let mut checksum = Checksum::new();
    checksum.update(&bytes);
    bytes.extend_from_slice(&checksum.trailer(payload.len() as u64));
    let read = verified(&bytes, &header.key);
    // The codings with a dictionary name it, and no encode is empty.
    let needs_dictionary = header.key.coding == ContentCoding::DCB;
    if header.dictionary.is_some() != needs_dictionary || (kept && payload.is_empty()) {
        assert!(matches!(read, Err(ReadError::Damaged(Damage::Field))), "{read:?}");
        return Ok(());
    }
    let good = read.expect("a good entry");
    assert_eq!((good.payload_len(), good.size()), (payload.len() as u64, bytes.len() as u64));
    assert_eq!(good.kind(), header.kind);

    let before = bytes.clone();
    match choices.int_in_range(0..=4)? {
        0 => bytes.truncate(choices.choose_index(bytes.len())?),
        1 => bytes.extend_from_slice(&choices.arbitrary::<[u8; 3]>()?),
        2 => {
            let at = choices.choose_index(bytes.len())?;
            bytes[at] ^= choices.int_in_range(1..=255)?;
            let is_header = at < header.encode().len();
            assert!(!is_header || Header::decode(&bytes).is_err(), "byte {at} of the header");
        }
        3 => {
            let (from, to) = (choices.choose_index(bytes.len())?, bytes.len());
            bytes[from..to].fill(0);
        }
        // A trailer with a right checksum announces a payload longer by one byte.
        _ => {
            let at = bytes.len() - TRAILER;
            bytes.truncate(at);
            let mut checksum = Checksum::new();
            checksum.update(&bytes);
            bytes.extend_from_slice(&checksum.trailer(payload.len() as u64 + 1));
        }
    }
    if bytes != before {
        let read = verified(&bytes, &header.key);
        assert!(matches!(read, Err(ReadError::Damaged(_))), "damage was not found: {read:?}");
    }
    let other = Key { id: EncoderId::derive(b"another", b"encoder"), ..header.key.clone() };
    assert!(verified(&before, &other).is_err(), "an entry passes for another key's");
    Ok(())
}

fn verified(bytes: &[u8], key: &Key) -> std::result::Result<Entry, ReadError> {
    let disk = MemoryDisk::new();
    let dir = std::path::Path::new("/entries");
    disk.create_private_dir(dir)?;
    let file = disk.create_unnamed(dir)?;
    file.write_all_at(bytes, 0)?;
    Entry::verify(file, |found| found == key)
}
