//! Redirects from plain HTTP to the same place over HTTPS.

use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, header};

/// The port of HTTPS that a URL need not name.
const HTTPS_PORT: u16 = 443;
/// The paths at which an authority looks for proofs (RFC 8555 §8.3). It asks for them in plain HTTP.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The redirects of `--redirect-from`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpsRedirect {
    /// The port to which requests are sent.
    pub(crate) port: u16,
}

/// A redirect to HTTPS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// 301, or 308 for methods that a client must keep.
    pub(crate) status: StatusCode,
    pub(crate) location: HeaderValue,
}

impl HttpsRedirect {
    /// The redirect of `request`, whose Host is a valid one. `Ok(None)` leaves the request to the
    /// site: a proof for an authority, and what has no place of its own (`OPTIONS *`, `CONNECT`).
    ///
    /// # Errors
    ///
    /// A sentence for the client if the request names no host.
    pub(crate) fn of<B>(&self, request: &Request<B>) -> Result<Option<Location>, &'static str> {
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let has_place = target.starts_with('/') || request.uri().scheme().is_some();
        if !has_place || *request.method() == Method::CONNECT || is_challenge(request.uri().path())
        {
            return Ok(None);
        }
        // The target's authority wins over Host (RFC 9112 §3.2.2).
        let host = match request.uri().authority() {
            Some(authority) => Some(authority.as_str().as_bytes()),
            None => request.headers().get(header::HOST).map(HeaderValue::as_bytes),
        };
        let authority = host.and_then(|host| Authority::try_from(host).ok());
        let Some(host) = authority.as_ref().map(Authority::host).filter(|host| !host.is_empty())
        else {
            return Err("a redirect to https:// needs a Host");
        };
        let port = match self.port {
            HTTPS_PORT => String::new(),
            port => format!(":{port}"),
        };
        let slash = if target.starts_with('/') { "" } else { "/" };
        let location = HeaderValue::try_from(format!("https://{host}{port}{slash}{target}"))
            .map_err(|_| "the target is not visible ASCII")?;
        let status = match *request.method() {
            Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::PERMANENT_REDIRECT,
        };
        Ok(Some(Location { status, location }))
    }
}

/// Whether `path` is that of a proof: one segment of base64url.
pub(crate) fn is_challenge(path: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    path.strip_prefix(CHALLENGES)
        .is_some_and(|token| !token.is_empty() && token.bytes().all(is_token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(port: u16, method: Method, target: &str, host: &str) -> Option<(u16, String)> {
        let request = Request::builder().method(method).uri(target).header(header::HOST, host);
        let redirect = HttpsRedirect { port }.of(&request.body(()).unwrap()).unwrap();
        redirect.map(|redirect| {
            (redirect.status.as_u16(), redirect.location.to_str().unwrap().to_owned())
        })
    }

    #[test]
    fn host_path_and_query_are_kept() {
        for (port, target, host, expected) in [
            (443, "/", "a.test", "https://a.test/"),
            (443, "/x/y?q=1&r", "a.test:80", "https://a.test/x/y?q=1&r"),
            (8443, "/", "a.test:8080", "https://a.test:8443/"),
            (8443, "/", "[::1]:8080", "https://[::1]:8443/"),
            (443, "/", "127.0.0.1", "https://127.0.0.1/"),
            (443, "//evil.test/x", "a.test", "https://a.test//evil.test/x"),
            (443, "http://b.test:80/x?y", "a.test", "https://b.test/x?y"),
            (443, "http://b.test?y", "a.test", "https://b.test/?y"),
        ] {
            let location = redirect(port, Method::GET, target, host);
            assert_eq!(location, Some((301, expected.to_owned())), "{target} at {host}");
        }
    }

    #[test]
    fn method_is_kept_unless_it_is_get_or_head() {
        let status = |method| redirect(443, method, "/", "a.test").unwrap().0;
        assert_eq!(status(Method::HEAD), 301);
        for method in [Method::POST, Method::PUT, Method::OPTIONS, Method::DELETE] {
            assert_eq!(status(method), 308);
        }
    }

    #[test]
    fn proofs_and_requests_without_a_place_are_left_to_the_site() {
        for path in ["/.well-known/acme-challenge/aB_-9", "/.well-known/acme-challenge/x?y"] {
            assert_eq!(redirect(443, Method::GET, path, "a.test"), None, "{path}");
        }
        for path in
            ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/../x", "/.well-known/x"]
        {
            assert!(redirect(443, Method::GET, path, "a.test").is_some(), "{path}");
        }
        assert_eq!(redirect(443, Method::OPTIONS, "*", "a.test"), None);
        assert_eq!(redirect(443, Method::CONNECT, "a.test:80", "a.test:80"), None);
    }

    #[test]
    fn request_without_a_host_is_refused() {
        let mut request = Request::new(());
        assert!(HttpsRedirect { port: 443 }.of(&request).is_err());
        request.headers_mut().insert(header::HOST, HeaderValue::from_static(""));
        assert!(HttpsRedirect { port: 443 }.of(&request).is_err());
    }
}
