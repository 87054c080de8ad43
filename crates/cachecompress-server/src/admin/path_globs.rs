//! Globs over the paths of files, as a request has them.

use cachecompress::SourcePath;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Paths by globs. `*` stops at a slash, `**` does not; a slash may begin a glob.
#[derive(Debug)]
pub(super) struct PathGlobs(GlobSet);

impl PathGlobs {
    /// Parses `globs`.
    ///
    /// # Errors
    ///
    /// A sentence about the first wrong one.
    pub(super) fn parse(globs: &[String]) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            let text = glob.strip_prefix('/').unwrap_or(glob);
            let parsed = GlobBuilder::new(text).literal_separator(true).build();
            set.add(parsed.map_err(|error| format!("`{glob}` is no glob: {}", error.kind()))?);
        }
        let set =
            set.build().map_err(|_| "the globs are too long for one expression".to_owned())?;
        Ok(Self(set))
    }

    /// Whether one of them matches `path`.
    pub(super) fn contain(&self, path: &SourcePath) -> bool {
        self.0.is_match(&*path.to_string_lossy())
    }
}
