//! `verify`: every entry against its checksums and its name.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::files::{CacheFiles, Care, Watch, entry_of, shard_of};
use crate::cache::entry::Damage;
use crate::cache::key::Name;
use crate::cache::reader::{Entry, ReadError};
use crate::error::Error;
use crate::fs::FileKind;

/// What [`CacheFiles::verify`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifySummary {
    /// Entries that are as they were written.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries, and directories of entries, that are not.
    pub damaged: u64,
    /// What the disk failed to read: neither good nor damaged.
    pub failed: u64,
    /// Whether whoever watched ended it before all was looked at.
    pub stopped: bool,
}

/// What stands under an entry's name.
pub(super) enum Checked {
    /// An entry of so many bytes, as it was written.
    Whole(u64),
    /// Something else; the inode tells whether it still is that.
    Damaged(Damage, u64),
    /// Nothing any more.
    Gone,
}

impl CacheFiles {
    /// Reads every byte of every entry and holds it against its checksums and its name.
    ///
    /// Changes nothing, and takes no lock. What other processes publish or remove meanwhile may
    /// or may not be looked at, and is never taken for damage. `watch` is told of every entry and
    /// ends the work by returning [`ControlFlow::Break`]. Memory is bounded by the names in one of
    /// the 256 directories.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the directory is none of ours, and those
    /// of the disk for the directory itself; what fails below it is told to `watch` and counted.
    pub fn verify(
        &self,
        mut watch: impl FnMut(Care<'_>) -> ControlFlow<()>,
    ) -> Result<VerifySummary, Error> {
        self.expect_ours()?;
        let mut summary = VerifySummary::default();
        let stopped = self.verify_all(&mut summary, &mut watch)?.is_break();
        Ok(VerifySummary { stopped, ..summary })
    }

    fn verify_all(
        &self,
        summary: &mut VerifySummary,
        watch: &mut Watch<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let shards = self.shards()?;
        for (index, shard) in shards.iter().enumerate() {
            let path = self.layout.shard(*shard);
            let flow = match self.look(&path) {
                Ok(Some(found)) if found.kind != FileKind::Directory => {
                    summary.damaged(&path, Damage::FileKind, watch)
                }
                Ok(_) => self.verify_shard(*shard, &path, summary, watch),
                Err(error) => summary.failed(&path, &error, watch),
            };
            let progress = Care::Progress { done: index + 1, of: shards.len() };
            if flow.is_break() || watch(progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn verify_shard(
        &self,
        shard: u8,
        path: &Path,
        summary: &mut VerifySummary,
        watch: &mut Watch<'_>,
    ) -> ControlFlow<()> {
        let names = match self.names(path) {
            Ok(names) => names,
            Err(error) => return summary.failed(path, &error, watch),
        };
        for name in names.iter().filter_map(|name| entry_of(name, shard)) {
            let path = self.layout.entry(&name);
            match self.check_entry(&name, &path) {
                Ok(Checked::Gone) => {}
                Ok(Checked::Whole(bytes)) => {
                    summary.entries += 1;
                    summary.bytes += bytes;
                    watch(Care::Whole { bytes })?;
                }
                Ok(Checked::Damaged(damage, _)) => summary.damaged(&path, damage, watch)?,
                Err(error) => summary.failed(&path, &error, watch)?,
            }
        }
        ControlFlow::Continue(())
    }

    /// The directories of entries that are there, in order.
    pub(super) fn shards(&self) -> Result<Vec<u8>, Error> {
        let entries = self.layout.entries();
        let names = self
            .names(entries)
            .map_err(|error| Error::io("cannot list the cache's entries in", entries, error))?;
        let mut shards: Vec<u8> = names.iter().filter_map(|name| shard_of(name)).collect();
        shards.sort_unstable();
        Ok(shards)
    }

    /// Verifies what stands at `path` under an entry's name.
    pub(super) fn check_entry(&self, name: &Name, path: &Path) -> io::Result<Checked> {
        let Some(found) = self.look(path)? else { return Ok(Checked::Gone) };
        let inode = found.fingerprint.inode;
        match Entry::open(&*self.disk, path, found.kind, |key| key.name() == *name) {
            Ok(entry) => Ok(Checked::Whole(entry.size())),
            Err(ReadError::Damaged(damage)) => Ok(Checked::Damaged(damage, inode)),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Checked::Gone)
            }
            Err(ReadError::Io(error)) => Err(error),
        }
    }
}

impl VerifySummary {
    fn damaged(&mut self, path: &Path, damage: Damage, watch: &mut Watch<'_>) -> ControlFlow<()> {
        self.damaged += 1;
        watch(Care::Damaged { path, damage })
    }

    fn failed(&mut self, path: &Path, error: &io::Error, watch: &mut Watch<'_>) -> ControlFlow<()> {
        self.failed += 1;
        watch(Care::Failed { path, error })
    }
}
