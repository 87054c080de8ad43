//! The checks and the body of a request that changes something.

use std::error::Error as StdError;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::reply::{Refusal, refuse};
use crate::admin_access::Token;
use crate::limits::{ADMIN_BODY_BYTES, ADMIN_BODY_TIMEOUT};

/// Lets a request with these fields pass if it has the `token`.
///
/// No page of another origin can send such a field without a preflight, which nothing here permits; a
/// browser adds none by itself, as it would a cookie.
pub(super) fn authorize(token: Option<&Token>, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(token) = token else {
        let sentence = "nothing can be changed here without --admin-token-file";
        return Err(refuse(StatusCode::FORBIDDEN, sentence));
    };
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let given = given.next().filter(|_| given.next().is_none());
    if given.and_then(bearer).is_some_and(|given| token.is(given)) {
        return Ok(());
    }
    let sentence = "the request needs `Authorization: Bearer TOKEN` with the token of \
                    --admin-token-file";
    let mut refusal = refuse(StatusCode::UNAUTHORIZED, sentence);
    let challenge = HeaderValue::from_static("Bearer realm=\"admin\"");
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    Err(refusal)
}

/// The token in an `Authorization` (RFC 6750 §2.1). A scheme is the same in upper case.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

/// Reads the JSON of a request's `body`. An empty body is an object without members.
pub(super) async fn read<B, T>(headers: &HeaderMap, body: B) -> Result<T, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    T: DeserializeOwned,
{
    let whole = timeout(ADMIN_BODY_TIMEOUT, Limited::new(body, ADMIN_BODY_BYTES).collect()).await;
    let bytes = match whole {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let most = ADMIN_BODY_BYTES >> 10;
            let sentence = format!("the body is over {most} KiB, the most that is read");
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, sentence));
        }
        Ok(Err(_)) => return Err(refuse(StatusCode::BAD_REQUEST, "the body is cut off")),
        Err(_) => {
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body takes too long to come"));
        }
    };
    let text = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
    if !bytes.is_empty() && !is_json(headers) {
        let sentence = "the body must have `Content-Type: application/json`";
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    // Serde would read the elements of an array as the members in their order.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(refuse(StatusCode::BAD_REQUEST, "the body must be a JSON object"));
    }
    serde_json::from_slice(text).map_err(|error| {
        refuse(StatusCode::BAD_REQUEST, format!("the body is not what is expected: {error}"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}
