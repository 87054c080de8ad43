//! `entries`: lists the entries by their headers.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::files::{CacheFiles, Care, Watch, entry_of};
use crate::cache::entry::Damage;
use crate::cache::key::Name;
use crate::cache::ledger::{self, Ledger};
use crate::cache::stored_entry::StoredEntry;
use crate::error::Error;

/// The result of [`CacheFiles::entries`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntriesSummary {
    /// The number of entries.
    pub entries: u64,
    /// The bytes of those entries.
    pub bytes: u64,
    /// The number of files under an entry's name that have no header of theirs.
    pub damaged: u64,
    /// The number of files that the disk failed to read.
    pub failed: u64,
    /// Whether the caller ended the work before all was looked at.
    pub stopped: bool,
}

/// An entry, or a damaged one, with its place on the disk.
pub(super) struct Listed<'a> {
    pub(super) name: &'a Name,
    pub(super) path: &'a Path,
    pub(super) inode: u64,
    pub(super) entry: Result<&'a StoredEntry, Damage>,
}

/// The work for every entry. Its caller's `watch` is passed to it.
pub(super) type Each<'a> = dyn FnMut(&mut Watch<'_>, Listed<'_>) -> ControlFlow<()> + 'a;

impl CacheFiles {
    /// Lists the entries, in the order of their digests. Blocks on the disk.
    ///
    /// It reads headers only, so a payload may be damaged: [`verify`](Self::verify) reads all. It
    /// changes nothing and takes no lock. An entry that somebody publishes or removes meanwhile may
    /// or may not be listed. `watch` is told of every entry and ends the work by returning
    /// [`ControlFlow::Break`]. Memory is bounded by the names in one of the 256 directories.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use cachecompress::Cache;
    /// use cachecompress::cache::Care;
    ///
    /// /// Prints the entries of a cache that a server has open.
    /// fn print(cache: &Cache) -> Result<(), cachecompress::Error> {
    ///     cache.files().entries(|care| {
    ///         if let Care::Entry { entry, .. } = care {
    ///             println!("{} {} {}", entry.digest.hex(), entry.coding, entry.encoded_len);
    ///         }
    ///         ControlFlow::Continue(())
    ///     })?;
    ///     Ok(())
    /// }
    /// # print(&Cache::in_memory(1 << 20)).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the directory is none of ours, and those
    /// of the disk for the directory itself. `watch` is told of a failure below it, which is
    /// counted.
    pub fn entries(
        &self,
        mut watch: impl FnMut(Care<'_>) -> ControlFlow<()>,
    ) -> Result<EntriesSummary, Error> {
        self.for_each_entry(&mut watch, &mut |watch, Listed { path, entry, .. }| {
            watch(match entry {
                Ok(entry) => Care::Entry { path, entry },
                Err(damage) => Care::Damaged { path, damage },
            })
        })
    }

    /// Calls `each` for every entry, damaged ones too, and `watch` for everything else.
    pub(super) fn for_each_entry(
        &self,
        watch: &mut Watch<'_>,
        each: &mut Each<'_>,
    ) -> Result<EntriesSummary, Error> {
        self.expect_ours()?;
        let ledger = ledger::read(&*self.disk, &self.layout);
        let mut summary = EntriesSummary::default();
        let shards = self.shards()?;
        for (index, shard) in shards.iter().enumerate() {
            let progress = Care::Progress { done: index + 1, of: shards.len() };
            if self.list_shard((*shard, &ledger), &mut summary, watch, each).is_break()
                || watch(progress).is_break()
            {
                return Ok(EntriesSummary { stopped: true, ..summary });
            }
        }
        Ok(summary)
    }

    fn list_shard(
        &self,
        (shard, ledger): (u8, &Ledger),
        summary: &mut EntriesSummary,
        watch: &mut Watch<'_>,
        each: &mut Each<'_>,
    ) -> ControlFlow<()> {
        let directory = self.layout.shard(shard);
        let mut names: Vec<_> = match self.names(&directory) {
            Ok(names) => names.iter().filter_map(|name| entry_of(name, shard)).collect(),
            Err(error) => return summary.failed(&directory, &error, watch),
        };
        names.sort_unstable();
        for name in &names {
            let path = self.layout.entry(name);
            match self.read_entry(name, &path) {
                Ok(None) => {}
                Ok(Some((mut entry, inode))) => {
                    match &mut entry {
                        Ok(entry) => {
                            summary.entries += 1;
                            summary.bytes += entry.size;
                            entry.hits = ledger.hits(entry);
                        }
                        Err(_) => summary.damaged += 1,
                    }
                    let entry = entry.as_ref().map_err(|damage| *damage);
                    each(watch, Listed { name, path: &path, inode, entry })?;
                }
                Err(error) => summary.failed(&path, &error, watch)?,
            }
        }
        ControlFlow::Continue(())
    }
}

impl EntriesSummary {
    fn failed(&mut self, path: &Path, error: &io::Error, watch: &mut Watch<'_>) -> ControlFlow<()> {
        self.failed += 1;
        watch(Care::Failed { path, error })
    }
}
