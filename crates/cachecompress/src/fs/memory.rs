//! A file system in memory, forgotten with the process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use super::file::has_a_name;
use super::{Disk, DiskFile, DiskLock, DiskRoot, FileKind, Fingerprint, Stat, nanos};
use crate::concurrency::sync::{Mutex, lock};

/// A file system in memory, for a cache without a disk and for tests.
///
/// It behaves as a local file system does on Linux: an open file outlives its name, two locks
/// of one name exclude each other, and a name that is created or removed changes its directory's
/// times. No two changes have the same time. It has no symlinks and no permissions, and sources
/// cannot lie on it. Clones share the files.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    nodes: Mutex<BTreeMap<PathBuf, Node>>,
    /// The number of the newest inode.
    inodes: AtomicU64,
    /// The time of the last change, in nanoseconds since 1970.
    clock: AtomicU64,
}

#[derive(Clone, Debug)]
enum Node {
    Directory(Fingerprint),
    File(Arc<Inode>),
}

#[derive(Debug)]
struct Inode {
    number: u64,
    bytes: RwLock<Vec<u8>>,
    modified: AtomicU64,
    changed: AtomicU64,
    locked: Mutex<bool>,
    /// The size of a lock that its holder announced.
    announced: AtomicU64,
}

/// An open file.
#[derive(Debug)]
struct MemoryFile {
    inode: Arc<Inode>,
    disk: Arc<Shared>,
    /// Whether it came from `create_unnamed` and has no name yet.
    unnamed: Mutex<bool>,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
struct MemoryLock {
    inode: Arc<Inode>,
    disk: Arc<Shared>,
    path: PathBuf,
}

type Nodes = BTreeMap<PathBuf, Node>;

impl MemoryDisk {
    /// Creates an empty file system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn open_inode(&self, inode: Arc<Inode>, unnamed: bool) -> Arc<dyn DiskFile> {
        let disk = Arc::clone(&self.0);
        Arc::new(MemoryFile { inode, disk, unnamed: Mutex::new(unnamed) })
    }
}

impl Shared {
    /// Returns the time of a change: now, and later than every earlier one.
    fn tick(&self) -> u64 {
        let now = u64::try_from(nanos(SystemTime::now())).unwrap_or_default();
        let after = |last: u64| now.max(last + 1);
        let last =
            self.clock.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        after(last.unwrap_or_default())
    }

    fn number(&self) -> u64 {
        self.inodes.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn new_inode(&self) -> Arc<Inode> {
        let now = self.tick();
        Arc::new(Inode {
            number: self.number(),
            bytes: RwLock::default(),
            modified: AtomicU64::new(now),
            changed: AtomicU64::new(now),
            locked: Mutex::default(),
            announced: AtomicU64::default(),
        })
    }

    fn new_directory(&self) -> Node {
        let now = i128::from(self.tick());
        let inode = self.number();
        Node::Directory(Fingerprint { device: 0, inode, size: 0, modified: now, changed: now })
    }

    /// Sets the times of the directory of `path`, because a name came or went.
    fn touch_parent(&self, nodes: &mut Nodes, path: &Path) {
        if let Some(Node::Directory(parent)) = path.parent().and_then(|dir| nodes.get_mut(dir)) {
            let now = i128::from(self.tick());
            (parent.modified, parent.changed) = (now, now);
        }
    }

    fn insert(&self, nodes: &mut Nodes, path: PathBuf, node: Node) {
        self.touch_parent(nodes, &path);
        nodes.insert(path, node);
    }

    /// Removes the file `path` if it `may_go`; returns whether it did.
    fn remove(&self, path: &Path, may_go: impl FnOnce(&Arc<Inode>) -> bool) -> io::Result<bool> {
        let mut nodes = lock(&self.nodes);
        match nodes.get(path) {
            Some(Node::File(file)) if may_go(file) => {
                file.changed.store(self.tick(), Ordering::Relaxed);
            }
            Some(Node::File(_)) => return Ok(false),
            Some(Node::Directory(_)) => return Err(ErrorKind::IsADirectory.into()),
            None => return Err(ErrorKind::NotFound.into()),
        }
        nodes.remove(path);
        self.touch_parent(&mut nodes, path);
        Ok(true)
    }
}

/// Returns the one spelling of a path: without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Whether `path` needs no creation, being the root or the working directory.
fn always_there(path: &Path) -> bool {
    path.parent().is_none()
}

fn expect_directory(nodes: &Nodes, path: &Path) -> io::Result<()> {
    match nodes.get(path) {
        Some(Node::Directory(_)) => Ok(()),
        Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
        None if always_there(path) => Ok(()),
        None => Err(ErrorKind::NotFound.into()),
    }
}

fn expect_parent(nodes: &Nodes, path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| expect_directory(nodes, dir))
}

impl Disk for MemoryDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        let path = plain(path);
        let mut nodes = lock(&self.0.nodes);
        let mut dirs: Vec<&Path> = path.ancestors().collect();
        dirs.reverse();
        for dir in dirs {
            match nodes.get(dir) {
                Some(Node::Directory(_)) => {}
                Some(Node::File(_)) if dir == path => return Err(ErrorKind::AlreadyExists.into()),
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => self.0.insert(&mut nodes, dir.to_owned(), self.0.new_directory()),
            }
        }
        Ok(())
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        expect_directory(&lock(&self.0.nodes), &plain(dir))?;
        Ok(self.open_inode(self.0.new_inode(), true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let path = plain(path);
        let nodes = lock(&self.0.nodes);
        expect_parent(&nodes, &path)?;
        match nodes.get(&path) {
            Some(Node::File(inode)) => Ok(self.open_inode(Arc::clone(inode), false)),
            Some(Node::Directory(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let path = plain(path);
        let nodes = lock(&self.0.nodes);
        expect_parent(&nodes, &path)?;
        match nodes.get(&path) {
            Some(Node::File(inode)) => Ok(inode.stat()),
            Some(Node::Directory(dir)) => Ok(Stat { kind: FileKind::Directory, fingerprint: *dir }),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn stat_link(&self, path: &Path) -> io::Result<Stat> {
        self.stat(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let path = plain(path);
        let nodes = lock(&self.0.nodes);
        expect_parent(&nodes, &path)?;
        expect_directory(&nodes, &path)?;
        let below = nodes.range(path.clone()..).take_while(|(below, _)| below.starts_with(&path));
        Ok(below
            .filter(|(below, _)| below.parent() == Some(&path))
            .filter_map(|(below, _)| below.file_name().map(ToOwned::to_owned))
            .collect())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove(&plain(path), |_| true).map(drop)
    }

    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        // An open file holds the inode beside its name.
        self.0.remove(&plain(path), |inode| Arc::strong_count(inode) == 1)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let path = plain(path);
        let mut nodes = lock(&self.0.nodes);
        expect_directory(&nodes, &path)?;
        let now = self.0.tick();
        nodes.retain(|below, node| {
            let goes = below.starts_with(&path);
            if let (true, Node::File(inode)) = (goes, node) {
                inode.changed.store(now, Ordering::Relaxed);
            }
            !goes
        });
        self.0.touch_parent(&mut nodes, &path);
        Ok(())
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let path = plain(path);
        let mut nodes = lock(&self.0.nodes);
        expect_parent(&nodes, &path)?;
        let inode = match nodes.get(&path) {
            Some(Node::File(inode)) => Arc::clone(inode),
            Some(Node::Directory(_)) => return Err(ErrorKind::IsADirectory.into()),
            None => {
                let inode = self.0.new_inode();
                self.0.insert(&mut nodes, path.clone(), Node::File(Arc::clone(&inode)));
                inode
            }
        };
        if std::mem::replace(&mut *lock(&inode.locked), true) {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryLock { inode, disk: Arc::clone(&self.0), path })))
    }

    /// Always fails as `Unsupported`: [`Memory`](crate::source::Memory) is the source in memory.
    fn open_root(&self, _path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl DiskLock for MemoryLock {
    fn announce(&self, size: u64) -> io::Result<()> {
        self.inode.announced.store(size, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let _ = self.disk.remove(&self.path, |inode| Arc::ptr_eq(inode, &self.inode));
        *lock(&self.inode.locked) = false;
    }
}

impl Inode {
    fn stat(&self) -> Stat {
        let len = self.bytes.read().unwrap_or_else(PoisonError::into_inner).len() as u64;
        let size = len.max(self.announced.load(Ordering::Relaxed));
        let fingerprint = Fingerprint {
            device: 0,
            inode: self.number,
            size,
            modified: i128::from(self.modified.load(Ordering::Relaxed)),
            changed: i128::from(self.changed.load(Ordering::Relaxed)),
        };
        Stat { kind: FileKind::Regular, fingerprint }
    }
}

impl MemoryFile {
    /// Changes the bytes and sets the times.
    fn modify<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> io::Result<T>) -> io::Result<T> {
        let mut bytes = self.inode.bytes.write().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut bytes)?;
        self.touch()?;
        Ok(done)
    }
}

/// Makes room in `bytes` up to `len`, or fails as `StorageFull`.
fn make_room(bytes: &mut Vec<u8>, len: u64) -> io::Result<usize> {
    let len = usize::try_from(len).map_err(|_| ErrorKind::StorageFull)?;
    let missing = len.saturating_sub(bytes.len());
    bytes.try_reserve(missing).map_err(|_| ErrorKind::StorageFull)?;
    Ok(len)
}

impl DiskFile for MemoryFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(self.inode.stat())
    }

    fn stat_nowait(&self) -> io::Result<Stat> {
        self.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.inode.bytes.read().unwrap_or_else(PoisonError::into_inner);
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }

    fn write_all_at(&self, new: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(new.len() as u64).ok_or(ErrorKind::StorageFull)?;
        if new.is_empty() {
            return Ok(());
        }
        self.modify(|bytes| {
            let end = make_room(bytes, end)?;
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[end - new.len()..end].copy_from_slice(new);
            Ok(())
        })
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.inode.bytes.write().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut bytes, len).map(drop)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.modify(|bytes| {
            let len = make_room(bytes, len)?;
            bytes.resize(len, 0);
            bytes.shrink_to_fit();
            Ok(())
        })
    }

    fn publish(&self, path: &Path) -> io::Result<()> {
        let path = plain(path);
        let mut unnamed = lock(&self.unnamed);
        if !*unnamed {
            return Err(has_a_name());
        }
        let mut nodes = lock(&self.disk.nodes);
        expect_parent(&nodes, &path)?;
        if nodes.contains_key(&path) || always_there(&path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.inode.changed.store(self.disk.tick(), Ordering::Relaxed);
        self.disk.insert(&mut nodes, path, Node::File(Arc::clone(&self.inode)));
        *unnamed = false;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn touch(&self) -> io::Result<()> {
        let now = self.disk.tick();
        self.inode.modified.store(now, Ordering::Relaxed);
        self.inode.changed.store(now, Ordering::Relaxed);
        Ok(())
    }
}
