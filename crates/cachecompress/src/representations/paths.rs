//! Paths of which something is to be remembered for a while.

use std::collections::HashMap;

use crate::latest::Look;
use crate::semantics::SourcePath;
use crate::sync::{Mutex, clock, lock};

/// A bounded set of paths, each for a while.
#[derive(Debug, Default)]
pub(super) struct Paths(Mutex<HashMap<SourcePath, Added>>);

#[derive(Debug)]
struct Added {
    /// In milliseconds of [`clock`].
    at: u64,
    /// Because of what this look saw.
    look: Look,
}

impl Paths {
    /// More would be an attack, or a disk full of logs; either way they settle by themselves.
    const MOST: usize = 4096;
    /// In milliseconds: longer than any file takes to rest, or to be hashed.
    const WHILE: u64 = 10 * 60 * 1000;

    /// Adds `path`; `false` if it was there already, or there is no room.
    pub(super) fn add(&self, path: &SourcePath, look: Look) -> bool {
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

    pub(super) fn contains(&self, path: &SourcePath) -> bool {
        lock(&self.0).contains_key(path)
    }

    pub(super) fn remove(&self, path: &SourcePath) {
        lock(&self.0).remove(path);
    }

    /// Removes `path`, unless it was added for what a later look than `look` saw.
    pub(super) fn settle(&self, path: &SourcePath, look: Look) {
        let mut paths = lock(&self.0);
        if paths.get(path).is_some_and(|added| added.look <= look) {
            paths.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latest::Looks;

    #[test]
    fn what_a_later_look_saw_is_not_settled_by_an_earlier_one() {
        let (paths, looks) = (Paths::default(), Looks::default());
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
