//! The digests of files by fingerprint, so that a file with many names is hashed once.

use std::fmt;

use crate::fs::Fingerprint;
use crate::http::{Digest, Question, Text};
use crate::limits::FILE_DIGESTS;
use crate::source::Content;

/// The result of a hash.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) digest: Digest,
    /// The question that was answered beside the hash. It depends on the file's name.
    pub(super) question: Option<Question>,
    pub(super) text: Text,
}

/// The digests of files that had rested. Symlinks and hard links give a file many names, a symlink to
/// `.` without end.
pub(super) struct FileDigests(quick_cache::sync::Cache<Fingerprint, Told>);

impl FileDigests {
    /// Finds the digest of a file; `None` if `question` was not answered by its hash.
    pub(super) fn get(
        &self,
        content: &Content,
        question: Option<Question>,
    ) -> Option<(Digest, Text)> {
        let told = self.0.get(&identifying(content)?)?;
        match question {
            None => Some((told.digest, Text::Unknown)),
            asked if asked == told.question => Some((told.digest, told.text)),
            Some(_) => None,
        }
    }

    /// Keeps the result for a file that had rested before it was hashed.
    pub(super) fn insert(&self, content: &Content, told: Told) {
        if let Some(fingerprint) = identifying(content) {
            self.0.insert(fingerprint, told);
        }
    }

    /// Forgets the digest of a file whose bytes changed although its fingerprint did not.
    pub(super) fn remove(&self, fingerprint: &Fingerprint) {
        self.0.remove(fingerprint);
    }
}

/// Returns the fingerprint of a file, if no other file can have it.
///
/// It must be the operating system's: an embedder's disk may number its files as it likes. And its
/// time of change must be finer than a millisecond. File systems with coarser times often make their
/// inode numbers up (FAT), or are images whose times are all the same (SquashFS).
fn identifying(content: &Content) -> Option<Fingerprint> {
    match content {
        Content::File { file, fingerprint } => {
            let is_fine = fingerprint.changed % 1_000_000 != 0 && fingerprint.inode != 0;
            (is_fine && file.as_real().is_some()).then_some(*fingerprint)
        }
        Content::Bytes(_) => None,
    }
}

impl Default for FileDigests {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(FILE_DIGESTS))
    }
}

impl fmt::Debug for FileDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileDigests").field("kept", &self.0.len()).finish()
    }
}
