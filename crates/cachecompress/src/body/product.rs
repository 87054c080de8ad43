//! The growing payload of an encode.

use std::time::Duration;

use crate::cache::{Entry, Payload};
use crate::concurrency::progress::Progress;
use crate::error::Failure;

/// The payload that an encode shares with its readers, and which may still grow.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) payload: Payload,
    /// Whether the cache had it before the encode.
    pub(crate) stored: bool,
    /// Whether the cache has it now.
    pub(crate) kept: bool,
    /// Whether it comes from the shared store.
    pub(crate) imported: bool,
    /// The processor time of the encode and its proof, once it has ended. Zero if the cache had it.
    pub(crate) took: Duration,
}

/// The progress of an encode.
pub(crate) type Production = Progress<Product, Failure>;

impl Product {
    /// Describes the payload of an entry.
    pub(crate) fn of_entry(entry: &Entry, stored: bool) -> Self {
        Self { stored, kept: true, ..Self::of_payload(entry.payload()) }
    }

    /// Describes a payload that the cache does not have.
    pub(crate) fn of_payload(payload: Payload) -> Self {
        Self { payload, stored: false, kept: false, imported: false, took: Duration::ZERO }
    }
}
