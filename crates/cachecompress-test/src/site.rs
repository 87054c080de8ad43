//! Directories of made-up files, the same bytes on every run.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// A directory to serve. It is removed when dropped.
///
/// These methods panic if the file system refuses a change to the site.
#[derive(Debug)]
pub struct Site {
    directory: TempDir,
}

impl Site {
    /// Creates an empty site.
    ///
    /// # Panics
    ///
    /// If no temporary directory can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("site-").expect("a temporary directory");
        Self { directory }
    }

    /// Creates a site with one file.
    #[must_use]
    pub fn with(name: &str, bytes: &[u8]) -> Self {
        let site = Self::new();
        site.write(name, bytes);
        site
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of the file `name`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, and the directories above it.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .and_then(|()| fs::write(&path, bytes))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Replaces a file as editors and package managers do: a new inode takes the name.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn replace_by_rename(&self, name: &str, bytes: &[u8]) {
        let beside = format!("{name}.new~");
        self.write(&beside, bytes);
        fs::rename(self.file(&beside), self.file(name)).expect("a rename in one directory");
    }

    /// Overwrites a file in place, piece by piece, as `cp` and `rsync --inplace` do. The inode
    /// stays, and holds both versions meanwhile.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn replace_in_place(&self, name: &str, bytes: &[u8]) {
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).open(self.file(name))?;
            for piece in bytes.chunks(1 << 20) {
                file.write_all(piece)?;
            }
            file.set_len(bytes.len() as u64)
        };
        write().unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The time of a file's last modification.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    #[must_use]
    pub fn modified(&self, name: &str) -> SystemTime {
        fs::metadata(self.file(name)).and_then(|metadata| metadata.modified()).expect("a file")
    }

    /// Sets the time of a file's last modification, as `cp -p` and package managers do.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn set_modified(&self, name: &str, time: SystemTime) {
        fs::OpenOptions::new()
            .write(true)
            .open(self.file(name))
            .and_then(|file| file.set_modified(time))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Makes a file look a day old, by its modification time.
    pub fn age(&self, name: &str) {
        self.set_modified(name, SystemTime::now() - Duration::from_secs(24 * 60 * 60));
    }

    /// Makes a symbolic link called `name` that leads to `target`.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[cfg(unix)]
    pub fn link(&self, name: &str, target: impl AsRef<Path>) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().expect("a link is in a directory")).expect("a directory");
        std::os::unix::fs::symlink(target, path).expect("a symbolic link");
    }
}

/// A small generator of numbers: SplitMix64.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Text of `length` bytes that compresses about four to one: words of a vocabulary of 2,048, the
/// first ones more often. Each seed has a text of its own.
#[must_use]
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed ^ 0x7465_7874);
    let words: Vec<Vec<u8>> = (0..2048)
        .map(|_| {
            let random = numbers.next();
            let letters = 2 + random % 9;
            (0..letters).map(|at| b'a' + ((random >> (6 + at * 5)) % 26) as u8).collect()
        })
        .collect();
    let mut text = Vec::with_capacity(length + 16);
    let mut count = 0u32;
    while text.len() < length {
        let random = numbers.next();
        let bits = random % 12;
        text.extend_from_slice(&words[((random >> 8) & ((1 << bits) - 1)) as usize]);
        count += 1;
        text.push(if count.is_multiple_of(12) { b'\n' } else { b' ' });
    }
    text.truncate(length);
    text
}

/// Bytes such as programs are made of: records with counters, repeated and random parts.
#[must_use]
pub fn binary(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed ^ 0x6269_6e61);
    let mut bytes = Vec::with_capacity(length + 32);
    let mut counter = 0u32;
    while bytes.len() < length {
        let random = numbers.next();
        counter += 16;
        bytes.extend_from_slice(&[0x48, 0x8b, (random & 0x3f) as u8, 0x0f]);
        bytes.extend_from_slice(&counter.to_le_bytes());
        bytes.extend_from_slice(&random.to_le_bytes()[..3]);
        bytes.extend_from_slice(&[0, 0, 0, 0, 0]);
    }
    bytes.truncate(length);
    bytes
}

/// Bytes that do not compress.
#[must_use]
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed ^ 0x7261_6e64);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&numbers.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Hexadecimal digits without a pattern: every encoder saves a good third, none two thirds.
#[must_use]
pub fn hex(length: usize, seed: u64) -> Vec<u8> {
    let digit = |byte: u8| b"0123456789abcdef"[usize::from(byte >> 4)];
    random(seed, length).into_iter().map(digit).collect()
}

/// Words and numbers, of which a slow encoder saves some per cent more than a fast one.
#[must_use]
pub fn prose(length: usize, seed: u64) -> Vec<u8> {
    let words = ["tide", "harbour", "lantern", "gull", "rope", "anchor", "salt", "pier", "mast"];
    let mut text = Vec::with_capacity(length + 16);
    for pair in random(seed, length).chunks_exact(2) {
        text.extend_from_slice(words[usize::from(pair[0]) % words.len()].as_bytes());
        text.extend_from_slice(format!(" {} ", pair[1]).as_bytes());
        if text.len() >= length {
            break;
        }
    }
    text.truncate(length);
    text
}

/// The paths of all files below a directory. Links are not followed. Files that vanish meanwhile
/// are left out.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_depend_on_the_seed_alone() {
        for make in [text, binary, random] {
            assert_eq!(make(7, 10_000), make(7, 10_000));
            assert_ne!(make(7, 10_000), make(8, 10_000));
            assert_eq!(make(7, 9_999).len(), 9_999);
        }
    }

    #[test]
    fn text_compresses_about_four_to_one() {
        let ratio = |bytes: &[u8]| {
            let coded = zstd::stream::encode_all(bytes, 3).expect("memory does not fail");
            bytes.len() as f64 / coded.len() as f64
        };
        let of_text = ratio(&text(1, 2_000_000));
        assert!((2.8..6.0).contains(&of_text), "{of_text}");
        assert!(ratio(&binary(1, 2_000_000)) > 1.5);
        assert!(ratio(&random(1, 2_000_000)) < 1.01);
    }
}
