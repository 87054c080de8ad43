//! Making room, and reading what other processes published.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use std::{io, thread};

use super::index::Reservation;
use super::key::Name;
use super::layout::with_directory;
use super::store::Inner;
use crate::fs::{DiskLock, nanos};
use crate::sync::{clock, lock};

/// How old the knowledge of the directory may get while entries are written.
const SCAN_EVERY: Duration = Duration::from_secs(10);
/// What stands for the time of a scan that has not been.
pub(super) const NEVER: u64 = 0;
/// How old it may get before something is evicted.
const SCAN_BEFORE_EVICTION: Duration = Duration::from_secs(1);
/// A directory that changed more recently than this may change again within one tick of its
/// clock, so that its time says nothing.
const RESTED: Duration = Duration::from_secs(2);
/// How often, and how long apart, a process that evicts is waited for.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Reserves `bytes`, evicting the least recently used entries until they fit; `None` if they do
/// not fit into what may be evicted.
pub(super) fn make_room(inner: &Inner, bytes: u64) -> Option<Reservation> {
    // First, so that what others published counts.
    scan_if_older(inner, SCAN_EVERY);
    let reservation = lock(&inner.index).reserve(bytes, inner.bounds);
    if reservation.is_some() {
        return reservation;
    }
    let _lock = eviction_lock(inner)?;
    scan_if_older(inner, SCAN_BEFORE_EVICTION);
    loop {
        let coldest = {
            let mut index = lock(&inner.index);
            if let Some(reservation) = index.reserve(bytes, inner.bounds) {
                return Some(reservation);
            }
            if !index.could_make_room(bytes, inner.bounds) {
                return None;
            }
            index.coldest()?.0
        };
        if let Err(error) = inner.evict(&coldest) {
            tracing::warn!(%error, name = %coldest, "cannot evict an entry");
            return None;
        }
    }
}

/// Evicts what is beyond the bounds.
pub(super) fn shrink(inner: &Inner) {
    loop {
        let coldest = {
            let index = lock(&inner.index);
            if index.bytes() <= inner.bounds.bytes && index.len() <= inner.bounds.entries {
                return;
            }
            index.coldest()
        };
        let _lock = eviction_lock(inner);
        if coldest.is_none_or(|(name, _)| inner.evict(&name).is_err()) {
            return;
        }
    }
}

fn scan_if_older(inner: &Inner, age: Duration) {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let last = inner.last_scan.load(Ordering::Relaxed);
    if last == NEVER || clock().saturating_sub(last) >= age {
        scan(inner);
    }
}

/// Runs `attempt`; when the disk is full, though the bounds are not, evicts about `bytes` and
/// runs it again.
pub(super) fn with_room<T>(
    inner: &Inner,
    bytes: u64,
    attempt: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    let mut freed = 0;
    loop {
        match attempt() {
            // More than twice the need is not freed: the disk is full of other things.
            Err(error) if is_full(&error) && freed < 2 * bytes => {
                let _lock = eviction_lock(inner);
                let Some((name, size)) = lock(&inner.index).coldest() else { return Err(error) };
                inner.evict(&name)?;
                freed += size.max(1);
            }
            result => return result,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// One process evicts at a time; otherwise two would each free what one needs.
fn eviction_lock(inner: &Inner) -> Option<Box<dyn DiskLock>> {
    let path = inner.layout.eviction_lock();
    for _ in 0..LOCK_TRIES {
        let attempt =
            with_directory(|| inner.disk.try_lock(&path), || inner.layout.create(&*inner.disk));
        match attempt {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) => thread::sleep(LOCK_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

/// Reads the directories that changed since they were last read. What cannot be read now is
/// read when room is next made: entries that nobody counts would be beyond the bounds.
pub(super) fn scan(inner: &Inner) {
    inner.last_scan.store(clock().max(1), Ordering::Relaxed);
    if let Err(error) = try_scan(inner) {
        tracing::debug!(%error, "cannot read all of the cache's directory");
        inner.last_scan.store(NEVER, Ordering::Relaxed);
    }
}

fn try_scan(inner: &Inner) -> io::Result<()> {
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
        } else if let Err(error) = scan_shard(inner, shard, &mut found) {
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
    for name in &known {
        inner.forget(name);
    }
}

fn scan_shard(inner: &Inner, shard: u8, found: &mut Vec<(i128, Name, u64)>) -> io::Result<()> {
    let path = inner.layout.shard(shard);
    let modified = inner.disk.stat(&path)?.fingerprint.modified;
    if lock(&inner.index).scanned.get(&shard) == Some(&modified) {
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
    for name in &gone {
        inner.forget(name);
    }
    let mut index = lock(&inner.index);
    let rested = modified + i128::try_from(RESTED.as_nanos()).unwrap_or(0);
    if rested < nanos(SystemTime::now()) && result.is_ok() {
        index.scanned.insert(shard, modified);
    } else {
        index.scanned.remove(&shard);
    }
    result
}

fn parse_shard(name: &str) -> Option<u8> {
    (name.len() == 2).then(|| u8::from_str_radix(name, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::Cache;
    use super::*;

    /// A scan once began with the index locked, and waited for itself: ten seconds after its
    /// start a server stood still.
    #[test]
    fn making_room_reads_the_directories_without_holding_the_index() {
        let cache = Cache::in_memory(1 << 20);
        assert_eq!(cache.inner().last_scan.load(Ordering::Relaxed), NEVER, "one is due");
        let (done, wait) = mpsc::channel();
        thread::spawn(move || done.send(make_room(cache.inner(), 1000).is_some()));
        assert_eq!(wait.recv_timeout(Duration::from_secs(20)), Ok(true));
    }
}
