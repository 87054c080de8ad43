//! The lookup from a path to a resource, with the resources that are known and fresh.

mod brought;
mod context;
mod file_digests;
mod hash;
mod hash_queue;
mod load_error;
mod lookup;
mod path_set;
mod requests;
mod resource;
mod siblings;
mod svgz;

pub(crate) use context::LookupContext;
pub(crate) use hash_queue::Companion;
pub(crate) use load_error::LoadError;
pub(crate) use lookup::{DuringHash, Loaded};
pub(crate) use requests::{Catalog, Held};
pub(crate) use resource::{DigestState, Resource};
