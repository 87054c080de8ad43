//! A cache of short payloads in memory.
//!
//! It holds each payload once, for any number of responses and clients.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::http::{Digest, EncoderId};
use crate::limits::{PAYLOAD_IN_MEMORY, PAYLOAD_OVERHEAD, PAYLOADS_PER_SHARD, USUAL_PAYLOAD};

/// The key of a payload: its content and, for a coded one, its encoder.
pub(crate) type PayloadKey = (Digest, Option<EncoderId>);

/// Payloads of up to [`PAYLOAD_IN_MEMORY`] bytes each, bounded in total. The least useful ones are
/// evicted. Cloned handles share them.
#[derive(Clone, Debug)]
pub(crate) struct MemoryCache(Option<Arc<Cache<PayloadKey, Arc<Bytes>, ByLength>>>);

impl MemoryCache {
    /// Creates a cache of at most `bytes` bytes. Room for less than two of the longest payloads
    /// keeps none.
    pub(crate) fn new(bytes: u64) -> Self {
        // A shard's share of the room must hold the longest payload.
        let most_shards =
            usize::try_from(bytes / (PAYLOADS_PER_SHARD * PAYLOAD_IN_MEMORY)).unwrap_or(usize::MAX);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(bytes / USUAL_PAYLOAD).unwrap_or(usize::MAX))
            .weight_capacity(bytes)
            .shards(most_shards.clamp(1, 4 * cores))
            .build();
        let cache = |options| {
            let hasher = DefaultHashBuilder::default();
            Cache::with_options(options, ByLength, hasher, DefaultLifecycle::default())
        };
        Self(options.ok().filter(|_| bytes >= 2 * PAYLOAD_IN_MEMORY).map(cache).map(Arc::new))
    }

    /// Whether payloads are kept at all.
    pub(crate) fn keep_any(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn get(&self, key: &PayloadKey) -> Option<Arc<Bytes>> {
        self.0.as_ref()?.get(key)
    }

    pub(crate) fn insert(&self, key: PayloadKey, bytes: Bytes) -> Arc<Bytes> {
        let bytes = Arc::new(bytes);
        if let Some(cache) = &self.0 {
            cache.insert(key, Arc::clone(&bytes));
        }
        bytes
    }
}

#[derive(Clone, Debug)]
struct ByLength;

impl Weighter<PayloadKey, Arc<Bytes>> for ByLength {
    fn weight(&self, _: &PayloadKey, bytes: &Arc<Bytes>) -> u64 {
        bytes.len() as u64 + PAYLOAD_OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(seed: u8) -> (PayloadKey, Bytes) {
        let bytes = vec![seed; usize::try_from(PAYLOAD_IN_MEMORY).unwrap()];
        ((Digest::of(&bytes), None), bytes.into())
    }

    /// On machines with many cores, each of many shards had less room than one payload takes.
    #[test]
    fn longest_payload_is_kept_in_any_room() {
        for bytes in [PAYLOAD_IN_MEMORY * 4, 8 << 20, 48 << 20, 1 << 30] {
            let payloads = MemoryCache::new(bytes);
            let (key, bytes) = payload(1);
            payloads.insert(key, bytes.clone());
            assert_eq!(payloads.get(&key).as_deref(), Some(&bytes));
        }
    }

    #[test]
    fn payloads_stay_within_their_room() {
        let payloads = MemoryCache::new(PAYLOAD_IN_MEMORY * 8);
        for seed in 0..100 {
            let (key, bytes) = payload(seed);
            payloads.insert(key, bytes);
        }
        let kept = (0..100).filter(|seed| payloads.get(&payload(*seed).0).is_some()).count();
        assert!((1..=8).contains(&kept), "{kept}");
        assert!(!MemoryCache::new(0).keep_any());
    }
}
