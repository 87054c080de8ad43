//! What lies on the disk, by name: sizes, and the order of last use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use hashlink::LinkedHashMap;

use super::key::Name;
use super::reader::Entry;
use crate::fs::DiskFile;
use crate::sync::{Mutex, lock};

/// The bounds of a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// Names and sizes of all entries, the least recently used first, and what is promised to
/// writers.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: LinkedHashMap<Name, u64>,
    /// The same names by directory.
    shards: HashMap<u8, HashSet<Name>>,
    bytes: u64,
    reserved: Arc<Mutex<Reserved>>,
    /// Evicted, but open still: their bytes are not free yet.
    lingering: Vec<(Weak<dyn DiskFile>, u64)>,
    /// The modification times of the 256 directories when they were last read.
    pub(super) scanned: HashMap<u8, i128>,
}

#[derive(Debug, Default)]
struct Reserved {
    bytes: u64,
    entries: u64,
}

/// Room that is kept free for a writer until it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    bytes: u64,
    reserved: Arc<Mutex<Reserved>>,
}

impl Reservation {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = lock(&self.reserved);
        reserved.bytes -= self.bytes;
        reserved.entries -= 1;
    }
}

impl Index {
    /// The bytes of all entries.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of entries.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// All names that `shard` holds.
    pub(super) fn in_shard(&self, shard: u8) -> HashSet<Name> {
        self.shards.get(&shard).cloned().unwrap_or_default()
    }

    pub(super) fn contains(&self, name: &Name) -> bool {
        self.entries.contains_key(name)
    }

    /// Adds an entry as the most recently used one.
    pub(super) fn insert(&mut self, name: Name, size: u64) {
        let before = self.entries.insert(name, size).unwrap_or(0);
        self.shards.entry(name.shard()).or_default().insert(name);
        self.bytes = self.bytes - before + size;
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, name: &Name) -> Option<u64> {
        let size = self.entries.remove(name)?;
        if let Some(names) = self.shards.get_mut(&name.shard()) {
            names.remove(name);
        }
        self.bytes -= size;
        Some(size)
    }

    /// Makes an entry the most recently used one.
    pub(super) fn used(&mut self, name: &Name) {
        self.entries.to_back(name);
    }

    /// Makes an entry the first to go.
    pub(super) fn demote(&mut self, name: &Name) {
        self.entries.to_front(name);
    }

    /// The entry that goes first, and its size.
    pub(super) fn coldest(&self) -> Option<(Name, u64)> {
        self.entries.front().map(|(name, size)| (*name, *size))
    }

    /// Counts `entry`'s bytes until the last who reads it has closed it.
    pub(super) fn linger(&mut self, entry: &Arc<Entry>) {
        self.lingering.push((Arc::downgrade(&entry.file), entry.size()));
    }

    /// Whether `bytes` would fit if all that can be evicted were.
    pub(super) fn could_make_room(&mut self, bytes: u64, bounds: Bounds) -> bool {
        let lingering = self.lingering();
        let reserved = lock(&self.reserved);
        lingering.saturating_add(reserved.bytes).saturating_add(bytes) <= bounds.bytes
            && reserved.entries < bounds.entries
    }

    /// Keeps `bytes` free, if the bounds have room for them.
    pub(super) fn reserve(&mut self, bytes: u64, bounds: Bounds) -> Option<Reservation> {
        let lingering = self.lingering();
        let mut reserved = lock(&self.reserved);
        let all = self.bytes.saturating_add(lingering).saturating_add(reserved.bytes);
        if all.saturating_add(bytes) > bounds.bytes
            || self.entries.len() as u64 + reserved.entries + 1 > bounds.entries
        {
            return None;
        }
        reserved.bytes += bytes;
        reserved.entries += 1;
        drop(reserved);
        Some(Reservation { bytes, reserved: Arc::clone(&self.reserved) })
    }

    fn lingering(&mut self) -> u64 {
        self.lingering.retain(|(file, _)| file.strong_count() > 0);
        self.lingering.iter().map(|(_, size)| size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Key;
    use crate::semantics::{ContentCoding, Digest, EncoderId};

    fn name(content: u8) -> Name {
        let id = EncoderId::derive(b"", b"");
        Key { digest: Digest::of(&[content]), coding: ContentCoding::GZIP, id }.name()
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut index = Index::default();
        (0..3).for_each(|n| index.insert(name(n), 10));
        index.used(&name(0));
        assert_eq!(index.coldest(), Some((name(1), 10)));
        index.demote(&name(2));
        assert_eq!(index.coldest(), Some((name(2), 10)));
        assert_eq!(index.remove(&name(2)), Some(10));
        assert_eq!(index.remove(&name(2)), None);
        assert_eq!((index.len(), index.bytes()), (2, 20));
        index.insert(name(1), 4);
        assert_eq!((index.len(), index.bytes()), (2, 14), "the same name counts once");
    }

    #[test]
    fn nothing_is_evicted_for_what_cannot_fit_anyway() {
        let bounds = Bounds { bytes: 100, entries: 2 };
        let mut index = Index::default();
        index.insert(name(0), 90);
        assert!(index.could_make_room(100, bounds), "all of it can go");
        let held = index.reserve(10, bounds).unwrap();
        assert!(index.could_make_room(90, bounds));
        assert!(!index.could_make_room(91, bounds), "what is reserved cannot");
        index.remove(&name(0));
        let _other = index.reserve(10, bounds).unwrap();
        assert!(!index.could_make_room(1, bounds), "two entries are the bound");
        drop(held);
        assert!(index.could_make_room(1, bounds));
    }

    #[test]
    fn what_is_reserved_counts_until_it_is_given_back() {
        let bounds = Bounds { bytes: 100, entries: 3 };
        let mut index = Index::default();
        index.insert(name(0), 30);
        let first = index.reserve(70, bounds).expect("just fits");
        assert!(index.reserve(1, bounds).is_none(), "no byte is left");
        drop(first);
        let _one = index.reserve(1, bounds).expect("one");
        let _two = index.reserve(1, bounds).expect("two");
        assert!(index.reserve(1, bounds).is_none(), "three entries are the bound");
    }
}
