//! Makes room for new entries.

use std::{io, thread};

use super::dictionary_file;
use super::index::{Amount, Claim, Index};
use super::key::Name;
use super::layout::with_directory;
use super::scan::{refresh, scan};
use super::state::State;
use crate::concurrency::sync::{MutexGuard, lock};
use crate::fs::DiskLock;
use crate::limits::{
    CACHE_FULL, EVICTION_EXCESS, EVICTION_IN_USE, EVICTION_PAUSE, EVICTION_TRIES, FILE_REST,
    MAINTAIN_EVERY, PINNED_SHARE,
};
use crate::log;

/// Claims `bytes` for the entry `name`; `None` if there can be no room.
///
/// The least recently used entries are evicted until all entries and claims, those of other
/// processes too, are within the bounds. A claim is first announced, as the size of its lock, and
/// then held against the others: of two claims that do not fit together, at least one sees the
/// other.
pub(super) fn make_room(
    state: &State,
    lock_of_name: &dyn DiskLock,
    name: Name,
    bytes: u64,
) -> io::Result<Option<Claim>> {
    let claim = state.index().claim(name, bytes);
    lock_of_name.announce(bytes)?;
    refresh(state);
    if state.index().fits(state.bounds) {
        return Ok(Some(claim));
    }
    let made = match eviction_lock(state) {
        Some(_lock) => {
            refresh(state);
            evict_until(
                state,
                |index| index.fits(state.bounds),
                |index| index.could_fit(state.bounds),
            )
        }
        None => false,
    };
    if !made {
        lock_of_name.announce(0)?;
    }
    Ok(made.then_some(claim))
}

/// Evicts the entries beyond the bounds.
fn shrink(state: &State) {
    let within = |index: &mut Index| {
        index.bytes() <= state.bounds.bytes && index.len() <= state.bounds.entries
    };
    if within(&mut state.index()) {
        return;
    }
    if let Some(_lock) = eviction_lock(state) {
        evict_until(state, within, |_| true);
    }
}

/// Evicts the least recently used entries that are not in use until there is `enough` room;
/// returns whether there is. Gives up when it is no longer `worth_it`.
fn evict_until(
    state: &State,
    enough: impl Fn(&mut Index) -> bool,
    worth_it: impl Fn(&mut Index) -> bool,
) -> bool {
    let (mut in_use, mut pauses, mut pins) = (0, 0, Pins::default());
    loop {
        let (coldest, there) = {
            let mut index = state.index();
            if enough(&mut index) {
                return true;
            }
            if !worth_it(&mut index) || in_use >= EVICTION_IN_USE {
                return false;
            }
            (index.coldest(in_use + pins.entries), index.len())
        };
        // All entries are in use: most are not for long.
        if (in_use + pins.entries) as u64 >= there {
            if pauses == EVICTION_TRIES {
                return false;
            }
            thread::sleep(EVICTION_PAUSE);
            (in_use, pauses, pins) = (0, pauses + 1, Pins::default());
            continue;
        }
        let Some((name, size)) = coldest else { return false };
        if pins.keep(state, &name, size) {
            continue;
        }
        match state.evict(&name) {
            Ok(true) => {}
            Ok(false) => in_use += 1,
            // Another entry may go.
            Err(error) => {
                log::debug!(%error, %name, "cannot evict an entry");
                in_use += 1;
            }
        }
    }
}

/// The entries that an eviction has passed over because clients may hold their content as a dictionary.
#[derive(Debug, Default)]
struct Pins {
    entries: usize,
    bytes: u64,
}

impl Pins {
    /// Passes the entry `name` of `size` bytes over if it is pinned, unless those that this eviction has
    /// passed over would take more than their share of the bounds.
    fn keep(&mut self, state: &State, name: &Name, size: u64) -> bool {
        let Amount { bytes, entries } = state.bounds;
        let fits = self.bytes + size <= bytes / PINNED_SHARE
            && (self.entries as u64) < entries / PINNED_SHARE;
        let is_pinned = fits && state.dictionaries.has(&name.digest());
        if is_pinned {
            self.entries += 1;
            self.bytes += size;
            state.index().pass_over(name);
        }
        is_pinned
    }
}

/// Runs `attempt`. If the disk is full before the bounds are, evicts about `bytes` and runs it
/// again.
pub(super) fn with_room<T>(
    state: &State,
    bytes: u64,
    attempt: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    let (mut freed, mut in_use) = (0, 0);
    loop {
        match attempt() {
            Err(error)
                if is_full(&error)
                    && freed < EVICTION_EXCESS * bytes
                    && in_use < EVICTION_IN_USE =>
            {
                // Without the lock another process may evict too much, which is better than to fail.
                let _lock = eviction_lock(state);
                let Some((name, size)) = state.index().coldest(in_use) else {
                    return Err(error);
                };
                match state.evict(&name)? {
                    true => freed += size.max(1),
                    false => in_use += 1,
                }
            }
            result => return result,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Maintains the cache: reads the entries that other processes published, evicts those beyond the
/// bounds, and closes idle ones where others may want to evict them, as no process evicts an open
/// entry.
pub(super) fn maintain(state: &State) {
    scan(state, FILE_REST);
    shrink(state);
    dictionary_file::save(state);
    if state.index().per_cent(state.bounds) > CACHE_FULL {
        state.close_idle(MAINTAIN_EVERY);
    }
    // Set after the first scan, which holds the index for as long as it takes to fill it.
    state.breaker.set_local(state.disk.is_local(&state.layout.root));
}

/// Takes the right to evict, across processes and the threads of this one. One evicts at a time, or
/// two would each free the room that one needs.
fn eviction_lock(state: &State) -> Option<(Box<dyn DiskLock>, MutexGuard<'_, ()>)> {
    let within = lock(&state.evicting);
    let path = state.layout.eviction_lock();
    for _ in 0..EVICTION_TRIES {
        let attempt =
            with_directory(|| state.disk.try_lock(&path), || state.layout.create(&*state.disk));
        match attempt {
            Ok(Some(across)) => return Some((across, within)),
            Ok(None) => thread::sleep(EVICTION_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::{Cell, RefCell};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::super::{Cache, EntryWriter, Header, Key, Kind, WriteError};
    use super::evict_until;
    use crate::concurrency::may_wait;
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

    /// Opens the cache once more, as another process would.
    fn another(disk: &Arc<MemoryDisk>) -> Cache {
        may_wait::allow();
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

    /// Starts an entry that claims nearly a quarter of the bound.
    fn begin(cache: &Cache, content: u8) -> EntryWriter {
        let lock = cache.lock(&key(content)).unwrap().unwrap();
        let Ok(writer) = cache.create(lock, header(content), 24_000) else { panic!("no room") };
        writer
    }

    fn sum(cache: &Cache) -> u64 {
        cache.stats().bytes
    }

    /// Reservations were known to their own process only, so two could pass the bound together.
    #[test]
    fn claim_of_another_process_counts_until_it_is_given_back() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        let held: Vec<_> = (0..4).map(|content| begin(&one, content)).collect();
        assert!(matches!(write(&two, 9, 5_000), Err(WriteError::NoRoom)));
        drop(held);
        assert!(write(&two, 9, 5_000).is_ok(), "a claim that is given back is free for others");
    }

    /// A process learned of an entry of another one only ten seconds later.
    #[test]
    fn entry_of_another_process_counts_once_it_is_published() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        for content in 0..20 {
            let cache = if content % 2 == 0 { &one } else { &two };
            write(cache, content, 20_000).unwrap();
            cache.state.close_idle(Duration::ZERO);
            let names = (0..=u8::MAX)
                .flat_map(|shard| disk.list(&one.state.layout.shard(shard)).unwrap_or_default());
            assert!(names.count() <= 4, "entry {content}");
            assert!(sum(cache) <= BOUND);
        }
    }

    #[test]
    fn lock_of_a_killed_writer_claims_nothing_and_goes() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        let path = one.state.layout.lock(&key(1).name());
        let lock = disk.try_lock(&path).unwrap().unwrap();
        lock.announce(BOUND).unwrap();
        assert!(matches!(write(&two, 2, 1_000), Err(WriteError::NoRoom)));
        // A killed holder leaves a file of that size.
        drop(lock);
        let left = disk.create_unnamed(&one.state.layout.locks).unwrap();
        left.set_len(BOUND).unwrap();
        left.publish(&path).unwrap();
        drop(left);
        write(&two, 2, 1_000).unwrap();
        assert!(disk.stat(&path).is_err(), "it is removed");
    }

    #[test]
    fn eviction_keeps_entries_that_another_process_has_open() {
        let disk = Arc::new(MemoryDisk::new());
        let (one, two) = (another(&disk), another(&disk));
        for content in 0..4 {
            write(&one, content, 24_000).unwrap();
        }
        assert!(matches!(write(&two, 9, 24_000), Err(WriteError::NoRoom)), "all are open");
        assert_eq!(two.stats().evictions, 0);
        let read = one.get(&key(0)).unwrap().expect("it is there");
        one.state.close_idle(Duration::ZERO);
        for content in 9..15 {
            write(&two, content, 24_000).unwrap();
        }
        assert!(one.get(&key(0)).unwrap().is_some(), "the one that is read is there still");
        assert!(one.get(&key(1)).unwrap().is_none());
        drop(read);
    }

    /// A dictionary is asked for at the next deploy, when its entry was not used for days.
    #[test]
    fn eviction_passes_over_dictionaries_that_take_a_quarter_of_the_bound() {
        let cache = Cache::in_memory(BOUND);
        for content in 0..4 {
            write(&cache, content, 9_000).unwrap();
            cache.dictionaries().note("", &format!("/{content}-*.js"), key(content).digest, 1);
        }
        for content in 10..40 {
            write(&cache, content, 9_000).unwrap();
            cache.state.close_idle(Duration::ZERO);
        }
        // A look by `get` would be a use.
        let has = |content: &u8| cache.state.index().contains(&key(*content).name());
        let kept: Vec<_> = (0..4).filter(has).collect();
        assert_eq!(kept, [0, 1, 3], "the third was one too many at once");
        assert!(sum(&cache) <= BOUND);
        cache.dictionaries().forget(&key(kept[0]).digest);
        for content in 40..60 {
            write(&cache, content, 9_000).unwrap();
            cache.state.close_idle(Duration::ZERO);
        }
        assert!(!has(&kept[0]), "it is no dictionary any more");
        assert!(has(&kept[1]) && has(&kept[2]));
    }

    /// All entries were in use for a moment. The eviction waited for them, and gave up without another
    /// look, so that an encode was not stored.
    #[test]
    fn eviction_looks_again_at_entries_that_were_all_in_use() {
        let cache = Cache::in_memory(BOUND);
        for content in 0..4 {
            write(&cache, content, 20_000).unwrap();
        }
        let read = |content| cache.get(&key(content)).unwrap().expect("it is there");
        let held: RefCell<Vec<_>> = RefCell::new((0..4).map(read).collect());
        let looks = Cell::new(0);
        let made_room = evict_until(
            &cache.state,
            |index| index.len() < 4,
            |_| {
                looks.set(looks.get() + 1);
                // All four were passed over by then.
                if looks.get() == 5 {
                    held.borrow_mut().clear();
                }
                true
            },
        );
        assert_eq!((made_room, looks.get(), cache.stats().entries), (true, 6, 3));
    }

    #[test]
    fn unnamed_file_counts_until_its_last_reader_closes_it() {
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
}
