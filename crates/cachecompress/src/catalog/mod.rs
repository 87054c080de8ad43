//! The lookup from a path to a resource, with the resources that are known and fresh.

mod brought;
mod checked_texts;
mod context;
mod encoded_source;
mod file_digests;
mod hash;
mod hash_queue;
mod held;
mod listings;
mod live_files;
mod load_error;
mod lookup;
mod make_listing;
mod name_evidence;
mod path_set;
mod requests;
mod resource;
mod siblings;

pub(crate) use context::LookupContext;
pub(crate) use hash_queue::Companion;
pub(crate) use held::{Held, Sibling};
pub(crate) use listings::MadeListing;
pub(crate) use load_error::LoadError;
pub(crate) use lookup::{DuringHash, Loaded};
pub(crate) use requests::{Catalog, Names, WeakCatalog};
pub(crate) use resource::{DigestState, Resource};
