//! Paths of which something is to be remembered for a while.

use std::collections::HashMap;

use crate::concurrency::sync::{Mutex, clock, lock};
use crate::concurrency::versioned::Generation;
use crate::http::SourcePath;

/// A bounded set of paths, each for a while.
#[derive(Debug, Default)]
pub(crate) struct Paths(Mutex<HashMap<SourcePath, Added>>);

#[derive(Debug)]
struct Added {
    /// In milliseconds of [`clock`].
    at: u64,
    /// Because of what this look saw.
    look: Generation,
}

impl Paths {
    /// More would be an attack, or a disk full of logs; either way they settle by themselves.
    const MOST: usize = 4096;
    /// In milliseconds: longer than any file takes to rest, or to be hashed.
    const WHILE: u64 = 10 * 60 * 1000;

    /// Adds `path`; `false` if it was there already, or there is no room.
    pub(crate) fn add(&self, path: &SourcePath, look: Generation) -> bool {
        let (mut paths, at) = (lock(&self.0), clock());
        if paths.len() >= Self::MOST {
            paths.retain(|_, added| at.saturating_sub(added.at) < Self::WHILE);
        }
        if paths.len() >= Self::MOST {
            return false;
        }
        let before = paths.get(path).map(|added| added.look);
        let look = before.map_or(look, |before| before.max(look));
        paths.insert(path.clone(), Added { at, look });
        before.is_none()
    }

    pub(crate) fn contains(&self, path: &SourcePath) -> bool {
        lock(&self.0).contains_key(path)
    }

    pub(crate) fn remove(&self, path: &SourcePath) {
        lock(&self.0).remove(path);
    }

    /// Removes `path`, unless it was added for what a later look than `look` saw.
    pub(crate) fn settle(&self, path: &SourcePath, look: Generation) {
        let mut paths = lock(&self.0);
        if paths.get(path).is_some_and(|added| added.look <= look) {
            paths.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concurrency::versioned::Generations;

    #[test]
    fn what_a_later_look_saw_is_not_settled_by_an_earlier_one() {
        let (paths, looks) = (Paths::default(), Generations::default());
        let path = SourcePath::root().join("a.txt");
        let (early, late) = (looks.begin(), looks.begin());
        assert!(paths.add(&path, late));
        assert!(!paths.add(&path, early), "it is there already");
        paths.settle(&path, early);
        assert!(paths.contains(&path));
        paths.settle(&path, late);
        assert!(!paths.contains(&path));
    }
}
