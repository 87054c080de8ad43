//! Files that the program makes.

use bytes::Bytes;

use super::tree::{Stored, Tree, expect_file_path};
use super::{Found, Listing, Source, SourceFile};
use crate::error::Error;
use crate::http::SourcePath;

/// Files in memory, named one by one.
///
/// - Every file is served under the path that it was given, even a hidden one: the program names it
///   on purpose.
/// - A digest is computed when a file is first looked up, once.
///
/// ```
/// use cachecompress::source::{Memory, SourceFile};
///
/// let source = Memory::new()
///     .file("index.html", "<!doctype html>")
///     .file("api/schema", SourceFile::from_bytes("{}").media_type("application/json"));
/// # let _ = source;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Memory(Tree<Stored>);

impl Memory {
    /// Creates a source without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces it. Bytes alone are enough: anything that converts to
    /// [`bytes::Bytes`]. The digest of a file is always computed, even if the file brings one.
    ///
    /// # Panics
    ///
    /// If `path` cannot be a file's: it is empty, or has a segment `.` or `..`, an empty one, or
    /// a backslash or NUL.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<[u8]>, file: impl Into<SourceFile>) -> Self {
        self.0.insert(&expect_file_path(path.as_ref()), Stored::from(file.into()));
        self
    }
}

impl Source for Memory {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        Ok(self.0.lookup(path))
    }

    fn names(&self, directory: &SourcePath, most: usize) -> Option<Vec<Box<[u8]>>> {
        Some(self.0.names(directory, most))
    }

    fn list(&self, directory: &SourcePath, most: usize) -> Result<Option<Listing>, Error> {
        Ok(self.0.list(directory, most, Stored::entry, |_| true))
    }

    fn files_in_memory(&self) -> Vec<(SourcePath, Bytes)> {
        self.0.in_memory().collect()
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(self.0.paths().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no path of a file in a source: \"a/../b\"")]
    fn file_refuses_a_path_that_no_request_can_have() {
        let _ = Memory::new().file("a/../b", "");
    }
}
