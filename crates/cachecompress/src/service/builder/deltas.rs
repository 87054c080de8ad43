//! The settings of deltas.

use super::Builder;
use crate::service::site_deltas::Deltas;

impl<F> Builder<F> {
    /// Sets whether clients that have an earlier version of a file get the difference (RFC 9842).
    ///
    /// - A file of 4 KiB to 64 MiB whose name has a hash or a version (`app-BwOPSd3b.js`,
    ///   `/v1.2.3/tool`) is announced as a dictionary for its later versions by `Use-As-Dictionary`, if the
    ///   response has a lifetime: see [`immutable`](Self::immutable),
    ///   [`immutable_paths`](Self::immutable_paths) and [`header_rule`](Self::header_rule).
    /// - A request that names such a version in `Available-Dictionary`, and `dcb` or `dcz` in
    ///   `Accept-Encoding`, gets the file in that coding. It is encoded once and kept as all others, and
    ///   proven with the dictionary.
    /// - The content of an earlier version comes from the cache. While it is stored nowhere, the request
    ///   gets another coding.
    /// - A page of another origin that may not read the response gets no delta (RFC 9842 §9.3.3).
    /// - `Vary` names `Available-Dictionary` wherever one may matter.
    ///
    /// The patterns are paths as the service sees them. A router that takes a prefix off makes them match
    /// nothing.
    ///
    /// ```
    /// use cachecompress::{Deltas, Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Memory::new().file("tool-1.2.3", vec![7; 9000]))
    ///     .immutable_paths("tool-*")
    ///     .deltas(Deltas::Auto)
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: [`Deltas::Off`].
    pub fn deltas(mut self, deltas: Deltas) -> Self {
        self.settings.deltas = deltas;
        self
    }

    /// Names the site among those that use one cache.
    ///
    /// A version of a file that one site sent is a dictionary for that site alone. So nobody can learn
    /// through one site whether another one has a content.
    ///
    /// The cache's directory keeps the names, so a service finds its versions again after a restart.
    ///
    /// Default: `""`, and for a service that [shares](Self::share) an engine a name of its own, which ends
    /// with the service.
    pub fn site_name(mut self, name: impl Into<String>) -> Self {
        self.settings.site_name = Some(name.into());
        self
    }
}
