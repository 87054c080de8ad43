//! Making room, and reading what other processes published.

use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use std::{io, thread};

use super::index::{Claim, Scanned, Take};
use super::key::Name;
use super::layout::{LockName, with_directory};
use super::store::{Inner, MAINTAIN_EVERY};
use crate::concurrency::sync::{MutexGuard, lock};
use crate::fs::{DiskLock, nanos};

/// How long a directory must have rested before it was read for its time to vouch for what is in
/// it: longer than the kernel's clock takes between two of its ticks.
const TICK: Duration = Duration::from_millis(20);
/// The same, for those who have time, and for file systems that count in seconds.
pub(super) const REST: Duration = Duration::from_secs(2);
/// How many entries in use are passed over to make room for one.
const MOST_IN_USE: usize = 1024;
/// How often, and how long apart, another process that evicts, and entries in use, are waited for.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Claims `bytes` for the entry `name`, evicting the least recently used entries until all that
/// is there or claimed, by other processes too, is within the bounds; `None` if that cannot be.
///
/// A claim is first made, for others to see as the size of its lock, and then held against theirs:
/// of two that do not fit together, at least one sees the other.
pub(super) fn make_room(
    inner: &Inner,
    lock_of_name: &dyn DiskLock,
    name: Name,
    bytes: u64,
) -> io::Result<Option<Claim>> {
    let claim = lock(&inner.index).claim(name, bytes);
    lock_of_name.announce(bytes)?;
    refresh(inner);
    if lock(&inner.index).fits(inner.bounds) {
        return Ok(Some(claim));
    }
    let made = match eviction_lock(inner) {
        Some(_lock) => {
            refresh(inner);
            evict_until(
                inner,
                |index| index.fits(inner.bounds),
                |index| index.could_fit(inner.bounds),
            )
        }
        None => false,
    };
    if !made {
        lock_of_name.announce(0)?;
    }
    Ok(made.then_some(claim))
}

/// Evicts what is beyond the bounds.
pub(super) fn shrink(inner: &Inner) {
    let within = |index: &mut super::index::Index| {
        index.bytes() <= inner.bounds.bytes && index.len() <= inner.bounds.entries
    };
    if within(&mut lock(&inner.index)) {
        return;
    }
    if let Some(_lock) = eviction_lock(inner) {
        evict_until(inner, within, |_| true);
    }
}

/// Evicts the least recently used entries that are not in use until `enough`; says whether it is.
fn evict_until(
    inner: &Inner,
    enough: impl Fn(&mut super::index::Index) -> bool,
    worth_it: impl Fn(&mut super::index::Index) -> bool,
) -> bool {
    let (mut in_use, mut pauses) = (0, 0);
    loop {
        let (coldest, there) = {
            let mut index = lock(&inner.index);
            if enough(&mut index) {
                return true;
            }
            if !worth_it(&mut index) || in_use >= MOST_IN_USE {
                return false;
            }
            (index.coldest(), index.len())
        };
        // All are in use: most are not for long.
        if in_use as u64 >= there {
            if pauses == TRIES {
                return false;
            }
            thread::sleep(PAUSE);
            (in_use, pauses) = (0, pauses + 1);
        }
        let Some((name, _)) = coldest else { return false };
        match inner.evict(&name) {
            Ok(true) => {}
            Ok(false) => in_use += 1,
            // Others may go.
            Err(error) => {
                tracing::debug!(%error, %name, "cannot evict an entry");
                in_use += 1;
            }
        }
    }
}

/// Runs `attempt`; when the disk is full, though the bounds are not, evicts about `bytes` and
/// runs it again.
pub(super) fn with_room<T>(
    inner: &Inner,
    bytes: u64,
    attempt: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    let (mut freed, mut in_use) = (0, 0);
    loop {
        match attempt() {
            // More than twice the need is not freed: the disk is full of other things.
            Err(error) if is_full(&error) && freed < 2 * bytes && in_use < MOST_IN_USE => {
                let _lock = eviction_lock(inner);
                let Some((name, size)) = lock(&inner.index).coldest() else { return Err(error) };
                match inner.evict(&name)? {
                    true => freed += size.max(1),
                    false => in_use += 1,
                }
            }
            result => return result,
        }
    }
}

/// What there is to do every so often: reads what other processes published, keeps to the bounds,
/// and closes what nobody uses if it may be in their way, as no process evicts what is open.
pub(super) fn maintain(inner: &Inner) {
    scan(inner, REST);
    shrink(inner);
    if lock(&inner.index).per_cent(inner.bounds) > FULL {
        inner.close_idle(MAINTAIN_EVERY);
    }
    // After the first scan, which holds the index for as long as it takes to fill it.
    let is_local = inner.disk.is_local(inner.layout.root());
    inner.is_local.store(is_local, Ordering::Relaxed);
}

/// From how many per cent of the bounds on others may want to evict.
const FULL: u64 = 90;

/// Learns what other processes have claimed, and what they have published.
///
/// Claims first: one that ends meanwhile has become an entry, and is counted twice, not never.
/// Who has the cache open alone, and had when it last looked, knows all entries.
fn refresh(inner: &Inner) {
    let mut in_company = lock(&inner.in_company);
    let others = others(inner);
    let known = match others.are_there || *in_company {
        true => scan(inner, TICK),
        false => true,
    };
    *in_company = others.are_there || !known;
    lock(&inner.index).set_foreign(others.claims);
}

/// What the locks tell of other processes.
#[derive(Default)]
struct Others {
    are_there: bool,
    claims: Take,
}

fn others(inner: &Inner) -> Others {
    let mut others = Others::default();
    let locks = inner.disk.list(inner.layout.locks()).unwrap_or_default();
    let is_ours = |name: &OsString| inner.layout.presence().file_name() == Some(name);
    if !locks.iter().any(is_ours) {
        // Whoever comes must find us before we publish anything.
        *lock(&inner.presence) = inner.disk.try_lock(inner.layout.presence()).unwrap_or(None);
        others.are_there = true;
    }
    for file in locks.iter().filter(|name| !is_ours(name)) {
        let path = inner.layout.locks().join(file);
        // What a process that was killed has left goes when its lock is taken.
        let is_held = || !matches!(inner.disk.try_lock(&path), Ok(Some(_)));
        match file.to_str().map_or(LockName::Other, LockName::parse) {
            LockName::Presence => {
                // Also if it is gone by now: it was there since we last looked.
                others.are_there = true;
                is_held();
            }
            LockName::Writer(name) if !lock(&inner.index).is_claimed(&name) => {
                let size = inner.disk.stat(&path).map_or(0, |stat| stat.fingerprint.size);
                if size > 0 && is_held() {
                    others.claims.bytes = others.claims.bytes.saturating_add(size);
                    others.claims.entries += 1;
                }
            }
            LockName::Writer(_) | LockName::Other => {}
        }
    }
    others
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The right to evict, across the threads of this process and across processes.
struct EvictionLock<'a> {
    _across: Box<dyn DiskLock>,
    _within: MutexGuard<'a, ()>,
}

/// One process evicts at a time; otherwise two would each free what one needs.
fn eviction_lock(inner: &Inner) -> Option<EvictionLock<'_>> {
    let within = lock(&inner.evicting);
    let path = inner.layout.eviction_lock();
    for _ in 0..TRIES {
        let attempt =
            with_directory(|| inner.disk.try_lock(&path), || inner.layout.create(&*inner.disk));
        match attempt {
            Ok(Some(across)) => return Some(EvictionLock { _across: across, _within: within }),
            Ok(None) => thread::sleep(PAUSE),
            Err(_) => return None,
        }
    }
    None
}

/// Reads the directories that changed since they were last read, or may have: within `rest`
/// before that. Says whether all could be read: entries that nobody counts are beyond the bounds.
pub(super) fn scan(inner: &Inner, rest: Duration) -> bool {
    let result = try_scan(inner, rest);
    if let Err(error) = &result {
        tracing::debug!(%error, "cannot read all of the cache's directory");
    }
    result.is_ok()
}

fn try_scan(inner: &Inner, rest: Duration) -> io::Result<()> {
    let shards: Vec<u8> = match inner.disk.list(inner.layout.entries()) {
        Ok(names) => names.iter().filter_map(|name| parse_shard(name.to_str()?)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut result = Ok(());
    let mut found = Vec::new();
    for shard in 0..=u8::MAX {
        if !shards.contains(&shard) {
            forget_missing(inner, shard);
        } else if let Err(error) = scan_shard(inner, shard, rest, &mut found) {
            result = Err(error);
        }
    }
    // The oldest first, so that they are the first to go.
    found.sort_unstable_by_key(|(modified, ..)| *modified);
    let mut index = lock(&inner.index);
    for (_, name, size) in found {
        if !index.contains(&name) {
            index.insert(name, size);
        }
        // No writer of ours made that: a hole, say.
        if size > inner.bounds.bytes {
            index.demote(&name);
        }
    }
    result
}

/// Forgets what lay in a directory that is gone; it may have been made since the others were
/// listed.
fn forget_missing(inner: &Inner, shard: u8) {
    let known = lock(&inner.index).in_shard(shard);
    if known.is_empty() || inner.disk.stat(&inner.layout.shard(shard)).is_ok() {
        return;
    }
    lock(&inner.index).scanned.remove(&shard);
    known.iter().for_each(|name| _ = inner.forget(name));
}

fn scan_shard(
    inner: &Inner,
    shard: u8,
    rest: Duration,
    found: &mut Vec<(i128, Name, u64)>,
) -> io::Result<()> {
    let path = inner.layout.shard(shard);
    let (at, modified) = (nanos(SystemTime::now()), inner.disk.stat(&path)?.fingerprint.modified);
    if lock(&inner.index).scanned.get(&shard).is_some_and(|last| last.vouches(modified, rest)) {
        return Ok(());
    }
    let mut gone = lock(&inner.index).in_shard(shard);
    let mut result = Ok(());
    for file in inner.disk.list(&path)? {
        let Some(name) = file.to_str().and_then(Name::parse) else { continue };
        if gone.remove(&name) {
            continue;
        }
        match inner.disk.stat(&path.join(&file)) {
            Ok(stat) => found.push((stat.fingerprint.modified, name, stat.fingerprint.size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => result = Err(error),
        }
    }
    gone.iter().for_each(|name| _ = inner.forget(name));
    let mut index = lock(&inner.index);
    match &result {
        Ok(()) => drop(index.scanned.insert(shard, Scanned { modified, at })),
        Err(_) => drop(index.scanned.remove(&shard)),
    }
    result
}

impl Scanned {
    /// Whether a directory that was last modified at `modified` has not changed since this.
    fn vouches(&self, modified: i128, rest: Duration) -> bool {
        let in_seconds = modified % 1_000_000_000 == 0;
        let rest = if in_seconds { rest.max(REST) } else { rest };
        let rest = i128::try_from(rest.as_nanos()).unwrap_or(i128::MAX);
        self.modified == modified && self.at - modified >= rest
    }
}

fn parse_shard(name: &str) -> Option<u8> {
    (name.len() == 2).then(|| u8::from_str_radix(name, 16).ok()).flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::super::{Cache, EntryWriter, Header, Key, Kind, WriteError};
    use super::*;
    use crate::fs::{Disk, MemoryDisk};
    use crate::http::{ContentCoding, Digest, EncoderId};

    const BOUND: u64 = 100_000;

    pub(in crate::cache) fn key(content: u8) -> Key {
        let id = EncoderId::derive(b"encoder", b"");
        Key { digest: Digest::of(&[content]), coding: ContentCoding::GZIP, id }
    }

    fn header(content: u8) -> Header {
        Header {
            kind: Kind::Representation,
            key: key(content),
            source_len: 1,
            created: SystemTime::now(),
            dictionary: None,
            settings: String::new(),
        }
    }

    /// What another process is to a disk: another handle.
    fn another(disk: &Arc<MemoryDisk>) -> Cache {
        let disk = Arc::clone(disk) as Arc<dyn Disk>;
        Cache::builder("/cache").disk(disk).max_bytes(BOUND).build().unwrap()
    }

    pub(in crate::cache) fn write(
        cache: &Cache,
        content: u8,
        bytes: usize,
    ) -> Result<(), WriteError> {
        let lock = cache.lock(&key(content))?.expect("nobody else writes it");
        let mut writer = cache.create(lock, header(content), bytes as u64)?;
        writer.write(&vec![content; bytes])?;
        writer.publish()?;
        Ok(())
    }

    /// An entry in the making that has claimed nearly a quarter of the bound.
    fn begin(cache: &Cache, content: u8) -> EntryWriter {
        let lock = cache.lock(&key(content)).unwrap().unwrap();
        let Ok(writer) = cache.create(lock, header(content), 24_000) else { panic!("no room") };
        writer
    }

    fn sum(cache: &Cache) -> u64 {
        cache.stats().bytes
    }

    /// Reservations were known to their own process only: two could pass the bound together.
    #[test]
    fn what_another_process_has_claimed_counts() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        let held: Vec<_> = (0..4).map(|content| begin(&one, content)).collect();
        assert!(matches!(write(&two, 9, 5_000), Err(WriteError::NoRoom)));
        drop(held);
        assert!(write(&two, 9, 5_000).is_ok(), "what is given back is there for others");
    }

    /// And what one process had published, another learned of ten seconds later.
    #[test]
    fn what_another_process_has_published_counts_at_once() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        for content in 0..20 {
            let cache = if content % 2 == 0 { &one } else { &two };
            write(cache, content, 20_000).unwrap();
            cache.inner().close_idle(Duration::ZERO);
            let names = (0..=u8::MAX)
                .flat_map(|shard| disk.list(&one.inner().layout.shard(shard)).unwrap_or_default());
            assert!(names.count() <= 4, "entry {content}");
            assert!(sum(cache) <= BOUND);
        }
    }

    #[test]
    fn a_lock_that_a_killed_writer_left_claims_nothing_and_goes() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        let lock = one.lock(&key(1)).unwrap().unwrap();
        lock.lock.announce(BOUND).unwrap();
        assert!(matches!(write(&two, 2, 1_000), Err(WriteError::NoRoom)));
        // A file of that size, as it is left when its holder is killed.
        let path = one.inner().layout.lock(&key(1).name());
        drop(lock);
        let left = disk.create_unnamed(one.inner().layout.locks()).unwrap();
        left.set_len(BOUND).unwrap();
        left.publish(&path).unwrap();
        drop(left);
        write(&two, 2, 1_000).unwrap();
        assert!(disk.stat(&path).is_err(), "it is removed");
    }

    #[test]
    fn what_another_process_uses_is_not_evicted_until_it_is_closed() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        for content in 0..4 {
            write(&one, content, 24_000).unwrap();
        }
        assert!(matches!(write(&two, 9, 24_000), Err(WriteError::NoRoom)), "all are open");
        assert_eq!(two.stats().evictions, 0);
        let read = one.get(&key(0)).unwrap().expect("it is there");
        one.inner().close_idle(Duration::ZERO);
        for content in 9..15 {
            write(&two, content, 24_000).unwrap();
        }
        assert!(one.get(&key(0)).unwrap().is_some(), "the one that is read is there still");
        assert!(one.get(&key(1)).unwrap().is_none());
        drop(read);
    }

    #[test]
    fn a_file_without_a_name_counts_as_long_as_somebody_reads_it() {
        let cache = Cache::in_memory(BOUND);
        let writer = begin(&cache, 1);
        let reader = writer.payload();
        drop(writer);
        for content in 2..5 {
            write(&cache, content, 24_000).unwrap();
        }
        write(&cache, 5, 24_000).unwrap();
        assert_eq!(cache.stats().entries, 3, "the fourth quarter is not free");
        drop(reader);
        write(&cache, 6, 24_000).unwrap();
        assert_eq!(cache.stats().entries, 4);
    }

    #[test]
    fn a_directory_vouches_once_it_has_rested() {
        let second = 1_000_000_000;
        let read = |modified, at| Scanned { modified, at };
        let modified = 50 * second + 7;
        assert!(!read(modified, modified + 1000).vouches(modified, TICK));
        assert!(read(modified, modified + second / 10).vouches(modified, TICK));
        assert!(!read(modified, modified + second / 10).vouches(modified, REST));
        assert!(!read(modified, modified + second).vouches(modified + 1, TICK));
        let whole = 50 * second;
        assert!(!read(whole, whole + second).vouches(whole, TICK), "it may count in seconds");
        assert!(read(whole, whole + 2 * second).vouches(whole, TICK));
    }
}
