//! Maps files. All of the library's `unsafe` is here.

#![allow(unsafe_code, reason = "mapping a file, and asking which of its pages are in memory")]
#![allow(clippy::disallowed_types, reason = "the file that `fs` has opened, by its descriptor")]

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Mmap, MmapOptions};

use crate::limits::{RESIDENT_STRETCH, RESIDENT_TRUSTED};

/// The smallest page of all platforms that have `sendfile`, in bytes.
#[cfg(target_os = "linux")]
const PAGE: u64 = 4096;

/// All of a file, mapped for its addresses.
#[derive(Debug)]
pub(crate) struct Mapping {
    #[cfg(target_os = "linux")]
    file: Arc<File>,
    memory: Mmap,
    /// Whether the kernel tells this process which pages are in memory. Since Linux 5.2 it tells
    /// anybody but a file's owner that all are.
    is_told: bool,
    /// The time when each stretch was last found in memory, in the caller's milliseconds plus 1.
    found: Box<[AtomicU64]>,
}

impl Mapping {
    /// Maps all of `file`, which nobody may write to or cut any more; `None` if it cannot be mapped.
    pub(crate) fn new(file: Arc<File>) -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64", not(cachecompress_portable)))
        {
            return None;
        }
        // SAFETY: The memory is only read, and its bytes change under a reader only if somebody writes
        // to the file. Nobody writes to an entry: it is private to its owner, written once, before it
        // is mapped, and replaced by another file, never changed. Its checksum was verified through
        // this descriptor. For a source, the application has promised that nobody writes. A process
        // that breaks this from outside makes bytes arbitrary, or cuts the file, which gives a SIGBUS
        // to a layer that reads the memory; a `Stream` never reads it.
        let memory = unsafe { MmapOptions::new().map_copy_read_only(&*file) }.ok()?;
        let stretches = (memory.len() as u64).div_ceil(RESIDENT_STRETCH);
        let is_told = is_ours(&file);
        Some(Self {
            #[cfg(target_os = "linux")]
            file,
            memory,
            is_told,
            found: (0..stretches).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    /// The mapped file.
    #[cfg(target_os = "linux")]
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Returns the memory of the `len` bytes at `at`, if the file has so many.
    pub(super) fn memory(&self, at: u64, len: u64) -> Option<&[u8]> {
        let (at, len) = (usize::try_from(at).ok()?, usize::try_from(len).ok()?);
        self.memory.get(at..at.checked_add(len)?)
    }

    /// Whether the `len` bytes at `at` can be sent without waiting for a disk: they are in the
    /// page cache `now`, or were within the last second. In doubt the answer is no.
    pub(crate) fn is_resident(&self, at: u64, len: u64, now: u64) -> bool {
        let end = at.saturating_add(len).min(self.memory.len() as u64);
        (at / RESIDENT_STRETCH..end.div_ceil(RESIDENT_STRETCH)).all(|stretch| {
            let Some(found) = usize::try_from(stretch).ok().and_then(|at| self.found.get(at))
            else {
                return false;
            };
            let seen = found.load(Ordering::Relaxed);
            if seen > 0 && now.saturating_sub(seen - 1) < RESIDENT_TRUSTED {
                return true;
            }
            let is_there = self.is_told && self.is_in_memory(stretch * RESIDENT_STRETCH);
            if is_there {
                found.store(now + 1, Ordering::Relaxed);
            }
            is_there
        })
    }

    /// Whether all of the stretch at `at` is in the page cache.
    #[cfg(target_os = "linux")]
    fn is_in_memory(&self, at: u64) -> bool {
        let len = RESIDENT_STRETCH.min(self.memory.len() as u64 - at);
        // If pages are larger, the kernel fills fewer bytes.
        let mut pages = [1_u8; (RESIDENT_STRETCH / PAGE) as usize];
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

    /// Makes every read of the memory kill the process.
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
    fn stretch_is_not_resident_when_it_was_dropped_from_the_page_cache() {
        // The file is not in /tmp, which may be a tmpfs.
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let len = 3 * RESIDENT_STRETCH + 5;
        file.write_all(&vec![1; usize::try_from(len).unwrap()]).unwrap();
        file.sync_all().unwrap();
        let mapping = Mapping::new(Arc::new(file)).unwrap();
        assert!(mapping.is_resident(0, len, 0));
        let dropped = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(mapping.file(), 0, None, dropped).unwrap();
        assert!(
            mapping.is_resident(RESIDENT_STRETCH, 1, RESIDENT_TRUSTED - 1),
            "it was found a moment ago"
        );
        assert!(!mapping.is_resident(RESIDENT_STRETCH, 1, RESIDENT_TRUSTED));
        assert!(!mapping.is_resident(0, len, RESIDENT_TRUSTED));
        assert_eq!(
            mapping.memory(0, len).unwrap().iter().map(|&one| u64::from(one)).sum::<u64>(),
            len
        );
        assert!(mapping.is_resident(0, len, RESIDENT_TRUSTED), "it was read again");
        assert!(mapping.memory(len, 1).is_none());
    }
}
