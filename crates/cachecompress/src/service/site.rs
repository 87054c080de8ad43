//! One source with the rules for its answers.

use std::sync::Arc;

use http::{Extensions, Version};

use super::listing::Lister;
use super::navigation;
use super::response_cache::ResponseCache;
use super::site_deltas::SiteDeltas;
use crate::http::{RequestPath, SourcePath};
use crate::representations::Representations;
use crate::rules::error_pages::{ErrorPages, NearestPages};
use crate::rules::globs::Globs;
use crate::rules::headers::HeaderRules;
use crate::rules::page_paths::PagePaths;
use crate::rules::redirects::Redirects;
use crate::sendfile::Connection;

/// The state that all clones of a service share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) representations: Representations,
    pub(super) rules: AnswerRules,
    /// The deltas of its files, if there are any.
    pub(super) deltas: Option<SiteDeltas>,
    pub(super) response_cache: ResponseCache,
    pub(super) nearest_pages: NearestPages,
    /// The maker of listings, if directories without an index have any.
    pub(super) lister: Option<Arc<Lister>>,
}

/// The use of the files `.br`, `.zst` and `.gz` beside a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Siblings {
    /// They are files like any other. This is the default.
    #[default]
    Off,
    /// One that decodes to exactly the file beside it is the representation in its coding.
    Verified,
}

/// The rules that shape a response.
#[derive(Clone, Debug)]
pub(super) struct AnswerRules {
    pub(super) headers: HeaderRules,
    pub(super) redirects: Redirects,
    pub(super) pages: PagePaths,
    pub(super) spa: SpaRules,
    /// The file that answers every request, whatever its path.
    pub(super) only: Option<SourcePath>,
    /// The paths that no request reaches.
    pub(super) excluded: Globs,
    /// The files that are the bodies of errors.
    pub(super) error_pages: ErrorPages,
    /// Whether the fallback answers methods other than GET and HEAD.
    pub(super) other_methods_fall_back: bool,
    /// Whether a response's extensions have its `Served`.
    pub(super) exposes_served: bool,
    pub(super) original_length: bool,
    pub(super) siblings: Siblings,
    pub(super) nosniff: bool,
    pub(super) cache_status: bool,
}

/// The rules of an application of a single page.
#[derive(Clone, Debug, Default)]
pub(super) struct SpaRules {
    pub(super) is_on: bool,
    /// The file that answers; else the index of the root does.
    pub(super) page: Option<SourcePath>,
    /// The paths that are none of the application's.
    pub(super) except: Globs,
}

impl SpaRules {
    /// Whether the request's fields decide between the page and a 404 for a request's path.
    pub(super) fn varies(&self, path: &str) -> bool {
        self.is_on
            && navigation::may_be_page(path)
            && RequestPath::decoded(path).is_ok_and(|path| !self.except.covers_bytes(&path))
    }
}

impl Default for AnswerRules {
    fn default() -> Self {
        Self {
            headers: HeaderRules::default(),
            redirects: Redirects::default(),
            pages: PagePaths::default(),
            spa: SpaRules::default(),
            only: None,
            excluded: Globs::default(),
            error_pages: ErrorPages::default(),
            other_methods_fall_back: false,
            exposes_served: false,
            original_length: false,
            siblings: Siblings::Off,
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
