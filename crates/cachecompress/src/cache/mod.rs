//! Entries on disk: stored under a digest, verified before they are trusted, bounded in number
//! and size.
//!
//! The cache knows neither sources nor codecs. It hands out the entry for a [`Key`], or the right
//! to write one.

mod entry;
mod eviction;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod index;
mod key;
mod layout;
mod reader;
mod store;
mod writer;

pub use entry::{Damage, Header, Kind};
pub use key::Key;
pub(crate) use reader::{Entry, Payload};
pub use store::{Cache, CacheBuilder, CacheStats};
pub(crate) use writer::{EntryWriter, KeyLock, WriteError};
