//! One source with the rules for its answers.

use http::{Extensions, Version};

use super::response_cache::ResponseCache;
use crate::http::SourcePath;
use crate::representations::Representations;
use crate::rules::globs::Globs;
use crate::rules::headers::HeaderRules;
use crate::rules::redirects::Redirects;
use crate::sendfile::Connection;

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
    pub(super) redirects: Redirects,
    /// The file names that are tried for a directory, in order.
    pub(super) index: Vec<String>,
    pub(super) spa: bool,
    /// The file that answers every request, whatever its path.
    pub(super) only: Option<SourcePath>,
    /// The paths that no request reaches.
    pub(super) excluded: Globs,
    /// The file that is the body of a 404.
    pub(super) not_found: Option<SourcePath>,
    /// Whether the fallback answers methods other than GET and HEAD.
    pub(super) other_methods_fall_back: bool,
    /// Whether a response's extensions have its `Served`.
    pub(super) exposes_served: bool,
    pub(super) original_length: bool,
    pub(super) nosniff: bool,
    pub(super) cache_status: bool,
}

impl Default for AnswerRules {
    fn default() -> Self {
        Self {
            headers: HeaderRules::default(),
            redirects: Redirects::default(),
            index: Vec::new(),
            spa: false,
            only: None,
            excluded: Globs::default(),
            not_found: None,
            other_methods_fall_back: false,
            exposes_served: false,
            original_length: false,
            nosniff: true,
            cache_status: true,
        }
    }
}

/// The connection to which a body may go by `sendfile`. There is none over HTTP/2, whose frames lie
/// between.
pub(super) fn connection_of(
    own: Option<&Connection>,
    version: Version,
    extensions: &Extensions,
) -> Option<Connection> {
    if version >= Version::HTTP_2 {
        return None;
    }
    own.cloned().or_else(|| Connection::of(extensions))
}
