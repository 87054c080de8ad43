//! The operating system's file system.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::file::RealFile;
use super::lock::FileLock;
use super::root::RealRoot;
use super::{nowait, platform};
use crate::fs::{Disk, DiskFile, DiskLock, DiskRoot, Stat};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        platform::private_dir().recursive(true).create(path)
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealFile::create_unnamed(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealFile::in_use(platform::plain_file().open(path)?)
    }

    fn open_nowait(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealFile::in_use(nowait::open(path)?)
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
        let lock = FileLock::try_new(path)?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn DiskLock>))
    }

    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        RealRoot::open(path).map(|root| Box::new(root) as Box<dyn DiskRoot>)
    }
}
