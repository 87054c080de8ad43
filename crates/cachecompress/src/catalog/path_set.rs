//! A bounded set of paths, which remembers each for a while.

use std::collections::HashMap;

use crate::concurrency::sync::{Mutex, clock, lock};
use crate::concurrency::versioned::Generation;
use crate::http::SourcePath;
use crate::limits::{UNSTABLE_MEMORY, UNSTABLE_PATHS};

/// A set of paths, each with the latest generation that added it.
#[derive(Debug, Default)]
pub(super) struct PathSet(Mutex<HashMap<SourcePath, Added>>);

#[derive(Debug)]
struct Added {
    /// The time of the last addition, in milliseconds of [`clock`].
    at: u64,
    generation: Generation,
}

impl PathSet {
    /// Adds `path`, if there is room.
    pub(super) fn add(&self, path: &SourcePath, generation: Generation) {
        let (mut paths, at) = (lock(&self.0), clock());
        if paths.len() >= UNSTABLE_PATHS {
            paths.retain(|_, added| at.saturating_sub(added.at) < UNSTABLE_MEMORY);
        }
        if paths.len() >= UNSTABLE_PATHS {
            return;
        }
        let before = paths.get(path).map(|added| added.generation);
        let generation = before.map_or(generation, |before| before.max(generation));
        paths.insert(path.clone(), Added { at, generation });
    }

    pub(super) fn contains(&self, path: &SourcePath) -> bool {
        lock(&self.0).contains_key(path)
    }

    /// Removes `path`, unless a generation later than `generation` added it.
    pub(super) fn settle(&self, path: &SourcePath, generation: Generation) {
        let mut paths = lock(&self.0);
        if paths.get(path).is_some_and(|added| added.generation <= generation) {
            paths.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concurrency::versioned::Generations;

    #[test]
    fn settle_keeps_a_path_that_a_later_generation_added() {
        let (paths, generations) = (PathSet::default(), Generations::default());
        let path = SourcePath::root().join("a.txt");
        let (early, late) = (generations.begin(), generations.begin());
        paths.add(&path, late);
        paths.add(&path, early);
        paths.settle(&path, early);
        assert!(paths.contains(&path));
        paths.settle(&path, late);
        assert!(!paths.contains(&path));
    }
}
