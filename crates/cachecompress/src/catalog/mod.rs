//! The lookup from a path to a resource, with the resources that are known and fresh.

mod brought;
mod hash;
mod lookup;
mod path_set;
mod resource;
mod svgz;

pub(crate) use lookup::{Catalog, Companion, DuringHash, Held, LoadError, Loaded};
pub(crate) use resource::{DigestState, Resource};
