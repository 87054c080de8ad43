//! The files that globs name, and their digests, by which their entries are found.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Request;

use super::serve_compressed::ServeCompressed;
use super::site::Site;
use super::{locate, warm};
use crate::catalog::{LoadError, Loaded, Resource};
use crate::error::{Error, ErrorKind};
use crate::http::{Digest, RequestPath, SourcePath};
use crate::rules::globs::Globs;

/// The characters of a glob that stand for others.
const WILDCARDS: &[char] = &['*', '?', '[', ']', '{', '}'];

impl<F> ServeCompressed<F> {
    /// Finds the files that `globs`, which are paths of URLs, name.
    ///
    /// - A path to which a file answers names that file: `/docs/` its index, and `/pages/[id].js` the file
    ///   with these brackets.
    /// - Otherwise `*` stops at a slash, `**` does not. A leading slash means nothing. A character that is
    ///   percent-encoded stands for itself: `/pages/%5Bid%5D-*.js`.
    /// - Files that are [excluded](crate::Builder::exclude) are left out.
    ///
    /// The source is listed once at most. Each file is found once, in the order of their paths.
    ///
    /// ```
    /// use cachecompress::{Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("js/f1.js", "one").file("js/f2.js", "two");
    /// let service = ServeCompressed::builder(files).build()?;
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// let found = runtime.block_on(service.matching(&["/js/f1*.js"]))?;
    /// assert_eq!(found, ["js/f1.js".parse()?]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a malformed glob, and those of the source, if it cannot be listed or a
    /// file cannot be read.
    pub async fn matching(&self, globs: &[impl AsRef<str>]) -> Result<Vec<SourcePath>, Error> {
        let Named { pages, paths } = named(&self.site, globs).await?;
        let found = pages.into_iter().map(|page| page.path.clone()).chain(paths);
        Ok(found.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Finds the files that [`matching`](Self::matching) finds, with the digests of their bytes. A file
    /// that changes too fast for a digest to hold is left out.
    ///
    /// The digest is that of a file's [`StoredEntry`](crate::cache::StoredEntry).
    ///
    /// ```
    /// use cachecompress::{Digest, Memory, ServeCompressed};
    ///
    /// # fn main() -> Result<(), cachecompress::Error> {
    /// let files = Memory::new().file("js/f1.js", "one").file("js/f2.js", "two");
    /// let service = ServeCompressed::builder(files).build()?;
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    /// let found = runtime.block_on(service.digests(&["/js/f1*.js"]))?;
    /// assert_eq!(found, [("js/f1.js".parse()?, Digest::of(b"one"))]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`matching`](Self::matching).
    pub async fn digests(
        &self,
        globs: &[impl AsRef<str>],
    ) -> Result<Vec<(SourcePath, Digest)>, Error> {
        let Named { pages, paths } = named(&self.site, globs).await?;
        let mut found = BTreeMap::new();
        for resource in pages.into_iter().chain(load(&self.site, &paths).await?) {
            let resource = self.site.representations.catalog().hashed(resource).await;
            found.extend(resource.digest().map(|digest| (resource.path.clone(), digest)));
        }
        Ok(found.into_iter().collect())
    }
}

/// The files that globs name.
#[derive(Default)]
struct Named {
    /// The files that answer requests for these very paths.
    pages: Vec<Arc<Resource>>,
    /// The files that match.
    paths: Vec<SourcePath>,
}

/// Finds the files that `globs` name. A file with the very name goes before all that match.
async fn named(site: &Arc<Site>, globs: &[impl AsRef<str>]) -> Result<Named, Error> {
    let (mut named, mut patterns) = (Named::default(), Vec::new());
    for glob in globs.iter().map(AsRef::as_ref) {
        let malformed = || Error::config(format!("\"{glob}\" is no path of a URL"));
        let path = if glob.starts_with('/') { glob.into() } else { Cow::Owned(format!("/{glob}")) };
        let request = RequestPath::parse(&path);
        if let Ok(request) = &request
            && let Some(page) = page_at(site, request).await?
        {
            named.pages.push(page);
        } else if glob.contains(WILDCARDS) {
            let decoded = RequestPath::decoded(&literal_escapes(&path)).ok();
            let decoded = decoded.and_then(|path| String::from_utf8(path).ok());
            patterns.push(decoded.ok_or_else(malformed)?);
        } else if request.is_err() {
            return Err(malformed());
        }
    }
    if !patterns.is_empty() {
        let patterns = Globs::of(patterns.iter().map(String::as_str))?;
        named.paths = warm::list(site).await?;
        named.paths.retain(|path| patterns.contains(path));
    }
    Ok(named)
}

/// Puts each percent-encoded character that means something in a glob in brackets, in which it stands for
/// itself.
fn literal_escapes(glob: &str) -> Cow<'_, str> {
    const SPECIAL: [&str; 7] = ["%2A", "%2C", "%3F", "%5B", "%5D", "%7B", "%7D"];
    if !glob.contains('%') {
        return Cow::Borrowed(glob);
    }
    let (mut literal, mut rest) = (String::with_capacity(glob.len()), glob);
    while let Some(at) = rest.find('%') {
        literal.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3).unwrap_or(&rest[at..=at]);
        match SPECIAL.iter().any(|special| special.eq_ignore_ascii_case(escape)) {
            true => literal.extend(["[", escape, "]"]),
            false => literal.push_str(escape),
        }
        rest = &rest[at + escape.len()..];
    }
    literal.push_str(rest);
    Cow::Owned(literal)
}

/// Loads the file that answers a request for `path`.
async fn page_at(site: &Site, path: &RequestPath) -> Result<Option<Arc<Resource>>, Error> {
    let (parts, ()) = Request::new(()).into_parts();
    let target = locate::locate_page(site, path, &parts).await?;
    Ok(target.map(|target| target.resource))
}

/// Loads these files, as far as they are there.
async fn load(site: &Site, paths: &[SourcePath]) -> Result<Vec<Arc<Resource>>, Error> {
    let mut found = Vec::new();
    for path in paths {
        match site.representations.catalog().load(path).await.map_err(LoadError::into_error) {
            Ok(Loaded::File(resource, _)) => found.push(resource),
            Ok(Loaded::Directory | Loaded::Nothing) => {}
            // It is gone by now, or no request may read it.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
