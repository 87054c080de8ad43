//! The requests that the index of a single-page application answers.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::http::{RequestPath, of_extension};

/// Extensions that have a type and yet are mostly the ends of domains, as in `/sites/example.com`.
const DOMAINS: [&str; 3] = ["com", "me", "org"];

/// The condition under which the index answers a path that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IndexRule {
    /// The path is that of a missing file, or none of the site.
    Never,
    /// The path may be a page's or a file's, so the client must name `text/html`.
    IfNamed,
    /// The path is no file's, so the client need only accept `text/html`.
    IfAccepted,
}

impl IndexRule {
    fn of(path: &str) -> Self {
        let Ok(name) = RequestPath::last_segment(path) else { return Self::Never };
        let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else {
            return Self::IfAccepted;
        };
        let extension = std::str::from_utf8(&name[dot + 1..]).unwrap_or_default();
        let is_domain = DOMAINS.iter().any(|end| extension.eq_ignore_ascii_case(end));
        match dot > 0 && !is_domain && of_extension(extension).is_some() {
            true => Self::Never,
            false => Self::IfNamed,
        }
    }
}

/// Whether a request asks for a page, so that the index of a single-page application answers it if
/// its path leads nowhere.
///
/// [`Builder::spa`](crate::Builder::spa) goes by this. A fallback that does so too, for an index that
/// it fills in, sends `Vary: Accept, Sec-Fetch-Mode` with both of its answers.
///
/// - A browser's request with `Sec-Fetch-Mode` asks for a page if that is `navigate`.
/// - Otherwise `Accept` (RFC 9110 §12.5.1) decides. It accepts `text/html`, be it by `*/*` or by being
///   absent, as for link previews.
/// - If the last segment of `path` has a dot, `Accept` must name `text/html`, as for `/v1.2`.
/// - If its extension is that of a known type, such as `.js`, a file is missing, and no request asks
///   for a page.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header};
///
/// let mut headers = HeaderMap::new();
/// assert!(cachecompress::is_navigation("/settings", &headers));
/// assert!(!cachecompress::is_navigation("/v1.2", &headers));
/// headers.insert(header::ACCEPT, HeaderValue::from_static("text/html, */*;q=0.8"));
/// assert!(cachecompress::is_navigation("/v1.2", &headers));
/// assert!(!cachecompress::is_navigation("/app.js", &headers));
/// ```
#[must_use]
pub fn is_navigation(path: &str, headers: &HeaderMap) -> bool {
    let rule = IndexRule::of(path);
    if rule == IndexRule::Never {
        return false;
    }
    if let Some(mode) = headers.get("sec-fetch-mode") {
        return mode == "navigate";
    }
    match rule {
        IndexRule::Never => false,
        IndexRule::IfNamed => accepts(headers, "text/html").unwrap_or(false),
        IndexRule::IfAccepted => {
            let ranges = ["text/html", "text/*", "*/*"];
            let accepted = ranges.into_iter().find_map(|range| accepts(headers, range));
            accepted.unwrap_or_else(|| !headers.contains_key(ACCEPT))
        }
    }
}

/// Whether the request's fields decide between the index and a 404 for `path`.
pub(super) fn may_be_page(path: &str) -> bool {
    IndexRule::of(path) != IndexRule::Never
}

/// Whether Accept has `range` with a weight other than zero; `None` if it lacks the range.
fn accepts(headers: &HeaderMap, range: &str) -> Option<bool> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let members = lines.flat_map(|line| line.split(',')).filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let is_range = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(range));
        is_range.then(|| !parts.any(is_zero_weight))
    });
    members.reduce(|one, other| one || other)
}

/// Whether a parameter is a weight of zero, by which a client refuses (RFC 9110 §12.4.2).
fn is_zero_weight(parameter: &str) -> bool {
    let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    weight
        .is_some_and(|weight| weight.starts_with('0') && weight.bytes().all(|b| b"0.".contains(&b)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asks(path: &str, accept: Option<&str>, mode: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [("accept", accept), ("sec-fetch-mode", mode)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        is_navigation(path, &headers)
    }

    #[test]
    fn path_without_a_dot_is_a_page_for_all_who_accept_html() {
        for path in ["/a", "/a/", "/", "/v1.2/a", "/group%2Fname", "/a%5Cb", "/x/../a", "/x.js/.."]
        {
            for accept in
                [None, Some("*/*"), Some("text/*"), Some("text/html"), Some("a/b, */*;q=0.1")]
            {
                assert!(asks(path, accept, None), "{path} {accept:?}");
                assert!(asks(path, accept, Some("navigate")), "{path} {accept:?}");
                assert!(!asks(path, accept, Some("cors")), "{path} {accept:?}");
            }
            for accept in ["image/png", "application/json", "text/html;q=0, */*", "*/*;q=0.000", ""]
            {
                assert!(!asks(path, Some(accept), None), "{path} {accept}");
            }
        }
    }

    #[test]
    fn path_with_a_dot_is_a_page_for_those_who_name_html() {
        for path in ["/v1.2", "/jane.doe", "/.x", "/a.", "/a%2Eb", "/x.js/y.zz", "/example.com"] {
            assert!(asks(path, Some("text/html"), None), "{path}");
            assert!(asks(path, None, Some("navigate")), "{path}");
            for accept in [None, Some("*/*"), Some("text/*"), Some("text/html;q=0")] {
                assert!(!asks(path, accept, None), "{path} {accept:?}");
            }
        }
    }

    #[test]
    fn missing_file_of_a_known_type_is_never_a_page() {
        for path in ["/a.js", "/a.JS", "/a%2Ejs", "/x%2Fa.css", "/a.html", "/a.b.png", "/x/../a.js"]
        {
            assert!(!asks(path, Some("text/html"), None), "{path}");
            assert!(!asks(path, Some("text/html"), Some("navigate")), "{path}");
        }
        for path in ["/../a", "/%zz", "/a%00"] {
            assert!(!asks(path, Some("text/html"), Some("navigate")), "{path}");
        }
    }
}
