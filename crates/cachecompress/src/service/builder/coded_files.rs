//! The settings of files that somebody else has encoded.

use super::Builder;
use crate::service::site::Siblings;

impl<F> Builder<F> {
    /// Sets whether the files `.br`, `.zst` and `.gz` beside a file are its representations.
    ///
    /// With [`Siblings::Verified`]:
    ///
    /// - The file `app.js.br` is sent for `app.js` in `br`, byte for byte, if it decodes to exactly
    ///   that, and nothing is encoded. It is decoded once to prove that, whatever
    ///   [`prove`](Self::prove) says, and kept in the cache. No client gets a byte of it before.
    /// - A stale or broken one is warned of once and passed over. So is one that browsers do not read: of
    ///   zstd with a window over 8 MiB, of brotli with a large window, of gzip with several members, and
    ///   one with bytes behind its end. One that is not shorter than `app.js` counts as missing.
    /// - A request looks for the file of the coding that it would get, and for no other.
    /// - A file that is [excluded](Self::exclude) is not used. A request for `/app.js.br` itself gets that
    ///   file as it is.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed, Siblings};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let service = ServeCompressed::builder(Memory::new()).siblings(Siblings::Verified).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: [`Siblings::Off`].
    pub fn siblings(mut self, siblings: Siblings) -> Self {
        self.settings.rules.siblings = siblings;
        self
    }

    /// Sets whether a file `app.js.br` without an `app.js` is JavaScript in `br`, as in builds of Unity.
    ///
    /// - The names end in `.br`, `.zst` or `.gz`, behind another extension. `.tar.gz` and the like mean
    ///   themselves, and so does a file that is not sound.
    /// - The file's bytes are sent to those who accept the coding, and are decoded for others. Media
    ///   type, tag and ranges are those of the decoded bytes.
    /// - `/app.js` leads to it as well as `/app.js.br`.
    /// - Files up to 32 MiB which decode to at most 96 MiB are decoded. Up to 128 MiB that were decoded are
    ///   kept in memory, for all services that [share](Self::share) an engine.
    /// - A longer file goes out undecoded to those who accept its coding, with the media type of `app.js`.
    ///   Others get 406 at `/app.js`, and at `/app.js.br` the file with the type of its own name.
    /// - While 256 MiB of decoded files are in memory, a further one goes out undecoded to those who accept
    ///   its coding, and is 503 for others.
    ///
    /// A `.svgz` file is treated so at all times.
    ///
    /// Default: `false`.
    pub fn encoded_names(mut self, encoded_names: bool) -> Self {
        self.settings.encoded_names = encoded_names;
        self
    }
}
