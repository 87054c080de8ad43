//! From a path to a resource: what is known of a file, and for how long that counts.

mod hash;
mod lookup;
mod path_set;
mod resource;

pub(crate) use lookup::{Catalog, Companion, DuringHash, Held, LoadError, Loaded};
pub(crate) use resource::{DigestState, Resource};
