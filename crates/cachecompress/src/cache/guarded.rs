//! The cache's disk, each of whose calls its breaker knows.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::breaker::Breaker;
use super::closer::Closer;
use crate::concurrency::may_wait;
use crate::fs::{Disk, DiskFile, DiskLock, DiskRoot, Stat, SystemFile};

/// A disk whose calls fail while the breaker has the cache out of use. Files that are open by then
/// go on being used.
///
/// A thread that must not wait leaves the close of a file or a lock to another one. A close waits for a
/// network, and for a disk if the file has no name any more.
#[derive(Clone, Debug)]
pub(super) struct GuardedDisk {
    disk: Arc<dyn Disk>,
    watch: Watch,
    /// Whether calls are made even while the cache is out of use, to see whether they return.
    tries: bool,
}

/// The two that each file and lock needs.
#[derive(Clone, Debug)]
struct Watch {
    breaker: Arc<Breaker>,
    closer: Arc<Closer>,
}

#[derive(Debug)]
struct GuardedFile {
    /// `None` once it is dropped.
    file: Option<Arc<dyn DiskFile>>,
    path: PathBuf,
    watch: Watch,
}

#[derive(Debug)]
struct GuardedLock {
    /// `None` once it is dropped.
    lock: Option<Box<dyn DiskLock>>,
    path: PathBuf,
    watch: Watch,
}

impl GuardedDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, breaker: &Arc<Breaker>, closer: &Arc<Closer>) -> Self {
        let watch = Watch { breaker: Arc::clone(breaker), closer: Arc::clone(closer) };
        Self { disk, watch, tries: false }
    }

    /// The same disk, for a trial of it.
    pub(super) fn trial(&self) -> Self {
        Self { tries: true, ..self.clone() }
    }

    fn call<T>(
        &self,
        name: &'static str,
        path: &Path,
        call: impl FnOnce(&dyn Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        if !self.tries {
            self.watch.breaker.admit()?;
        }
        let _running = self.watch.breaker.running(name, path);
        call(&*self.disk)
    }

    fn file(&self, file: Arc<dyn DiskFile>, path: &Path) -> Arc<dyn DiskFile> {
        let (file, path, watch) = (Some(file), path.to_owned(), self.watch.clone());
        Arc::new(GuardedFile { file, path, watch })
    }
}

impl Disk for GuardedDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        self.call("mkdir", path, |disk| disk.create_private_dir(path))
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.call("create", dir, |disk| disk.create_unnamed(dir))?;
        Ok(self.file(file, dir))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.call("open", path, |disk| disk.open(path))?;
        Ok(self.file(file, path))
    }

    fn open_nowait(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.watch.breaker.admit()?;
        if !self.watch.breaker.is_local() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.file(self.disk.open_nowait(path)?, path))
    }

    /// Returns the last answer, if the disk may not be asked now.
    fn is_local(&self, path: &Path) -> bool {
        let asked = self.call("statfs", path, |disk| Ok(disk.is_local(path)));
        asked.unwrap_or_else(|_| self.watch.breaker.is_local())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.call("stat", path, |disk| disk.stat(path))
    }

    fn stat_link(&self, path: &Path) -> io::Result<Stat> {
        self.call("stat", path, |disk| disk.stat_link(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.call("readdir", path, |disk| disk.list(path))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call("unlink", path, |disk| disk.remove_file(path))
    }

    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        self.call("unlink", path, |disk| disk.remove_unused(path))
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.call("rmdir", path, |disk| disk.remove_tree(path))
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let taken = self.call("lock", path, |disk| disk.try_lock(path))?;
        Ok(taken.map(|lock| {
            let (lock, path, watch) = (Some(lock), path.to_owned(), self.watch.clone());
            Box::new(GuardedLock { lock, path, watch }) as Box<dyn DiskLock>
        }))
    }

    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        self.call("open", path, |disk| disk.open_root(path))
    }
}

impl Watch {
    /// Drops `resource`, which closes it, where that may wait.
    fn close(&self, resource: impl Send + 'static, path: &mut PathBuf) {
        let path = std::mem::take(path);
        if may_wait::is_ours() {
            let breaker = Arc::clone(&self.breaker);
            may_wait::when_allowed(move || {
                let _running = breaker.running("close", &path);
                drop(resource);
            });
        } else {
            self.closer.close(Box::new(resource), path);
        }
    }
}

impl GuardedFile {
    fn now(&self) -> io::Result<&dyn DiskFile> {
        self.file.as_deref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn call<T>(
        &self,
        name: &'static str,
        call: impl FnOnce(&dyn DiskFile) -> io::Result<T>,
    ) -> io::Result<T> {
        let _running = self.watch.breaker.running(name, &self.path);
        call(self.now()?)
    }

    fn call_nowait<T>(&self, call: impl FnOnce(&dyn DiskFile) -> io::Result<T>) -> io::Result<T> {
        match self.watch.breaker.is_local() {
            true => call(self.now()?),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl DiskFile for GuardedFile {
    fn stat(&self) -> io::Result<Stat> {
        self.call("fstat", |file| file.stat())
    }

    fn stat_nowait(&self) -> io::Result<Stat> {
        self.call_nowait(|file| file.stat_nowait())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call("read", |file| file.read_at(buffer, offset))
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call_nowait(|file| file.read_at_nowait(buffer, offset))
    }

    /// The file, if it is local: elsewhere a `sendfile` may wait for attributes.
    fn as_real(&self) -> Option<&Arc<SystemFile>> {
        let file = self.file.as_deref().filter(|_| self.watch.breaker.is_local());
        file.and_then(DiskFile::as_real)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.call("write", |file| file.write_all_at(bytes, offset))
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.call("fallocate", |file| file.reserve(len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call("ftruncate", |file| file.set_len(len))
    }

    fn publish(&self, path: &Path) -> io::Result<()> {
        self.call("link", |file| file.publish(path))
    }

    fn sync(&self) -> io::Result<()> {
        let _running = self.watch.breaker.running_long("fdatasync", &self.path);
        self.now()?.sync()
    }

    fn touch(&self) -> io::Result<()> {
        self.call("utimensat", |file| file.touch())
    }
}

impl Drop for GuardedFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.watch.close(file, &mut self.path);
        }
    }
}

impl DiskLock for GuardedLock {
    fn announce(&self, size: u64) -> io::Result<()> {
        let _running = self.watch.breaker.running("ftruncate", &self.path);
        match &self.lock {
            Some(lock) => lock.announce(size),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for GuardedLock {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            self.watch.close(lock, &mut self.path);
        }
    }
}
