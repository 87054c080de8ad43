//! Entries on disk: stored under a digest, verified before they are trusted, bounded in number
//! and size.
//!
//! The cache knows neither sources nor codecs. [`Cache`] returns the entry for a [`Key`], or the
//! right to write one. All its handles share one `State`, on which the writer and the eviction
//! stand.

mod builder;
mod entry;
mod eviction;
mod index;
mod key;
mod layout;
mod maintenance;
mod reader;
mod scan;
mod state;
mod store;
mod writer;

pub use builder::CacheBuilder;
#[cfg(any(test, fuzzing))]
pub(crate) use entry::{Checksum, MAX_HEADER, TRAILER};
pub use entry::{Damage, Header, Kind};
pub use key::Key;
pub use maintenance::{CacheFiles, Care, GcSummary, Litter, VerifySummary};
#[cfg(any(test, fuzzing))]
pub(crate) use reader::ReadError;
pub(crate) use reader::{Entry, Payload};
pub use store::{Cache, CacheStats};
pub(crate) use writer::{EntryWriter, KeyLock, WriteError};
