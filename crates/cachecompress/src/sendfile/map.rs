//! The one place where memory is mapped.

#![allow(unsafe_code, reason = "mapping a file, and asking what of it is in memory")]
#![allow(clippy::disallowed_types, reason = "the file that `fs` has opened, by its descriptor")]

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Mmap, MmapOptions};

/// As much as is looked for in memory at a time, in bytes.
const STRETCH: u64 = 1 << 20;
/// For how many milliseconds what was found in memory is taken to be there.
const STAYS: u64 = 1000;
/// No page is smaller, on any platform that has `sendfile`.
#[cfg(target_os = "linux")]
const PAGE: u64 = 4096;

/// All of a file, mapped for its addresses.
#[derive(Debug)]
pub(crate) struct Mapping {
    file: Arc<File>,
    memory: Mmap,
    /// Whether the kernel tells us what of it is in memory: to others than a file's owner it says
    /// that all is, since Linux 5.2.
    is_told: bool,
    /// When each stretch was last found in memory, in the caller's milliseconds, and 1 more.
    found: Box<[AtomicU64]>,
}

impl Mapping {
    /// Maps all of `file`, which nobody may write to or cut any more; `None` where that cannot be.
    pub(crate) fn new(file: Arc<File>) -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64", not(cachecompress_portable)))
        {
            return None;
        }
        // SAFETY: The memory is only ever read, and what is read may change under the reader only
        // if somebody writes to the file. Of an entry, nobody does: it is private to its owner,
        // written once, before it is mapped, and replaced by another file, never changed; the
        // entry's checksum was verified through this descriptor. For a source, the application
        // has promised it. Whoever breaks this from outside makes bytes arbitrary, or cuts the
        // file and gets a SIGBUS, where a layer reads the memory; a `Stream` never does.
        let memory = unsafe { MmapOptions::new().map_copy_read_only(&*file) }.ok()?;
        let stretches = (memory.len() as u64).div_ceil(STRETCH);
        let is_told = is_ours(&file);
        Some(Self {
            file,
            memory,
            is_told,
            found: (0..stretches).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// The mapped file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The memory of the `len` bytes at `at`, if the file has so many.
    pub(super) fn memory(&self, at: u64, len: u64) -> Option<&[u8]> {
        let (at, len) = (usize::try_from(at).ok()?, usize::try_from(len).ok()?);
        self.memory.get(at..at.checked_add(len)?)
    }

    /// Whether the `len` bytes at `at` can be sent without waiting for a disk: they are in the
    /// page cache `now`, or were within the last second. In doubt, they are not.
    pub(crate) fn is_resident(&self, at: u64, len: u64, now: u64) -> bool {
        let end = at.saturating_add(len).min(self.memory.len() as u64);
        (at / STRETCH..end.div_ceil(STRETCH)).all(|stretch| {
            let Some(found) = usize::try_from(stretch).ok().and_then(|at| self.found.get(at))
            else {
                return false;
            };
            let seen = found.load(Ordering::Relaxed);
            if seen > 0 && now.saturating_sub(seen - 1) < STAYS {
                return true;
            }
            let is_there = self.is_told && self.is_in_memory(stretch * STRETCH);
            if is_there {
                found.store(now + 1, Ordering::Relaxed);
            }
            is_there
        })
    }

    /// Whether all of the stretch at `at` is in the page cache.
    #[cfg(target_os = "linux")]
    fn is_in_memory(&self, at: u64) -> bool {
        let len = STRETCH.min(self.memory.len() as u64 - at);
        // Where pages are larger, fewer are told of.
        let mut pages = [1_u8; (STRETCH / PAGE) as usize];
        let Some(memory) = self.memory(at, len) else { return false };
        // SAFETY: The stretch lies in the mapping, begins at a page (the mapping does, and
        // stretches are multiples of any page's size), and `pages` has a byte for each page of it,
        // pages being no smaller than PAGE.
        let told = unsafe {
            libc::mincore(memory.as_ptr().cast_mut().cast(), memory.len(), pages.as_mut_ptr())
        };
        told == 0 && pages.iter().all(|page| page & 1 == 1)
    }

    #[cfg(not(target_os = "linux"))]
    fn is_in_memory(&self, _: u64) -> bool {
        false
    }

    /// Lets any look at the memory kill the process.
    #[cfg(all(test, target_os = "linux", not(cachecompress_portable)))]
    pub(crate) fn forbid_looks(&self) {
        // SAFETY: The range is the mapping's own; nothing refers to its bytes but by address.
        let told = unsafe {
            libc::mprotect(
                self.memory.as_ptr().cast_mut().cast(),
                self.memory.len(),
                libc::PROT_NONE,
            )
        };
        assert_eq!(told, 0);
    }
}

#[cfg(target_os = "linux")]
fn is_ours(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let us = rustix::process::geteuid();
    us.is_root() || file.metadata().is_ok_and(|metadata| metadata.uid() == us.as_raw())
}

#[cfg(not(target_os = "linux"))]
fn is_ours(_: &File) -> bool {
    false
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_dropped_from_the_page_cache_is_not_resident() {
        // Not in /tmp, which may be memory itself.
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let len = 3 * STRETCH + 5;
        file.write_all(&vec![1; usize::try_from(len).unwrap()]).unwrap();
        file.sync_all().unwrap();
        let mapping = Mapping::new(Arc::new(file)).unwrap();
        assert!(mapping.is_resident(0, len, 0));
        let dropped = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(mapping.file(), 0, None, dropped).unwrap();
        assert!(mapping.is_resident(STRETCH, 1, STAYS - 1), "found a moment ago");
        assert!(!mapping.is_resident(STRETCH, 1, STAYS));
        assert!(!mapping.is_resident(0, len, STAYS));
        assert_eq!(
            mapping.memory(0, len).unwrap().iter().map(|&one| u64::from(one)).sum::<u64>(),
            len
        );
        assert!(mapping.is_resident(0, len, STAYS), "read again");
        assert!(mapping.memory(len, 1).is_none());
    }
}
