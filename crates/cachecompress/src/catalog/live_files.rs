//! Decoded files that are in memory, whoever holds them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::concurrency::sync::{Mutex, lock};
use crate::http::SourcePath;

/// The number of a catalog and the path of a coded file.
pub(super) type FileKey = (u64, SourcePath);

/// The decoded bytes that anything holds: what keeps them, a response that goes out, or an encode.
///
/// They are found as long as they live, so that further responses hold the same bytes. They count from
/// [`add`](Self::add) until the last holder drops them.
pub(super) struct LiveFiles<T> {
    /// No file is decoded while so many bytes live.
    room: u64,
    table: Arc<Mutex<Table<T>>>,
}

struct Table<T> {
    bytes: u64,
    files: HashMap<FileKey, Weak<Owner<T>>>,
}

struct Owner<T> {
    bytes: Box<[u8]>,
    about: T,
    key: FileKey,
    table: Arc<Mutex<Table<T>>>,
}

/// A decoded file, held in memory.
pub(super) struct Live<T>(Arc<Owner<T>>);

impl<T: Send + Sync + 'static> LiveFiles<T> {
    pub(super) fn new(room: u64) -> Self {
        let table = Table { bytes: 0, files: HashMap::new() };
        Self { room, table: Arc::new(Mutex::new(table)) }
    }

    /// Whether a further file may be decoded now.
    pub(super) fn has_room(&self) -> bool {
        lock(&self.table).bytes < self.room
    }

    /// Takes decoded bytes in. Later ones of the same key are found in place of earlier ones.
    pub(super) fn add(&self, key: FileKey, bytes: Vec<u8>, about: T) -> Live<T> {
        let (bytes, table) = (bytes.into_boxed_slice(), Arc::clone(&self.table));
        let owner = Arc::new(Owner { bytes, about, key: key.clone(), table });
        let mut table = lock(&self.table);
        table.bytes += owner.bytes.len() as u64;
        table.files.insert(key, Arc::downgrade(&owner));
        drop(table);
        Live(owner)
    }

    /// Finds the bytes of `key` that live.
    pub(super) fn find(&self, key: &FileKey) -> Option<Live<T>> {
        // The last holder's drop takes the lock, so that none may happen under it.
        let found = lock(&self.table).files.get(key).and_then(Weak::upgrade);
        found.map(Live)
    }

    /// The bytes that live.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        lock(&self.table).bytes
    }
}

impl<T: Send + Sync + 'static> Live<T> {
    pub(super) fn about(&self) -> &T {
        &self.0.about
    }

    /// Returns the bytes, which hold the file in memory.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from_owner(Self(Arc::clone(&self.0)))
    }
}

impl<T> AsRef<[u8]> for Live<T> {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl<T> Drop for Owner<T> {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        table.bytes -= self.bytes.len() as u64;
        let is_this = |found: &Weak<Self>| std::ptr::eq(found.as_ptr(), self);
        if table.files.get(&self.key).is_some_and(is_this) {
            table.files.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> FileKey {
        (0, SourcePath::root().join(name))
    }

    #[test]
    fn bytes_count_once_until_their_last_holder_drops_them() {
        let files = LiveFiles::new(10);
        let first = files.add(key("a"), vec![1; 10], ());
        assert_eq!((files.bytes(), files.has_room()), (10, false));
        let held = first.bytes().slice(3..5);
        drop(first);
        let found = files.find(&key("a")).unwrap();
        assert_eq!(found.bytes().as_ptr(), held.as_ptr().wrapping_sub(3), "the same bytes");
        assert_eq!(files.bytes(), 10);
        drop(found);
        drop(held);
        assert_eq!((files.bytes(), files.has_room()), (0, true));
        assert!(files.find(&key("a")).is_none());
        assert!(lock(&files.table).files.is_empty());
    }

    #[test]
    fn later_bytes_are_found_after_the_earlier_ones_are_dropped() {
        let files = LiveFiles::new(10);
        let earlier = files.add(key("a"), vec![1; 3], ());
        let later = files.add(key("a"), vec![2; 4], ());
        drop(earlier);
        assert_eq!((files.bytes(), &*files.find(&key("a")).unwrap().bytes()), (4, &[2; 4][..]));
        drop(later);
        assert_eq!(files.bytes(), 0);
    }
}
