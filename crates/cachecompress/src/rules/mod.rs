//! A site's rules: pure functions from a path to fields and other answers.

pub(crate) mod globs;
mod header_rule;
pub(crate) mod headers;
mod pattern;
pub(crate) mod redirects;

pub use header_rule::HeaderRule;
