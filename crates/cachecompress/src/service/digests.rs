//! The digests of files, by which their entries are found.

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
    /// Finds the files that match `glob`, a path of a URL, with the digests of their bytes.
    ///
    /// - `*` stops at a slash, `**` does not. A leading slash means nothing.
    /// - A path without such characters is that of a request, and leads to the file that answers it:
    ///   `/docs/` to its index.
    /// - Files that are [excluded](crate::Builder::exclude) are left out. A file that changes too fast
    ///   for a digest to hold has none.
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
    /// let found = runtime.block_on(service.digests("/js/f1*.js"))?;
    /// assert_eq!(found, [("js/f1.js".parse()?, Digest::of(b"one"))]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a malformed glob, and those of the source, if it cannot be listed or a
    /// file cannot be read.
    pub async fn digests(&self, glob: &str) -> Result<Vec<(SourcePath, Digest)>, Error> {
        let resources = match glob.contains(WILDCARDS) {
            true => matching(&self.site, glob).await?,
            false => page_at(&self.site, glob).await?.into_iter().collect(),
        };
        let mut found = Vec::new();
        for resource in resources {
            let resource = self.site.representations.catalog().hashed(resource).await;
            found.extend(resource.digest().map(|digest| (resource.path.clone(), digest)));
        }
        Ok(found)
    }
}

/// Loads the file that answers a request for `path`.
async fn page_at(site: &Site, path: &str) -> Result<Option<Arc<Resource>>, Error> {
    let malformed = |_| Error::config(format!("\"{path}\" is no path of a URL"));
    let request = RequestPath::parse(path).map_err(malformed)?;
    let (parts, ()) = Request::new(()).into_parts();
    let target = locate::locate_page(site, &request, &parts).await?;
    Ok(target.map(|target| target.resource))
}

/// Loads the files of the source that match `glob`.
async fn matching(site: &Arc<Site>, glob: &str) -> Result<Vec<Arc<Resource>>, Error> {
    let decoded = RequestPath::decoded(glob).ok().and_then(|path| String::from_utf8(path).ok());
    let decoded =
        decoded.ok_or_else(|| Error::config(format!("\"{glob}\" is no glob of paths")))?;
    let mut globs = Globs::default();
    globs.add(&decoded)?;
    let mut found = Vec::new();
    for path in warm::list(site).await?.iter().filter(|path| globs.contains(path)) {
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
