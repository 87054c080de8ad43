//! The deltas of a site: whether there are any, and for whom.

use std::sync::Arc;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};

use crate::encode::EarlierVersions;
use crate::http::{Readability, available_dictionary, readability};

/// The use of deltas (RFC 9842): a client that has an earlier version of a file gets the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deltas {
    /// There are none. This is the default.
    #[default]
    Off,
    /// For clients in a secure context: a service [`over_tls`](crate::ServeCompressed::over_tls), or a
    /// host that is this machine (`localhost`).
    Auto,
    /// For all clients that ask for them. Something in front of the service speaks HTTPS with them.
    AssumeHttps,
}

/// The deltas of a site.
#[derive(Debug)]
pub(super) struct SiteDeltas {
    /// The site's name in the ledger.
    pub(super) name: Arc<str>,
    pub(super) assumes_https: bool,
    /// Whether the name is of no use to a later service.
    pub(super) ends_with_service: bool,
    pub(super) earlier: EarlierVersions,
}

/// The mark of a request whose response may depend on the dictionary that it offers, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsesDictionary;

impl Drop for SiteDeltas {
    fn drop(&mut self) {
        if self.ends_with_service {
            self.earlier.cache.dictionaries().forget_site(&self.name);
        }
    }
}

impl SiteDeltas {
    /// Whether the response to a request may depend on the dictionary that it offers, as far as the request
    /// tells; the ledger must know the dictionary.
    pub(super) fn may_matter(&self, over_tls: bool, uri: &Uri, headers: &HeaderMap) -> bool {
        (over_tls || self.assumes_https || is_local(uri, headers))
            && readability(headers) != Readability::No
            && available_dictionary(headers)
                .is_some_and(|digest| self.earlier.cache.dictionaries().has(&digest))
    }
}

/// Whether the host of a request is this machine by its name or address, which browsers take for secure. A
/// page elsewhere cannot make them send another name.
fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let named = || headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = uri.authority().map(Authority::as_str).or_else(named) else {
        return false;
    };
    // What stands before an `@` is no host.
    if host.contains('@') {
        return false;
    }
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let name = name.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn host_of_this_machine_is_secure() {
        for (uri, host, expected) in [
            ("/a", Some("localhost"), true),
            ("/a", Some("LocalHost:8080"), true),
            ("/a", Some("app.localhost"), true),
            ("/a", Some("127.0.0.1:80"), true),
            ("/a", Some("127.9.9.9"), true),
            ("/a", Some("[::1]:8080"), true),
            ("http://localhost/a", None, true),
            ("/a", None, false),
            ("/a", Some("example.com"), false),
            ("/a", Some("localhost.example.com"), false),
            ("/a", Some("notlocalhost"), false),
            ("/a", Some("10.0.0.1"), false),
            ("/a", Some("[fe80::1]"), false),
            ("/a", Some("localhost:80@example.com"), false),
            ("http://example.com/a", Some("localhost"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(HOST, HeaderValue::from_static(host));
            }
            let uri = Uri::from_static(uri);
            assert_eq!(is_local(&uri, &headers), expected, "{uri} {host:?}");
        }
    }
}
