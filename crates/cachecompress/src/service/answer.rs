//! The steps of a request in order: locate, plan, select, respond.

use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{Response, StatusCode};

use super::adoption;
use super::deltas;
use super::exchange::{Exchange, OwnPage, Stored};
use super::foresight::Noted;
use super::listing;
use super::locate::{self, Located, Target};
use super::plan::{self, Facts, Head, Intent};
use super::redirect;
use super::replay;
use super::reroute;
use super::respond::{self, Answered};
use super::response_cache::RequestKey;
use super::site::{self, Site};
use super::site_deltas::UsesDictionary;
use crate::body::Body;
use crate::catalog::{LoadError, Loaded, MadeListing};
use crate::codec::Codec;
use crate::error::Error;
use crate::http::{AcceptEncoding, ContentCoding, InCoding, NamedCoding, SourcePath};
use crate::limits::{LOOKUP_TRIES, SMALLEST_SOURCE};
use crate::sendfile::Connection;
use crate::source::SourceFile;

/// Answers a request; `None` if its path leads nowhere. The response is cached under `key` if it
/// may be replayed.
pub(super) async fn answer(
    site: &Site,
    connection: Option<&Connection>,
    parts: &Parts,
    key: Option<RequestKey>,
) -> Result<Option<Response<Body>>, Error> {
    if let Some(status) = respond::status_of_method(&parts.method) {
        return Ok(Some(respond::refuse(site, status)));
    }
    match reroute::locate(site, parts).await? {
        Located::File(target) => {
            // The index answers a path that may lead to a file a moment later. The key has no query.
            let key = key.filter(|_| !target.spa && !reroute::depends_on_query(site, parts));
            answer_with(site, connection, parts, target, Some(parts.uri.path()), key).await
        }
        Located::Listing(made) => answer_listing(site, connection, parts, &made).await,
        Located::Redirect(location) => {
            Ok(Some(redirect::redirect(site, StatusCode::MOVED_PERMANENTLY, &location)))
        }
        Located::Moved(status, location) => Ok(Some(redirect::redirect(site, status, &location))),
        Located::Refused(status, page) => {
            let mut response = respond::refuse(site, status);
            if let Some(page) = page {
                response.extensions_mut().insert(OwnPage(page.resource));
            }
            Ok(Some(response))
        }
        Located::Malformed => Ok(Some(respond::refuse(site, StatusCode::BAD_REQUEST))),
        Located::Nothing => Ok(None),
    }
}

/// Answers a request with a listing. The response cache does not tell its forms apart.
async fn answer_listing(
    site: &Site,
    connection: Option<&Connection>,
    parts: &Parts,
    listing: &MadeListing,
) -> Result<Option<Response<Body>>, Error> {
    let head = Head { method: &parts.method, version: parts.version, headers: &parts.headers };
    let options = listing::options(listing, parts);
    let exchange = Exchange {
        requested: Some(parts.uri.path()),
        options: Some(&options),
        connection: site::connection_of(connection, parts.version, &parts.extensions),
        ..Exchange::new(head, Arc::clone(&listing.resource))
    };
    answer_exchange(site, exchange, None).await
}

/// Answers a request with the file `path` of the source. The request's own path does not count.
pub(super) async fn answer_file(
    site: &Site,
    connection: Option<&Connection>,
    parts: &Parts,
    path: &str,
) -> Result<Response<Body>, Error> {
    if let Some(status) = respond::status_of_method(&parts.method) {
        return Ok(respond::refuse(site, status));
    }
    let found = match SourcePath::parse(path.as_bytes()) {
        Some(path) => locate::locate_file(site, &path, parts).await?,
        None => None,
    };
    let response = match found {
        Some(target) => answer_with(site, connection, parts, target, None, None).await?,
        None => None,
    };
    Ok(response.unwrap_or_else(|| not_found(site, parts)))
}

/// Answers a request with `file`, which is none of the source, under `name`.
pub(super) async fn answer_source(
    site: &Site,
    connection: Option<&Connection>,
    parts: &Parts,
    name: &str,
    file: SourceFile,
) -> Result<Response<Body>, Error> {
    if let Some(status) = respond::status_of_method(&parts.method) {
        return Ok(respond::refuse(site, status));
    }
    let name = SourcePath::parse(name.as_bytes()).unwrap_or_else(SourcePath::root);
    let described =
        site.representations.catalog().describe(name, file, locate::needs_digest(parts)).await;
    let target = Target::from(described.map_err(LoadError::into_error)?);
    let response = answer_with(site, connection, parts, target, None, None).await?;
    Ok(response.unwrap_or_else(|| respond::refuse(site, StatusCode::SERVICE_UNAVAILABLE)))
}

/// Answers a request whose path leads nowhere by a 404.
pub(super) fn not_found(site: &Site, parts: &Parts) -> Response<Body> {
    respond::not_found(site, site.rules.spa.varies(parts.uri.path()))
}

/// Answers a request with the resource to which its path leads; `None` if the resource is gone by
/// now.
async fn answer_with(
    site: &Site,
    connection: Option<&Connection>,
    parts: &Parts,
    target: Target,
    requested: Option<&str>,
    key: Option<RequestKey>,
) -> Result<Option<Response<Body>>, Error> {
    let Target { resource, spa, _companion } = target;
    let head = Head { method: &parts.method, version: parts.version, headers: &parts.headers };
    let exchange = Exchange {
        requested,
        options: parts.extensions.get(),
        connection: site::connection_of(connection, parts.version, &parts.extensions),
        is_remembered: key.as_ref().is_some_and(|key| !key.is_conditional()),
        spa,
        may_use_dictionary: parts.extensions.get::<UsesDictionary>().is_some(),
        ..Exchange::new(head, resource)
    };
    answer_exchange(site, exchange, key).await
}

/// Answers an exchange; `None` if its resource is gone by now. The response is cached under `key` if it
/// may be replayed.
pub(super) async fn answer_exchange(
    site: &Site,
    mut exchange: Exchange<'_>,
    key: Option<RequestKey>,
) -> Result<Option<Response<Body>>, Error> {
    let catalog = site.representations.catalog();
    for _ in 0..LOOKUP_TRIES {
        if let Some(answered) = try_answer(site, &mut exchange).await? {
            return Ok(Some(replay::remember(site, exchange, key, answered)));
        }
        if exchange.resource.brought.is_some() {
            break;
        }
        match catalog.reload(&exchange.resource.path).await.map_err(LoadError::into_error)? {
            Loaded::File(resource, _) => {
                exchange.resource = resource;
                exchange.found = SystemTime::now();
            }
            Loaded::Directory | Loaded::Nothing => return Ok(None),
        }
    }
    // A file that changes so often is being written. It goes out as it is, without a tag.
    exchange.resource = catalog.mark_unstable(&exchange.resource);
    Ok(try_answer(site, &mut exchange).await?.map(|answered| answered.response))
}

/// Answers an exchange; `None` if the resource has changed.
async fn try_answer(site: &Site, exchange: &mut Exchange<'_>) -> Result<Option<Answered>, Error> {
    let mut codings = offered(site, exchange);
    let foresight = exchange.options.and_then(|options| options.foresight.as_deref());
    // The page of an error is not the file that a path leads to.
    if let Some(foresight) = foresight.filter(|_| exchange.page_of.is_none()) {
        let (resource, offered) = (Arc::clone(&exchange.resource), codings.clone());
        let exceeds_cache = exceeds_cache(site, exchange);
        foresight.note(Noted { resource, offered, exceeds_cache });
    }
    exchange.pattern = deltas::pattern_of(site, exchange);
    exchange.adopt_own();
    if let Some(refused) = admit_coding(site, exchange) {
        return Ok(Some(refused.into()));
    }
    let deltas = deltas::codecs_for(site, exchange);
    codings.splice(..0, deltas.iter().map(|codec| codec.coding.clone()));
    exchange.adopted.extend(deltas);
    let may_adopt = adoption::is_possible(site, &exchange.resource);
    if may_adopt {
        let tags = exchange.tags();
        for coding in plan::codings_in_conditions(exchange.head.headers, tags, &codings) {
            adopt(site, exchange, &coding).await;
        }
    }
    let intent = intend(site, exchange, &codings);
    if may_adopt && let Some(coding) = intent.likely_coding() {
        adopt(site, exchange, coding).await;
    }
    let exchange = &*exchange;
    let selection = match intent {
        Intent::NotModified(tag, candidates) => {
            return Ok(Some(respond::not_modified(site, exchange, tag, &candidates)));
        }
        Intent::PreconditionFailed => {
            return Ok(Some(respond::refuse(site, StatusCode::PRECONDITION_FAILED).into()));
        }
        Intent::NotAcceptable => return Ok(Some(respond::not_acceptable(site, exchange).into())),
        Intent::Select(selection) => selection,
    };
    let (selected, range) = {
        let (resource, adopted) = (&exchange.resource, &exchange.adopted);
        match foresight {
            None => site.representations.select(resource, &selection, adopted).await,
            Some(_) => {
                let candidates = &selection.candidates;
                (site.representations.foresee(resource, candidates, adopted).await, None)
            }
        }
    };
    respond::respond(site, exchange, selected, range).await
}

/// Decides for a resource that comes in one coding alone. A client that does not accept it gets the file
/// by its own name as it is stored; by the name of what it would decode to, it gets an error.
fn admit_coding(site: &Site, exchange: &mut Exchange<'_>) -> Option<Response<Body>> {
    exchange.stored = None;
    let InCoding { path, coding, is_passing, .. } = exchange.resource.in_coding.as_deref()?;
    // The page of a 406 is for a client that accepts none of our codings.
    let is_accepted = exchange.page_of != Some(StatusCode::NOT_ACCEPTABLE)
        && AcceptEncoding::from_headers(exchange.head.headers).accepts(coding);
    if is_accepted {
        return None;
    }
    if *is_passing {
        return Some(respond::unavailable(site, exchange));
    }
    if exchange.resource.path != *path {
        return Some(respond::not_acceptable(site, exchange));
    }
    let media_type = site.representations.catalog().type_of_name(path);
    exchange.stored = Some(Stored { media_type, tags: exchange.resource.tags_as_stored() });
    None
}

/// Looks for the file in `coding` beside that of the resource, unless that was done before.
async fn adopt(site: &Site, exchange: &mut Exchange<'_>, coding: &ContentCoding) {
    let is_adopted = exchange.adopted.iter().any(|codec| codec.coding == *coding);
    if is_adopted || exchange.asked_beside.contains(coding) {
        return;
    }
    exchange.asked_beside.push(coding.clone());
    if let Some(sibling) = adoption::look_beside(site, &exchange.resource, coding).await {
        exchange.adopted.extend(sibling.file.clone().and_then(Codec::adopting));
        exchange.siblings.push(sibling);
    }
}

/// Returns the codings on offer for the resource, the best first.
fn offered(site: &Site, exchange: &Exchange<'_>) -> Vec<ContentCoding> {
    let (resource, representations) = (&exchange.resource, &site.representations);
    let chosen = exchange.options.and_then(|options| options.codings.as_deref());
    if exceeds_cache(site, exchange) {
        let Some(precompressed) = &resource.precompressed else { return Vec::new() };
        let mut offered = representations.offered_of(chosen, resource);
        offered.retain(|coding| precompressed.payload(coding).is_some());
        return offered;
    }
    representations.offered_of(chosen, resource)
}

fn exceeds_cache(site: &Site, exchange: &Exchange<'_>) -> bool {
    exchange.is_negotiable() && site.representations.exceeds_cache(&exchange.resource)
}

/// Computes the intent of the request from the facts about its resource.
fn intend(site: &Site, exchange: &Exchange<'_>, codings: &[ContentCoding]) -> Intent {
    let (resource, representations) = (&exchange.resource, &site.representations);
    let is_current = |named: &NamedCoding| {
        let precompressed = resource.precompressed.as_deref();
        if precompressed.is_some_and(|ahead| ahead.named(named).is_some()) {
            return true;
        }
        representations.is_current(resource, named, &exchange.adopted)
    };
    let facts = Facts {
        tags: exchange.tags(),
        last_modified: resource.last_modified,
        negotiable: exchange.is_negotiable(),
        below_minimum: resource.len < SMALLEST_SOURCE,
        exceeds_cache: exceeds_cache(site, exchange),
        codings,
        current: &is_current,
        made_by_nobody: &|coding| representations.made_by_nobody(resource, coding),
        now: exchange.found,
    };
    plan::intend(exchange.head, &facts)
}
