//! The public rule for header fields, unchecked.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

/// Fields that are set and unset in the responses for certain paths, for
/// [`Builder::header_rule`](crate::Builder::header_rule).
///
/// - The paths are matched against that of the request and against that of the file that answers it.
///   So an index page has the rules of `/` and of `/index.html`. Both are decoded, and a slash at their
///   ends means nothing.
/// - All rules that match apply, in their order. A later one replaces a field of an earlier one.
/// - It applies to 200, 206 and 304, and to the page of [`Builder::not_found`](crate::Builder::not_found)
///   if it matches that file. [`always`](Self::always) has it apply to all other responses, too.
/// - A 304 lacks `Content-Type`, `Content-Disposition` and `Content-Language` only, so that a cache
///   learns of a new policy when the file is still the same.
/// - `Last-Modified`, `Accept-Ranges` and `Cache-Status` of the service stay as they are. They may be
///   unset.
/// - A fallback's response has no fields of rules.
///
/// ```
/// use cachecompress::{HeaderRule, Memory, ServeCompressed};
///
/// # fn main() -> Result<(), cachecompress::Error> {
/// let service = ServeCompressed::builder(Memory::new().file("fonts/a.woff2", "…"))
///     .header_rule(HeaderRule::new("/**").security(true))
///     .header_rule(
///         HeaderRule::new("/fonts/*")
///             .set("access-control-allow-origin", "*")
///             .set("cache-control", "public, max-age=86400")
///             .unset("referrer-policy"),
///     )
///     .build()?;
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct HeaderRule {
    pub(crate) paths: Paths,
    pub(crate) set: Vec<(Name, Value)>,
    pub(crate) unset: Vec<Name>,
    pub(crate) always: bool,
    pub(crate) security: bool,
    pub(crate) isolate: bool,
}

/// A name as it was given, or the reason why it is none.
pub(crate) type Name = Result<HeaderName, Arc<http::Error>>;

/// A value as it was given, or the reason why it is none.
pub(crate) type Value = Result<HeaderValue, Arc<http::Error>>;

/// The paths of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Paths {
    Glob(String),
    Pattern(String),
}

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob(text) | Self::Pattern(text) => f.write_str(text),
        }
    }
}

impl HeaderRule {
    /// Creates a rule for the paths that match `glob`, which sets nothing yet.
    ///
    /// - `*` stops at a slash, `**` does not. A `/*` at the end is `/**`, as in `netlify.toml`.
    /// - `/dir/**` is `dir` and all beneath it, `/` the root alone, `/**` everything.
    /// - Case counts.
    /// - [`Builder::build`](crate::Builder::build) fails for a malformed glob, and for one that no path
    ///   can match.
    pub fn new(glob: impl Into<String>) -> Self {
        Self::of(Paths::Glob(glob.into()))
    }

    /// Creates a rule for the paths that match `pattern`, in the format of Netlify's and Cloudflare's
    /// `_headers` files.
    ///
    /// - It begins with a slash. Percent-encoding is decoded.
    /// - `*` crosses slashes. As a segment it may be missing: `/a/*` is `/a` as well.
    /// - `:name` at the begin of a segment matches one character or more, up to a slash or to the text
    ///   that follows.
    /// - `:splat` and `:name` in the value of a field are what they stand for in the path, with
    ///   percent-encoding. Where several `*` match, `:splat` is the first.
    /// - [`Builder::build`](crate::Builder::build) fails for a pattern without a slash in front, and for
    ///   one of more than 32 parts.
    ///
    /// ```
    /// use cachecompress::{HeaderRule, Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let rule = HeaderRule::for_pattern("/movies/:title").set("x-movie-name", "This is \":title\"");
    /// let service = ServeCompressed::builder(Memory::new()).header_rule(rule).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_pattern(pattern: impl Into<String>) -> Self {
        Self::of(Paths::Pattern(pattern.into()))
    }

    fn of(paths: Paths) -> Self {
        let (set, unset) = (Vec::new(), Vec::new());
        Self { paths, set, unset, always: false, security: false, isolate: false }
    }

    /// Sets a field, in place of one of the same name.
    ///
    /// - Several values for one name in one rule are joined by `, `, but for `Set-Cookie`, which then
    ///   has several lines.
    /// - `Vary` is added to that of the service.
    /// - [`Builder::build`](crate::Builder::build) fails for a malformed name or value, and for a field
    ///   that follows from the representation or belongs to the single response: `Content-Encoding`,
    ///   `Content-Length`, `Content-Range`, `ETag`, `Transfer-Encoding`, `Connection`, `Date`,
    ///   `Keep-Alive`, `Proxy-Connection`, `TE`, `Trailer` and `Upgrade`.
    pub fn set<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        let name = name.try_into().map_err(|error| Arc::new(error.into()));
        let value = value.try_into().map_err(|error| Arc::new(error.into()));
        self.set.push((name, value));
        self
    }

    /// Removes a field that an earlier rule, a preset or the service has set.
    ///
    /// [`Builder::build`](crate::Builder::build) fails for the fields that [`set`](Self::set) refuses,
    /// and for `Vary`.
    pub fn unset<N>(mut self, name: N) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
    {
        self.unset.push(name.try_into().map_err(|error| Arc::new(error.into())));
        self
    }

    /// Sets whether the rule also applies to redirects, errors and all other responses.
    ///
    /// These have no fields about the file, whatever the rule says: `Accept-Ranges`, `Cache-Control`,
    /// `Content-Disposition`, `Content-Language`, `Content-Location`, `Content-Type`, `Expires` and
    /// `Last-Modified`. So no cache keeps a 404 for as long as the file that was meant. `Location`,
    /// `Allow` and the like of the response stay, too.
    ///
    /// Default: `false`.
    pub fn always(mut self, always: bool) -> Self {
        self.always = always;
        self
    }

    /// Sets whether the rule has the fields that protect visitors of a site. It is then as
    /// [`always`](Self::always).
    ///
    /// | field | value |
    /// |---|---|
    /// | `X-Content-Type-Options` | `nosniff` |
    /// | `Referrer-Policy` | `strict-origin-when-cross-origin` |
    /// | `Content-Security-Policy` | `frame-ancestors 'self'`: other sites cannot frame the pages |
    /// | `Strict-Transport-Security` | `max-age=31536000`, only for a service of [`over_tls`](crate::ServeCompressed::over_tls) |
    ///
    /// A rule that sets or unsets one of them wins, whichever comes first, so a policy of the site's own
    /// is never replaced. Default: `false`.
    pub fn security(mut self, security: bool) -> Self {
        self.security = security;
        self
    }

    /// Sets whether the rule isolates pages from other origins, which `SharedArrayBuffer` and precise
    /// timers need. It is then as [`always`](Self::always).
    ///
    /// The fields are `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy:
    /// require-corp`. Files of other origins load only if these allow it. A rule that sets or unsets one
    /// of both wins. Default: `false`.
    pub fn isolate(mut self, isolate: bool) -> Self {
        self.isolate = isolate;
        self
    }
}
