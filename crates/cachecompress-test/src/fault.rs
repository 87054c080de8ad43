//! A disk whose calls fail by a rule of the test, and are counted.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use cachecompress::fs::{Disk, DiskFile, DiskLock, DiskRoot, Stat, Symlinks};

/// A call of [`Disk`], [`DiskFile`] or [`DiskRoot`]. The last three can be watched and held, but do
/// not fail and are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after its method")]
pub enum Op {
    CreatePrivateDir,
    CreateUnnamed,
    Open,
    Stat,
    List,
    RemoveFile,
    RemoveUnused,
    RemoveTree,
    TryLock,
    LockAnnounce,
    OpenRoot,
    FileStat,
    FileRead,
    FileReadNowait,
    FileWrite,
    FileReserve,
    FileSetLen,
    FilePublish,
    FileSync,
    FileTouch,
    RootStat,
    RootOpen,
    RootList,
    IsLocal,
    FileClose,
    LockRelease,
}

/// The error of a call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// ENOSPC: the disk is full.
    Full,
    /// EIO: the medium failed.
    Io,
    /// EACCES: the call is not allowed.
    Denied,
    /// EMFILE: the process has too many files open.
    TooManyFiles,
}

impl Errno {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Io, Self::Denied, Self::TooManyFiles];

    /// Returns the error of the standard library.
    pub fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::Full => 28,
            Self::Io => 5,
            Self::Denied => 13,
            Self::TooManyFiles => 24,
        })
    }
}

/// The failure of a call.
#[derive(Debug)]
pub enum Fault {
    /// The call does nothing and fails.
    Error(io::Error),
    /// The call does a part. A read returns at least one byte, and fewer than it could. A write
    /// writes some of the bytes and then fails with this error. Any other call fails with it.
    Part(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

/// A disk around another one, which counts every call and asks a rule whether it fails.
///
/// Files and roots opened through it follow the rule that is in force when they are used.
/// Clones share rule and counts.
#[derive(Clone, Debug)]
pub struct FaultDisk {
    disk: Arc<dyn Disk>,
    faults: Arc<Faults>,
}

type Rule = Arc<dyn Fn(u64, Op) -> Option<Fault> + Send + Sync>;

struct Faults {
    calls: AtomicU64,
    rule: Mutex<Rule>,
    held: Held,
}

/// Counts of the files and locks that a [`FaultDisk`] has handed out and not got back.
#[derive(Debug, Default)]
struct Held {
    files: AtomicUsize,
    unnamed: AtomicUsize,
    locks: AtomicUsize,
}

#[derive(Debug)]
struct FaultFile {
    file: Arc<dyn DiskFile>,
    unnamed: Mutex<bool>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultLock {
    lock: Box<dyn DiskLock>,
    /// Whether the lock must be given back before the cache is closed.
    counts: bool,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultRoot {
    root: Box<dyn DiskRoot>,
    faults: Arc<Faults>,
}

impl FaultDisk {
    /// Wraps `disk`. Nothing fails yet.
    pub fn new(disk: impl Disk) -> Self {
        let rule: Rule = Arc::new(|_, _| None);
        let faults =
            Faults { calls: AtomicU64::new(0), rule: Mutex::new(rule), held: Held::default() };
        Self { disk: Arc::new(disk), faults: Arc::new(faults) }
    }

    /// Wraps `disk`. Nothing fails. `watch` runs before each call, on the thread that makes the
    /// call, so that a test can count calls or hold one.
    pub fn watched(disk: impl Disk, watch: impl Fn(Op) + Send + Sync + 'static) -> Self {
        let watched = Self::new(disk);
        watched.fail(move |_, op| {
            watch(op);
            None::<Fault>
        });
        watched
    }

    /// Makes a call fail if `rule`, given its number (from 0) and kind, has a fault for it. Other
    /// calls do not wait for a slow rule.
    pub fn fail<F: Into<Fault>>(
        &self,
        rule: impl Fn(u64, Op) -> Option<F> + Send + Sync + 'static,
    ) {
        let rule: Rule = Arc::new(move |number, op| rule(number, op).map(Into::into));
        *lock(&self.faults.rule) = rule;
    }

    /// Makes every call of this kind fail.
    pub fn fail_op(&self, failing: Op, kind: io::ErrorKind) {
        self.fail(move |_, op| (op == failing).then(|| io::Error::from(kind)));
    }

    /// Makes the call number `call` and all later ones fail, as on a disk that is gone.
    pub fn fail_from(&self, call: u64, kind: io::ErrorKind) {
        self.fail(move |number, _| (number >= call).then(|| io::Error::from(kind)));
    }

    /// Ends all failures.
    pub fn heal(&self) {
        self.fail(|_, _| None::<Fault>);
    }

    /// The number of calls so far.
    pub fn calls(&self) -> u64 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    /// The number of open files, unnamed ones included.
    pub fn open_files(&self) -> usize {
        self.faults.held.files.load(Ordering::SeqCst)
    }

    /// The number of open files that have no name yet.
    pub fn unnamed_files(&self) -> usize {
        self.faults.held.unnamed.load(Ordering::SeqCst)
    }

    /// The number of held locks, without those of open caches.
    pub fn locks(&self) -> usize {
        self.faults.held.locks.load(Ordering::SeqCst)
    }

    fn file(&self, file: Arc<dyn DiskFile>, unnamed: bool) -> Arc<dyn DiskFile> {
        Arc::new(FaultFile::new(file, unnamed, &self.faults))
    }
}

impl Faults {
    /// Counts the call and fails it by the rule. Returns `Some` if it does only a part.
    fn check_part(&self, op: Op) -> io::Result<Option<io::Error>> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let rule = Arc::clone(&lock(&self.rule));
        match rule(number, op) {
            None => Ok(None),
            Some(Fault::Error(error)) => Err(error),
            Some(Fault::Part(error)) => Ok(Some(error)),
        }
    }

    /// Has the rule see a call that cannot fail.
    fn see(&self, op: Op) {
        let rule = Arc::clone(&lock(&self.rule));
        let _ = rule(u64::MAX, op);
    }

    fn check(&self, op: Op) -> io::Result<()> {
        self.check_part(op)?.map_or(Ok(()), Err)
    }

    /// Returns the number of bytes, at most `len`, that the call reads.
    fn check_read(&self, op: Op, len: usize) -> io::Result<usize> {
        Ok(if self.check_part(op)?.is_some() { len.min(1 + len / 3) } else { len })
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, held, .. } = self;
        f.debug_struct("Faults").field("calls", calls).field("held", held).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk for FaultDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.check(Op::CreatePrivateDir)?;
        self.disk.create_private_dir(path)
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.check(Op::CreateUnnamed)?;
        self.disk.create_unnamed(dir).map(|file| self.file(file, true))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.check(Op::Open)?;
        self.disk.open(path).map(|file| self.file(file, false))
    }

    /// Not local, so that no call is made by a thread that must not wait.
    fn is_local(&self, _: &Path) -> bool {
        self.faults.see(Op::IsLocal);
        false
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.faults.check(Op::Stat)?;
        self.disk.stat(path)
    }

    fn stat_link(&self, path: &Path) -> io::Result<Stat> {
        self.faults.check(Op::Stat)?;
        self.disk.stat_link(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.faults.check(Op::List)?;
        self.disk.list(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.faults.check(Op::RemoveFile)?;
        self.disk.remove_file(path)
    }

    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        self.faults.check(Op::RemoveUnused)?;
        self.disk.remove_unused(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.faults.check(Op::RemoveTree)?;
        self.disk.remove_tree(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.faults.check(Op::TryLock)?;
        let lock = self.disk.try_lock(path)?;
        let counts = !crate::cache_dir::is_presence(path);
        let wrap = |lock| Box::new(FaultLock::new(lock, counts, &self.faults)) as Box<dyn DiskLock>;
        Ok(lock.map(wrap))
    }

    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        self.faults.check(Op::OpenRoot)?;
        let root = self.disk.open_root(path)?;
        Ok(Box::new(FaultRoot { root, faults: Arc::clone(&self.faults) }))
    }
}

impl DiskLock for FaultLock {
    fn announce(&self, size: u64) -> io::Result<()> {
        self.faults.check(Op::LockAnnounce)?;
        self.lock.announce(size)
    }
}

impl FaultLock {
    fn new(lock: Box<dyn DiskLock>, counts: bool, faults: &Arc<Faults>) -> Self {
        faults.held.locks.fetch_add(usize::from(counts), Ordering::SeqCst);
        Self { lock, counts, faults: Arc::clone(faults) }
    }
}

impl Drop for FaultLock {
    fn drop(&mut self) {
        self.faults.see(Op::LockRelease);
        self.faults.held.locks.fetch_sub(usize::from(self.counts), Ordering::SeqCst);
    }
}

impl FaultFile {
    fn new(file: Arc<dyn DiskFile>, unnamed: bool, faults: &Arc<Faults>) -> Self {
        faults.held.files.fetch_add(1, Ordering::SeqCst);
        faults.held.unnamed.fetch_add(usize::from(unnamed), Ordering::SeqCst);
        Self { file, unnamed: Mutex::new(unnamed), faults: Arc::clone(faults) }
    }

    fn is_named(&self) {
        let unnamed = std::mem::take(&mut *lock(&self.unnamed));
        self.faults.held.unnamed.fetch_sub(usize::from(unnamed), Ordering::SeqCst);
    }
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        self.faults.see(Op::FileClose);
        self.is_named();
        self.faults.held.files.fetch_sub(1, Ordering::SeqCst);
    }
}

impl DiskFile for FaultFile {
    fn stat(&self) -> io::Result<Stat> {
        self.faults.check(Op::FileStat)?;
        self.file.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = self.faults.check_read(Op::FileRead, buffer.len())?;
        self.file.read_at(&mut buffer[..len], offset)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = self.faults.check_read(Op::FileReadNowait, buffer.len())?;
        self.file.read_at_nowait(&mut buffer[..len], offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(error) = self.faults.check_part(Op::FileWrite)? else {
            return self.file.write_all_at(bytes, offset);
        };
        self.file.write_all_at(&bytes[..bytes.len() / 3], offset)?;
        Err(error)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.faults.check(Op::FileReserve)?;
        self.file.reserve(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.check(Op::FileSetLen)?;
        self.file.set_len(len)
    }

    fn publish(&self, path: &Path) -> io::Result<()> {
        self.faults.check(Op::FilePublish)?;
        self.file.publish(path)?;
        self.is_named();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.check(Op::FileSync)?;
        self.file.sync()
    }

    fn touch(&self) -> io::Result<()> {
        self.faults.check(Op::FileTouch)?;
        self.file.touch()
    }
}

impl DiskRoot for FaultRoot {
    fn stat(&self) -> io::Result<Stat> {
        self.faults.check(Op::RootStat)?;
        self.root.stat()
    }

    fn open(
        &self,
        path: &Path,
        symlinks: Symlinks,
    ) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        self.faults.check(Op::RootOpen)?;
        let (stat, file) = self.root.open(path, symlinks)?;
        let wrap = |file| Arc::new(FaultFile::new(file, false, &self.faults)) as _;
        Ok((stat, file.map(wrap)))
    }

    fn list(&self, path: &Path, symlinks: Symlinks) -> io::Result<Vec<OsString>> {
        self.faults.check(Op::RootList)?;
        self.root.list(path, symlinks)
    }
}
