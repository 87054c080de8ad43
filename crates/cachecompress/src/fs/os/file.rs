//! An open file of the operating system.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::tmpfile::Unnamed;
use super::{nowait, platform, preallocate};
use crate::fs::file::has_a_name;
use crate::fs::{DiskFile, Stat};

/// An open file of the operating system.
#[derive(Debug)]
pub(super) struct RealFile {
    file: Arc<File>,
    /// The way to its name, for a file from [`Disk::create_unnamed`](crate::fs::Disk::create_unnamed).
    unnamed: Option<Unnamed>,
}

impl RealFile {
    /// Creates a file in `dir` that has no name yet.
    pub(super) fn create_unnamed(dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let (file, unnamed) = Unnamed::create(dir)?;
        platform::mark_used(&file);
        Ok(Arc::new(Self { file: Arc::new(file), unnamed: Some(unnamed) }))
    }

    /// Marks `file` as being in use; `NotFound` if it is just being removed.
    pub(super) fn in_use(file: File) -> io::Result<Arc<dyn DiskFile>> {
        if !platform::mark_used(&file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(Self::from(file)))
    }
}

/// Makes a [`DiskFile`] of a file that is open already.
pub(crate) fn from_std(file: File) -> Arc<dyn DiskFile> {
    Arc::new(RealFile::from(file))
}

impl From<File> for RealFile {
    fn from(file: File) -> Self {
        Self { file: Arc::new(file), unnamed: None }
    }
}

impl DiskFile for RealFile {
    fn stat(&self) -> io::Result<Stat> {
        platform::stat_file(&self.file)
    }

    fn stat_nowait(&self) -> io::Result<Stat> {
        self.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        platform::read_at(&self.file, buffer, offset)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        nowait::read_at(&self.file, buffer, offset)
    }

    fn as_real(&self) -> Option<&Arc<File>> {
        Some(&self.file)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        platform::write_all_at(&self.file, bytes, offset)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        // A reservation of any length succeeds, and the write behind the limit would not.
        platform::may_be_long(len)?;
        preallocate::reserve(&self.file, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn publish(&self, path: &Path) -> io::Result<()> {
        match &self.unnamed {
            Some(unnamed) => unnamed.publish(&self.file, path),
            None => Err(has_a_name()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn touch(&self) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())
    }
}
