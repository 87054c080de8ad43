//! The symlinks that a source did not follow.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::fs::Symlinks;
use crate::limits::{REFUSED_LINKS, REFUSED_LINKS_AT_ONCE, REFUSED_LINKS_WINDOW};
use crate::log::{self, EscapedPath};

/// A log of symlinks, which names each path once. Its memory and its rate are bounded.
#[derive(Debug)]
pub(super) struct RefusedLinks {
    hasher: RandomState,
    start: Instant,
    told: Mutex<Told>,
}

impl Default for RefusedLinks {
    fn default() -> Self {
        Self { hasher: RandomState::new(), start: Instant::now(), told: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Told {
    /// The hashes of the paths.
    paths: HashSet<u64>,
    /// The beginning of the window, in milliseconds since the start, and the paths told in it.
    window: (u64, usize),
}

impl RefusedLinks {
    /// Logs that the symlink `path` is not followed, unless that was done. A path that comes too soon
    /// after others is left for its next lookup.
    pub(super) fn tell(&self, path: &Path, symlinks: Symlinks) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.add(self.hasher.hash_one(path), now) {
            return;
        }
        drop(told);
        let path = EscapedPath(path);
        // The limit of `log::warn` would lose paths, which are told once.
        match symlinks {
            Symlinks::Deny => log::event!(warn, %path, "a symlink is not followed"),
            _ => log::event!(
                warn,
                %path,
                "a symlink that leads out of the directory is not followed"
            ),
        }
    }
}

impl Told {
    /// Whether the path of this hash is to be told at `now`.
    fn add(&mut self, path: u64, now: u64) -> bool {
        if self.paths.len() >= REFUSED_LINKS || self.paths.contains(&path) {
            return false;
        }
        if now.saturating_sub(self.window.0) >= REFUSED_LINKS_WINDOW {
            self.window = (now, 0);
        }
        if self.window.1 >= REFUSED_LINKS_AT_ONCE {
            return false;
        }
        self.window.1 += 1;
        self.paths.insert(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_told_once_and_bounds_hold() {
        let mut told = Told::default();
        let at_once = REFUSED_LINKS_AT_ONCE as u64;
        let first: Vec<_> = (0..at_once + 5).filter(|path| told.add(*path, 0)).collect();
        assert_eq!(first, (0..at_once).collect::<Vec<_>>());
        assert!(!told.add(0, REFUSED_LINKS_WINDOW), "told before");
        assert!(told.add(at_once, REFUSED_LINKS_WINDOW), "the next window has room");
        let all = (0..1 << 20).filter(|path| told.add(*path, REFUSED_LINKS_WINDOW * path)).count();
        assert_eq!(all + first.len() + 1, REFUSED_LINKS);
        assert_eq!(told.paths.len(), REFUSED_LINKS);
    }
}
