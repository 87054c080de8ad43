//! Files by path, for the sources that have all of them in memory.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;

use super::{Content, Found, Listing, ListingEntry, SourceFile};
use crate::http::{ContentCoding, Digest, SourcePath};

/// Values by path. A path with a value beneath it is a directory.
#[derive(Clone, Debug)]
pub(super) struct Tree<T>(BTreeMap<Box<[u8]>, T>);

/// The result of looking a path up in a [`Tree`].
pub(super) enum Place<'a, T> {
    File(&'a T),
    Directory,
    Nothing,
}

impl<T> Tree<T> {
    pub(super) fn insert(&mut self, path: &SourcePath, value: T) {
        self.0.insert(path.as_bytes().into(), value);
    }

    /// Looks a path up. A file takes precedence over a directory of the same path.
    pub(super) fn find(&self, path: &SourcePath) -> Place<'_, T> {
        if let Some(value) = self.0.get(path.as_bytes()) {
            return Place::File(value);
        }
        if path.is_root() || self.has_beneath(path) {
            return Place::Directory;
        }
        Place::Nothing
    }

    fn has_beneath(&self, path: &SourcePath) -> bool {
        let prefix = [path.as_bytes(), b"/"].concat();
        let next = self.0.range(prefix.clone().into_boxed_slice()..).next();
        next.is_some_and(|(next, _)| next.starts_with(&prefix))
    }

    /// Returns at most `most` names of files in `directory`.
    pub(super) fn names(&self, directory: &SourcePath, most: usize) -> Vec<Box<[u8]>> {
        let prefix = match directory.is_root() {
            true => Vec::new(),
            false => [directory.as_bytes(), b"/"].concat(),
        };
        let beneath = self.0.range(prefix.clone().into_boxed_slice()..).map(|(path, _)| path);
        // Long lists of files further below are not looked through.
        let names = beneath.map_while(|path| path.strip_prefix(&*prefix)).take(4 * most);
        let names = names.filter(|name| !name.contains(&b'/')).take(most);
        names.map(Box::from).collect()
    }

    /// Lists `directory`; `None` if it is none. `entry` describes a file by its name and its path.
    pub(super) fn list(
        &self,
        directory: &SourcePath,
        most: usize,
        entry: impl Fn(&[u8], &SourcePath, &T) -> Option<ListingEntry>,
        is_visible: impl Fn(&SourcePath) -> bool,
    ) -> Option<Listing> {
        let Place::Directory = self.find(directory) else { return None };
        let prefix = match directory.is_root() {
            true => Vec::new(),
            false => [directory.as_bytes(), b"/"].concat(),
        };
        let (mut entries, mut next) = (Vec::new(), prefix.clone());
        while entries.len() <= most
            && let Some((path, value)) = self.0.range(next.into_boxed_slice()..).next()
            && let Some(name) = path.strip_prefix(&*prefix)
        {
            let slash = name.iter().position(|byte| *byte == b'/');
            let name = &name[..slash.unwrap_or(name.len())];
            let path = [&prefix, name].concat();
            if let Some(path) = SourcePath::parse(&path).filter(&is_visible) {
                entries.extend(match slash {
                    None => entry(name, &path, value),
                    // A file takes precedence over a directory of the same path.
                    Some(_) if self.0.contains_key(path.as_bytes()) => None,
                    Some(_) => Some(ListingEntry::directory(name)),
                });
            }
            // All files of a directory are passed over at once: `0` follows the slash.
            next = [path, if slash.is_some() { vec![b'/' + 1] } else { vec![0] }].concat();
        }
        Some(Listing::of(entries).truncated(most))
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = SourcePath> {
        self.0.keys().filter_map(|path| SourcePath::parse(path))
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// A file whose bytes are in memory. Its digest is computed when it is first looked up.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    file: SourceFile,
    digest: OnceLock<Digest>,
}

impl From<SourceFile> for Stored {
    fn from(file: SourceFile) -> Self {
        // The digest that a file brings is not believed, unless it was computed with its codings.
        let known = file.precompressed().and(file.digest);
        Self { file, digest: known.map_or_else(OnceLock::new, OnceLock::from) }
    }
}

impl Tree<Stored> {
    pub(super) fn lookup(&self, path: &SourcePath) -> Found {
        match self.find(path) {
            Place::File(stored) => Found::File(stored.open()),
            Place::Directory => Found::Directory,
            Place::Nothing => Found::Nothing,
        }
    }
}

impl Tree<Stored> {
    /// Iterates over the files whose bytes are in memory and that nobody has looked at.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = (SourcePath, Bytes)> {
        let files = self.0.iter().filter(|(_, stored)| stored.file.told_text().is_none());
        files.filter_map(|(path, stored)| match &stored.file.content {
            Content::Bytes(bytes) => Some((SourcePath::parse(path)?, bytes.clone())),
            Content::File { .. } => None,
        })
    }
}

impl Tree<Stored> {
    /// Returns the codings in which files are there without an encoder, each once.
    pub(super) fn precompressed_codings(&self) -> Vec<ContentCoding> {
        let mut codings = Vec::new();
        for payload in self.0.values().filter_map(|stored| stored.file.precompressed()) {
            for encoded in payload.payloads() {
                if !codings.contains(&encoded.coding) {
                    codings.push(encoded.coding.clone());
                }
            }
        }
        codings
    }
}

impl Stored {
    /// Describes the file in a listing.
    pub(super) fn entry(name: &[u8], _path: &SourcePath, stored: &Self) -> Option<ListingEntry> {
        let file = &stored.file;
        let entry = ListingEntry::file(name, file.content.len());
        Some(ListingEntry { modified: file.modified, ..entry })
    }

    fn open(&self) -> SourceFile {
        let mut file = self.file.clone();
        if let Content::Bytes(bytes) = &file.content {
            file.digest = Some(*self.digest.get_or_init(|| Digest::of(bytes)));
        }
        file
    }
}

/// Parses a file's path that the program itself wrote down.
///
/// # Panics
///
/// If no file can have it.
pub(super) fn expect_file_path(path: &[u8]) -> SourcePath {
    match SourcePath::parse(path) {
        Some(parsed) if !parsed.is_root() => parsed,
        _ => panic!("no path of a file in a source: {:?}", String::from_utf8_lossy(path)),
    }
}
