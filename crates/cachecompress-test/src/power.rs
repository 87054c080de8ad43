//! A disk that can lose power. Unsynced data may then be lost, torn, or reordered.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cachecompress::fs::{Disk, DiskFile, DiskLock, DiskRoot, FileKind, MemoryDisk, Stat};

/// The bytes that a medium writes at once. A power cut tears a file between two sectors.
const SECTOR: usize = 512;

/// A [`MemoryDisk`] that knows which of its bytes and names have reached the medium.
///
/// - A file's bytes have reached it when [`DiskFile::sync`] returns. Each sector written since may
///   be there or not, and so may the length.
/// - A name that was given or taken away (a published file, a removed one, a directory, a lock's
///   file) has reached it when [`settle`](Self::settle) is called. Until then each name may be
///   there or not, independently of later ones. Syncing a file says nothing of its name.
/// - Locks and files without a name are gone after a cut.
///
/// [`snapshot`](Self::snapshot) keeps the state of one moment. Any number of disks can be made of
/// it, as they may look after the cut. Clones share the files.
#[derive(Clone, Debug, Default)]
pub struct PowerDisk {
    disk: MemoryDisk,
    journal: Arc<Mutex<Journal>>,
}

/// The changes that a power cut may undo.
#[derive(Debug, Default)]
struct Journal {
    /// The history of each path: its state on the medium, and its states since.
    names: BTreeMap<PathBuf, Vec<Node>>,
    files: HashMap<u64, Contents>,
    /// The number of open handles of each file.
    open: HashMap<u64, usize>,
}

/// The thing at a path; a file by its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Nothing,
    Directory,
    File(u64),
}

#[derive(Debug)]
struct Contents {
    /// The bytes that have reached the medium.
    synced: Arc<[u8]>,
    live: Arc<dyn DiskFile>,
}

#[derive(Debug)]
struct PowerFile {
    file: Arc<dyn DiskFile>,
    inode: u64,
    disk: PowerDisk,
}

#[derive(Debug)]
struct PowerLock {
    lock: Option<Box<dyn DiskLock>>,
    path: PathBuf,
    disk: PowerDisk,
}

/// A [`PowerDisk`] at the moment of the cut.
#[derive(Clone, Debug)]
pub struct Snapshot {
    names: Vec<(PathBuf, Vec<Node>)>,
    files: HashMap<u64, Bytes>,
}

/// A file's bytes on the medium, and its bytes at the cut.
#[derive(Clone, Debug)]
struct Bytes {
    synced: Arc<[u8]>,
    written: Arc<[u8]>,
}

/// The state of unsynced bytes and names after the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Lost,
    /// All of it, as after `kill -9`.
    Kept,
    /// All names; the files are as long as they were and full of zeros.
    Zeroed,
    /// All names; the files end in the middle.
    Halved,
    /// A random choice by this seed for each name and each sector.
    Random(u64),
}

impl PowerDisk {
    /// Creates an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes everything to the medium.
    pub fn settle(&self) {
        let mut journal = self.journal();
        journal.names.retain(|_, history| {
            history.drain(..history.len() - 1);
            history[0] != Node::Nothing
        });
        for contents in journal.files.values_mut() {
            contents.synced = read(&*contents.live).into();
        }
    }

    /// Keeps the state of this moment, for a power cut.
    pub fn snapshot(&self) -> Snapshot {
        let journal = self.journal();
        let mut files = HashMap::new();
        for node in journal.names.values().flatten() {
            if let Node::File(inode) = node {
                let Contents { synced, live } = &journal.files[inode];
                let written = read(&**live).into();
                files.entry(*inode).or_insert(Bytes { synced: Arc::clone(synced), written });
            }
        }
        let names = journal.names.iter().map(|(path, history)| (path.clone(), history.clone()));
        Snapshot { names: names.collect(), files }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let inode = file.stat().map_or(0, |stat| stat.fingerprint.inode);
        *self.journal().open.entry(inode).or_default() += 1;
        Arc::new(PowerFile { file, inode, disk: self.clone() })
    }
}

impl Drop for PowerFile {
    fn drop(&mut self) {
        if let Some(times) = self.disk.journal().open.get_mut(&self.inode) {
            *times -= 1;
        }
    }
}

impl Journal {
    /// Notes what `path` has become.
    fn note(&mut self, disk: &MemoryDisk, path: &Path) {
        let node = match disk.stat(path) {
            Ok(Stat { kind: FileKind::Directory, .. }) => Node::Directory,
            Ok(stat) => Node::File(stat.fingerprint.inode),
            Err(_) => Node::Nothing,
        };
        if let Node::File(inode) = node {
            let live = || disk.open(path).unwrap();
            let new = || Contents { synced: Arc::default(), live: live() };
            self.files.entry(inode).or_insert_with(new);
        }
        let history = self.names.entry(path.to_owned()).or_insert_with(|| vec![Node::Nothing]);
        if history.last() != Some(&node) {
            history.push(node);
        }
    }
}

fn read(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.stat().unwrap().fingerprint.size).unwrap()];
    let len = file.read_at(&mut bytes, 0).unwrap();
    bytes.truncate(len);
    bytes
}

impl Snapshot {
    /// Makes a disk as it may look after the cut.
    pub fn survivor(&self, outcome: Outcome) -> PowerDisk {
        let disk = PowerDisk::new();
        let mut random = match outcome {
            Outcome::Random(seed) => Random(seed),
            _ => Random(0),
        };
        // Parents come before their contents.
        for (path, history) in &self.names {
            let node = match outcome {
                Outcome::Lost => history[0],
                Outcome::Random(_) => history[random.below(history.len())],
                Outcome::Kept | Outcome::Zeroed | Outcome::Halved => history[history.len() - 1],
            };
            // The contents of a removed directory are gone.
            let parent = path.parent().unwrap_or(path);
            let reachable = parent.parent().is_none() || disk.stat(parent).is_ok();
            match node {
                Node::Directory if reachable => disk.create_private_dir(path).unwrap(),
                Node::File(inode) if reachable => {
                    let file = disk.create_unnamed(parent).unwrap();
                    let bytes = self.files[&inode].survive(outcome, &mut random);
                    file.write_all_at(&bytes, 0).unwrap();
                    file.publish(path).unwrap();
                }
                _ => {}
            }
        }
        disk.settle();
        disk
    }
}

impl Bytes {
    fn survive(&self, outcome: Outcome, random: &mut Random) -> Vec<u8> {
        let Self { synced, written } = self;
        match outcome {
            _ if synced == written => written.to_vec(),
            Outcome::Lost => synced.to_vec(),
            Outcome::Kept => written.to_vec(),
            Outcome::Zeroed => vec![0; written.len()],
            Outcome::Halved => written[..written.len() / 2].to_vec(),
            Outcome::Random(_) => {
                let longest = synced.len().max(written.len());
                let whole_sectors = written.len() / SECTOR * SECTOR;
                let lengths = [
                    synced.len(),
                    written.len(),
                    written.len(),
                    whole_sectors,
                    random.below(longest + 1),
                ];
                let mut bytes = vec![0; lengths[random.below(lengths.len())]];
                for (n, sector) in bytes.chunks_mut(SECTOR).enumerate() {
                    let from = match random.below(4) {
                        0 => &[][..],
                        1 => &synced[..],
                        _ => &written[..],
                    };
                    let from = from.get(n * SECTOR..).unwrap_or_default();
                    let len = sector.len().min(from.len());
                    sector[..len].copy_from_slice(&from[..len]);
                }
                bytes
            }
        }
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

impl Disk for PowerDisk {
    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        let mut journal = self.journal();
        let result = self.disk.create_private_dir(path);
        for dir in path.ancestors().filter(|dir| dir.parent().is_some()) {
            journal.note(&self.disk, dir);
        }
        result
    }

    fn create_unnamed(&self, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create_unnamed(dir).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path).map(|file| self.file(file))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.disk.stat(path)
    }

    fn stat_link(&self, path: &Path) -> io::Result<Stat> {
        self.disk.stat_link(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut journal = self.journal();
        self.disk.remove_file(path)?;
        journal.note(&self.disk, path);
        Ok(())
    }

    fn remove_unused(&self, path: &Path) -> io::Result<bool> {
        // The disk's own answer would count the journal's handle of every file.
        let inode = self.disk.stat(path)?.fingerprint.inode;
        if self.journal().open.get(&inode).is_some_and(|times| *times > 0) {
            return Ok(false);
        }
        self.remove_file(path).map(|()| true)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let mut journal = self.journal();
        self.disk.remove_tree(path)?;
        let below: Vec<PathBuf> =
            journal.names.keys().filter(|below| below.starts_with(path)).cloned().collect();
        below.iter().for_each(|below| journal.note(&self.disk, below));
        Ok(())
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut journal = self.journal();
        let Some(lock) = self.disk.try_lock(path)? else { return Ok(None) };
        journal.note(&self.disk, path);
        let (disk, path) = (self.clone(), path.to_owned());
        Ok(Some(Box::new(PowerLock { lock: Some(lock), path, disk })))
    }

    fn open_root(&self, path: &Path) -> io::Result<Box<dyn DiskRoot>> {
        self.disk.open_root(path)
    }
}

impl DiskLock for PowerLock {
    fn announce(&self, size: u64) -> io::Result<()> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.announce(size))
    }
}

impl Drop for PowerLock {
    fn drop(&mut self) {
        let mut journal = self.disk.journal();
        drop(self.lock.take());
        journal.note(&self.disk.disk, &self.path);
    }
}

impl DiskFile for PowerFile {
    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at_nowait(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.file.reserve(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn publish(&self, path: &Path) -> io::Result<()> {
        let mut journal = self.disk.journal();
        self.file.publish(path)?;
        journal.note(&self.disk.disk, path);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let inode = self.file.stat()?.fingerprint.inode;
        let mut journal = self.disk.journal();
        let live = Arc::clone(&self.file);
        let synced = read(&*live).into();
        let contents = Contents { synced: Arc::clone(&synced), live };
        journal.files.entry(inode).or_insert(contents).synced = synced;
        Ok(())
    }

    fn touch(&self) -> io::Result<()> {
        self.file.touch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/dir/file";

    fn contents(disk: &PowerDisk) -> Option<Vec<u8>> {
        disk.open(Path::new(FILE)).ok().map(|file| read(&*file))
    }

    /// A disk with one file, 1,000 bytes of which are synced and 2,000 are written.
    fn half_synced() -> PowerDisk {
        let disk = PowerDisk::new();
        disk.create_private_dir(Path::new("/dir")).unwrap();
        let file = disk.create_unnamed(Path::new("/dir")).unwrap();
        file.write_all_at(&[1; 1000], 0).unwrap();
        file.sync().unwrap();
        file.write_all_at(&[2; 2000], 0).unwrap();
        file.publish(Path::new(FILE)).unwrap();
        disk
    }

    #[test]
    fn unsynced_bytes_may_be_anything_after_a_cut() {
        let disk = half_synced();
        let cut = disk.snapshot();
        assert_eq!(contents(&cut.survivor(Outcome::Lost)), None, "the name was not synced");
        assert_eq!(contents(&cut.survivor(Outcome::Kept)), Some(vec![2; 2000]));
        assert_eq!(contents(&cut.survivor(Outcome::Zeroed)), Some(vec![0; 2000]));
        assert_eq!(contents(&cut.survivor(Outcome::Halved)), Some(vec![2; 1000]));
        let all: Vec<_> =
            (0..200).map(|seed| contents(&cut.survivor(Outcome::Random(seed)))).collect();
        assert!(all.contains(&None) && all.contains(&Some(vec![2; 2000])));
        let torn =
            |bytes: &Vec<u8>| bytes.contains(&2) && (bytes.contains(&0) || bytes.contains(&1));
        assert!(all.iter().flatten().any(torn) && all.iter().flatten().any(|b| b.len() == 1000));
        assert_eq!(contents(&cut.survivor(Outcome::Random(7))), all[7], "a seed decides");
    }

    #[test]
    fn settled_bytes_survive_a_cut() {
        let disk = half_synced();
        disk.settle();
        for outcome in [Outcome::Lost, Outcome::Zeroed, Outcome::Halved, Outcome::Random(1)] {
            assert_eq!(contents(&disk.snapshot().survivor(outcome)), Some(vec![2; 2000]));
        }
        disk.remove_file(Path::new(FILE)).unwrap();
        let removed = disk.snapshot();
        assert!(contents(&removed.survivor(Outcome::Lost)).is_some(), "it may come back");
        assert!(contents(&removed.survivor(Outcome::Kept)).is_none());
        disk.remove_tree(Path::new("/dir")).unwrap();
        disk.settle();
        assert!(disk.snapshot().survivor(Outcome::Lost).list(Path::new("/dir")).is_err());
    }

    #[test]
    fn names_survive_a_cut_independently_and_locks_never() {
        let disk = half_synced();
        disk.settle();
        let path = Path::new("/dir/lock");
        let held = disk.try_lock(path).unwrap().unwrap();
        let file = disk.create_unnamed(Path::new("/dir")).unwrap();
        file.publish(Path::new("/dir/new")).unwrap();
        let cut = disk.snapshot();
        drop(held);
        assert!(cut.survivor(Outcome::Kept).try_lock(path).unwrap().is_some(), "the lock is free");
        let seen: std::collections::BTreeSet<_> = (0..64)
            .map(|seed| {
                let survivor = cut.survivor(Outcome::Random(seed));
                survivor.list(Path::new("/dir")).unwrap().len()
            })
            .collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
