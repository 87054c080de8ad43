//! The bound on bytes that handlers brought and encodes keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalog::Resource;
use crate::limits::{BROUGHT_BYTES, RESOURCE_BYTES};
use crate::source::Content;

/// The bytes in memory that only waiting and running encodes keep, as no source has them.
#[derive(Clone, Debug, Default)]
pub(super) struct BroughtBytes(Arc<AtomicU64>);

/// The part of one encode, which a drop gives back.
#[derive(Debug)]
pub(super) struct Share {
    total: BroughtBytes,
    bytes: u64,
}

impl BroughtBytes {
    /// Takes the share of an encode of `resource`; `None` if there is no room for it. A single encode
    /// always has room.
    pub(super) fn take(&self, resource: &Resource) -> Option<Share> {
        let bytes = match &resource.brought {
            Some(Content::Bytes(bytes)) if bytes.len() > RESOURCE_BYTES => bytes.len() as u64,
            _ => 0,
        };
        let fits = |taken: u64| {
            let sum = taken.saturating_add(bytes);
            (bytes == 0 || taken == 0 || sum <= BROUGHT_BYTES).then_some(sum)
        };
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.is_ok().then(|| Share { total: self.clone(), bytes })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
