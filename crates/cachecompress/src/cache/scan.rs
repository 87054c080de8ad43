//! Learns of the entries and claims of other processes.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, SystemTime};

use super::index::{Amount, Scanned};
use super::key::Name;
use super::layout::{LockName, shard_of};
use super::state::State;
use crate::concurrency::sync::lock;
use crate::fs::nanos;
use crate::limits::CLOCK_TICK;
use crate::log;

/// Learns what other processes have claimed, and what they have published.
///
/// Claims are read first: one that ends meanwhile has become an entry, and is counted twice, not
/// never. A process that has the cache open alone, and had it alone at the last look, knows all
/// entries and reads nothing.
pub(super) fn refresh(state: &State) {
    let mut has_company = lock(&state.has_company);
    let others = others(state);
    let known = match others.are_there || *has_company {
        true => scan(state, CLOCK_TICK),
        false => true,
    };
    *has_company = others.are_there || !known;
    state.index().set_foreign(others.claims);
}

/// The other processes, as their locks tell of them.
#[derive(Default)]
struct Others {
    are_there: bool,
    claims: Amount,
}

fn others(state: &State) -> Others {
    let mut others = Others::default();
    let locks = state.disk.list(&state.layout.locks).unwrap_or_default();
    let is_ours = |name: &OsString| state.layout.presence.file_name() == Some(name);
    if !locks.iter().any(is_ours) {
        // A process that comes later must find us before we publish anything.
        *lock(&state.presence) = state.disk.try_lock(&state.layout.presence).unwrap_or(None);
        others.are_there = true;
    }
    for file in locks.iter().filter(|name| !is_ours(name)) {
        let path = state.layout.locks.join(file);
        // Taking and dropping the lock of a killed process removes its file.
        let is_held = || !matches!(state.disk.try_lock(&path), Ok(Some(_)));
        match file.to_str().map_or(LockName::Other, LockName::parse) {
            LockName::Presence => {
                // Even if it is gone by now: the process was there since the last look.
                others.are_there = true;
                is_held();
            }
            LockName::Writer(name) if !state.index().is_claimed(&name) => {
                let size = state.disk.stat(&path).map_or(0, |stat| stat.fingerprint.size);
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

/// Reads the directories of entries that may have changed since they were last read: those whose
/// time is another, or was younger than `rest` then.
///
/// Returns whether all could be read. An entry that nobody counts is beyond the bounds.
pub(super) fn scan(state: &State, rest: Duration) -> bool {
    let result = try_scan(state, rest);
    if let Err(error) = &result {
        log::debug!(%error, "cannot read all of the cache's directory");
    }
    result.is_ok()
}

fn try_scan(state: &State, rest: Duration) -> io::Result<()> {
    let mut scan = Scan::begin(state);
    let shards: Vec<u8> = match state.disk.list(&state.layout.entries) {
        Ok(names) => names.iter().filter_map(|name| shard_of(name)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut result = Ok(());
    for shard in 0..=u8::MAX {
        if !shards.contains(&shard) {
            forget_missing(state, shard);
        } else if let Err(error) = scan_shard(state, shard, rest, &mut scan.found) {
            result = Err(error);
        }
    }
    scan.count_found();
    result
}

/// A scan that runs. The index notes the files that are removed meanwhile.
struct Scan<'a> {
    state: &'a State,
    /// The entries that the index lacks: the time of each, its name and its size.
    found: Vec<(i128, Name, u64)>,
}

impl<'a> Scan<'a> {
    fn begin(state: &'a State) -> Self {
        state.index().begin_scan();
        Self { state, found: Vec::new() }
    }

    /// Counts the entries that were found, and are there still.
    fn count_found(&mut self) {
        // The oldest first, so that they are the first to be evicted.
        self.found.sort_unstable_by_key(|(modified, ..)| *modified);
        let mut index = self.state.index();
        for (_, name, size) in self.found.drain(..) {
            if index.may_be_gone(&name) {
                // Another process may have published it again.
                index.scanned.remove(&name.shard());
                continue;
            }
            if !index.contains(&name) {
                index.insert(name, size);
            }
            // No writer of ours made that, but a hole, say.
            if size > self.state.bounds.bytes {
                index.demote(&name);
            }
        }
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        self.state.index().end_scan();
    }
}

/// Forgets the entries of a directory that is gone. It may have been created again since the
/// directories were listed.
fn forget_missing(state: &State, shard: u8) {
    let known = state.index().in_shard(shard);
    if known.is_empty() || state.disk.stat(&state.layout.shard(shard)).is_ok() {
        return;
    }
    state.index().scanned.remove(&shard);
    known.iter().for_each(|name| _ = state.forget(name));
}

/// Reads one directory: adds the entries that are new to `found` and forgets those that are gone.
fn scan_shard(
    state: &State,
    shard: u8,
    rest: Duration,
    found: &mut Vec<(i128, Name, u64)>,
) -> io::Result<()> {
    let path = state.layout.shard(shard);
    let (at, modified) = (nanos(SystemTime::now()), state.disk.stat(&path)?.fingerprint.modified);
    if state.index().scanned.get(&shard).is_some_and(|last| last.vouches(modified, rest)) {
        return Ok(());
    }
    let mut gone = state.index().in_shard(shard);
    let mut result = Ok(());
    for file in state.disk.list(&path)? {
        let Some(name) = file.to_str().and_then(Name::parse) else { continue };
        if gone.remove(&name) {
            continue;
        }
        match state.disk.stat(&path.join(&file)) {
            Ok(stat) => found.push((stat.fingerprint.modified, name, stat.fingerprint.size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => result = Err(error),
        }
    }
    gone.iter().for_each(|name| _ = state.forget(name));
    let mut index = state.index();
    match &result {
        Ok(()) => drop(index.scanned.insert(shard, Scanned { modified, at })),
        Err(_) => drop(index.scanned.remove(&shard)),
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::Cache;
    use super::super::eviction::tests::{key, write};
    use super::*;

    /// A scan counted files that were evicted before its end. The cache then evicted one too many.
    #[test]
    fn file_that_is_removed_during_a_scan_is_not_counted() {
        let cache = Cache::in_memory(100_000);
        let state = &*cache.state;
        let read = |scan: &mut Scan<'_>, name: &Name| {
            scan_shard(state, name.shard(), Duration::ZERO, &mut scan.found).unwrap();
        };
        let [first, second, third] = [1, 2, 3].map(|content| {
            write(&cache, content, 1_000).unwrap();
            key(content).name()
        });
        // As a writer that has published, and not counted yet.
        let uncount = |name: &Name| state.index().remove(name).unwrap();

        let size = uncount(&first);
        let mut scan = Scan::begin(state);
        read(&mut scan, &first);
        state.index().insert(first, size);
        assert!(state.evict(&first).unwrap());
        scan.count_found();
        drop(scan);
        assert!(!state.index().contains(&first), "evicted since it was found");

        state
            .remove(&second, || {
                let mut scan = Scan::begin(state);
                read(&mut scan, &second);
                assert_eq!(scan.found.len(), 1);
                let removed = state.disk.remove_file(&state.layout.entry(&second)).map(|()| true);
                scan.count_found();
                removed
            })
            .unwrap();
        assert!(!state.index().contains(&second), "evicted while it was found");

        uncount(&third);
        assert!(scan_shard_alone(state, &third));
        assert!(state.index().contains(&third), "it is there");
        assert_eq!(cache.stats().entries, 1);
    }

    fn scan_shard_alone(state: &State, name: &Name) -> bool {
        let mut scan = Scan::begin(state);
        let read = scan_shard(state, name.shard(), Duration::ZERO, &mut scan.found).is_ok();
        scan.count_found();
        read
    }
}
