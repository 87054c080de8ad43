//! The lookup from a request's path to a resource.

use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::request::Parts;
use http::{Method, StatusCode};

use super::navigation::is_navigation;
use super::options::RequestOptions;
use super::site::{Siblings, Site};
use crate::catalog::{Companion, LoadError, Loaded, MadeListing, Resource};
use crate::encode::Guess;
use crate::error::Error;
use crate::http::{AcceptEncoding, ContentCoding, PathError, RequestPath, SourcePath};
use crate::rules::page_paths::{Kind, Kinds, PageAnswer, Unknown};

/// The target of a request's path.
pub(super) enum Located {
    File(Target),
    /// The listing of a directory.
    Listing(Arc<MadeListing>),
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
    let found = page_of(site, &request.path, request.directory, parts).await?;
    match found {
        Page::File(target) => Ok(Located::File(target)),
        Page::Redirect(target, directory) => {
            Ok(Located::Redirect(request.location(&target, directory, parts.uri.query())))
        }
        Page::Nothing if request.directory => {
            let Some(lister) = &site.lister else { return Ok(Located::Nothing) };
            let catalog = site.representations.catalog();
            let listing = lister.find(catalog, &request.path, parts).await?;
            Ok(listing.map_or(Located::Nothing, Located::Listing))
        }
        Page::Nothing => Ok(Located::Nothing),
    }
}

/// The steps of redirects to a page and the page itself, at most.
const REDIRECT_STEPS: usize = 3;

/// The page at a path, by the rules for those.
enum Page {
    File(Target),
    Redirect(SourcePath, bool),
    Nothing,
}

/// The targets of the paths that were looked up for one request.
#[derive(Default)]
struct LookedUp {
    /// The first one stands by itself, for most requests have no other.
    first: Option<(SourcePath, Loaded)>,
    others: Vec<(SourcePath, Loaded)>,
}

impl LookedUp {
    fn add(&mut self, path: SourcePath, loaded: Loaded) {
        match &self.first {
            None => self.first = Some((path, loaded)),
            Some(_) => self.others.push((path, loaded)),
        }
    }

    fn take(self, path: &SourcePath) -> Option<Loaded> {
        let mut all = self.first.into_iter().chain(self.others);
        all.find(|(known, _)| known == path).map(|(_, loaded)| loaded)
    }
}

impl Kinds for LookedUp {
    fn known(&self, path: &SourcePath) -> Option<Kind> {
        let (_, loaded) = self.first.iter().chain(&self.others).find(|(known, _)| known == path)?;
        Some(match loaded {
            Loaded::File(..) => Kind::File,
            Loaded::Directory => Kind::Directory,
            Loaded::Nothing => Kind::Nothing,
        })
    }
}

/// Finds the page at a path of a request, which has a slash at its end if it is for a `directory`.
async fn page_of(
    site: &Site,
    path: &SourcePath,
    directory: bool,
    parts: &Parts,
) -> Result<Page, Error> {
    let mut looked_up = LookedUp::default();
    let answer = loop {
        match site.rules.pages.answer(path, directory, &looked_up) {
            Ok(answer) => break answer,
            Err(Unknown(path)) => {
                let loaded = look_up_requested(site, &path, parts).await?;
                looked_up.add(path, loaded);
            }
        }
    };
    Ok(match answer {
        PageAnswer::Redirect(target, directory) => Page::Redirect(target, directory),
        // Its listing is at the slash, whatever the rule for pages is.
        PageAnswer::Nothing
            if !directory
                && site.lister.is_some()
                && looked_up.known(path) == Some(Kind::Directory) =>
        {
            Page::Redirect(path.clone(), true)
        }
        PageAnswer::Nothing => Page::Nothing,
        PageAnswer::Serve(file) => match looked_up.take(&file) {
            Some(Loaded::File(resource, _companion)) => {
                Page::File(Target { resource, spa: false, _companion })
            }
            Some(Loaded::Directory | Loaded::Nothing) | None => Page::Nothing,
        },
    })
}

/// Finds the page at `request`, with a slash at its end or without, for a rule that leads there.
pub(super) async fn locate_page(
    site: &Site,
    request: &RequestPath,
    parts: &Parts,
) -> Result<Option<Target>, Error> {
    let (mut path, mut directory) = (request.path.clone(), request.directory);
    for _ in 0..REDIRECT_STEPS {
        match page_of(site, &path, directory, parts).await? {
            Page::File(target) => return Ok(Some(target)),
            Page::Redirect(target, has_slash) => (path, directory) = (target, has_slash),
            Page::Nothing => break,
        }
    }
    Ok(None)
}

/// Whether a request's path has a page or a listing, with a slash at its end or without.
pub(super) async fn has_page(site: &Site, parts: &Parts) -> Result<bool, Error> {
    let Ok(request) = RequestPath::parse(parts.uri.path()) else { return Ok(false) };
    Ok(locate_page(site, &request, parts).await?.is_some()
        || site.lister.is_some() && is_directory(site, &request.path, parts).await)
}

/// Finds the page of an application of a single page for a path that the source lacks.
pub(super) async fn spa_index(site: &Site, parts: &Parts) -> Result<Located, Error> {
    let catalog = site.representations.catalog();
    let path = parts.uri.path();
    let is_typed = |path| RequestPath::parse(path).is_ok_and(|path| catalog.names_type(&path.path));
    if !site.rules.spa.varies(path) || !is_navigation(path, &parts.headers) || is_typed(path) {
        return Ok(Located::Nothing);
    }
    let target = match &site.rules.spa.page {
        Some(page) => locate_file(site, page, parts).await?,
        None => match page_of(site, &SourcePath::root(), true, parts).await? {
            Page::File(target) => Some(target),
            Page::Redirect(..) | Page::Nothing => None,
        },
    };
    Ok(match target {
        Some(target) => Located::File(Target { spa: true, ..target }),
        None => Located::Nothing,
    })
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

/// Whether a path that a request chose is that of a directory.
pub(super) async fn is_directory(site: &Site, path: &SourcePath, parts: &Parts) -> bool {
    matches!(look_up_requested(site, path, parts).await, Ok(Loaded::Directory))
}

/// Looks up a path that a request chose.
async fn look_up_requested(site: &Site, path: &SourcePath, parts: &Parts) -> Result<Loaded, Error> {
    if site.rules.excluded.covers(path) {
        return Ok(Loaded::Nothing);
    }
    let loaded = look_up(site, path, parts).await?;
    let coded = match &loaded {
        Loaded::File(resource, _) => resource.coded_path(),
        Loaded::Directory | Loaded::Nothing => None,
    };
    // A path may lead to the file of another name.
    match coded.is_some_and(|path| site.rules.excluded.covers(path)) {
        true => Ok(Loaded::Nothing),
        false => Ok(loaded),
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
    // The file beside it may spare the encode.
    if site.rules.siblings != Siblings::Off {
        return None;
    }
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
