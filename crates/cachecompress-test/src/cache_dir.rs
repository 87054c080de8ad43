//! A cache's directory as an operator sees it, read after `docs/format.md`.

use std::fs;
use std::path::{Path, PathBuf};

use cachecompress::fs::Disk;

use crate::site::files_below;
use crate::wait::eventually;

/// Whether a lock's path is the presence of an open cache, which holds it until it is closed.
#[must_use]
pub fn is_presence(lock: &Path) -> bool {
    lock.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"open-"))
}

/// The locks in the directory, without [presences](is_presence).
#[must_use]
pub fn locks(cache: &Path) -> Vec<PathBuf> {
    let mut locks = files_below(&cache.join("v1/locks"));
    locks.retain(|lock| !is_presence(lock));
    locks
}

/// The files below `v1/entries`, in order.
#[must_use]
pub fn entries(cache: &Path) -> Vec<PathBuf> {
    files_below(&cache.join("v1/entries"))
}

/// The files in the directories of entries on any [`Disk`].
#[must_use]
pub fn entries_on(disk: &dyn Disk, cache: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| -> Vec<PathBuf> {
        disk.list(&path).unwrap_or_default().iter().map(|name| path.join(name)).collect()
    };
    below(cache.join("v1/entries")).into_iter().flat_map(below).collect()
}

/// The total length of all entries. An entry that vanishes meanwhile counts as empty.
#[must_use]
pub fn entry_bytes(cache: &Path) -> u64 {
    let length = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    entries(cache).into_iter().map(length).sum()
}

/// Whether a file name is that of an entry.
#[must_use]
pub fn is_entry_name(name: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    name.len() == 81
        && name.split_once('-').is_some_and(|(digest, key)| {
            digest.len() == 64 && key.len() == 16 && hex(digest) && hex(key)
        })
}

/// Whether the frame of an entry is whole: both magic numbers stand where they should, and the
/// lengths in header and trailer agree with the file's.
#[must_use]
pub fn is_whole(bytes: &[u8]) -> bool {
    let number = |at: usize, len: usize| {
        bytes.get(at..at + len).map(|bytes| {
            bytes.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
        })
    };
    let whole = || {
        let header = usize::try_from(number(12, 4)?).ok()?;
        let trailer = bytes.len().checked_sub(32)?;
        let magics = bytes.starts_with(b"\x89CCE\r\n\x1a\n")
            && bytes[trailer..].starts_with(b"\x89CCT\r\n\x1a\n");
        (magics && number(trailer + 8, 8)? == trailer.checked_sub(header)? as u64).then_some(())
    };
    whole().is_some()
}

/// The files in the directory that do not belong there, each with the reason.
///
/// These belong there: `CACHEDIR.TAG`; under `v1/entries` whole entries in their own directories;
/// under `v1/locks` empty files, which only a killed writer leaves unheld. A file that vanishes
/// meanwhile is passed over, because other programs may run.
///
/// # Panics
///
/// If a path below `cache` does not begin with it.
#[must_use]
pub fn litter(cache: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in files_below(cache) {
        let parts: Vec<_> = path
            .strip_prefix(cache)
            .unwrap()
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let complaint = match parts[..] {
            ["CACHEDIR.TAG"] => None,
            ["v1", "entries", shard, name] if is_entry_name(name) && name.starts_with(shard) => {
                fs::read(&path)
                    .ok()
                    .filter(|bytes| !is_whole(bytes))
                    .map(|bytes| format!("an entry of {} bytes that is not whole", bytes.len()))
            }
            ["v1", "locks", _] if is_presence(&path) => None,
            ["v1", "locks", name] if is_entry_name(name) || name == "evict" => {
                // The length is a claim; the bytes are all zero.
                let bytes = fs::read(&path).unwrap_or_default();
                bytes.iter().any(|byte| *byte != 0).then(|| "a lock with bytes in it".to_owned())
            }
            _ => Some("no file of a cache".to_owned()),
        };
        found.extend(complaint.map(|complaint| format!("{}: {complaint}", path.display())));
    }
    found
}

/// Waits until no running program holds a lock of the cache, and removes the files that killed
/// programs left. Returns their number.
///
/// # Panics
///
/// If a lock stays held.
#[track_caller]
pub fn free_locks(cache: &Path) -> usize {
    let free = |path: &PathBuf| {
        eventually("no program holds the lock", || {
            let Ok(file) = fs::File::open(path) else { return Some(false) };
            file.try_lock().is_ok().then(|| fs::remove_file(path).is_ok())
        })
    };
    locks(cache).iter().filter(|path| free(path)).count()
}
