//! `purge`: removes the entries that an operator wants gone.

use std::io;
use std::ops::ControlFlow;

use super::entries::Listed;
use super::files::{CacheFiles, Care, Litter};
use crate::cache::layout::remove_only;
use crate::cache::stored_entry::StoredEntry;
use crate::error::Error;
use crate::http::Digest;

/// The result of [`CacheFiles::purge`], which a dry run only predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeSummary {
    /// The number of entries that were removed.
    pub entries: u64,
    /// The bytes of those entries.
    pub bytes: u64,
    /// The number of entries that stay.
    pub kept: u64,
    /// The number of damaged entries that were removed.
    pub damaged: u64,
    /// The number of damaged entries that stay. [`gc`](CacheFiles::gc) removes them.
    pub damaged_kept: u64,
    /// The number of files that could not be read or removed.
    pub failed: u64,
    /// Whether the caller ended the work before all was looked at.
    pub stopped: bool,
}

impl CacheFiles {
    /// Removes the entries that are `wanted` gone. Blocks on the disk.
    ///
    /// `wanted` is asked for each of them, by the digest of its content. There is no [`StoredEntry`] of
    /// one whose header is damaged: only its name is known, which has the digest.
    ///
    /// Beside running servers it harms nothing. A body that is being sent from an entry is sent to its
    /// end, as its file outlives its name. A server that has the entry open notices within a second
    /// that the name is gone, and encodes the content at the next request. An entry is removed under
    /// its key's lock, unless its writer still holds that.
    ///
    /// With `dry_run` it removes nothing and only tells of removals. `watch` is told of every
    /// removal, and ends the work by returning [`ControlFlow::Break`].
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use cachecompress::cache::{CacheFiles, StoredEntry};
    /// use cachecompress::{ContentCoding, Digest, Error};
    ///
    /// /// Removes all entries in br; returns their number.
    /// fn purge_brotli(directory: &str) -> Result<u64, Error> {
    ///     let wanted = |_: &Digest, entry: Option<&StoredEntry>| {
    ///         entry.is_some_and(|entry| entry.coding == ContentCoding::BROTLI)
    ///     };
    ///     let summary =
    ///         CacheFiles::new(directory).purge(false, wanted, |_| ControlFlow::Continue(()))?;
    ///     Ok(summary.entries)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the directory is none of ours, and those
    /// of the disk for the directory itself. `watch` is told of a failure below it, which is
    /// counted.
    pub fn purge(
        &self,
        dry_run: bool,
        mut wanted: impl FnMut(&Digest, Option<&StoredEntry>) -> bool,
        mut watch: impl FnMut(Care<'_>) -> ControlFlow<()>,
    ) -> Result<PurgeSummary, Error> {
        let mut summary = PurgeSummary::default();
        let listed = self.for_each_entry(&mut watch, &mut |watch, listed| {
            let Listed { name, path, entry, .. } = listed;
            if !wanted(&name.digest(), entry.ok()) {
                return match entry {
                    Ok(_) => {
                        summary.kept += 1;
                        ControlFlow::Continue(())
                    }
                    Err(damage) => watch(Care::Damaged { path, damage }),
                };
            }
            match if dry_run { Ok(true) } else { self.purge_entry(&listed) } {
                Ok(true) => match entry {
                    Ok(entry) => {
                        summary.entries += 1;
                        summary.bytes += entry.size;
                        watch(Care::Purged { path, entry })
                    }
                    Err(damage) => {
                        summary.damaged += 1;
                        watch(Care::Removed { path, litter: Litter::Damaged(damage) })
                    }
                },
                // Somebody else has removed it.
                Ok(false) => ControlFlow::Continue(()),
                Err(error) => {
                    summary.failed += 1;
                    watch(Care::Failed { path, error: &error })
                }
            }
        })?;
        summary.damaged_kept = listed.damaged - summary.damaged;
        summary.failed += listed.failed;
        summary.stopped = listed.stopped;
        Ok(summary)
    }

    /// Removes an entry, and the memory of it where the cache is open; returns whether it was there.
    fn purge_entry(&self, listed: &Listed<'_>) -> io::Result<bool> {
        let Listed { name, path, inode, entry } = *listed;
        let remove = || {
            if entry.is_err() {
                // A writer that holds the lock is about to replace it.
                return self.remove_entry(name, path, inode);
            }
            // Nobody publishes the entry anew between its removal and the end of this. A writer that
            // holds the lock has published this very file.
            let _lock = self.disk.try_lock(&self.layout.lock(name));
            remove_only(&*self.disk, path, inode)
        };
        match &self.open {
            Some(state) => state.remove(name, remove),
            None => remove(),
        }
    }
}
