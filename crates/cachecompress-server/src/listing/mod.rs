//! `--list`: the listing of a directory without an index, as HTML or JSON.

mod accept;
mod html;
mod json;
mod order;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cachecompress::source::{Listing, SourceFile};
use cachecompress::{Digest, ListingPage, RenderListing, SourcePath};
use http::header::{CONTENT_SECURITY_POLICY, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use order::Order;

/// Tells the reader of a JSON listing how many entries it has, if the directory has more.
const TRUNCATED: HeaderName = HeaderName::from_static("x-listing-truncated");

/// The renderer of listings.
#[derive(Debug)]
pub(crate) struct Renderer {
    /// The page may use its own style and nothing else.
    policy: HeaderValue,
}

impl Renderer {
    pub(crate) fn new() -> Self {
        let style = BASE64_STANDARD.encode(Digest::of(html::STYLE.as_bytes()).as_bytes());
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'self'"
        );
        let fallback = || HeaderValue::from_static("default-src 'none'");
        Self { policy: HeaderValue::try_from(policy).unwrap_or_else(|_| fallback()) }
    }
}

impl RenderListing for Renderer {
    fn form(&self, query: Option<&str>, fields: &HeaderMap) -> u32 {
        2 * Order::of(query).number() + u32::from(accept::prefers_json(fields))
    }

    fn render(&self, directory: &SourcePath, listing: &Listing, form: u32) -> ListingPage {
        let order = Order::from_number(form / 2);
        let entries = order.sort(&listing.entries);
        let vary = |page: ListingPage| page.header(VARY, HeaderValue::from_static("Accept"));
        if form % 2 == 1 {
            let json = SourceFile::from_bytes(json::render(&entries));
            let page = vary(ListingPage::new(json.media_type("application/json")));
            return match listing.is_cut {
                true => page.header(TRUNCATED, entries.len().into()),
                false => page,
            };
        }
        let page = html::render(directory, &entries, order, listing.is_cut);
        let html = SourceFile::from_bytes(page).media_type("text/html; charset=utf-8");
        vary(ListingPage::new(html)).header(CONTENT_SECURITY_POLICY, self.policy.clone())
    }
}
