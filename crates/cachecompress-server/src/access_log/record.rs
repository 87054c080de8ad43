//! Everything that the access log knows about a response.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cachecompress::Served;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;

use super::identity::{self, TRACEPARENT, X_REQUEST_ID};
use crate::peer::Peer;

/// A response and its request, from the request's arrival to the end of the body.
pub(super) struct Record {
    pub(super) peer: Peer,
    /// The user whose password was right.
    pub(super) user: Option<Arc<str>>,
    pub(super) arrived: SystemTime,
    started: Instant,
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) version: Version,
    pub(super) referer: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    /// The fields that only JSON has.
    pub(super) origin: Option<Origin>,
    pub(super) status: StatusCode,
    pub(super) coding: Option<String>,
    pub(super) cache_status: Option<String>,
    pub(super) source_len: Option<u64>,
    announced: Option<u64>,
    pub(super) sent: u64,
    first_byte: Option<Duration>,
    pub(super) complete: bool,
}

/// The host that a request is for, and the names under which others know the request.
pub(super) struct Origin {
    pub(super) host: Option<Vec<u8>>,
    pub(super) traceparent: Option<String>,
    pub(super) request_id: String,
}

impl Record {
    /// Begins the record of `request`, which has just `arrived` from `peer`. `with_origin` says that
    /// its [`Origin`] is wanted.
    pub(super) fn new<B>(
        peer: &Peer,
        request: &Request<B>,
        arrived: Instant,
        with_origin: bool,
    ) -> Self {
        let field = |name| request.headers().get(name).cloned();
        // An HTTP/2 request has no target, only its parts.
        let target = match request.version() {
            Version::HTTP_2 => request.uri().path_and_query().map(ToString::to_string),
            _ => Some(request.uri().to_string()),
        };
        Self {
            peer: peer.clone(),
            user: None,
            arrived: SystemTime::now(),
            started: arrived,
            method: request.method().clone(),
            target: target.unwrap_or_default(),
            version: request.version(),
            referer: field(header::REFERER),
            user_agent: field(header::USER_AGENT),
            origin: with_origin.then(|| Origin::of(peer, request)),
            status: StatusCode::OK,
            coding: None,
            cache_status: None,
            source_len: None,
            announced: None,
            sent: 0,
            first_byte: None,
            complete: false,
        }
    }

    /// Adds the response's status and coding, and the length that its body announces.
    pub(super) fn answered<B: Body>(&mut self, response: &Response<B>, served: Option<&Served>) {
        self.status = response.status();
        self.announced = response.body().size_hint().exact();
        // A response without a body by definition cannot be cut short (RFC 9112 §6.3).
        self.complete = self.method == Method::HEAD
            || matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || response.body().is_end_stream();
        self.coding = coding_sent(response.headers())
            .or_else(|| served.map(|served| served.coding.to_string()));
        if let Some(served) = served {
            self.cache_status = served.cache_status.map(|status| status.as_str().to_owned());
            self.source_len = served.source_len;
        }
    }

    /// Counts a frame of `bytes`; `is_last` says that the body has no more.
    pub(super) fn sent(&mut self, bytes: usize, is_last: bool) {
        if bytes > 0 {
            self.first_byte.get_or_insert_with(|| self.started.elapsed());
            self.sent += bytes as u64;
        }
        // hyper polls a body no further than the length that it announced.
        self.complete |= is_last || self.announced.is_some_and(|len| self.sent >= len);
    }

    /// The time from the request's arrival to the body's first byte. For an empty body it ends now.
    pub(super) fn first_byte(&self) -> Duration {
        self.first_byte.unwrap_or_else(|| self.started.elapsed())
    }

    /// How the body ended, in one word.
    pub(super) fn end(&self) -> &'static str {
        if self.complete { "complete" } else { "aborted" }
    }

    /// Whether the client got what it asked for.
    pub(super) fn is_success(&self) -> bool {
        self.complete && !self.status.is_client_error() && !self.status.is_server_error()
    }
}

impl Origin {
    fn of<B>(peer: &Peer, request: &Request<B>) -> Self {
        let headers = request.headers();
        let host = || headers.get(header::HOST).map(|host| host.as_bytes().to_vec());
        let authority = request.uri().authority();
        let given = peer.proxied.then(|| headers.get_all(X_REQUEST_ID).iter());
        let given = given.and_then(identity::request_id);
        Self {
            host: authority.map(|authority| authority.as_str().into()).or_else(host),
            traceparent: identity::traceparent(headers.get_all(TRACEPARENT).iter()),
            request_id: given.unwrap_or_else(identity::new_request_id),
        }
    }
}

/// The coding in the response's head.
fn coding_sent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_ENCODING)?.to_str().ok()?;
    value.bytes().all(|byte| byte.is_ascii_graphic()).then(|| value.to_owned())
}
