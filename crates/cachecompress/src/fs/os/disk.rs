//! The operating system's file system.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::tmpfile::{Unnamed, has_a_name};
use super::{lock, nowait, platform, preallocate, root};
use crate::fs::{Disk, DiskFile, DiskLock, DiskRoot, Stat};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// A file of [`RealDisk`].
#[derive(Debug)]
pub(super) struct RealFile {
    file: Arc<File>,
    /// For a file from [`Disk::create_unnamed`]: how it gets its name.
    unnamed: Option<Unnamed>,
}

impl Disk for RealDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        platform::private_dir().recursive(true).create(path)
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let (file, unnamed) = Unnamed::create(dir)?;
        platform::mark_used(&file);
        Ok(Arc::new(RealFile { file: Arc::new(file), unnamed: Some(unnamed) }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = platform::plain_file().open(path)?;
        if !platform::mark_used(&file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(RealFile::from(file)))
    }

    fn open_nowait(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = nowait::open(path)?;
        if !platform::mark_used(&file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Arc::new(RealFile::from(file)))
    }

    fn is_local(&self, path: &Path) -> bool {
        File::open(path).is_ok_and(|file| nowait::is_local(&file))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        platform::stat_path(path)
    }

    fn stat_nowait(&self, path: &Path) -> io::Result<Stat> {
        nowait::stat(path)
    }

    fn stat_link(&self, path: &Path) -> io::Result<Stat> {
        platform::stat_link(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        platform::remove_unused(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let lock = lock::FileLock::try_new(path)?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn DiskLock>))
    }

    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        root::RealRoot::open(path).map(|root| Box::new(root) as Box<dyn DiskRoot>)
    }
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
