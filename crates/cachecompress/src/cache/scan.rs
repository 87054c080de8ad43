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
    let shards: Vec<u8> = match state.disk.list(&state.layout.entries) {
        Ok(names) => names.iter().filter_map(|name| shard_of(name)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut result = Ok(());
    let mut found = Vec::new();
    for shard in 0..=u8::MAX {
        if !shards.contains(&shard) {
            forget_missing(state, shard);
        } else if let Err(error) = scan_shard(state, shard, rest, &mut found) {
            result = Err(error);
        }
    }
    // The oldest first, so that they are the first to be evicted.
    found.sort_unstable_by_key(|(modified, ..)| *modified);
    let mut index = state.index();
    for (_, name, size) in found {
        if !index.contains(&name) {
            index.insert(name, size);
        }
        // No writer of ours made that, but a hole, say.
        if size > state.bounds.bytes {
            index.demote(&name);
        }
    }
    result
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
