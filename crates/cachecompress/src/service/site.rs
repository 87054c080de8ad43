//! One source with the rules for its answers.

use super::headers::HeaderRules;
use super::response_cache::ResponseCache;
use crate::representations::Representations;

/// The state that all clones of a service share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) representations: Representations,
    pub(super) rules: AnswerRules,
    pub(super) response_cache: ResponseCache,
}

/// The rules that shape a response.
#[derive(Clone, Debug)]
pub(super) struct AnswerRules {
    pub(super) headers: HeaderRules,
    /// The file names that are tried for a directory, in order.
    pub(super) index: Vec<String>,
    pub(super) spa: bool,
    pub(super) original_length: bool,
    pub(super) nosniff: bool,
    pub(super) cache_status: bool,
}

impl Default for AnswerRules {
    fn default() -> Self {
        Self {
            headers: HeaderRules::default(),
            index: Vec::new(),
            spa: false,
            original_length: false,
            nosniff: true,
            cache_status: true,
        }
    }
}
