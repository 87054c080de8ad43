//! The search for a coded file beside that of a resource.

use super::site::{Siblings, Site};
use crate::catalog::{Resource, Sibling};
use crate::http::{ContentCoding, sibling_path};

/// Looks for the file in `coding` beside that of `resource`; `None` if none would be used.
pub(super) async fn look_beside(
    site: &Site,
    resource: &Resource,
    coding: &ContentCoding,
) -> Option<Sibling> {
    let path = sibling_path(&resource.path, coding)?;
    let is_wanted = site.rules.siblings == Siblings::Verified
        && resource.digest().is_some()
        && !site.rules.excluded.covers(&path);
    if !is_wanted {
        return None;
    }
    site.representations.catalog().sibling(resource, coding).await
}
