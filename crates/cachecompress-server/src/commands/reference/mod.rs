//! The reference pages of the book: the flags of all commands, and the keys of the configuration file.

mod flags;
mod keys;
mod markdown;

pub(super) use flags::flags;
pub(super) use keys::keys;

/// The sentence by which a page says where it comes from.
const WRITTEN_BY: &str = "It is written by `cachecompress generate reference`.";
