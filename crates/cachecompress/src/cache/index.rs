//! The index of a cache: the size of each entry by name, and the order in which entries are evicted.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hashlink::LinkedHashMap;

use super::key::Name;
use crate::concurrency::sync::{Mutex, lock};
use crate::fs::DiskFile;
use crate::limits::{FILE_REST, REUSED_SHARE};

/// Bytes and entries: the bounds of a cache, or what is claimed of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// The names and sizes of all entries in the order of their eviction, and the claims of writers.
///
/// Entries that were used again since they came are evicted last, the least recently used one first
/// (a segmented LRU). A client that asks for every file once evicts what it brought itself.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The entries that were not used since they came.
    fresh: LinkedHashMap<Name, u64>,
    /// The entries that were. They leave [`REUSED_SHARE`] of the bounds to the others.
    reused: LinkedHashMap<Name, u64>,
    reused_bytes: u64,
    most_reused: Amount,
    /// The same names, by directory.
    shards: HashMap<u8, HashSet<Name>>,
    bytes: u64,
    claims: Arc<Mutex<Claims>>,
    /// The claims of writers in other processes, at the last look.
    foreign: Amount,
    /// Files that are gone, but still open: their bytes are not free yet.
    lingering: Vec<(Weak<dyn DiskFile>, u64)>,
    /// The state in which each of the 256 directories was last read.
    pub(super) scanned: HashMap<u8, Scanned>,
    /// The entries whose files are being removed.
    leaving: HashSet<Name>,
    /// The number of scans that run.
    scans: usize,
    /// Whether a scan has ended.
    was_scanned: bool,
    /// The entries whose files may have gone since the first of these scans began.
    gone: HashSet<Name>,
}

/// A state in which a directory was read, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned {
    pub(super) modified: i128,
    pub(super) at: i128,
}

impl Scanned {
    /// Whether a directory that was last modified at `modified` has not changed since this state,
    /// if it had then rested for `rest`.
    pub(super) fn vouches(&self, modified: i128, rest: Duration) -> bool {
        let in_seconds = modified % 1_000_000_000 == 0;
        let rest = if in_seconds { rest.max(FILE_REST) } else { rest };
        let rest = i128::try_from(rest.as_nanos()).unwrap_or(i128::MAX);
        self.modified == modified && self.at - modified >= rest
    }
}

/// The claims of this process's writers. Their names tell them from the claims that locks announce.
type Claims = Vec<(Name, u64)>;

/// Room for an entry that is being written. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    name: Name,
    bytes: u64,
    claims: Arc<Mutex<Claims>>,
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
    /// Creates the index of a cache with these `bounds`.
    pub(super) fn new(bounds: Amount) -> Self {
        let most = |bound: u64| bound - bound / REUSED_SHARE;
        let most_reused = Amount { bytes: most(bounds.bytes), entries: most(bounds.entries) };
        Self { most_reused, ..Self::default() }
    }

    /// The bytes of all entries.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of entries.
    pub(super) fn len(&self) -> u64 {
        (self.fresh.len() + self.reused.len()) as u64
    }

    /// The names in the directory `shard`.
    pub(super) fn in_shard(&self, shard: u8) -> HashSet<Name> {
        self.shards.get(&shard).cloned().unwrap_or_default()
    }

    pub(super) fn contains(&self, name: &Name) -> bool {
        self.fresh.contains_key(name) || self.reused.contains_key(name)
    }

    /// Whether an entry of the content that `name` is of is counted.
    pub(super) fn holds_content(&self, name: &Name) -> bool {
        let names = self.shards.get(&name.shard());
        names.is_some_and(|names| names.iter().any(|known| known.digest() == name.digest()))
    }

    /// Whether the directory has been read since the cache was opened.
    pub(super) fn was_scanned(&self) -> bool {
        self.was_scanned
    }

    /// Adds an entry as the last of those that were not used yet.
    pub(super) fn insert(&mut self, name: Name, size: u64) {
        self.take(&name);
        self.gone.remove(&name);
        self.fresh.insert(name, size);
        self.shards.entry(name.shard()).or_default().insert(name);
        self.bytes += size;
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, name: &Name) -> Option<u64> {
        let size = self.take(name)?;
        if let Some(names) = self.shards.get_mut(&name.shard()) {
            names.remove(name);
        }
        Some(size)
    }

    /// Begins the removal of an entry's file, which [`has_left`](Self::has_left) ends.
    pub(super) fn leaves(&mut self, name: &Name) {
        self.leaving.insert(*name);
        if self.scans > 0 {
            self.gone.insert(*name);
        }
    }

    pub(super) fn has_left(&mut self, name: &Name) {
        self.leaving.remove(name);
    }

    /// Begins a scan, which [`end_scan`](Self::end_scan) ends.
    pub(super) fn begin_scan(&mut self) {
        self.scans += 1;
        self.gone.extend(&self.leaving);
    }

    pub(super) fn end_scan(&mut self) {
        self.scans -= 1;
        self.was_scanned = true;
        if self.scans == 0 {
            self.gone = HashSet::new();
        }
    }

    /// Whether a file that a running scan has found may be gone by now.
    pub(super) fn may_be_gone(&self, name: &Name) -> bool {
        self.gone.contains(name)
    }

    /// Makes an entry the last to be evicted.
    pub(super) fn used(&mut self, name: &Name) {
        if self.reused.to_back(name).is_some() {
            return;
        }
        let Some(size) = self.fresh.remove(name) else { return };
        self.reused.insert(*name, size);
        self.reused_bytes += size;
        let most = self.most_reused;
        while (self.reused_bytes > most.bytes || self.reused.len() as u64 > most.entries)
            && let Some((name, size)) = self.reused.pop_front()
        {
            self.reused_bytes -= size;
            self.fresh.insert(name, size);
        }
    }

    /// Makes an entry the first to be evicted.
    pub(super) fn demote(&mut self, name: &Name) {
        if let Some(size) = self.take(name) {
            self.fresh.insert(*name, size);
            self.fresh.to_front(name);
            self.bytes += size;
        }
    }

    /// The first entry to be evicted, and its size, once `passed` entries were passed over.
    pub(super) fn coldest(&self, passed: usize) -> Option<(Name, u64)> {
        let fresh = self.fresh.front().filter(|_| passed < self.fresh.len());
        fresh.or_else(|| self.reused.front()).map(|(name, size)| (*name, *size))
    }

    /// Makes an entry in use the last to be evicted of its kind.
    pub(super) fn pass_over(&mut self, name: &Name) {
        if self.fresh.to_back(name).is_none() {
            self.reused.to_back(name);
        }
    }

    /// Takes an entry out of the order, and its bytes out of the sum.
    fn take(&mut self, name: &Name) -> Option<u64> {
        let size = self.fresh.remove(name).or_else(|| {
            let size = self.reused.remove(name)?;
            self.reused_bytes -= size;
            Some(size)
        })?;
        self.bytes -= size;
        Some(size)
    }

    /// Counts the `size` bytes of a file without a name until its last reader has closed it.
    pub(super) fn linger(&mut self, file: &Arc<dyn DiskFile>, size: u64) {
        self.lingering.push((Arc::downgrade(file), size));
    }

    /// Claims `bytes` for the entry `name`, whose lock the caller holds, whether they fit or not.
    pub(super) fn claim(&self, name: Name, bytes: u64) -> Claim {
        lock(&self.claims).push((name, bytes));
        Claim { name, bytes, claims: Arc::clone(&self.claims) }
    }

    /// Whether a writer of this process has a claim for `name`.
    pub(super) fn is_claimed(&self, name: &Name) -> bool {
        lock(&self.claims).iter().any(|(claimed, _)| claimed == name)
    }

    /// Sets the claims of writers in other processes.
    pub(super) fn set_foreign(&mut self, foreign: Amount) {
        self.foreign = foreign;
    }

    /// Whether all entries and all claims are within `bounds`.
    pub(super) fn fits(&mut self, bounds: Amount) -> bool {
        let fixed = self.fixed();
        self.bytes.saturating_add(fixed.bytes) <= bounds.bytes
            && self.len() + fixed.entries <= bounds.entries
    }

    /// Whether all claims would be within `bounds` if every entry were evicted.
    pub(super) fn could_fit(&mut self, bounds: Amount) -> bool {
        let fixed = self.fixed();
        fixed.bytes <= bounds.bytes && fixed.entries <= bounds.entries
    }

    /// The share of `bounds` that is taken, in per cent.
    pub(super) fn per_cent(&mut self, bounds: Amount) -> u64 {
        let fixed = self.fixed();
        let share = |taken: u64, bound: u64| taken.saturating_mul(100) / bound.max(1);
        share(self.bytes.saturating_add(fixed.bytes), bounds.bytes)
            .max(share(self.len() + fixed.entries, bounds.entries))
    }

    /// The amount that no eviction gives back: claims, and files that are gone but open.
    fn fixed(&mut self) -> Amount {
        self.lingering.retain(|(file, _)| file.strong_count() > 0);
        let lingering: u64 = self.lingering.iter().map(|(_, size)| size).sum();
        let claims = lock(&self.claims);
        let claimed = claims.iter().fold(lingering, |sum, (_, bytes)| sum.saturating_add(*bytes));
        Amount {
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
    use crate::limits::CLOCK_TICK;

    fn name(content: u8) -> Name {
        let id = EncoderId::derive(b"", b"");
        Key { digest: Digest::of(&[content]), coding: ContentCoding::GZIP, id }.name()
    }

    #[test]
    fn least_recently_used_entry_is_the_coldest() {
        let mut index = Index::new(Amount { bytes: 100, entries: 100 });
        (0..3).for_each(|n| index.insert(name(n), 10));
        index.used(&name(0));
        assert_eq!(index.coldest(0), Some((name(1), 10)));
        index.demote(&name(2));
        assert_eq!(index.coldest(0), Some((name(2), 10)));
        assert_eq!(index.remove(&name(2)), Some(10));
        assert_eq!(index.remove(&name(2)), None);
        assert_eq!((index.len(), index.bytes()), (2, 20));
        index.insert(name(1), 4);
        assert_eq!((index.len(), index.bytes()), (2, 14), "the same name counts once");
    }

    /// A scan of all files evicted those that everybody asks for.
    #[test]
    fn reused_entries_outlive_a_scan_until_they_fill_their_share() {
        let mut index = Index::new(Amount { bytes: 100, entries: 100 });
        (0..10).for_each(|n| index.insert(name(n), 10));
        (0..3).for_each(|n| index.used(&name(n)));
        for scanned in 10..200 {
            let (coldest, _) = index.coldest(0).unwrap();
            assert!((0..3).all(|n| coldest != name(n)), "{scanned}");
            index.remove(&coldest);
            index.insert(name(scanned), 10);
        }
        (193..199).for_each(|n| index.used(&name(n)));
        let used = |index: &Index, n| index.reused.contains_key(&name(n));
        assert!(!used(&index, 0) && used(&index, 1), "a fifth of the bytes is left to the others");
        assert_eq!(index.coldest(0), Some((name(199), 10)), "it was never used");
        index.remove(&name(199));
        assert_eq!(index.coldest(0), Some((name(0), 10)), "it was used the longest ago");
        index.pass_over(&name(0));
        assert_eq!(index.coldest(1), Some((name(1), 10)), "all others were passed over");
        assert_eq!((index.len(), index.bytes()), (9, 90));
    }

    #[test]
    fn could_fit_is_false_when_claims_alone_exceed_the_bounds() {
        let bounds = Amount { bytes: 100, entries: 2 };
        let mut index = Index::default();
        index.insert(name(0), 90);
        let held = index.claim(name(1), 100);
        assert!(index.could_fit(bounds) && !index.fits(bounds), "all entries can go");
        let more = index.claim(name(2), 1);
        assert!(!index.could_fit(bounds), "claims cannot");
        drop(held);
        let _more = index.claim(name(3), 1);
        assert!(index.could_fit(bounds));
        let _third = index.claim(name(4), 1);
        assert!(!index.could_fit(bounds), "two entries are the bound");
        drop(more);
        assert!(index.could_fit(bounds));
        index.set_foreign(Amount { bytes: 99, entries: 0 });
        assert!(!index.could_fit(bounds), "another process's claim cannot go either");
    }

    #[test]
    fn claim_counts_until_it_is_dropped() {
        let bounds = Amount { bytes: 100, entries: 3 };
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
        index.set_foreign(Amount { bytes: 0, entries: 1 });
        assert!(!index.fits(bounds), "three entries are the bound");
    }

    #[test]
    fn scan_vouches_for_a_directory_when_it_had_rested() {
        let second = 1_000_000_000;
        let scanned = |modified, at| Scanned { modified, at };
        let modified = 50 * second + 7;
        assert!(!scanned(modified, modified + 1000).vouches(modified, CLOCK_TICK));
        assert!(scanned(modified, modified + second / 10).vouches(modified, CLOCK_TICK));
        assert!(!scanned(modified, modified + second / 10).vouches(modified, FILE_REST));
        assert!(!scanned(modified, modified + second).vouches(modified + 1, CLOCK_TICK));
        let whole = 50 * second;
        assert!(
            !scanned(whole, whole + second).vouches(whole, CLOCK_TICK),
            "it may count in seconds"
        );
        assert!(scanned(whole, whole + 2 * second).vouches(whole, CLOCK_TICK));
    }
}
