//! Results of lookups, and the time for which they hold.

use std::sync::Arc;

use super::lookup::Slot;
use super::resource::Resource;
use crate::http::CodedFile;

/// A resource and the slot that newer lookups overwrite.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) resource: Arc<Resource>,
    pub(super) slot: Slot,
    /// The milliseconds after a lookup for which the resource counts as fresh.
    pub(crate) fresh: u64,
    /// The lookups beside the resource's file that count as well.
    pub(super) siblings: Vec<Sibling>,
}

impl Held {
    /// Whether the path still leads to this resource, by a lookup that is fresh at `now` (in
    /// milliseconds of [`clock`](crate::concurrency::sync::clock)).
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        self.resource.age_at(now) < self.fresh
            && self.slot.holds(|held| Arc::ptr_eq(held, &self.resource))
            && self.siblings.iter().all(|sibling| sibling.is_fresh(now))
    }
}

/// The result of a lookup beside a file, for one coding.
#[derive(Debug)]
pub(crate) struct Sibling {
    /// The file whose bytes may be the representation. Nothing is proven of it.
    pub(crate) file: Option<Arc<CodedFile>>,
    pub(super) seen: Seen,
}

/// The lookup on which a [`Sibling`] rests.
#[derive(Debug)]
pub(super) enum Seen {
    /// None that holds for other requests.
    Never,
    /// Nothing was found `at` a time, and this holds for so many `fresh` milliseconds.
    Nothing {
        at: u64,
        fresh: u64,
    },
    File(Held),
}

impl Sibling {
    pub(super) const UNKNOWN: Self = Self { file: None, seen: Seen::Never };

    /// Whether a lookup that is fresh at `now` (in milliseconds of
    /// [`clock`](crate::concurrency::sync::clock)) found the same.
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        match &self.seen {
            Seen::Never => false,
            Seen::Nothing { at, fresh } => now.saturating_sub(*at) < *fresh,
            Seen::File(held) => held.is_fresh(now),
        }
    }
}
