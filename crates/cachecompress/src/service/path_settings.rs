//! The part of the builder that is about paths and pages.

use http::StatusCode;

use super::builder::Builder;
use super::listing::{RenderListing, Renderer};
use crate::http::SourcePath;
use crate::rules::page_paths::{CleanUrls, TrailingSlash};

impl<F> Builder<F> {
    /// Sets the file names that are tried for a directory, in order.
    ///
    /// An empty list serves no index. [`build`](Self::build) fails for a name with a slash.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("docs/index.htm", "The docs");
    /// let service =
    ///     ServeCompressed::builder(files).index(["index.html", "index.htm"]).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: `index.html`.
    pub fn index(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.paths.index = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the paths at which pages are served without their extension.
    ///
    /// - A file with the very name of a path goes first. Then `/about` is `about.html`, or else
    ///   `about.htm`. With `about/index.html` beside it, `/about` is the first and `/about/` the second.
    /// - A redirect is 301 with `Cache-Control: no-cache`. It keeps the query, and leads to the page
    ///   itself. It never leads to another host, and works under a prefix that a router strips.
    /// - A page whose clean path another file has is served under its own name.
    ///
    /// ```
    /// use cachecompress::{CleanUrls, Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("index.html", "Welcome").file("about.html", "About us");
    /// let service = ServeCompressed::builder(files).clean_urls(CleanUrls::Redirect).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: [`CleanUrls::Off`].
    pub fn clean_urls(mut self, clean_urls: CleanUrls) -> Self {
        self.settings.rules.pages.clean_urls = clean_urls;
        self
    }

    /// Sets which of `/a` and `/a/` is the page. The other one is 301 to it.
    ///
    /// - Pages are the indexes of directories, and the files of [`clean_urls`](Self::clean_urls). A file
    ///   that has the name `a` itself is at `/a` in any case, and `/a/` is 301.
    /// - A directory without an index is 301 to its slash, but with [`TrailingSlash::Never`].
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed, TrailingSlash};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("docs/index.html", "The docs");
    /// let service =
    ///     ServeCompressed::builder(files).trailing_slash(TrailingSlash::Never).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: [`TrailingSlash::Auto`].
    pub fn trailing_slash(mut self, trailing_slash: TrailingSlash) -> Self {
        self.settings.rules.pages.trailing_slash = trailing_slash;
        self
    }

    /// Sets whether the index answers requests for pages that the source lacks, for single-page
    /// applications.
    ///
    /// - The status is 200.
    /// - [`is_navigation`](crate::is_navigation) tells which requests these are. A path without a dot
    ///   in its last segment is a page's for all who accept HTML. A missing `.js` stays a 404.
    /// - Where the answer depends on them, `Vary` names `Accept` and `Sec-Fetch-Mode`.
    /// - A path of a directory is a redirect to its slash, as ever.
    /// - [`spa_page`](Self::spa_page) names another page than the index of the root, and
    ///   [`spa_except`](Self::spa_except) the paths that stay 404.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("index.html", "<div id=app>").file("app.js", "run()");
    /// let service = ServeCompressed::builder(files).spa(true).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: `false`.
    pub fn spa(mut self, spa: bool) -> Self {
        self.settings.rules.spa.is_on = spa;
        self
    }

    /// Turns [`spa`](Self::spa) on, with the file `path` of the source as the page that answers.
    ///
    /// The file may be [excluded](Self::exclude). If there is none, the answer is 404.
    /// [`build`](Self::build) fails for a `path` that cannot be a file's.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("index.html", "Welcome").file("app.html", "<div id=app>");
    /// let service = ServeCompressed::builder(files).spa_page("app.html").build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: the index of the root.
    pub fn spa_page(mut self, path: impl Into<String>) -> Self {
        self.settings.paths.spa_page = Some(path.into());
        self.spa(true)
    }

    /// Leaves the paths that match `glob`, and all paths beneath them, out of [`spa`](Self::spa): a
    /// missing one is 404 for everybody.
    ///
    /// - `*` stops at a slash, `**` does not. `api/**` has `/api` as well.
    /// - The path counts as decoded, also if no file can have it.
    /// - [`build`](Self::build) fails for a malformed glob, and for one that no path can match.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("index.html", "<div id=app>");
    /// let service = ServeCompressed::builder(files).spa(true).spa_except("api/**").build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: none.
    pub fn spa_except(mut self, glob: impl Into<String>) -> Self {
        self.settings.paths.spa_except.push(glob.into());
        self
    }

    /// Makes the file `path` of the source the page of every 404.
    ///
    /// - The page is compressed and cached as any file. It is sent without validators and `Expires` and
    ///   with `Cache-Control: no-cache`, as every 404 is, but with the other fields that
    ///   [`header`](Self::header) sets for its path.
    /// - A page that cannot be read when it is needed leaves a plain 404.
    /// - A fallback goes before it.
    /// - [`build`](Self::build) fails for a `path` that cannot be a file's.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("index.html", "Welcome").file("404.html", "Nothing here");
    /// let service = ServeCompressed::builder(files).not_found("404.html").build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: a short text.
    pub fn not_found(self, path: impl Into<String>) -> Self {
        self.error_page(404, path)
    }

    /// Sets whether a 404 has the nearest `404.html` as its page: the one in the directory of the
    /// request's path, or else in the first one above that has it.
    ///
    /// - The page is sent as [`not_found`](Self::not_found) says, which goes before.
    /// - Directories count that the source tells of and that are not [excluded](Self::exclude). A page
    ///   itself may be excluded.
    /// - A page that appears or goes is noticed after [`revalidate`](Self::revalidate).
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("404.html", "Nothing here").file("de/404.html", "Nichts hier");
    /// let service = ServeCompressed::builder(files).nearest_not_found(true).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: `false`.
    pub fn nearest_not_found(mut self, nearest_not_found: bool) -> Self {
        self.settings.rules.error_pages.nearest = nearest_not_found;
        self
    }

    /// Makes the file `path` of the source the page of every error of this status.
    ///
    /// - It is sent as [`not_found`](Self::not_found) says, which is this for 404. The other fields of
    ///   the error, such as `Allow` and `Retry-After`, stay.
    /// - A later call for the same status wins.
    /// - The statuses are 400, 401, 403, 404, 405, 406, 410, 412, 416, 421, 431, 500 and 503. The service
    ///   itself has no use for 401, 421 and 431: they are for
    ///   [`serve_error`](crate::ServeCompressed::serve_error).
    /// - The page of a 500 or 503 may take a second, for the source may have failed.
    /// - [`build`](Self::build) fails for another status, and for a `path` that cannot be a file's.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("index.html", "Welcome").file("busy.html", "One moment");
    /// let service = ServeCompressed::builder(files).error_page(503, "busy.html").build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: a short text.
    pub fn error_page<T>(mut self, status: T, path: impl Into<String>) -> Self
    where
        T: TryInto<StatusCode>,
        T::Error: Into<http::Error>,
    {
        self.settings.paths.error_pages.push((status.try_into().map_err(Into::into), path.into()));
        self
    }

    /// Answers requests for directories without an index with a listing that `renderer` makes.
    ///
    /// - The source tells the entries, by [`Source::list`](crate::Source::list), and those that are
    ///   [excluded](Self::exclude) are left out. There are 10,000 at most, with names of 1 MiB in all;
    ///   [`Listing::is_cut`](crate::source::Listing::is_cut) says whether there are more.
    /// - A listing has an entity tag, is compressed and cached by its bytes, and is sent with
    ///   `Cache-Control: no-cache`. It goes before [`redirect`](Self::redirect)s that are not forced and
    ///   before [`spa`](Self::spa).
    /// - It is at the path with a slash at its end, also with [`TrailingSlash::Never`]. So links relative to
    ///   the directory work, under a prefix as well.
    /// - It is made once for all requests that wait for it, on a thread that may block, and again when it is
    ///   older than [`revalidate`](Self::revalidate). One that took long is kept for longer.
    /// - `renderer` may be a function of the directory's path and its [`Listing`](crate::source::Listing).
    ///
    /// ```
    /// use cachecompress::source::{Listing, SourceFile};
    /// use cachecompress::{ListingPage, Memory, ServeCompressed, SourcePath};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let names = |_: &SourcePath, listing: &Listing| {
    ///     let lines = listing.entries.iter().flat_map(|entry| [&*entry.name, b"\n"]);
    ///     let text = lines.collect::<Vec<_>>().concat();
    ///     ListingPage::new(SourceFile::from_bytes(text).media_type("text/plain"))
    /// };
    /// let files = Memory::new().file("a.txt", "a").file("b.txt", "b");
    /// let service = ServeCompressed::builder(files).list(names).build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: such a directory leads nowhere.
    pub fn list(mut self, renderer: impl RenderListing) -> Self {
        self.settings.listing = Some(Renderer(Box::new(renderer)));
        self
    }

    /// Hides the paths that match `glob` and all paths beneath them from requests.
    ///
    /// - `*` stops at a slash, `**` does not.
    /// - A hidden path leads nowhere, however a request spells it, and also as an index or with
    ///   [`spa`](Self::spa). A link with another name in the same directory is another path.
    /// - A glob begins at the source's root: `index.html` is that file alone, `**/index.html` all.
    /// - [`ServeCompressed::serve`](crate::ServeCompressed::serve), [`not_found`](Self::not_found) and [`only`](Self::only) still
    ///   reach it.
    /// - Case counts, but on macOS and Windows.
    /// - [`build`](Self::build) fails for a malformed glob, and for one that no path can match.
    ///
    /// ```
    /// use cachecompress::{Directory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    /// let service = ServeCompressed::builder(Directory::new("site")?)
    ///     .exclude("index.html") // a template, which a handler fills in
    ///     .exclude("**/*.map")
    ///     .build()?;
    /// # let _ = service;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Default: nothing is hidden but what the source hides.
    pub fn exclude(mut self, glob: impl Into<String>) -> Self {
        self.settings.paths.excluded.push(glob.into());
        self
    }

    /// Answers every request with the file `path` of the source, whatever the request's path is.
    ///
    /// [`build`](Self::build) fails for a `path` that cannot be a file's. Default: the request's
    /// path chooses.
    pub fn only(mut self, path: impl Into<String>) -> Self {
        self.settings.paths.only = Some(path.into());
        self
    }

    pub(super) fn only_path(mut self, path: SourcePath) -> Self {
        self.settings.rules.only = Some(path);
        self
    }
}
