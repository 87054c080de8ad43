//! Entries on disk: stored under a digest, verified before they are trusted, bounded in number
//! and size.
//!
//! The cache knows neither sources nor codecs. It hands out the entry for a [`Key`], or the right
//! to write one.

mod entry;
mod eviction;
mod index;
mod key;
mod layout;
mod maintenance;
mod reader;
mod store;
mod writer;

#[cfg(any(test, fuzzing))]
pub(crate) use entry::{Checksum, MAX_HEADER, TRAILER};
pub use entry::{Damage, Header, Kind};
pub use key::Key;
pub use maintenance::{CacheFiles, Care, GcSummary, Litter, VerifySummary};
#[cfg(any(test, fuzzing))]
pub(crate) use reader::ReadError;
pub(crate) use reader::{Entry, Payload};
pub use store::{Cache, CacheBuilder, CacheStats};
pub(crate) use writer::{EntryWriter, KeyLock, WriteError};
