//! Damage to the bytes of a cache's entry.
//!
//! Written after `docs/format.md`, not after the library, so that the two check each other.
//! [`plain`] knows no format: flips, cuts, zeros. [`fields`] knows all of it: each field gets the
//! values at which code goes wrong, with the checksums left wrong and made right again.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The length of an entry's header without its fields.
pub const FIXED: usize = 144;
/// The length of an entry's trailer.
pub const TRAILER: usize = 32;

const HEADER_LEN: std::ops::Range<usize> = 12..16;
const HEADER_CHECKSUM: std::ops::Range<usize> = 16..24;

/// A damaged copy of an entry.
#[derive(Clone, Debug)]
pub struct Damaged {
    /// A description of the damage.
    pub name: String,
    /// The copy.
    pub bytes: Vec<u8>,
    /// Whether a reader may take the copy for good, because it says the same of the same payload,
    /// and all checksums are right. Every other copy has to be found out.
    pub may_pass: bool,
}

impl Damaged {
    fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), bytes, may_pass: false }
    }
}

/// A field of header or trailer.
struct Field {
    name: &'static str,
    at: usize,
    len: usize,
    /// Whether a change to the field, with right checksums, says nothing else of the payload.
    free: fn(&[u8], &[u8]) -> bool,
}

/// The header length that an entry states, at most the length of the entry.
#[must_use]
pub fn header_len(entry: &[u8]) -> usize {
    let field = entry.get(HEADER_LEN).and_then(|bytes| bytes.try_into().ok());
    field.map_or(0, |bytes| u32::from_le_bytes(bytes) as usize).min(entry.len())
}

/// Makes both checksums right. Other defects stay.
pub fn seal(entry: &mut [u8]) {
    seal_header(entry);
    seal_trailer(entry);
}

/// Makes the header's checksum right.
pub fn seal_header(entry: &mut [u8]) {
    let len = header_len(entry);
    if len < HEADER_CHECKSUM.end {
        return;
    }
    entry[HEADER_CHECKSUM].fill(0);
    let checksum = xxh3_64(&entry[..len]);
    entry[HEADER_CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes the trailer's checksum right.
pub fn seal_trailer(entry: &mut [u8]) {
    let Some(end) = entry.len().checked_sub(16) else { return };
    let checksum = xxh3_128(&entry[..end]);
    entry[end..].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes a consistent entry of another kind (1 representation, 2 unprofitable, 3 encoder at fault)
/// without the payload.
#[must_use]
pub fn without_payload(entry: &[u8], kind: u8) -> Vec<u8> {
    let header = header_len(entry);
    let mut bytes = [&entry[..header], &entry[entry.len() - TRAILER..]].concat();
    bytes[10] = kind;
    bytes[header + 8..header + 16].fill(0);
    seal(&mut bytes);
    bytes
}

/// Damage that knows nothing of the format: bits flipped at about `flips` places, cuts at about
/// as many lengths, additions, zeros, and parts of `other`, an entry of another name.
#[must_use]
pub fn plain(entry: &[u8], other: &[u8], flips: usize) -> Vec<Damaged> {
    let len = entry.len();
    let mut all = Vec::new();
    let step = (len / flips.max(1)).max(1);
    for at in (0..len).step_by(step).chain([len - 1]) {
        let mut bytes = entry.to_vec();
        bytes[at] ^= 1 << (at % 8);
        all.push(Damaged::new(format!("bit {} of byte {at}", at % 8), bytes));
    }
    let edges = [0, 1, 8, FIXED - 1, FIXED, header_len(entry), len - TRAILER, len - 16, len - 1];
    for cut in (0..len).step_by(step).chain(edges).filter(|cut| *cut < len) {
        all.push(Damaged::new(format!("cut to {cut} bytes"), entry[..cut].to_vec()));
    }
    for more in [1, 8, TRAILER, 4096] {
        let bytes = [entry, &vec![0; more]].concat();
        all.push(Damaged::new(format!("{more} bytes more"), bytes));
    }
    for (name, bytes) in [
        ("twice", [entry, entry].concat()),
        ("a byte in front", [b"x", entry].concat()),
        ("the first byte missing", entry[1..].to_vec()),
        ("zeros", vec![0; len]),
        ("ones", vec![0xff; len]),
        ("another entry", other.to_vec()),
        ("another entry behind", [entry, other].concat()),
        ("its head, another's tail", spliced(entry, other)),
        ("another's head, its tail", spliced(other, entry)),
    ] {
        all.push(Damaged::new(name, bytes));
    }
    let middle = (len / 2) / 4096 * 4096;
    for (name, range) in [
        ("a zeroed head", 0..FIXED),
        ("a zeroed header", 0..header_len(entry)),
        ("a zeroed trailer", len - TRAILER..len),
        ("a zeroed page in the middle", middle..(middle + 4096).min(len)),
        ("a zeroed last page", (len - 1) / 4096 * 4096..len),
    ] {
        let mut bytes = entry.to_vec();
        bytes[range].fill(0);
        all.push(Damaged::new(name, bytes));
    }
    all.retain(|damaged| damaged.bytes != entry);
    all
}

fn spliced(head: &[u8], tail: &[u8]) -> Vec<u8> {
    [&head[..head.len() / 2], &tail[tail.len() / 2..]].concat()
}

/// Damage to every field of the header and the trailer, by the values of `values`.
#[must_use]
pub fn fields(entry: &[u8]) -> Vec<Damaged> {
    let never: fn(&[u8], &[u8]) -> bool = |_, _| false;
    let always: fn(&[u8], &[u8]) -> bool = |_, _| true;
    let end = entry.len() - TRAILER;
    let list = [
        Field { name: "magic", at: 0, len: 8, free: never },
        Field { name: "format", at: 8, len: 2, free: never },
        // One verdict for another changes no byte that is sent.
        Field { name: "kind", at: 10, len: 1, free: both_verdicts },
        Field { name: "coding's length", at: 11, len: 1, free: never },
        Field { name: "header's length", at: 12, len: 4, free: never },
        Field { name: "header's checksum", at: 16, len: 8, free: never },
        Field { name: "source's length", at: 24, len: 8, free: always },
        Field { name: "digest", at: 32, len: 32, free: never },
        Field { name: "coding", at: 64, len: 32, free: same_coding },
        Field { name: "id", at: 96, len: 8, free: never },
        Field { name: "creation", at: 104, len: 8, free: always },
        Field { name: "dictionary", at: 112, len: 32, free: never },
        Field { name: "field's type", at: 144, len: 2, free: fits },
        Field { name: "field's length", at: 146, len: 2, free: fits },
        Field { name: "settings", at: 148, len: 8, free: always },
        Field { name: "trailer's magic", at: end, len: 8, free: never },
        Field { name: "payload's length", at: end + 8, len: 8, free: never },
        Field { name: "trailer's checksum", at: end + 16, len: 16, free: never },
    ];
    list.iter().flat_map(|field| damage_field(entry, field)).collect()
}

fn damage_field(entry: &[u8], field: &Field) -> Vec<Damaged> {
    let range = field.at..field.at + field.len;
    let mut all = Vec::new();
    for value in values(&entry[range.clone()], entry.len()) {
        let mut left = entry.to_vec();
        left[range.clone()].copy_from_slice(&value);
        if left == entry {
            continue;
        }
        let name = |checksums: &str| format!("{} {value:02x?}, {checksums}", field.name);
        all.push(Damaged::new(name("checksums left"), left.clone()));
        let mut half = left.clone();
        seal_header(&mut half);
        if half != left && half != entry {
            all.push(Damaged::new(name("header's checksum made right"), half));
        }
        let mut sealed = left.clone();
        seal(&mut sealed);
        if sealed != left && sealed != entry {
            let may_pass = (field.free)(entry, &sealed);
            let name = name("checksums made right");
            all.push(Damaged { name, bytes: sealed, may_pass });
        }
    }
    all
}

/// The values at which code goes wrong, for a field that holds `now` in a file of `file_len`
/// bytes: none, one, all bits, one more and one less, eight more and less, bounds of the numbers
/// and of the header, the file's length, each bit of the first byte, other codings' names.
fn values(now: &[u8], file_len: usize) -> Vec<Vec<u8>> {
    let len = now.len();
    let mut all = vec![vec![0; len], vec![0xff; len]];
    let number = |value: u64| {
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.resize(len.max(8), 0);
        bytes.truncate(len);
        bytes
    };
    if len <= 8 {
        let mut present = [0; 8];
        present[..len].copy_from_slice(now);
        let present = u64::from_le_bytes(present);
        for by in [1, 4, 7, 8] {
            all.push(number(present.wrapping_add(by)));
            all.push(number(present.wrapping_sub(by)));
        }
        let file_len = file_len as u64;
        for value in [1, 2, 3, 4, 32, 33, 77, 136, 143, 144, 145, 152, 4088, 4096, 4097, 4104] {
            all.push(number(value));
        }
        for value in [file_len, file_len - 1, file_len - 32, file_len + 1] {
            all.push(number(value));
        }
        for value in [0x7fff, 0xffff, 0x7fff_ffff, u64::from(u32::MAX), i64::MAX as u64, u64::MAX] {
            all.push(number(value));
        }
    }
    for bit in 0..8 {
        for at in [0, len - 1] {
            let mut bytes = now.to_vec();
            bytes[at] ^= 1 << bit;
            all.push(bytes);
        }
    }
    if len == 32 {
        for name in ["br", "gzip", "zstd", "deflate", "BR", "GZIP", "x-gzip", "dcb", "identity"] {
            let mut bytes = name.as_bytes().to_vec();
            bytes.resize(len, 0);
            all.push(bytes);
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn both_verdicts(before: &[u8], after: &[u8]) -> bool {
    [before, after].iter().all(|entry| matches!(entry[10], 2 | 3))
}

/// Whether the name means the same coding. Letter case and bytes behind the name do not count.
fn same_coding(before: &[u8], after: &[u8]) -> bool {
    let name = |entry: &[u8]| entry[64..64 + usize::from(entry[11])].to_ascii_lowercase();
    name(before) == name(after)
}

/// Whether the fields stay within the header. Readers then skip them.
fn fits(_: &[u8], after: &[u8]) -> bool {
    let mut rest = &after[FIXED..header_len(after)];
    while rest.len() >= 4 && rest[..2] != [0, 0] {
        let len = 4 + usize::from(u16::from_le_bytes([rest[2], rest[3]]));
        let Some(next) = rest.get(len..) else { return false };
        rest = next;
    }
    true
}
