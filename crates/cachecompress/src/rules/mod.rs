//! A site's rules: pure functions from a path to fields and other answers.

pub(crate) mod globs;
pub(crate) mod headers;
