//! A site's rules: pure functions from a path to fields and other answers.

pub(crate) mod error_pages;
pub(crate) mod globs;
mod header_rule;
pub(crate) mod headers;
pub(crate) mod page_paths;
mod pattern;
mod placeholder;
pub(crate) mod redirects;

pub use header_rule::HeaderRule;
pub use page_paths::{CleanUrls, TrailingSlash};
