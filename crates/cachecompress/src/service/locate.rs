//! The lookup from a request's path to a resource.

use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::request::Parts;
use http::{HeaderMap, Method};

use super::options::RequestOptions;
use super::site::Site;
use crate::catalog::{Companion, LoadError, Loaded, Resource};
use crate::encode::Guess;
use crate::error::Error;
use crate::http::{AcceptEncoding, PathError, RequestPath, SourcePath};

/// The target of a request's path.
pub(super) enum Located {
    File(Target),
    Redirect(String),
    Malformed,
    Nothing,
}

/// The resource that answers a request.
pub(super) struct Target {
    pub(super) resource: Arc<Resource>,
    /// Whether the index answers a navigation to a path that leads nowhere.
    pub(super) spa: bool,
    /// An encode begun during the resource's hash. It ends with the last handle.
    pub(super) _companion: Option<Companion>,
}

impl From<Arc<Resource>> for Target {
    fn from(resource: Arc<Resource>) -> Self {
        Self { resource, spa: false, _companion: None }
    }
}

/// Finds the resource, the redirect or the error to which a request's path leads.
pub(super) async fn locate(site: &Site, parts: &Parts) -> Result<Located, Error> {
    if let Some(only) = &site.rules.only {
        let target = locate_file(site, only, parts).await?;
        return Ok(target.map_or(Located::Nothing, Located::File));
    }
    let request = match RequestPath::parse(parts.uri.path()) {
        Ok(request) => request,
        Err(PathError::Nowhere) => return spa_index(site, parts).await,
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
    spa_index(site, parts).await
}

/// Finds the index for a navigation to a path that leads nowhere, if the site is an application of a
/// single page.
async fn spa_index(site: &Site, parts: &Parts) -> Result<Located, Error> {
    if site.rules.spa
        && is_navigation(&parts.headers)
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
    site.representations.resource(path, guess).await.map_err(LoadError::into_error)
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

/// Whether a browser is about to show the response to a request as a page.
///
/// A navigation has `Sec-Fetch-Mode: navigate`, or accepts `text/html` if it lacks that field (RFC 9110
/// §12.5.1). [`Builder::spa`](crate::Builder::spa) goes by this. A fallback that does so too, for an index
/// that it fills in, sends `Vary: Accept, Sec-Fetch-Mode` with both of its answers.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header};
///
/// let mut headers = HeaderMap::new();
/// assert!(!cachecompress::is_navigation(&headers));
/// headers.insert(header::ACCEPT, HeaderValue::from_static("text/html, */*;q=0.8"));
/// assert!(cachecompress::is_navigation(&headers));
/// ```
#[must_use]
pub fn is_navigation(headers: &HeaderMap) -> bool {
    if let Some(mode) = headers.get("sec-fetch-mode") {
        return mode == "navigate";
    }
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| {
        let mut parts = member.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|range| range.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(is_zero_weight)
    })
}

/// Whether a parameter is a weight of zero, by which a client refuses (RFC 9110 §12.4.2).
fn is_zero_weight(parameter: &str) -> bool {
    let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    weight
        .is_some_and(|weight| weight.starts_with('0') && weight.bytes().all(|b| b"0.".contains(&b)))
}
