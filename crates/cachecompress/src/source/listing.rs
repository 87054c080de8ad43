//! The entries of a directory.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// The entries of a directory that may be served, as [`Source::list`](crate::Source::list) returns them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The entries, in any order. No two have the same name.
    pub entries: Vec<ListingEntry>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// A file or a directory in a [`Listing`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListingEntry {
    /// The name, which need not be UTF-8. It has no slash.
    pub name: Box<[u8]>,
    /// The length of a file in bytes; `None` for a directory.
    pub len: Option<u64>,
    /// The time of the last modification, if that is known.
    pub modified: Option<SystemTime>,
}

impl Listing {
    /// Creates a listing of all `entries` that there are.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = ListingEntry>) -> Self {
        Self { entries: entries.into_iter().collect(), is_cut: false }
    }

    /// Sets whether there are more entries. Default: `false`.
    #[must_use]
    pub fn cut(mut self, is_cut: bool) -> Self {
        self.is_cut = is_cut;
        self
    }

    /// Leaves out the entries behind the first `most`.
    pub(super) fn truncated(mut self, most: usize) -> Self {
        self.is_cut |= self.entries.len() > most;
        self.entries.truncate(most);
        self
    }

    /// Merges listings of one directory. The first that has a name decides.
    pub(super) fn merge(layers: impl IntoIterator<Item = Self>, most: usize) -> Self {
        let (mut merged, mut is_cut) = (BTreeMap::new(), false);
        for layer in layers {
            is_cut |= layer.is_cut;
            for entry in layer.entries {
                merged.entry(entry.name.clone()).or_insert(entry);
            }
        }
        Self { entries: merged.into_values().collect(), is_cut }.truncated(most)
    }
}

impl ListingEntry {
    /// Creates the entry of a file of `len` bytes.
    #[must_use]
    pub fn file(name: impl Into<Box<[u8]>>, len: u64) -> Self {
        Self { name: name.into(), len: Some(len), modified: None }
    }

    /// Creates the entry of a directory.
    #[must_use]
    pub fn directory(name: impl Into<Box<[u8]>>) -> Self {
        Self { name: name.into(), len: None, modified: None }
    }

    /// Sets the time of the last modification. Default: unknown.
    #[must_use]
    pub fn modified(mut self, modified: SystemTime) -> Self {
        self.modified = Some(modified);
        self
    }

    /// Whether the entry is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.len.is_none()
    }
}
