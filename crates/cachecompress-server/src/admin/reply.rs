//! The responses of the admin listener.

use bytes::Bytes;
use cachecompress::{Error, ErrorKind};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use schemars::JsonSchema;
use serde::Serialize;

use super::events::EventBody;

/// The body of a response.
pub(super) type AdminBody = Either<Full<Bytes>, EventBody>;

/// The response to a request that is refused.
pub(super) type Refusal = Box<Response<AdminBody>>;

/// A response, or the one that stands in for it.
pub(super) type Answer = Result<Response<AdminBody>, Refusal>;

const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// The fields of every response. A page may use what this listener serves, and nothing else. Its script
/// cannot make markup of text. No page of another origin may show or load it.
const FIELDS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// The body of every refusal.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct ErrorBody {
    /// One sentence.
    error: String,
}

/// Answers with `body`, which has this media type.
pub(super) fn respond(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<AdminBody> {
    with_body(status, media_type, Either::Left(Full::new(body.into())))
}

/// Answers with a line of text.
pub(super) fn text(status: StatusCode, line: &'static str) -> Response<AdminBody> {
    respond(status, TEXT, line)
}

/// Answers with `value` as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<AdminBody> {
    match serde_json::to_vec(value) {
        Ok(body) => respond(status, JSON, body),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot write the answer as JSON\n"),
    }
}

/// Answers with events as they come.
pub(super) fn events(events: EventBody) -> Response<AdminBody> {
    with_body(StatusCode::OK, "text/event-stream", Either::Right(events))
}

/// Refuses a request, for the reason that the `sentence` has.
pub(super) fn refuse(status: StatusCode, sentence: impl Into<String>) -> Refusal {
    Box::new(json(status, &ErrorBody { error: sentence.into() }))
}

/// Refuses a request whose globs the files of a site were searched for, with this `error`.
pub(super) fn refuse_globs(error: &Error) -> Refusal {
    let status = match error.kind() {
        ErrorKind::Config => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, error.to_string())
}

fn with_body(status: StatusCode, media_type: &'static str, body: AdminBody) -> Response<AdminBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.extend(FIELDS);
    response
}
