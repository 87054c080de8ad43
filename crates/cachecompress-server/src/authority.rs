//! The authority of a request: the host that it is for, perhaps with a port.

use http::{HeaderValue, Request, Version, header};

use crate::hosts::is_host;

/// Returns the authority of `request`. A target that is a URL goes before Host (RFC 9112 §3.2.2).
pub(crate) fn of<B>(request: &Request<B>) -> Option<&[u8]> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => request.headers().get(header::HOST).map(HeaderValue::as_bytes),
    }
}

/// Checks the authority of a request.
///
/// HTTP/1.1 needs exactly one Host, and a valid one (RFC 9112 §3.2). HTTP/2 needs `:authority` or
/// Host, and no two that differ (RFC 9113 §8.3.1). A target that is a URL has a scheme of HTTP and no
/// user (RFC 9110 §4.2.4).
///
/// # Errors
///
/// A sentence for the client.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), &'static str> {
    let (version, uri, headers) = (request.version(), request.uri(), request.headers());
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("more than one Host");
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err("an invalid Host");
    }
    if uri.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return Err("an invalid host in the target");
    }
    let is_http = |scheme: &str| ["http", "https"].iter().any(|s| s.eq_ignore_ascii_case(scheme));
    if uri.scheme_str().is_some_and(|scheme| !is_http(scheme)) {
        return Err("the scheme is neither http nor https");
    }
    match (version, host, uri.authority()) {
        (Version::HTTP_09 | Version::HTTP_10, ..) | (Version::HTTP_11, Some(_), _) => Ok(()),
        (Version::HTTP_11, None, _) => Err("HTTP/1.1 needs a Host"),
        (_, None, None) => Err("neither :authority nor Host"),
        (_, Some(host), Some(authority))
            if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Err(":authority and Host differ")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes a request for `target` with these `hosts`.
    pub(crate) fn parts(version: Version, target: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn http1_request_needs_exactly_one_valid_host() {
        for host in ["a", "A.b-c_d:80", "127.0.0.1:1", "[::1]:80", "[::1]", "", "a:", "x%41"] {
            assert_eq!(check(&parts(Version::HTTP_11, "/", &[host])), Ok(()), "{host:?}");
        }
        for host in ["a b", "a/b", "u@a", "a:b", "a:1:2", "a:99999", "[::1", "::1", "a%4", "a\"b"] {
            assert!(check(&parts(Version::HTTP_11, "/", &[host])).is_err(), "{host:?}");
        }
        assert!(check(&parts(Version::HTTP_11, "/", &[])).is_err());
        assert!(check(&parts(Version::HTTP_11, "/", &["a", "a"])).is_err());
        assert!(check(&parts(Version::HTTP_11, "http://a/", &[])).is_err());
        assert_eq!(check(&parts(Version::HTTP_10, "/", &[])), Ok(()));
        assert!(check(&parts(Version::HTTP_10, "/", &["a", "b"])).is_err());
    }

    #[test]
    fn http2_request_needs_an_authority_or_a_host() {
        assert_eq!(check(&parts(Version::HTTP_2, "http://a/", &[])), Ok(()));
        assert_eq!(check(&parts(Version::HTTP_2, "/", &["a"])), Ok(()));
        assert_eq!(check(&parts(Version::HTTP_2, "http://a/", &["A"])), Ok(()));
        assert!(check(&parts(Version::HTTP_2, "http://a/", &["b"])).is_err());
        assert!(check(&parts(Version::HTTP_2, "/", &[])).is_err());
    }

    #[test]
    fn target_with_a_user_or_another_scheme_is_refused() {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            for target in ["http://x@h/", "http://x:y@h/", "http://h:99999/", "ftp://h/", "ws://h/"]
            {
                let parts = match version {
                    Version::HTTP_2 => parts(version, target, &[]),
                    _ => parts(version, target, &["h"]),
                };
                assert!(check(&parts).is_err(), "{version:?} {target}");
            }
        }
        for target in ["HTTP://h/", "https://h:80/", "http://[::1]/"] {
            assert_eq!(check(&parts(Version::HTTP_11, target, &["h"])), Ok(()), "{target}");
        }
    }
}
