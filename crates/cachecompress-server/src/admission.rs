//! The admission of requests, before a site sees them: permits, Host, the site by it, and the target's
//! form.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use cachecompress::sendfile::Connection;
use cachecompress::{Body, ResponseFuture, ServeCompressed};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower_service::Service as _;

use crate::access_log::AccessLog;
use crate::authority;
use crate::basic_auth::{self, Check, Pending, Users, Verdict, Verifier};
use crate::cors::{self, Grant};
use crate::deadlines::RunningRequest;
use crate::forwarded::TrustedProxies;
use crate::https_redirect::{self, HttpsRedirect, Location};
use crate::limits::PERMIT_TIMEOUT;
use crate::live::{Live, LiveSlot};
use crate::otel::RequestSpans;
use crate::peer::{ClientAddress, Peer};
use crate::recorder::{Measurement, Recorder};
use crate::sites::Site;
use crate::tracked_body::{RequestGuards, TrackedBody};

/// A body of the site's or a local reply's, with its request's guards.
pub(crate) type SiteBody = TrackedBody<Either<Body, Full<Bytes>>>;

/// The fields of a local reply that no header rule and no page may change.
const REQUIRED: [HeaderName; 3] =
    [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::CACHE_CONTROL];

/// Stands before the sites and decides which requests reach them. Each connection has its own.
#[derive(Clone)]
pub(crate) struct Admission {
    /// The slot of the sites and limits in force.
    live: LiveSlot,
    /// The site of the last request. Requests for it need no copy of its service.
    bound: Arc<Mutex<BoundSite>>,
    /// The connection, if files may go to it by `sendfile`.
    connection: Option<Connection>,
    /// The log in which every response gets a line.
    log: Option<AccessLog>,
    /// The recorder of requests, if they are measured.
    recorder: Option<Arc<Recorder>>,
    /// Makes the spans of requests.
    spans: RequestSpans,
    /// The other end of the connection.
    peer: Peer,
    /// The proxies that speak for their clients.
    proxies: TrustedProxies,
    /// A permit for each request that may run, because each may hold a file open.
    permits: Arc<Semaphore>,
    /// A permit for each page of a request that had none of those.
    busy_pages: Arc<Semaphore>,
    /// Checks the passwords of those who want to see a site that has users.
    verifier: Verifier,
    /// The redirects to HTTPS, if the connection is for nothing else.
    to_https: Option<HttpsRedirect>,
}

/// The parts of [`Admission`] that all connections share.
#[derive(Clone)]
pub(crate) struct Admissions {
    pub(crate) live: LiveSlot,
    /// The log in which every response gets a line.
    pub(crate) log: Option<AccessLog>,
    /// The recorder of the worker's requests, if they are measured.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Makes the spans of requests.
    pub(crate) spans: RequestSpans,
    /// The proxies that speak for their clients.
    pub(crate) proxies: TrustedProxies,
    /// A permit for each request that may run, because each may hold a file open.
    pub(crate) permits: Arc<Semaphore>,
    /// A permit for each page of a request that had none of those.
    pub(crate) busy_pages: Arc<Semaphore>,
    /// Checks the passwords of those who want to see a site that has users.
    pub(crate) verifier: Verifier,
    /// The redirects to HTTPS, for connections that are for nothing else.
    pub(crate) to_https: Option<HttpsRedirect>,
}

impl Admissions {
    /// Makes the admission of a connection, which belongs to `peer`.
    pub(crate) fn of(&self, connection: Option<Connection>, peer: Peer) -> Admission {
        let Self { live, log, recorder, spans, proxies, permits, busy_pages, verifier, to_https } =
            self.clone();
        let now = live.load();
        let bound = BoundSite::new(&now, now.sites.first(), connection.as_ref(), peer.secure);
        let bound = Arc::new(Mutex::new(bound));
        Admission {
            live,
            bound,
            connection,
            log,
            recorder,
            spans,
            peer,
            proxies,
            permits,
            busy_pages,
            verifier,
            to_https,
        }
    }
}

/// The client of a request, as its proxy or its connection tells.
#[derive(Clone, Copy)]
struct Client {
    address: ClientAddress,
    /// Whether it speaks TLS.
    secure: bool,
}

/// The service of a site, for one connection.
struct BoundSite {
    service: ServeCompressed,
    /// The generation of the sites, the site's number among them, and whether its clients speak TLS.
    of: (u64, usize, bool),
}

impl BoundSite {
    fn new(live: &Live, site: &Site, connection: Option<&Connection>, secure: bool) -> Self {
        let service = match connection {
            Some(connection) if live.sendfile => site.service.on(connection.clone()),
            _ => site.service.clone(),
        };
        Self { service: service.over_tls(secure), of: (live.generation, site.number, secure) }
    }
}

/// A response that the server gives by itself, without the site.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LocalReply {
    /// 400. The sentence is for the client.
    BadRequest(&'static str),
    /// 204. `OPTIONS *` is about the server, not about a file (RFC 9110 §9.3.7).
    ServerOptions,
    /// 431.
    TooManyFields,
    /// 421: the connection was made for a host of another site.
    Misdirected,
    /// 204 to a preflight, with these fields.
    Preflight(HeaderMap),
    /// 301 or 308, to HTTPS.
    ToHttps(Location),
    /// 401.
    Unauthorized,
    /// 503: other requests have had all permits for too long.
    Busy,
}

impl Admission {
    /// Answers `request`, which is `running` until its response's body is through.
    pub(crate) fn respond(
        &self,
        request: Request<Incoming>,
        running: RunningRequest,
    ) -> AdmissionFuture {
        let mut guards = RequestGuards::new(running);
        let client = self.proxies.client(&self.peer, request.headers());
        let client = client.as_ref().unwrap_or(&self.peer);
        guards.measurement = self.recorder.as_ref().map(|recorder| recorder.begin(&request));
        guards.span = self.spans.begin(client, &request);
        guards.line = self.log.as_ref().map(|log| {
            let measured = guards.measurement.as_ref().map(Measurement::arrived);
            Box::new(log.begin(client, &request, measured.unwrap_or_else(Instant::now)))
        });
        let client = Client { address: client.address, secure: client.secure };
        guards.permit = Arc::clone(&self.permits).try_acquire_owned().ok();
        match guards.permit {
            Some(_) => self.forward(client, request, guards),
            None => self.wait(client, request, guards),
        }
    }

    /// Passes `request` on to its site, if it is well-formed.
    fn forward<B: Send + 'static>(
        &self,
        client: Client,
        mut request: Request<B>,
        guards: RequestGuards,
    ) -> AdmissionFuture {
        let live = self.live.load();
        // The target tells the host over HTTP/2, until it is reduced.
        let site = live.sites.choose(&request, &self.peer);
        let chosen = self
            .check(&live, &mut request)
            .and_then(|()| site.ok_or(LocalReply::Misdirected))
            .and_then(|site| preflight(site, &request).map(|()| site));
        match chosen {
            Ok(site) => match &site.users {
                Some(users) => self.authenticate(&live, site, users, client, request, guards),
                None => self.enter(&live, site, client, request, guards),
            },
            Err(reply) => {
                let site = site.unwrap_or(live.sites.first());
                self.reply(site, &reply, client, request, guards)
            }
        }
    }

    /// Lets `request` in if its client is one of the `users` of its `site`.
    fn authenticate<B: Send + 'static>(
        &self,
        live: &Arc<Live>,
        site: &Site,
        users: &Users,
        client: Client,
        request: Request<B>,
        mut guards: RequestGuards,
    ) -> AdmissionFuture {
        let path = request.uri().path();
        if self.to_https.is_some() && https_redirect::is_challenge(path) {
            return Self::prove(site, request, guards);
        }
        match self.verifier.check(users, request.headers(), client.address) {
            Check::Done(verdict) => self.judge(live, site, verdict, client, request, guards),
            Check::Pending(pending) => {
                // Other requests run meanwhile.
                guards.permit = None;
                let live = Arc::clone(live);
                self.authenticate_later(live, site.number, pending, client, request, guards)
            }
        }
    }

    fn authenticate_later<B: Send + 'static>(
        &self,
        live: Arc<Live>,
        site: usize,
        pending: Pending,
        client: Client,
        request: Request<B>,
        mut guards: RequestGuards,
    ) -> AdmissionFuture {
        let admission = self.clone();
        AdmissionFuture::Waiting(Box::pin(async move {
            let mut verdict = pending.verdict().await;
            if let Verdict::Right(_) = verdict {
                guards.permit = admission.permit().await;
                if guards.permit.is_none() {
                    verdict = Verdict::Busy;
                }
            }
            let site = &live.sites.all()[site];
            admission.judge(&live, site, verdict, client, request, guards).await
        }))
    }

    /// Lets `request` in, or not.
    fn judge<B>(
        &self,
        live: &Live,
        site: &Site,
        verdict: Verdict,
        client: Client,
        request: Request<B>,
        mut guards: RequestGuards,
    ) -> AdmissionFuture {
        match verdict {
            Verdict::Right(user) => {
                if let Some(line) = &mut guards.line {
                    line.authenticated(user);
                }
                self.enter(live, site, client, request, guards)
            }
            Verdict::Wrong => self.reply(site, &LocalReply::Unauthorized, client, request, guards),
            Verdict::Busy => self.reply(site, &LocalReply::Busy, client, request, guards),
        }
    }

    /// Answers with the file of a proof for an authority, which has no password. No other file stands in
    /// for it.
    fn prove<B>(site: &Site, request: Request<B>, guards: RequestGuards) -> AdmissionFuture {
        let service = site.service.clone();
        let (parts, _body) = request.into_parts();
        AdmissionFuture::Waiting(Box::pin(async move {
            let response = service.serve(parts.uri.path(), &parts).await;
            Ok(guards.attach(response, Body::served, Either::Left))
        }))
    }

    fn enter<B>(
        &self,
        live: &Live,
        site: &Site,
        client: Client,
        request: Request<B>,
        guards: RequestGuards,
    ) -> AdmissionFuture {
        let grant = site.grant(request.headers());
        let additions = Additions::new(grant, site.users.is_some());
        AdmissionFuture::Site(self.call(live, site, client, request), guards, additions)
    }

    /// Answers `request` in place of its `site`, but by the site's rules, and with its page for that
    /// error.
    fn reply<B>(
        &self,
        site: &Site,
        reply: &LocalReply,
        client: Client,
        request: Request<B>,
        mut guards: RequestGuards,
    ) -> AdmissionFuture {
        let mut response = reply.response();
        let service = site.service.clone().over_tls(client.secure);
        let grant = site.grant(request.headers());
        let has_page = site.error_pages.contains(&response.status().as_u16());
        if has_page && guards.permit.is_none() {
            guards.permit = Arc::clone(&self.busy_pages).try_acquire_owned().ok();
        }
        if has_page && guards.permit.is_some() {
            let (parts, _body) = request.into_parts();
            return AdmissionFuture::Waiting(Box::pin(async move {
                let mut page = service.serve_error(response.status(), &parts).await;
                let fields = page.headers_mut();
                for name in REQUIRED {
                    if let Some(value) = response.headers_mut().remove(&name) {
                        fields.insert(name, value);
                    }
                }
                if let Some(grant) = grant {
                    grant.add_to(fields);
                }
                Ok(guards.attach(page, Body::served, Either::Left))
            }));
        }
        let fields = response.headers_mut();
        let required = REQUIRED.map(|name| fields.get(&name).cloned().map(|value| (name, value)));
        service.apply_header_rules(request.uri().path(), fields);
        for (name, value) in required.into_iter().flatten() {
            fields.insert(name, value);
        }
        if let Some(grant) = grant {
            grant.add_to(fields);
        }
        AdmissionFuture::Local(response, guards)
    }

    /// Checks the head of a request, and reduces its target.
    fn check<B>(&self, live: &Live, request: &mut Request<B>) -> Result<(), LocalReply> {
        // HTTP/1's fields are counted by hyper as well.
        if request.headers().len() > live.max_headers {
            return Err(LocalReply::TooManyFields);
        }
        authority::check(request).map_err(LocalReply::BadRequest)?;
        if let Some(to_https) = self.to_https
            && let Some(location) = to_https.of(request).map_err(LocalReply::BadRequest)?
        {
            return Err(LocalReply::ToHttps(location));
        }
        reduce_target(request)
    }

    fn call<B>(
        &self,
        live: &Live,
        site: &Site,
        Client { secure, .. }: Client,
        request: Request<B>,
    ) -> ResponseFuture {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.of != (live.generation, site.number, secure) {
            *bound = BoundSite::new(live, site, self.connection.as_ref(), secure);
        }
        (&bound.service).call(request)
    }

    /// Waits for a permit, but not for long.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        timeout(PERMIT_TIMEOUT, permit).await.ok().and_then(Result::ok)
    }

    /// Waits for a permit and passes `request` on then.
    fn wait(
        &self,
        client: Client,
        request: Request<Incoming>,
        mut guards: RequestGuards,
    ) -> AdmissionFuture {
        let admission = self.clone();
        AdmissionFuture::Waiting(Box::pin(async move {
            guards.permit = admission.permit().await;
            match guards.permit {
                Some(_) => admission.forward(client, request, guards).await,
                None => {
                    let live = admission.live.load_full();
                    let site = live.sites.choose(&request, &admission.peer);
                    let site = site.unwrap_or(live.sites.first());
                    admission.reply(site, &LocalReply::Busy, client, request, guards).await
                }
            }
        }))
    }
}

/// The fields that the program adds to a site's response.
pub(crate) struct Additions {
    grant: Option<Grant>,
    /// Whether only users of the site may have it.
    is_private: bool,
}

impl Additions {
    /// The fields for a request that has this `grant`, of a site that has users or not.
    pub(crate) fn new(grant: Option<Grant>, has_users: bool) -> Self {
        Self { grant, is_private: has_users }
    }

    /// Adds them to the fields of the response.
    pub(crate) fn add_to(&self, fields: &mut HeaderMap) {
        if let Some(grant) = &self.grant {
            grant.add_to(fields);
        }
        if self.is_private {
            basic_auth::keep_private(fields);
        }
    }
}

/// The future of one response.
#[allow(clippy::large_enum_variant, reason = "the large one is what saves the allocation")]
pub(crate) enum AdmissionFuture {
    /// The site's response, which may be ready at once.
    Site(ResponseFuture, RequestGuards, Additions),
    /// The server's own response.
    Local(Response<Full<Bytes>>, RequestGuards),
    /// The request waits for its permit.
    Waiting(Pin<Box<dyn Future<Output = Result<Response<SiteBody>, Infallible>> + Send>>),
}

impl Future for AdmissionFuture {
    type Output = Result<Response<SiteBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.get_mut() {
            Self::Site(site, guards, additions) => {
                let Ok(mut response) = ready!(Pin::new(site).poll(cx));
                additions.add_to(response.headers_mut());
                mem::take(guards).attach(response, Body::served, Either::Left)
            }
            Self::Local(response, guards) => {
                mem::take(guards).attach(mem::take(response), |_| None, Either::Right)
            }
            Self::Waiting(answer) => return answer.as_mut().poll(cx),
        }))
    }
}

impl LocalReply {
    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::default();
        match self {
            Self::BadRequest(sentence) => explain(&mut response, StatusCode::BAD_REQUEST, sentence),
            Self::TooManyFields => {
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                explain(&mut response, status, "too many header fields");
            }
            Self::Misdirected => {
                let sentence = "this connection was made for another site";
                explain(&mut response, StatusCode::MISDIRECTED_REQUEST, sentence);
            }
            Self::Unauthorized => {
                explain(
                    &mut response,
                    StatusCode::UNAUTHORIZED,
                    "a user and a password are needed",
                );
                let fields = response.headers_mut();
                fields.insert(header::WWW_AUTHENTICATE, basic_auth::CHALLENGE);
                fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
            Self::Busy => {
                let sentence = "too many requests at once; try again";
                explain(&mut response, StatusCode::SERVICE_UNAVAILABLE, sentence);
                let seconds = HeaderValue::from(PERMIT_TIMEOUT.as_secs());
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            Self::Preflight(fields) => {
                *response.status_mut() = StatusCode::NO_CONTENT;
                *response.headers_mut() = fields.clone();
            }
            Self::ToHttps(Location { status, location }) => {
                *response.status_mut() = *status;
                response.headers_mut().insert(header::LOCATION, location.clone());
            }
            Self::ServerOptions => {
                *response.status_mut() = StatusCode::NO_CONTENT;
                let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
                response.headers_mut().insert(header::ALLOW, methods);
            }
        }
        response
    }
}

fn explain(response: &mut Response<Full<Bytes>>, status: StatusCode, sentence: &str) {
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    *response.body_mut() = Full::from(format!("{sentence}\n"));
}

/// Answers a preflight in place of `site`.
fn preflight<B>(site: &Site, request: &Request<B>) -> Result<(), LocalReply> {
    let is_one = cors::is_preflight(request.method(), request.headers());
    match site.cors.as_ref().filter(|_| is_one) {
        Some(cors) => {
            let grant = cors.grant(request.headers());
            Err(LocalReply::Preflight(grant.preflight(request.headers())))
        }
        None => Ok(()),
    }
}

/// Reduces the target of a request to path and query (RFC 9112 §3.2.1).
fn reduce_target<B>(request: &mut Request<B>) -> Result<(), LocalReply> {
    if request.method() == Method::CONNECT {
        // The target is an authority; the site answers with the methods that it has.
        *request.uri_mut() = Uri::from_static("/");
        return Ok(());
    }
    if request.uri().path() == "*" {
        return Err(match *request.method() {
            Method::OPTIONS => LocalReply::ServerOptions,
            _ => LocalReply::BadRequest("the target * is for OPTIONS only"),
        });
    }
    // The host decides whether the context is secure (RFC 9842). In the target it goes before Host.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, host);
    }
    if request.uri().authority().is_some() || !request.uri().path().starts_with('/') {
        *request.uri_mut() = origin_form(request.uri())
            .ok_or(LocalReply::BadRequest("the target is neither a path nor a URL"))?;
    }
    Ok(())
}

/// The path and query of `uri`; `None` if it is an authority alone.
fn origin_form(uri: &Uri) -> Option<Uri> {
    let target = uri.path_and_query()?;
    if target.as_str().starts_with('/') {
        return Some(Uri::from(target.clone()));
    }
    // `http://host?query` means the root (RFC 9112 §3.2.1).
    uri.scheme()?;
    format!("/{}", target.as_str()).parse().ok()
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;
    use crate::authority::tests::parts;

    fn admit<B>(request: &mut Request<B>) -> Result<(), LocalReply> {
        authority::check(request).map_err(LocalReply::BadRequest)?;
        reduce_target(request)
    }

    #[test]
    fn target_is_reduced_to_path_and_query() {
        for (target, expected) in [
            ("/a?b", "/a?b"),
            ("//host/x", "//host/x"),
            ("http://h/x?y", "/x?y"),
            ("http://h", "/"),
            ("http://h/", "/"),
            ("http://h?q", "/?q"),
        ] {
            let mut parts = parts(Version::HTTP_11, target, &["h"]);
            assert_eq!(admit(&mut parts), Ok(()), "{target}");
            assert_eq!(parts.uri(), expected, "{target}");
            assert_eq!(parts.uri().scheme(), None);
        }
        assert!(admit(&mut parts(Version::HTTP_11, "h:80", &["h"])).is_err());
    }

    #[test]
    fn asterisk_is_admitted_for_options_only() {
        let mut asterisk = parts(Version::HTTP_11, "*", &["h"]);
        assert!(matches!(admit(&mut asterisk), Err(LocalReply::BadRequest(_))));
        *asterisk.method_mut() = Method::OPTIONS;
        assert_eq!(admit(&mut asterisk), Err(LocalReply::ServerOptions));
    }
}
