//! The search for a coded file beside that of a resource.

use super::site::{Siblings, Site};
use crate::catalog::{Resource, Sibling};
use crate::http::{ContentCoding, sibling_path};

/// Whether a file beside that of `resource` may be used.
pub(super) fn is_possible(site: &Site, resource: &Resource) -> bool {
    site.rules.siblings == Siblings::Verified && resource.digest().is_some()
}

/// Looks for the file in `coding` beside that of `resource`; `None` if none would be used.
pub(super) async fn look_beside(
    site: &Site,
    resource: &Resource,
    coding: &ContentCoding,
) -> Option<Sibling> {
    let path = sibling_path(&resource.path, coding)?;
    if !is_possible(site, resource) || site.rules.excluded.covers(&path) {
        return None;
    }
    site.representations.catalog().sibling(resource, coding).await
}
