//! The pages of errors, by status and by directory.

use std::time::Duration;

use http::StatusCode;

use super::globs::Globs;
use crate::error::Error;
use crate::http::SourcePath;
use crate::limits::NEAREST_PAGES;

/// The statuses that may have a page.
const STATUSES: [u16; 13] = [400, 401, 403, 404, 405, 406, 410, 412, 416, 421, 431, 500, 503];

/// The name of a page that is for all missing paths of its directory.
pub(crate) const NEAREST: &str = "404.html";

/// The files that are the bodies of errors.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorPages {
    by_status: Vec<(StatusCode, SourcePath)>,
    /// Whether a 404 without a page of its own has the nearest `404.html`.
    pub(crate) nearest: bool,
}

impl ErrorPages {
    pub(crate) fn set(&mut self, status: StatusCode, page: SourcePath) -> Result<(), Error> {
        if !STATUSES.contains(&status.as_u16()) {
            let message = format!(
                "{} has no page; the statuses with one are {}",
                status.as_u16(),
                STATUSES.map(|status| status.to_string()).join(", ")
            );
            return Err(Error::config(message));
        }
        self.by_status.retain(|(other, _)| *other != status);
        self.by_status.push((status, page));
        Ok(())
    }

    pub(crate) fn get(&self, status: StatusCode) -> Option<&SourcePath> {
        self.by_status.iter().find(|(of, _)| *of == status).map(|(_, page)| page)
    }

    /// Whether an error of this status may have a page.
    pub(crate) fn has_for(&self, status: StatusCode) -> bool {
        self.get(status).is_some() || self.nearest && status == StatusCode::NOT_FOUND
    }

    /// Whether an error may be answered with the file `path`, though the rules hide it from requests.
    pub(crate) fn use_file(&self, path: &SourcePath, excluded: &Globs) -> bool {
        let is_nearest = || {
            self.nearest
                && path.file_name() == NEAREST.as_bytes()
                && !excluded.covers(&path.parent())
        };
        self.by_status.iter().any(|(_, page)| page == path) || is_nearest()
    }
}

/// The pages of 404s that were found in a site's directories. Their number is bounded, and no directory
/// is among them that the site does not have.
#[derive(Debug)]
pub(crate) struct NearestPages(quick_cache::sync::Cache<SourcePath, Nearest>);

/// The page for the missing paths of a directory.
#[derive(Clone, Debug)]
struct Nearest {
    page: Option<SourcePath>,
    /// The time of the lookup, in milliseconds.
    at: u64,
}

impl NearestPages {
    /// Returns the page for the missing paths of a directory, if it was looked up less than `revalidate`
    /// before `now`, in milliseconds of [`clock`](crate::concurrency::sync::clock).
    #[allow(clippy::option_option, reason = "a directory is known that has no page")]
    pub(crate) fn get(
        &self,
        directory: &SourcePath,
        now: u64,
        revalidate: Duration,
    ) -> Option<Option<SourcePath>> {
        let known = self.0.get(directory)?;
        let age = Duration::from_millis(now.saturating_sub(known.at));
        (age < revalidate).then_some(known.page)
    }

    pub(crate) fn insert(&self, directory: SourcePath, page: Option<SourcePath>, at: u64) {
        self.0.insert(directory, Nearest { page, at });
    }
}

impl Default for NearestPages {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(NEAREST_PAGES))
    }
}
