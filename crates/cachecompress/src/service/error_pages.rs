//! The pages of errors.

use std::sync::Arc;
use std::time::Instant;

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};

use super::answer;
use super::exchange::{Exchange, NAVIGATION, OwnPage};
use super::fallback;
use super::locate;
use super::plan::Head;
use super::respond;
use super::site::{self, Site};
use crate::body::Body;
use crate::catalog::Resource;
use crate::concurrency::sync::clock;
use crate::concurrency::timer;
use crate::error::Error;
use crate::http::{RequestPath, SourcePath};
use crate::limits::ERROR_PAGE_PATIENCE;
use crate::log;
use crate::rules::error_pages::NEAREST;
use crate::rules::headers::RulePaths;
use crate::sendfile::Connection;

/// An error with a short text, of which the text may be replaced.
struct Plain<'a> {
    status: StatusCode,
    fields: &'a HeaderMap,
}

/// The request of a response that is delivered, and what else decides on its fields.
#[derive(Clone, Copy)]
pub(super) struct Delivery<'a> {
    connection: Option<&'a Connection>,
    over_tls: bool,
    parts: &'a Parts,
    paths: RulePaths<'a>,
}

impl<'a> Delivery<'a> {
    /// The delivery to a request whose path counts for rules.
    pub(super) fn of(connection: Option<&'a Connection>, over_tls: bool, parts: &'a Parts) -> Self {
        Self { connection, over_tls, parts, paths: RulePaths::of(parts.uri.path()) }
    }

    /// The delivery of a handler that chose a file.
    pub(super) fn of_file(
        connection: Option<&'a Connection>,
        over_tls: bool,
        parts: &'a Parts,
        file: Option<&'a SourcePath>,
    ) -> Self {
        Self { connection, over_tls, parts, paths: RulePaths { requested: None, file } }
    }
}

/// Finishes a response of the service's own. An error has its page in place of its text, if there is one.
pub(super) async fn deliver(
    site: &Site,
    how: Delivery<'_>,
    mut response: Response<Body>,
) -> Response<Body> {
    let status = response.status();
    let own = response.extensions_mut().remove::<OwnPage>();
    if own.is_some() || site.rules.error_pages.has_for(status) {
        let plain = Plain { status, fields: response.headers() };
        // In a box, or the future of each response would have room for a page.
        let page = Box::pin(page_for(site, how, &plain, own));
        let page = if status.is_server_error() {
            timer::until(Instant::now() + ERROR_PAGE_PATIENCE, page).await.flatten()
        } else {
            page.await
        };
        response = page.unwrap_or(response);
    }
    respond::deliver(site, how.over_tls, &how.parts.method, how.paths, response)
}

/// Builds the error `plain` with its page, or with its `own`; `None` if it has none that can be sent.
async fn page_for(
    site: &Site,
    how: Delivery<'_>,
    plain: &Plain<'_>,
    own: Option<OwnPage>,
) -> Option<Response<Body>> {
    let page = match own {
        Some(OwnPage(page)) => with_page(site, how, plain, page).await,
        None => match page_of(site, how.parts, plain.status).await {
            Ok(Some(page)) => with_page(site, how, plain, page).await,
            Ok(None) => return None,
            Err(error) => Err(error),
        },
    };
    match page {
        Ok(page) => page,
        Err(error) => {
            let status = plain.status;
            log::error!(%error, %status, "the page of an error cannot be sent");
            None
        }
    }
}

/// Finds the page of a status; `None` if there is none.
async fn page_of(
    site: &Site,
    parts: &Parts,
    status: StatusCode,
) -> Result<Option<Arc<Resource>>, Error> {
    let pages = &site.rules.error_pages;
    let nearest;
    let path = match pages.get(status) {
        Some(page) => Some(page),
        None if status == StatusCode::NOT_FOUND && pages.nearest => {
            nearest = nearest_page(site, parts).await;
            nearest.as_ref()
        }
        None => None,
    };
    let Some(path) = path else { return Ok(None) };
    let target = locate::locate_file(site, path, parts).await?;
    Ok(target.map(|target| target.resource))
}

/// Builds the error `plain` with the page `resource`; `None` if the file is gone by now.
async fn with_page(
    site: &Site,
    how: Delivery<'_>,
    plain: &Plain<'_>,
    resource: Arc<Resource>,
) -> Result<Option<Response<Body>>, Error> {
    let (status, parts) = (plain.status, how.parts);
    let mut headers = parts.headers.clone();
    fallback::make_unconditional(&mut headers);
    // The client takes no coding that we have. It gets the reason in none.
    if status == StatusCode::NOT_ACCEPTABLE {
        headers.remove(ACCEPT_ENCODING);
    }
    let (get, head) = (Method::GET, Method::HEAD);
    let method = if parts.method == head { &head } else { &get };
    let told_vary = plain.fields.get(VARY).and_then(|vary| vary.to_str().ok());
    let head = Head { method, version: parts.version, headers: &headers };
    let exchange = Exchange {
        requested: how.paths.requested,
        options: parts.extensions.get(),
        connection: site::connection_of(how.connection, parts.version, &parts.extensions),
        spa: told_vary.is_some_and(|vary| vary.ends_with(NAVIGATION)),
        page_of: Some(status),
        ..Exchange::new(head, resource)
    };
    let Some(mut page) = answer::answer_exchange(site, exchange, None).await? else {
        return Ok(None);
    };
    // The page replaces the text. The rest is the error's.
    for (name, value) in plain.fields {
        let is_of_text = [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING].contains(name);
        if !is_of_text && !page.headers().contains_key(name) {
            page.headers_mut().insert(name.clone(), value.clone());
        }
    }
    Ok(Some(page))
}

/// Finds the nearest `404.html` in the directory of a request's path and those above it.
///
/// The search goes down from the root and ends at the first directory that is missing. So a path of many
/// missing directories costs one lookup.
async fn nearest_page(site: &Site, parts: &Parts) -> Option<SourcePath> {
    let path = match RequestPath::parse(parts.uri.path()) {
        Ok(request) if request.directory => request.path,
        Ok(request) => request.path.parent(),
        Err(_) => SourcePath::root(),
    };
    let revalidate = site.representations.catalog().revalidate();
    let (mut nearest, mut directory) = (None, SourcePath::root());
    let mut segments = path.segments();
    loop {
        let at = clock();
        match site.nearest_pages.get(&directory, at, revalidate) {
            Some(known) => nearest = known,
            None => {
                if !directory.is_root() && !locate::is_directory(site, &directory, parts).await {
                    return nearest;
                }
                let own = directory.join(NEAREST);
                if let Ok(Some(_)) = locate::locate_file(site, &own, parts).await {
                    nearest = Some(own);
                }
                site.nearest_pages.insert(directory.clone(), nearest.clone(), at);
            }
        }
        let Some(segment) = segments.next() else { return nearest };
        let Some(next) = directory.try_join(segment) else { return nearest };
        directory = next;
    }
}
