//! `verify`: checks every entry against its checksums and its name.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::files::{CacheFiles, Care, Checked, Watch, entry_of};
use crate::cache::entry::Damage;
use crate::error::Error;
use crate::fs::FileKind;

/// The result of [`CacheFiles::verify`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifySummary {
    /// The number of intact entries.
    pub entries: u64,
    /// The bytes of those entries.
    pub bytes: u64,
    /// The number of damaged entries and directories of entries.
    pub damaged: u64,
    /// The number of files that the disk failed to read: neither intact nor damaged.
    pub failed: u64,
    /// Whether the caller ended the work before all was looked at.
    pub stopped: bool,
}

impl CacheFiles {
    /// Reads every byte of every entry and checks it against its checksums and its name.
    ///
    /// It changes nothing and takes no lock. An entry that another process publishes or removes
    /// meanwhile may or may not be looked at, and is never taken for damage. `watch` is told of
    /// every entry and ends the work by returning [`ControlFlow::Break`]. Memory is bounded by the
    /// names in one of the 256 directories.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the directory is none of ours, and those
    /// of the disk for the directory itself. `watch` is told of a failure below it, which is
    /// counted.
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
