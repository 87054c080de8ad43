//! The response that leads to another URL.

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Response, StatusCode};

use super::respond::{NO_CACHE, brief, refuse};
use super::site::Site;
use crate::body::Body;

/// Builds a redirect with a link for people. A cache keeps one that is permanent only if it asks each
/// time, because the directory may become a file, and the rule another.
pub(super) fn redirect(site: &Site, status: StatusCode, location: &str) -> Response<Body> {
    let Ok(field) = HeaderValue::from_str(location) else {
        return refuse(site, StatusCode::NOT_FOUND);
    };
    let link = escape_html(location);
    let page = format!(
        "<!doctype html>\n<title>Moved</title>\n<p>This page is at <a href=\"{link}\">{link}</a>.\n"
    );
    let mut response = brief(site, "text/html; charset=utf-8", page, None);
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, field);
    if matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT) {
        response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    }
    response
}

/// Escapes `text` for an element or an attribute in double quotes.
fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
