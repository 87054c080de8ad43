//! A disk that tells of each call before it makes it, so that a test can count calls or hold one.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use cachecompress::fs::{Disk, DiskFile, DiskLock, DiskRoot, Stat};
use cachecompress_test::Op;

type Watch = Arc<dyn Fn(Op) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct WatchedDisk {
    disk: Arc<dyn Disk>,
    watch: Watch,
}

struct WatchedFile {
    file: Arc<dyn DiskFile>,
    watch: Watch,
}

impl WatchedDisk {
    /// Around `disk`; `watch` is called before each call, on the thread that makes it.
    pub(crate) fn new(disk: impl Disk, watch: impl Fn(Op) + Send + Sync + 'static) -> Self {
        Self { disk: Arc::new(disk), watch: Arc::new(watch) }
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(WatchedFile { file, watch: Arc::clone(&self.watch) })
    }
}

impl fmt::Debug for WatchedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedDisk").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Disk for WatchedDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        (self.watch)(Op::CreatePrivateDir);
        self.disk.create_private_dir(path)
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (self.watch)(Op::CreateUnnamed);
        self.disk.create_unnamed(dir).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        (self.watch)(Op::Open);
        self.disk.open(path).map(|file| self.file(file))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        (self.watch)(Op::Stat);
        self.disk.stat(path)
    }

    fn stat_link(&self, path: &Path) -> io::Result<Stat> {
        (self.watch)(Op::Stat);
        self.disk.stat_link(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        (self.watch)(Op::List);
        self.disk.list(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (self.watch)(Op::RemoveFile);
        self.disk.remove_file(path)
    }

    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        (self.watch)(Op::RemoveUnused);
        self.disk.remove_unused(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        (self.watch)(Op::RemoveTree);
        self.disk.remove_tree(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        (self.watch)(Op::TryLock);
        self.disk.try_lock(path)
    }

    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        self.disk.open_root(path)
    }
}

impl DiskFile for WatchedFile {
    fn stat(&self) -> io::Result<Stat> {
        (self.watch)(Op::FileStat);
        self.file.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.watch)(Op::FileRead);
        self.file.read_at(buffer, offset)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.watch)(Op::FileReadNowait);
        self.file.read_at_nowait(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (self.watch)(Op::FileWrite);
        self.file.write_all_at(bytes, offset)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        (self.watch)(Op::FileReserve);
        self.file.reserve(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        (self.watch)(Op::FileSetLen);
        self.file.set_len(len)
    }

    fn publish(&self, path: &Path) -> io::Result<()> {
        (self.watch)(Op::FilePublish);
        self.file.publish(path)
    }

    fn sync(&self) -> io::Result<()> {
        (self.watch)(Op::FileSync);
        self.file.sync()
    }

    fn touch(&self) -> io::Result<()> {
        (self.watch)(Op::FileTouch);
        self.file.touch()
    }
}
