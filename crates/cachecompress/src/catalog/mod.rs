//! From a path to a resource: what is known of a file, and for how long that counts.

pub(crate) mod hash;
pub(crate) mod path_set;
pub(crate) mod resource;
