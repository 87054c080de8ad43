//! The ledger of uses, which outlives the process: how often entries were sent, and what the second pass has
//! spent and saved.
//!
//! ```text
//! cachecompress uses 1 2f6a…        format, XXH3-64 of all that follows
//! use <digest> br 57 12345 1 490000 hits, length of the first pass, class, hours since 1970 of the last hit
//! cpu 29384756 1200000000           minute since 1970, nanoseconds spent in it
//! saved br 1 5 61000.5 52000.25     class, digits of the length, bytes before and after
//! ```
//!
//! It is a file beside the format's directory, named `uses-` and a number. A new one gets the next number and is
//! published whole before the earlier one is removed, so that no kill at any instruction loses it. A damaged one
//! counts as missing: nothing but the hits is lost.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;

use xxhash_rust::xxh3::xxh3_64;

use super::entry::Kind;
use super::layout::Layout;
use super::stored_entry::StoredEntry;
use crate::fs::{Disk, FileKind, read_full};
use crate::http::{ContentCoding, Digest};
use crate::limits::{LEDGER_BYTES, LEDGER_USES};

const HEAD: &str = "cachecompress uses 1 ";
const NAME: &str = "uses-";

/// The uses of entries, and the figures of the second pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ledger {
    pub(crate) uses: HashMap<(Digest, ContentCoding), StoredUse>,
    /// The nanoseconds of processor time that were spent, by the minute since 1970.
    pub(crate) spent: BTreeMap<u64, u64>,
    /// The bytes before and after better encodes, by coding, class and digits of the length.
    pub(crate) saved: HashMap<(ContentCoding, u8, u32), (f64, f64)>,
}

/// The use of a content in a coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredUse {
    pub(crate) hits: u64,
    /// The length of the payload of the first pass; 0 if it is not known.
    pub(crate) encoded_len: u64,
    /// The class of the media type.
    pub(crate) class: u8,
    /// The time of the last hit, in hours since 1970.
    pub(crate) used: u64,
}

impl Ledger {
    /// The hits of an entry, if they are known.
    pub(super) fn hits(&self, entry: &StoredEntry) -> Option<u64> {
        let is_sent = entry.kind == Kind::Representation;
        let key = is_sent.then(|| (entry.digest, entry.coding.clone()))?;
        self.uses.get(&key).map(|stored| stored.hits)
    }

    /// Takes over what `other` has beyond this. Two processes that share a cache each know a part.
    pub(crate) fn merge(&mut self, other: Self) {
        for (key, theirs) in other.uses {
            let ours = self.uses.entry(key).or_default();
            let used = ours.used.max(theirs.used);
            *ours = if ours.hits >= theirs.hits { *ours } else { theirs };
            ours.used = used;
        }
        for (minute, nanos) in other.spent {
            let ours = self.spent.entry(minute).or_default();
            *ours = nanos.max(*ours);
        }
        for (group, sums) in other.saved {
            self.saved.entry(group).or_insert(sums);
        }
    }

    /// Forgets the uses before the hour `oldest`, and the least recent ones beyond [`LEDGER_USES`].
    pub(crate) fn tidy(&mut self, oldest: u64) {
        self.uses.retain(|_, stored| stored.used >= oldest);
        let excess = self.uses.len().saturating_sub(LEDGER_USES);
        if excess > 0 {
            let mut times: Vec<_> = self.uses.values().map(|stored| stored.used).collect();
            times.sort_unstable();
            let first = times[excess];
            self.uses.retain(|_, stored| stored.used >= first);
        }
    }

    fn encode(&self) -> String {
        let mut text = String::new();
        for ((digest, coding), stored) in &self.uses {
            let StoredUse { hits, encoded_len, class, used } = stored;
            let digest = digest.hex();
            let _ = writeln!(text, "use {digest} {coding} {hits} {encoded_len} {class} {used}");
        }
        for (minute, nanos) in &self.spent {
            let _ = writeln!(text, "cpu {minute} {nanos}");
        }
        for ((coding, class, digits), (before, after)) in &self.saved {
            let _ = writeln!(text, "saved {coding} {class} {digits} {before} {after}");
        }
        format!("{HEAD}{:016x}\n{text}", xxh3_64(text.as_bytes()))
    }

    /// Reads a ledger; `None` if it is damaged, or of another format. No input makes it panic.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, text) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        let checksum = head.strip_prefix(HEAD)?;
        if checksum != format!("{:016x}", xxh3_64(text.as_bytes())) {
            return None;
        }
        let mut ledger = Self::default();
        text.lines().try_for_each(|line| ledger.read_line(line))?;
        Some(ledger)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let words: Vec<_> = line.split(' ').collect();
        let coding = |word: &str| ContentCoding::new(word).ok();
        match *words {
            ["use", digest, name, hits, encoded_len, class, used] => {
                let key = (Digest::from_hex(digest)?, coding(name)?);
                let stored = StoredUse {
                    hits: hits.parse().ok()?,
                    encoded_len: encoded_len.parse().ok()?,
                    class: class.parse().ok()?,
                    used: used.parse().ok()?,
                };
                self.uses.insert(key, stored);
            }
            ["cpu", minute, nanos] => {
                self.spent.insert(minute.parse().ok()?, nanos.parse().ok()?);
            }
            ["saved", name, class, digits, before, after] => {
                let key = (coding(name)?, class.parse().ok()?, digits.parse().ok()?);
                self.saved.insert(key, (before.parse().ok()?, after.parse().ok()?));
            }
            _ => return None,
        }
        Some(())
    }
}

/// The number in the name of a ledger's file.
fn number_of(name: &OsStr) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix(NAME)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (digits == format!("{number:016x}")).then_some(number)
}

fn numbers(disk: &dyn Disk, layout: &Layout) -> io::Result<Vec<u64>> {
    let names = disk.list(&layout.root)?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads the newest ledger that is whole. Blocks on the disk.
pub(super) fn read(disk: &dyn Disk, layout: &Layout) -> Ledger {
    let numbers = numbers(disk, layout).unwrap_or_default();
    let read = |number: &u64| {
        let path = layout.ledger(*number);
        let found = disk.stat_link(&path).ok()?;
        let len = usize::try_from(found.fingerprint.size).ok()?;
        if found.kind != FileKind::Regular || len > LEDGER_BYTES {
            return None;
        }
        let mut bytes = vec![0; len];
        let filled = read_full(&*disk.open(&path).ok()?, &mut bytes, 0).ok()?;
        Ledger::decode(&bytes[..filled])
    };
    numbers.iter().rev().find_map(read).unwrap_or_default()
}

/// Writes the ledger, and removes the earlier ones. Blocks on the disk.
pub(super) fn write(disk: &dyn Disk, layout: &Layout, ledger: &Ledger) -> io::Result<()> {
    let earlier = numbers(disk, layout)?;
    let number = earlier.last().map_or(0, |last| last.wrapping_add(1));
    let text = ledger.encode();
    let file = disk.create_unnamed(&layout.root)?;
    file.reserve(text.len() as u64)?;
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)?;
    file.publish(&layout.ledger(number))?;
    for number in earlier {
        let _ = disk.remove_file(&layout.ledger(number));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::fs::MemoryDisk;

    fn ledger(hits: u64) -> Ledger {
        let mut ledger = Ledger::default();
        let key = (Digest::of(b"content"), ContentCoding::BROTLI);
        let stored = StoredUse { hits, encoded_len: 1234, class: 2, used: 490_000 };
        ledger.uses.insert(key, stored);
        ledger.spent.insert(29_384_756, 1_200_000_000);
        ledger.saved.insert((ContentCoding::GZIP, 3, 5), (61_000.5, 52_000.25));
        ledger
    }

    fn disk() -> (MemoryDisk, Layout) {
        let (disk, layout) = (MemoryDisk::new(), Layout::new(PathBuf::from("/cache")));
        layout.create(&disk).unwrap();
        (disk, layout)
    }

    #[test]
    fn ledger_round_trips_and_no_flipped_bit_is_believed() {
        let good = ledger(57).encode().into_bytes();
        assert_eq!(Ledger::decode(&good), Some(ledger(57)));
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(Ledger::decode(&bad), None, "bit {at}");
        }
        for len in 0..good.len() {
            assert_eq!(Ledger::decode(&good[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn write_replaces_the_earlier_ledger_and_read_passes_a_damaged_one_over() {
        let (disk, layout) = disk();
        assert_eq!(read(&disk, &layout), Ledger::default());
        for hits in [1, 2, 3] {
            write(&disk, &layout, &ledger(hits)).unwrap();
            assert_eq!(read(&disk, &layout), ledger(hits));
            assert_eq!(numbers(&disk, &layout).unwrap().len(), 1);
        }
        let file = disk.create_unnamed(&layout.root).unwrap();
        file.write_all_at(b"cachecompress uses 1 0000000000000000\n", 0).unwrap();
        file.publish(&layout.ledger(77)).unwrap();
        assert_eq!(read(&disk, &layout), ledger(3), "the newest whole one");
        write(&disk, &layout, &ledger(4)).unwrap();
        assert_eq!(numbers(&disk, &layout).unwrap(), [78]);
    }

    #[test]
    fn merge_keeps_the_larger_counts_and_tidy_the_recent_uses() {
        let (mut ours, mut theirs) = (ledger(5), ledger(9));
        theirs.uses.insert(
            (Digest::of(b"other"), ContentCoding::GZIP),
            StoredUse { hits: 1, used: 7, ..StoredUse::default() },
        );
        ours.spent.insert(29_384_756, 2_000_000_000);
        ours.merge(theirs);
        let key = (Digest::of(b"content"), ContentCoding::BROTLI);
        assert_eq!((ours.uses[&key].hits, ours.uses.len()), (9, 2));
        assert_eq!(ours.spent[&29_384_756], 2_000_000_000);
        ours.tidy(8);
        assert_eq!(ours.uses.len(), 1, "the other one was not used of late");
    }
}
