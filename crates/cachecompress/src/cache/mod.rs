//! Entries on disk: stored under a digest, verified before they are trusted, bounded in number
//! and size.
//!
//! The cache knows neither sources nor codecs. It returns the entry of a digest, a coding and an
//! encoder's id, or the right to write one. All handles of a [`Cache`] share one state.

mod breaker;
mod builder;
mod closer;
mod dictionaries;
mod dictionary_file;
mod entry;
mod eviction;
mod guarded;
mod index;
mod key;
mod layout;
mod ledger;
mod maintenance;
mod reader;
mod scan;
mod state;
mod store;
mod stored_entry;
mod writer;

pub use builder::CacheBuilder;
pub(crate) use dictionaries::Version;
#[cfg(feature = "tier")]
pub(crate) use entry::FIXED;
pub(crate) use entry::Header;
#[cfg(any(test, fuzzing, feature = "tier"))]
pub(crate) use entry::{Checksum, MAX_HEADER, TRAILER};
pub use entry::{Damage, Kind};
pub(crate) use key::Key;
pub(crate) use ledger::{Ledger, StoredUse};
pub use maintenance::{
    CacheFiles, Care, EntriesSummary, GcSummary, Litter, PurgeSummary, VerifySummary,
};
pub(crate) use reader::{Entry, Payload, ReadError};
pub use store::{Cache, CacheStats};
pub use stored_entry::StoredEntry;
pub(crate) use writer::{EntryWriter, KeyLock, WriteError};
