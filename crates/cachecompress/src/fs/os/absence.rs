//! Which errors mean that a path leads to nothing.

use std::io;

/// Whether `error` says that the path leads to nothing, rather than that something is there
/// and cannot be had: no such file, a file where a directory should be, symlinks in a circle,
/// a name that no file can have.
pub(crate) fn leads_nowhere(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
        || super::platform::is_impossible_path(error)
}
