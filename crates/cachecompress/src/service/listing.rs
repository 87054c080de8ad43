//! The listing of a directory without an index.

use std::fmt;
use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::options::RequestOptions;
use crate::catalog::{Catalog, LoadError, MadeListing};
use crate::error::Error;
use crate::http::SourcePath;
use crate::limits::{LISTING_ENTRIES, LISTING_NAME_BYTES};
use crate::rules::globs::Globs;
use crate::source::{Listing, Source, SourceFile};

/// A renderer of listings. [`Builder::list`](crate::Builder::list) takes one.
pub trait RenderListing: Send + Sync + 'static {
    /// Returns the number of the form that a request asks for, by its query and its fields.
    ///
    /// It is called on the threads that serve. Each form of a directory is rendered and kept by itself,
    /// so there should be few.
    fn form(&self, _query: Option<&str>, _fields: &HeaderMap) -> u32 {
        0
    }

    /// Renders the listing of `directory` in a form.
    ///
    /// It is called on a thread that may block. The same listing should give the same bytes, so that a
    /// client's copy stays valid.
    fn render(&self, directory: &SourcePath, listing: &Listing, form: u32) -> ListingPage;
}

impl<F: Fn(&SourcePath, &Listing) -> ListingPage + Send + Sync + 'static> RenderListing for F {
    fn render(&self, directory: &SourcePath, listing: &Listing, _variant: u32) -> ListingPage {
        self(directory, listing)
    }
}

/// A rendered listing. [`RenderListing::render`] returns it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ListingPage {
    file: SourceFile,
    fields: HeaderMap,
}

impl ListingPage {
    /// Creates a page of a file, which should have its media type.
    pub fn new(file: impl Into<SourceFile>) -> Self {
        Self { file: file.into(), fields: HeaderMap::new() }
    }

    /// Sends this field with the page, as [`RequestOptions::header`] does.
    ///
    /// Default: `Cache-Control: no-cache`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.insert(name, value);
        self
    }
}

/// A renderer of any type.
pub(super) struct Renderer(pub(super) Box<dyn RenderListing>);

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renderer")
    }
}

/// The maker of a site's listings.
#[derive(Debug)]
pub(super) struct Lister {
    renderer: Renderer,
    /// The paths that are left out.
    excluded: Globs,
}

impl Lister {
    pub(super) fn new(renderer: Renderer, excluded: Globs) -> Arc<Self> {
        Arc::new(Self { renderer, excluded })
    }

    /// Finds the listing of `directory` that a request asks for; `None` if it has none.
    pub(super) async fn find(
        self: &Arc<Self>,
        catalog: &Catalog,
        directory: &SourcePath,
        parts: &Parts,
    ) -> Result<Option<Arc<MadeListing>>, Error> {
        if self.excluded.covers(directory) {
            return Ok(None);
        }
        let form = self.renderer.0.form(parts.uri.query(), &parts.headers);
        let make = || {
            let (lister, directory) = (Arc::clone(self), directory.clone());
            Box::new(move |source: &dyn Source| lister.make(source, &directory, form)) as _
        };
        catalog.listing(directory, form, make).await.map_err(LoadError::into_error)
    }

    /// Lists `directory` and renders the listing. Blocks on the disk.
    fn make(
        &self,
        source: &dyn Source,
        directory: &SourcePath,
        form: u32,
    ) -> Result<Option<(SourceFile, HeaderMap)>, Error> {
        let Some(mut listing) = source.list(directory, LISTING_ENTRIES)? else { return Ok(None) };
        let is_excluded =
            |name: &[u8]| directory.try_join(name).is_none_or(|path| self.excluded.covers(&path));
        listing.entries.retain(|entry| !is_excluded(&entry.name));
        let mut room = LISTING_NAME_BYTES;
        let fitting = listing.entries.iter().map_while(|entry| {
            room = room.checked_sub(entry.name.len())?;
            Some(())
        });
        let fitting = fitting.count();
        listing.is_cut |= fitting < listing.entries.len();
        listing.entries.truncate(fitting);
        let ListingPage { file, fields } = self.renderer.0.render(directory, &listing, form);
        Ok(Some((file, fields)))
    }
}

/// Returns the settings of the request that a listing answers, with the listing's own fields.
pub(super) fn options(listing: &MadeListing, parts: &Parts) -> RequestOptions {
    let no_cache = HeaderValue::from_static("no-cache");
    let mut options = RequestOptions::new().header(CACHE_CONTROL, no_cache);
    options.headers.extend(listing.fields.clone());
    if let Some(RequestOptions { codings, headers, original_length, foresight }) =
        parts.extensions.get()
    {
        options.headers.extend(headers.clone());
        options.codings.clone_from(codings);
        options.original_length = *original_length;
        options.foresight.clone_from(foresight);
    }
    options
}
