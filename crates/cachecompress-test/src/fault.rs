//! A disk that fails when it is told to.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use cachecompress::fs::{Disk, DiskFile, DiskLock, DiskRoot, Stat};

/// A call of [`Disk`], [`DiskFile`] or [`DiskRoot`].
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
}

/// A disk around another one, which counts every call and asks a rule whether it fails.
///
/// Files and roots opened through it follow the rule that is in force when they are used.
/// Clones share rule and count.
#[derive(Clone, Debug)]
pub struct FaultDisk {
    disk: Arc<dyn Disk>,
    faults: Arc<Faults>,
}

type Rule = Box<dyn FnMut(u64, Op) -> Option<io::Error> + Send>;

struct Faults {
    calls: AtomicU64,
    rule: Mutex<Rule>,
}

#[derive(Debug)]
struct FaultFile {
    file: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultRoot {
    root: Box<dyn DiskRoot>,
    faults: Arc<Faults>,
}

impl FaultDisk {
    /// Around `disk`; nothing fails yet.
    pub fn new(disk: impl Disk) -> Self {
        let faults = Faults { calls: AtomicU64::new(0), rule: Mutex::new(Box::new(|_, _| None)) };
        Self { disk: Arc::new(disk), faults: Arc::new(faults) }
    }

    /// From now on a call fails if `rule`, given its number (from 0) and kind, has an error.
    pub fn fail(&self, rule: impl FnMut(u64, Op) -> Option<io::Error> + Send + 'static) {
        *self.faults.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }

    /// From now on every call of this kind fails.
    pub fn fail_op(&self, failing: Op, kind: io::ErrorKind) {
        self.fail(move |_, op| (op == failing).then(|| kind.into()));
    }

    /// The call number `call` fails, and all that follow: the disk is gone.
    pub fn fail_from(&self, call: u64, kind: io::ErrorKind) {
        self.fail(move |number, _| (number >= call).then(|| kind.into()));
    }

    /// From now on nothing fails.
    pub fn heal(&self) {
        self.fail(|_, _| None);
    }

    /// How many calls there have been.
    pub fn calls(&self) -> u64 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultFile { file, faults: Arc::clone(&self.faults) })
    }
}

impl Faults {
    fn check(&self, op: Op) -> io::Result<()> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        rule(number, op).map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Disk for FaultDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.check(Op::CreatePrivateDir)?;
        self.disk.create_private_dir(path)
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.check(Op::CreateUnnamed)?;
        self.disk.create_unnamed(dir).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.check(Op::Open)?;
        self.disk.open(path).map(|file| self.file(file))
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
        self.disk.try_lock(path)
    }

    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        self.faults.check(Op::OpenRoot)?;
        let root = self.disk.open_root(path)?;
        Ok(Box::new(FaultRoot { root, faults: Arc::clone(&self.faults) }))
    }
}

impl DiskFile for FaultFile {
    fn stat(&self) -> io::Result<Stat> {
        self.faults.check(Op::FileStat)?;
        self.file.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faults.check(Op::FileRead)?;
        self.file.read_at(buffer, offset)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faults.check(Op::FileReadNowait)?;
        self.file.read_at_nowait(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.faults.check(Op::FileWrite)?;
        self.file.write_all_at(bytes, offset)
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
        self.file.publish(path)
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

    fn open(&self, path: &Path) -> io::Result<(Stat, Option<Arc<dyn DiskFile>>)> {
        self.faults.check(Op::RootOpen)?;
        let (stat, file) = self.root.open(path)?;
        let faults = &self.faults;
        let wrap = |file| Arc::new(FaultFile { file, faults: Arc::clone(faults) }) as _;
        Ok((stat, file.map(wrap)))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.faults.check(Op::RootList)?;
        self.root.list(path)
    }
}
