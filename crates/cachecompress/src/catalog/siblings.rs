//! The evidence of the files beside a file for a hash in its name.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::resource::Resource;
use crate::concurrency::sync::clock;
use crate::http::{Siblings, SourcePath};
use crate::limits::{SIBLING_DIRECTORIES, SIBLINGS, SIBLINGS_TRUSTED};
use crate::source::Source;

/// The evidence of each directory, kept for a while.
pub(super) struct SiblingEvidence {
    /// With the time at which it was collected, in milliseconds of [`clock`]; `None` if nobody asks.
    known: Option<Cache<SourcePath, (u64, Arc<Siblings>)>>,
}

impl SiblingEvidence {
    /// Creates an empty one. If `is_wanted` is false, no directory is ever read.
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { known: is_wanted.then(|| Cache::new(SIBLING_DIRECTORIES)) }
    }

    /// Whether the files beside `resource` are to be asked.
    pub(super) fn is_missing(&self, resource: &Resource) -> bool {
        self.known.is_some() && resource.asks_siblings()
    }

    /// Asks the files beside `resource` whether its name has a hash, if that is not known. Blocks on the
    /// disk.
    pub(super) fn ask(&self, source: &dyn Source, resource: &Resource) {
        let Some(known) = self.known.as_ref().filter(|_| resource.asks_siblings()) else { return };
        let directory = resource.path.parent();
        let is_fresh = |at: u64| clock().saturating_sub(at) <= SIBLINGS_TRUSTED;
        let siblings = match known.get(&directory).filter(|(at, _)| is_fresh(*at)) {
            Some((_, siblings)) => siblings,
            None => {
                let names = source.names(&directory, SIBLINGS).unwrap_or_default();
                let siblings = Arc::new(Siblings::of(names.iter().map(|name| &**name)));
                known.insert(directory, (clock(), Arc::clone(&siblings)));
                siblings
            }
        };
        resource.note_siblings(siblings.vouch_for(resource.path.file_name()));
    }
}
