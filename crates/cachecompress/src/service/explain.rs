//! The explanation of the response that a request would get.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use super::foresight::{Foresight, Noted};
use super::locate::Located;
use super::options::RequestOptions;
use super::serve_compressed::ServeCompressed;
use super::site::Site;
use super::{adoption, answer, error_pages, reroute, respond};
use crate::catalog::Resource;
use crate::codec::Codec;
use crate::encode::{self, Foretold};
use crate::error::Failure;
use crate::http::{
    AcceptEncoding, CacheStatus, Compressibility, ContentCoding, Digest, RequestPath, SourcePath,
};
use crate::limits::SMALLEST_SOURCE;

/// The response that a request would get now, and the facts that it follows from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The status of the response.
    pub status: StatusCode,
    /// The fields of the response. A file that nobody has encoded yet has no `Content-Length`, although
    /// the response to `GET` has one if the encode ends early.
    pub headers: HeaderMap,
    /// The part of the cache, as `Cache-Status` tells it.
    pub cache_status: Option<CacheStatus>,
    /// The way from the path to the answer.
    pub route: Route,
    /// The file whose bytes are the answer.
    pub file: Option<ExplainedFile>,
}

/// The way from a request's path to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// It leads to a file, by itself, as the page of a directory, or by a rewrite.
    File,
    /// It leads nowhere, and the page of a single-page application answers.
    Application,
    /// It leads to the listing of a directory.
    Listing,
    /// It leads to another spelling of the page's path.
    Spelling,
    /// A rule of redirects answers, with another place or an error.
    Rule,
    /// It cannot be decoded.
    Malformed,
    /// It is [excluded](crate::Builder::exclude).
    Excluded,
    /// It leads nowhere.
    Nowhere,
    /// The method is neither `GET` nor `HEAD`.
    Method,
}

/// A file that answers a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExplainedFile {
    /// The file's path in the source.
    pub path: SourcePath,
    /// The file's media type.
    pub media_type: HeaderValue,
    /// The file's length in bytes.
    pub len: u64,
    /// The digest of the file's bytes; `None` if the file changes too fast for one to hold.
    pub digest: Option<Digest>,
    /// Whether files of its media type are ever encoded.
    pub is_compressible: bool,
    /// Whether it is so short that only a client which refuses identity has it encoded.
    pub is_small: bool,
    /// Whether it is so long that the cache takes no coding of it.
    pub exceeds_cache: bool,
    /// Whether its name has a hash of its content.
    pub is_named_by_content: bool,
    /// Whether the client takes the file as it is.
    pub accepts_identity: bool,
    /// The codings on offer, the server's first choice first.
    pub codings: Vec<ExplainedCoding>,
}

/// A coding on offer for a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExplainedCoding {
    /// The coding.
    pub coding: ContentCoding,
    /// Whether the client accepts it.
    pub is_accepted: bool,
    /// The coded file that is sent for the file.
    pub sibling: Option<SourcePath>,
    /// The coded file beside the file that does not decode to it, and is not sent.
    pub stale: Option<SourcePath>,
    /// Its state in the cache.
    pub stored: Stored,
    /// Whether the second pass has made what is stored.
    pub is_improved: bool,
}

/// The state of a file's representation in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// It is not stored yet, and worth it.
    Nothing,
    /// It is stored, with this length in bytes.
    Representation(u64),
    /// It is a part of the program, with this length in bytes.
    Precompressed(u64),
    /// It would save less than 5 %, whether a verdict on that is stored or not.
    Unprofitable,
    /// The encoder fails on the file.
    Fault,
    /// Its entry is damaged, so that the next request has it made again.
    Damaged,
    /// The disk does not tell, or the file has changed.
    Unknown,
}

impl<F> ServeCompressed<F> {
    /// Explains the response that `request` would get, if no disk and no encoder is slow.
    ///
    /// - The answer is computed as for the request itself, with method `HEAD` for `GET`, but the cache
    ///   stays as it is. A representation that is not stored counts as one that will be, if a trial with
    ///   a sample of the file saves enough.
    /// - The file is hashed as for a request. It counts as a request in [`metrics`](Self::metrics).
    /// - A fallback is not asked.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    /// use http::Request;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if cfg!(not(feature = "gzip")) { return Ok(()) }
    /// let files = Memory::new().file("app.js", "run(); ".repeat(1000)).file("logo.png", "…");
    /// let service = ServeCompressed::builder(files).build()?;
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// let request = |path| Request::get(path).header("accept-encoding", "gzip").body(());
    /// let explained = runtime.block_on(service.explain(&request("/app.js")?));
    /// assert_eq!(explained.headers["content-encoding"], "gzip");
    /// let explained = runtime.block_on(service.explain(&request("/logo.png")?));
    /// assert!(!explained.file.expect("it is one").is_compressible);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain<B>(&self, request: &Request<B>) -> Explanation {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = match *request.method() {
            Method::GET => Method::HEAD,
            ref other => other.clone(),
        };
        parts.uri = request.uri().clone();
        parts.version = request.version();
        parts.headers = request.headers().clone();
        let foresight = Arc::new(Foresight::default());
        let options = request.extensions().get::<RequestOptions>().cloned().unwrap_or_default();
        let options = RequestOptions { foresight: Some(Arc::clone(&foresight)), ..options };
        parts.extensions.insert(options);
        let site = &*self.site;
        // No answer is fast enough to miss a better entry.
        for codec in site.representations.codecs() {
            site.representations.better_than(codec).await;
        }
        let route = match respond::status_of_method(&parts.method) {
            Some(_) => Route::Method,
            None => route_of(site, reroute::locate(site, &parts).await.ok(), parts.uri.path()),
        };
        let answer = answer::answer(site, None, &parts, None).await;
        let response = answer.unwrap_or_else(|error| Some(respond::failed(site, &error)));
        let response = response.unwrap_or_else(|| answer::not_found(site, &parts));
        let how = error_pages::Delivery::of(None, self.over_tls, &parts);
        let response = error_pages::deliver(site, how, response).await;
        let cache_status = response.body().served().and_then(|served| served.cache_status);
        let accept = AcceptEncoding::from_headers(&parts.headers);
        let file = match foresight.noted() {
            Some(noted) => Some(explain_file(site, noted, &accept).await),
            None => None,
        };
        let (head, _) = response.into_parts();
        Explanation { status: head.status, headers: head.headers, cache_status, route, file }
    }
}

fn route_of(site: &Site, located: Option<Located>, path: &str) -> Route {
    let is_excluded =
        || RequestPath::parse(path).is_ok_and(|request| site.rules.excluded.covers(&request.path));
    match located {
        Some(Located::File(target)) if target.spa => Route::Application,
        Some(Located::File(_)) => Route::File,
        Some(Located::Listing(_)) => Route::Listing,
        Some(Located::Redirect(_)) => Route::Spelling,
        Some(Located::Moved(..) | Located::Refused(..)) => Route::Rule,
        Some(Located::Malformed) => Route::Malformed,
        Some(Located::Nothing) | None if is_excluded() => Route::Excluded,
        Some(Located::Nothing) | None => Route::Nowhere,
    }
}

/// The state of a coding that is known since the program was built. A client that refuses identity may
/// have one made that saves too little.
fn known_ahead(
    resource: &Resource,
    coding: &ContentCoding,
    accepts_identity: bool,
) -> Option<Stored> {
    let precompressed = resource.precompressed.as_ref()?;
    if let Some(ahead) = precompressed.payload(coding) {
        return Some(Stored::Precompressed(ahead.payload.len() as u64));
    }
    let is_refused = accepts_identity && precompressed.unprofitable().contains(coding);
    is_refused.then_some(Stored::Unprofitable)
}

async fn explain_file(site: &Site, noted: Noted, accept: &AcceptEncoding) -> ExplainedFile {
    let Noted { resource, offered, exceeds_cache } = noted;
    let mut codings = Vec::new();
    let is_compressible = resource.compressibility != Compressibility::Never;
    for coding in offered.into_iter().filter(|_| is_compressible) {
        codings.push(explain_coding(site, &resource, coding, accept).await);
    }
    ExplainedFile {
        path: resource.path.clone(),
        media_type: resource.media_type.clone(),
        len: resource.len,
        digest: resource.digest(),
        is_compressible,
        is_small: resource.len < SMALLEST_SOURCE,
        exceeds_cache,
        is_named_by_content: resource.is_named_by_content(),
        accepts_identity: accept.accepts(&ContentCoding::IDENTITY),
        codings,
    }
}

async fn explain_coding(
    site: &Site,
    resource: &Arc<Resource>,
    coding: ContentCoding,
    accept: &AcceptEncoding,
) -> ExplainedCoding {
    let accepts_identity = accept.accepts(&ContentCoding::IDENTITY);
    let mut explained = ExplainedCoding {
        is_accepted: accept.accepts(&coding),
        coding,
        sibling: None,
        stale: None,
        stored: Stored::Nothing,
        is_improved: false,
    };
    let coding = &explained.coding;
    if let Some(stored) = known_ahead(resource, coding, accepts_identity) {
        return ExplainedCoding { stored, ..explained };
    }
    let own = resource.coded.clone().filter(|coded| coded.coding == *coding);
    let beside = match own {
        Some(own) => Some(own),
        None => {
            let sibling = adoption::look_beside(site, resource, coding).await;
            sibling.and_then(|sibling| sibling.file)
        }
    };
    let beside = beside.filter(|file| file.is_shorter_than(resource.len));
    let adopting = beside.and_then(Codec::adopting);
    let encoding = site.representations.codecs().get(coding).cloned();
    let better = encoding.as_ref().and_then(Codec::better).cloned();
    for codec in adopting.into_iter().chain(better).chain(encoding) {
        let insists = encode::insists(&codec, !accepts_identity);
        let foretold = site.representations.foretell(resource, &codec, insists).await;
        let stored = state_of(&foretold);
        if codec.replaces.is_some() {
            if matches!(stored, Stored::Representation(_)) {
                return ExplainedCoding { stored, is_improved: true, ..explained };
            }
            // The first pass decides.
            continue;
        }
        explained.stored = stored;
        // The encoder takes the place of a sibling that is at fault.
        match (stored, &codec.adopts) {
            (Stored::Fault, Some(file)) => explained.stale = Some(file.path.clone()),
            (_, Some(file)) => {
                explained.sibling = Some(file.path.clone());
                break;
            }
            (_, None) => {}
        }
    }
    explained
}

fn state_of(foretold: &Foretold) -> Stored {
    match foretold {
        Foretold::Stored(entry) => Stored::Representation(entry.payload_len()),
        Foretold::Encoded { is_damaged: true } => Stored::Damaged,
        Foretold::Encoded { is_damaged: false } => Stored::Nothing,
        Foretold::Failure(Failure::Unprofitable) => Stored::Unprofitable,
        Foretold::Failure(Failure::Encoder) => Stored::Fault,
        Foretold::Failure(_) => Stored::Unknown,
    }
}
