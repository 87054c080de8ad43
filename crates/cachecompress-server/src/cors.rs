//! Cross-origin requests: `--cors`, by the protocol of <https://fetch.spec.whatwg.org/#http-cors-protocol>.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::limits::{CORS_MAX_AGE, CORS_REQUESTED_HEADERS};

/// The methods that the site has.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// The fields of requests that the site reads, and that are not allowed anyway.
const REQUEST_FIELDS: &str = "if-match, if-modified-since, if-none-match, if-range, \
                              if-unmodified-since, range";

/// The fields of responses that a script may read besides those that it always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Cache-Status, Content-Encoding, Content-Range, ETag, X-Original-Content-Length",
);

/// The values of `--cors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cors {
    /// The origins, `None` for all.
    origins: Option<Vec<HeaderValue>>,
}

/// One value of `--cors`: an origin as browsers write it, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(HeaderValue);

/// The permission of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Scripts of every origin may read the response.
    All,
    /// Scripts of this origin may.
    Origin(HeaderValue),
    /// None may. With another origin the response would be another.
    Nobody,
}

/// Parses `*`, or an origin such as `https://app.example.com`, which becomes what browsers send.
pub(crate) fn origin(text: &str) -> Result<Origin, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Origin(HeaderValue::from_static("*")));
    }
    let form = "write an origin as browsers send it, such as https://app.example.com or \
                http://localhost:3000, or * for all";
    let Some((scheme, authority)) = text.split_once("://") else { return Err(form.to_owned()) };
    if authority.contains(['/', '?', '#']) {
        return Err(format!("an origin ends after its host and port, without a slash; {form}"));
    }
    if authority.contains('*') {
        return Err(format!("an origin has no wildcards; {form}"));
    }
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let uri: Option<http::uri::Authority> = authority.parse().ok();
    let Some(host) = uri.filter(|_| is_scheme && !authority.contains('@')) else {
        return Err(form.to_owned());
    };
    let has_port = authority.len() > host.host().len();
    if host.host().is_empty() || (has_port && host.port_u16().is_none()) {
        return Err(form.to_owned());
    }
    // Browsers leave the usual port out, and write everything else in lower case.
    let (scheme, name) = (scheme.to_ascii_lowercase(), host.host().to_ascii_lowercase());
    let origin = match (&*scheme, host.port_u16()) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => format!("{scheme}://{name}"),
        (_, Some(port)) => format!("{scheme}://{name}:{port}"),
    };
    HeaderValue::try_from(origin).map(Origin).map_err(|_| form.to_owned())
}

impl Cors {
    /// The rules for `origins`; `None` without any.
    pub(crate) fn new(origins: Vec<Origin>) -> Option<Self> {
        let origins: Vec<_> = origins.into_iter().map(|Origin(value)| value).collect();
        let all = origins.iter().any(|origin| origin == "*");
        (!origins.is_empty()).then_some(Self { origins: (!all).then_some(origins) })
    }

    /// Tells what a request with these fields may do.
    pub(crate) fn grant(&self, headers: &HeaderMap) -> Grant {
        let Some(origins) = &self.origins else { return Grant::All };
        match headers.get(ORIGIN).filter(|origin| origins.contains(origin)) {
            Some(origin) => Grant::Origin(origin.clone()),
            None => Grant::Nobody,
        }
    }
}

/// Whether a request asks beforehand whether another may follow.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl Grant {
    /// The fields of the 204 to a preflight, without those of every response.
    ///
    /// The fields that a request may have are those that the site reads and those that it asks for, as
    /// long as they are few.
    pub(crate) fn preflight(&self, headers: &HeaderMap) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if *self != Self::Nobody {
            fields.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed_fields(headers));
            fields.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(CORS_MAX_AGE.as_secs()));
        }
        fields
    }

    /// Adds to the fields of a response, unless a rule of the site has said who may read it.
    pub(crate) fn add_to(&self, fields: &mut HeaderMap) {
        if fields.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        let origin = match self {
            Self::All => Some(HeaderValue::from_static("*")),
            Self::Origin(origin) => Some(origin.clone()),
            Self::Nobody => None,
        };
        if let Some(origin) = origin {
            fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            fields.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(EXPOSED);
        }
        if *self != Self::All {
            fields.append(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

fn allowed_fields(headers: &HeaderMap) -> HeaderValue {
    let mut allowed = REQUEST_FIELDS.to_owned();
    let asked = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let asked = asked.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let names = asked.filter_map(|name| name.trim().parse::<HeaderName>().ok());
    for name in names {
        let is_listed = allowed.split(", ").any(|listed| listed == name.as_str());
        if !is_listed && allowed.len() + name.as_str().len() <= CORS_REQUESTED_HEADERS {
            allowed.extend([", ", name.as_str()]);
        }
    }
    HeaderValue::try_from(allowed).unwrap_or(HeaderValue::from_static(REQUEST_FIELDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn cors(origins: &[&str]) -> Cors {
        Cors::new(origins.iter().map(|text| origin(text).unwrap()).collect()).unwrap()
    }

    fn added(grant: &Grant, before: &[(&str, &str)]) -> HeaderMap {
        let mut fields = headers(before);
        grant.add_to(&mut fields);
        fields
    }

    #[test]
    fn origin_becomes_what_browsers_send() {
        for (text, expected) in [
            ("*", "*"),
            ("https://app.example.com", "https://app.example.com"),
            (" HTTPS://App.Example.com:443 ", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://a:80", "http://a"),
            ("https://a:80", "https://a:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(origin(text).unwrap().0, expected, "{text}");
        }
    }

    #[test]
    fn malformed_origin_is_explained() {
        for (text, part) in [
            ("", "write an origin"),
            ("example.com", "write an origin"),
            ("null", "write an origin"),
            ("https://", "write an origin"),
            ("https://a b", "write an origin"),
            ("https://user@a", "write an origin"),
            ("https://a:99999", "write an origin"),
            ("1http://a", "write an origin"),
            ("https://a/", "without a slash"),
            ("https://a/path", "without a slash"),
            ("https://*.example.com", "no wildcards"),
            ("https://bücher.example", "write an origin"),
        ] {
            let error = origin(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn only_listed_origins_are_granted() {
        assert_eq!(Cors::new(Vec::new()), None);
        let listed = cors(&["https://a", "https://b"]);
        let origin = |text| headers(&[("origin", text)]);
        assert_eq!(listed.grant(&origin("https://b")), Grant::Origin("https://b".parse().unwrap()));
        for other in ["https://c", "https://a.evil", "https://A", "null", "https://b/"] {
            assert_eq!(listed.grant(&origin(other)), Grant::Nobody, "{other}");
        }
        assert_eq!(listed.grant(&HeaderMap::new()), Grant::Nobody);
        assert_eq!(cors(&["https://a", "*"]).grant(&HeaderMap::new()), Grant::All);
    }

    #[test]
    fn response_varies_by_origin_unless_all_may_read_it() {
        let vary = [("vary", "Accept-Encoding")];
        let varies = |grant: &Grant| {
            let fields = added(grant, &vary);
            fields.get_all(VARY).iter().any(|value| value == "Origin")
        };
        let one = Grant::Origin(HeaderValue::from_static("https://a"));
        assert!(varies(&one) && varies(&Grant::Nobody) && !varies(&Grant::All));
        assert_eq!(added(&one, &[])[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a");
        assert_eq!(added(&Grant::All, &[])[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(added(&Grant::All, &[]).contains_key(ACCESS_CONTROL_EXPOSE_HEADERS));
        assert!(!added(&Grant::Nobody, &[]).contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[test]
    fn rule_for_the_field_wins() {
        let before = [("access-control-allow-origin", "https://own")];
        for grant in [Grant::All, Grant::Nobody] {
            assert_eq!(added(&grant, &before), headers(&before));
        }
        let exposed = added(&Grant::All, &[("access-control-expose-headers", "x-own")]);
        assert_eq!(exposed[ACCESS_CONTROL_EXPOSE_HEADERS], "x-own");
    }

    #[test]
    fn preflight_allows_what_is_asked_within_a_bound() {
        let asked = [
            ("access-control-request-headers", "x-own, RANGE,x-own , b\"ad"),
            ("access-control-request-headers", "authorization"),
        ];
        let fields = Grant::All.preflight(&headers(&asked));
        let expected = format!("{REQUEST_FIELDS}, x-own, authorization");
        assert_eq!(fields[ACCESS_CONTROL_ALLOW_HEADERS], expected);
        assert_eq!(fields[ACCESS_CONTROL_ALLOW_METHODS], "GET, HEAD, OPTIONS");
        let many: Vec<_> = (0..1000).map(|n| format!("x-{n}")).collect();
        let fields =
            Grant::All.preflight(&headers(&[("access-control-request-headers", &many.join(","))]));
        assert!(fields[ACCESS_CONTROL_ALLOW_HEADERS].len() < CORS_REQUESTED_HEADERS + 10);
        assert!(Grant::Nobody.preflight(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn preflight_is_options_with_both_fields() {
        let both = [("origin", "https://a"), ("access-control-request-method", "GET")];
        assert!(is_preflight(&Method::OPTIONS, &headers(&both)));
        assert!(!is_preflight(&Method::GET, &headers(&both)));
        assert!(!is_preflight(&Method::OPTIONS, &headers(&both[..1])));
        assert!(!is_preflight(&Method::OPTIONS, &headers(&both[1..])));
    }
}
