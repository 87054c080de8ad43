//! What lies on the disk, by name: sizes, and the order of last use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use hashlink::LinkedHashMap;

use super::key::Name;
use crate::concurrency::sync::{Mutex, lock};
use crate::fs::DiskFile;

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
    claims: Arc<Mutex<Claims>>,
    /// What writers in other processes have claimed, when that was last looked at.
    foreign: Take,
    /// Gone, but open still: their bytes are not free yet.
    lingering: Vec<(Weak<dyn DiskFile>, u64)>,
    /// When the 256 directories were last read, and their modification times then.
    pub(super) scanned: HashMap<u8, Scanned>,
}

/// A state in which a directory was read, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned {
    pub(super) modified: i128,
    pub(super) at: i128,
}

/// Bytes and entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Take {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// What this process's writers have claimed; their names, because their locks say the same.
type Claims = Vec<(Name, u64)>;

/// Room for an entry in the making, which counts until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    name: Name,
    bytes: u64,
    claims: Arc<Mutex<Claims>>,
}

impl Claim {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = lock(&self.claims);
        let this = (self.name, self.bytes);
        if let Some(at) = claims.iter().position(|claim| *claim == this) {
            claims.swap_remove(at);
        }
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

    /// Counts the `size` bytes of a file without a name until the last who reads it has closed it.
    pub(super) fn linger(&mut self, file: &Arc<dyn DiskFile>, size: u64) {
        self.lingering.push((Arc::downgrade(file), size));
    }

    /// Counts `bytes` for the entry `name`, whose lock the caller holds, whether they fit or not.
    pub(super) fn claim(&self, name: Name, bytes: u64) -> Claim {
        lock(&self.claims).push((name, bytes));
        Claim { name, bytes, claims: Arc::clone(&self.claims) }
    }

    /// Whether a writer of this process has a claim for `name`.
    pub(super) fn is_claimed(&self, name: &Name) -> bool {
        lock(&self.claims).iter().any(|(claimed, _)| claimed == name)
    }

    /// Notes what writers of other processes have claimed.
    pub(super) fn set_foreign(&mut self, foreign: Take) {
        self.foreign = foreign;
    }

    /// Whether everything that is there, and everything that is claimed, is within `bounds`.
    pub(super) fn fits(&mut self, bounds: Bounds) -> bool {
        let fixed = self.fixed();
        self.bytes.saturating_add(fixed.bytes) <= bounds.bytes
            && self.len() + fixed.entries <= bounds.entries
    }

    /// Whether it would be if everything were evicted that can be.
    pub(super) fn could_fit(&mut self, bounds: Bounds) -> bool {
        let fixed = self.fixed();
        fixed.bytes <= bounds.bytes && fixed.entries <= bounds.entries
    }

    /// How much of `bounds` is taken, in per cent.
    pub(super) fn per_cent(&mut self, bounds: Bounds) -> u64 {
        let fixed = self.fixed();
        let share = |taken: u64, bound: u64| taken.saturating_mul(100) / bound.max(1);
        share(self.bytes.saturating_add(fixed.bytes), bounds.bytes)
            .max(share(self.len() + fixed.entries, bounds.entries))
    }

    /// What no eviction gives back: claims, and what is gone but open.
    fn fixed(&mut self) -> Take {
        self.lingering.retain(|(file, _)| file.strong_count() > 0);
        let lingering: u64 = self.lingering.iter().map(|(_, size)| size).sum();
        let claims = lock(&self.claims);
        let claimed = claims.iter().fold(lingering, |sum, (_, bytes)| sum.saturating_add(*bytes));
        Take {
            bytes: claimed.saturating_add(self.foreign.bytes),
            entries: claims.len() as u64 + self.foreign.entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Key;
    use crate::http::{ContentCoding, Digest, EncoderId};

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
        let held = index.claim(name(1), 100);
        assert!(index.could_fit(bounds) && !index.fits(bounds), "all that is there can go");
        let more = index.claim(name(2), 1);
        assert!(!index.could_fit(bounds), "what is claimed cannot");
        drop(held);
        let _more = index.claim(name(3), 1);
        assert!(index.could_fit(bounds));
        let _third = index.claim(name(4), 1);
        assert!(!index.could_fit(bounds), "two entries are the bound");
        drop(more);
        assert!(index.could_fit(bounds));
        index.set_foreign(Take { bytes: 99, entries: 0 });
        assert!(!index.could_fit(bounds), "another process's claim cannot go either");
    }

    #[test]
    fn what_is_claimed_counts_until_it_is_given_back() {
        let bounds = Bounds { bytes: 100, entries: 3 };
        let mut index = Index::default();
        index.insert(name(0), 30);
        let first = index.claim(name(1), 70);
        assert!(index.fits(bounds) && index.is_claimed(&name(1)));
        assert_eq!(index.per_cent(bounds), 100);
        let second = index.claim(name(2), 1);
        assert!(!index.fits(bounds), "no byte is left");
        drop((first, second));
        assert!(!index.is_claimed(&name(1)));
        let _one = index.claim(name(1), 1);
        let _two = index.claim(name(2), 1);
        assert!(index.fits(bounds));
        index.set_foreign(Take { bytes: 0, entries: 1 });
        assert!(!index.fits(bounds), "three entries are the bound");
    }
}
