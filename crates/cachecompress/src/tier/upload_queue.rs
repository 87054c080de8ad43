//! The bounds of the entries that are to be stored for other replicas.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use crate::limits::TIER_UPLOADS_AT_ONCE;

/// The queue of uploads, bounded in entries and bytes.
#[derive(Debug)]
pub(super) struct Uploads {
    pub(super) entries: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) places: Semaphore,
}

impl Default for Uploads {
    fn default() -> Self {
        let places = Semaphore::new(TIER_UPLOADS_AT_ONCE);
        Self { entries: AtomicU64::new(0), bytes: AtomicU64::new(0), places }
    }
}

impl Uploads {
    /// The entries in the queue, and their bytes.
    pub(super) fn queued(&self) -> (u64, u64) {
        (self.entries.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
