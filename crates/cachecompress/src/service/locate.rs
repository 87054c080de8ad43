//! The lookup from a request's path to a resource.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::request::Parts;
use http::{Method, StatusCode};

use super::navigation::is_navigation;
use super::options::RequestOptions;
use super::site::Site;
use crate::catalog::{Companion, LoadError, Loaded, Resource};
use crate::encode::Guess;
use crate::error::Error;
use crate::http::{AcceptEncoding, ContentCoding, PathError, RequestPath, SourcePath};

/// The target of a request's path.
pub(super) enum Located {
    File(Target),
    Redirect(String),
    /// A redirect of the site's rules, with its status and its `Location`.
    Moved(StatusCode, String),
    /// An error of the site's rules, with its page.
    Refused(StatusCode, Option<Target>),
    Malformed,
    Nothing,
}

/// The resource that answers a request.
pub(super) struct Target {
    pub(super) resource: Arc<Resource>,
    /// Whether the index answers a path that leads nowhere.
    pub(super) spa: bool,
    /// An encode begun during the resource's hash. It ends with the last handle.
    pub(super) _companion: Option<Companion>,
}

impl From<Arc<Resource>> for Target {
    fn from(resource: Arc<Resource>) -> Self {
        Self { resource, spa: false, _companion: None }
    }
}

/// Finds the resource, the redirect or the error to which a request's path leads by itself.
pub(super) async fn locate(site: &Site, parts: &Parts) -> Result<Located, Error> {
    if let Some(only) = &site.rules.only {
        let target = locate_file(site, only, parts).await?;
        return Ok(target.map_or(Located::Nothing, Located::File));
    }
    let request = match RequestPath::parse(parts.uri.path()) {
        Ok(request) => request,
        Err(PathError::Nowhere | PathError::Outside) => return Ok(Located::Nothing),
        Err(PathError::Malformed) => return Ok(Located::Malformed),
    };
    if request.directory {
        if let Some(target) = index_of(site, &request.path, parts, false).await? {
            return Ok(Located::File(target));
        }
    } else {
        match look_up_requested(site, &request.path, parts).await? {
            Loaded::File(resource, _companion) => {
                return Ok(Located::File(Target { resource, spa: false, _companion }));
            }
            Loaded::Directory => {
                return Ok(Located::Redirect(request.directory_location(parts.uri.query())));
            }
            Loaded::Nothing => {}
        }
    }
    Ok(Located::Nothing)
}

/// Finds the page at `request`, with a slash at its end or without, for a rule that leads there.
pub(super) async fn locate_page(
    site: &Site,
    request: &RequestPath,
    parts: &Parts,
) -> Result<Option<Target>, Error> {
    if !request.path.is_root()
        && let Loaded::File(resource, _companion) =
            look_up_requested(site, &request.path, parts).await?
    {
        return Ok(Some(Target { resource, spa: false, _companion }));
    }
    index_of(site, &request.path, parts, false).await
}

/// Whether a request's path has a page, with a slash at its end or without.
pub(super) async fn has_page(site: &Site, parts: &Parts) -> Result<bool, Error> {
    match RequestPath::parse(parts.uri.path()) {
        Ok(request) => Ok(locate_page(site, &request, parts).await?.is_some()),
        Err(_) => Ok(false),
    }
}

/// Finds the index for a page that the source lacks, if the site is an application of a single page.
pub(super) async fn spa_index(site: &Site, parts: &Parts) -> Result<Located, Error> {
    let catalog = site.representations.catalog();
    let is_typed = |path| RequestPath::parse(path).is_ok_and(|path| catalog.names_type(&path.path));
    if site.rules.spa
        && is_navigation(parts.uri.path(), &parts.headers)
        && !is_typed(parts.uri.path())
        && let Some(target) = index_of(site, &SourcePath::root(), parts, true).await?
    {
        return Ok(Located::File(target));
    }
    Ok(Located::Nothing)
}

/// Finds the file `path` of the source. `path` is no request's path, so there is neither an index
/// nor a redirect.
pub(super) async fn locate_file(
    site: &Site,
    path: &SourcePath,
    parts: &Parts,
) -> Result<Option<Target>, Error> {
    Ok(match look_up(site, path, parts).await? {
        Loaded::File(resource, _companion) => Some(Target { resource, spa: false, _companion }),
        Loaded::Directory | Loaded::Nothing => None,
    })
}

async fn index_of(
    site: &Site,
    directory: &SourcePath,
    parts: &Parts,
    spa: bool,
) -> Result<Option<Target>, Error> {
    for name in &site.rules.index {
        if let Loaded::File(resource, _companion) =
            look_up_requested(site, &directory.join(name), parts).await?
        {
            return Ok(Some(Target { resource, spa, _companion }));
        }
    }
    Ok(None)
}

/// Looks up a path that a request chose.
async fn look_up_requested(site: &Site, path: &SourcePath, parts: &Parts) -> Result<Loaded, Error> {
    match site.rules.excluded.covers(path) {
        true => Ok(Loaded::Nothing),
        false => look_up(site, path, parts).await,
    }
}

async fn look_up(site: &Site, path: &SourcePath, parts: &Parts) -> Result<Loaded, Error> {
    let guess = || guess_codec(site, parts);
    let found = site.representations.resource(path, guess, || needs_digest(parts)).await;
    found.map_err(LoadError::into_error)
}

/// Whether a file without a digest cannot answer a request: it refuses identity, which is all that such
/// a file has, or names a tag, which it cannot have.
pub(super) fn needs_digest(parts: &Parts) -> bool {
    let accept = AcceptEncoding::from_headers(&parts.headers);
    !accept.accepts(&ContentCoding::IDENTITY) || parts.headers.contains_key(IF_MATCH)
}

/// Guesses the codec of a large file that is not hashed yet; `None` if this request is unlikely to
/// need an encode. The guess is a closure, because few lookups come to a large file.
fn guess_codec(site: &Site, parts: &Parts) -> Option<Guess> {
    let mut lines = parts.headers.get_all(ACCEPT_ENCODING).iter();
    let (Some(accept), None) = (lines.next(), lines.next()) else { return None };
    // A request with a range or a validator is unlikely to need an encode.
    let others = [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE];
    if parts.method != Method::GET || others.iter().any(|name| parts.headers.contains_key(name)) {
        return None;
    }
    let (accept, options) = (accept.clone(), parts.extensions.get::<RequestOptions>().cloned());
    let representations = site.representations.clone();
    Some(Box::new(move || {
        let chosen = options.as_ref().and_then(|options| options.codings.as_deref());
        let offered = representations.offered(chosen, u64::MAX);
        let accept = AcceptEncoding::parse(std::iter::once(accept.as_bytes()));
        let codings = accept.negotiate(&offered).codings;
        codings.first().and_then(|coding| representations.codecs().get(coding)).cloned()
    }))
}
