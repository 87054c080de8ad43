//! The lookup from a path to a resource, with the resources that are known and fresh.

mod brought;
mod file_digests;
mod hash;
mod load_error;
mod lookup;
mod path_set;
mod resource;
mod svgz;

pub(crate) use load_error::LoadError;
pub(crate) use lookup::{Catalog, Companion, DuringHash, Held, Loaded};
pub(crate) use resource::{DigestState, Resource};
