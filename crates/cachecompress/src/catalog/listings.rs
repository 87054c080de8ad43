//! The listings of directories that are made, and those that are kept for a while.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::load_error::LoadError;
use super::resource::Resource;
use crate::concurrency::singleflight::SingleFlight;
use crate::concurrency::versioned::Generation;
use crate::error::Error;
use crate::http::SourcePath;
use crate::limits::{
    LISTING_OVERHEAD, LISTINGS_IN_MEMORY, SLOW_LISTING, SLOW_LISTING_KEPT, USUAL_LISTINGS,
};
use crate::source::{Source, SourceFile};

/// The directory of a listing, and the number of its form.
pub(super) type Key = (SourcePath, u32);
/// A listing, or none if there is no such directory; with the generation of its lookup.
pub(super) type Listed = (Option<Arc<MadeListing>>, Generation);

/// A function that lists a directory and renders the listing; `None` if there is no such directory.
pub(crate) type MakeListing =
    Box<dyn FnOnce(&dyn Source) -> Result<Option<(SourceFile, HeaderMap)>, Error> + Send>;

/// A listing that was rendered.
#[derive(Debug)]
pub(crate) struct MadeListing {
    pub(crate) resource: Arc<Resource>,
    /// The fields to send with it.
    pub(crate) fields: HeaderMap,
    /// The time at which it was begun, and the time that it took, in milliseconds of [`clock`].
    pub(super) at: u64,
    pub(super) took: u64,
}

impl MadeListing {
    pub(super) fn is_fresh(&self, revalidate: Duration, now: u64) -> bool {
        let kept = match self.took < SLOW_LISTING {
            true => 0,
            false => self.took.saturating_mul(SLOW_LISTING_KEPT),
        };
        let age = now.saturating_sub(self.at);
        age < kept || Duration::from_millis(age) < revalidate
    }
}

/// The listings of a source.
#[derive(Debug)]
pub(super) struct Listings {
    pub(super) known: Cache<Key, Arc<MadeListing>, ByLength>,
    pub(super) flights: SingleFlight<Key, Listed, LoadError>,
}

impl Listings {
    pub(super) fn new() -> Self {
        // A shard's share of the room must hold the longest listing.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(USUAL_LISTINGS)
            .weight_capacity(LISTINGS_IN_MEMORY)
            .shards(1)
            .build();
        let known = match options {
            Ok(options) => {
                let hasher = DefaultHashBuilder::default();
                Cache::with_options(options, ByLength, hasher, DefaultLifecycle::default())
            }
            Err(_) => Cache::with_weighter(USUAL_LISTINGS, LISTINGS_IN_MEMORY, ByLength),
        };
        Self { known, flights: SingleFlight::new() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ByLength;

impl Weighter<Key, Arc<MadeListing>> for ByLength {
    fn weight(&self, _: &Key, listing: &Arc<MadeListing>) -> u64 {
        listing.resource.len + LISTING_OVERHEAD
    }
}
