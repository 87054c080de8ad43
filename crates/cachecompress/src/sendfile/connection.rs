//! What bodies gave out on one connection, for as long as it is there.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::map::Mapping;
use crate::concurrency::sync::{Mutex, lock};

/// How many pieces may be given out at a time; bodies of further ones are read.
const PIECES: usize = 16;

/// A connection that sends stored files by `sendfile`.
///
/// Give it to [`ServeCompressed::on`](crate::ServeCompressed::on), or put it into the extensions
/// of the connection's requests; with axum, `into_make_service_with_connect_info::<Connection>()`
/// does that.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Pieces>);

/// A file that counts as being in use as long as this lives.
pub(crate) type InUse = Arc<dyn std::fmt::Debug + Send + Sync>;

#[derive(Debug, Default)]
struct Pieces {
    /// How many there are, to be looked at without the lock.
    count: AtomicUsize,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    list: Vec<Piece>,
    /// The number of the last one that was given out.
    next: u64,
}

/// A piece of a file under the addresses that were given out for it.
#[derive(Debug)]
struct Piece {
    mapping: Arc<Mapping>,
    addresses: Range<usize>,
    /// The file's offset of the first of them.
    offset: u64,
    number: u64,
}

/// Where in a file the bytes stand that an address was given out for.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) mapping: Arc<Mapping>,
    pub(super) offset: u64,
}

/// Memory that was given out. As long as anybody has it, it stays mapped, so that its addresses are
/// nobody else's; and only as long can anybody ask for them.
struct GivenOut {
    mapping: Arc<Mapping>,
    at: u64,
    len: u64,
    pieces: Arc<Pieces>,
    number: u64,
    _file: InUse,
}

impl AsRef<[u8]> for GivenOut {
    fn as_ref(&self) -> &[u8] {
        self.mapping.memory(self.at, self.len).unwrap_or_default()
    }
}

impl Drop for GivenOut {
    fn drop(&mut self) {
        let mut given = lock(&self.pieces.given);
        given.list.retain(|piece| piece.number != self.number);
        self.pieces.count.store(given.list.len(), Ordering::Relaxed);
    }
}

impl Connection {
    /// That of a new stream.
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// That of a request, if its extensions have it.
    pub(crate) fn of(extensions: &http::Extensions) -> Option<Self> {
        #[cfg(feature = "axum")]
        if let Some(axum::extract::ConnectInfo(connection)) = extensions.get() {
            return Some(Self::clone(connection));
        }
        extensions.get().cloned()
    }

    /// Memory for the `len` bytes at `at` of what is mapped, which the connection's stream will
    /// send from the file; it keeps `file` in use. `None` if too much waits already, or the file
    /// has not so many.
    pub(crate) fn give_out(
        &self,
        mapping: &Arc<Mapping>,
        at: u64,
        len: u64,
        file: InUse,
    ) -> Option<Bytes> {
        let start = mapping.memory(at, len)?.as_ptr().addr();
        let addresses = start..start + usize::try_from(len).ok()?;
        let mut given = lock(&self.0.given);
        if given.list.len() >= PIECES {
            return None;
        }
        given.next += 1;
        let (number, mapping) = (given.next, Arc::clone(mapping));
        given.list.push(Piece { mapping: Arc::clone(&mapping), addresses, offset: at, number });
        self.0.count.store(given.list.len(), Ordering::Relaxed);
        drop(given);
        let pieces = Arc::clone(&self.0);
        Some(Bytes::from_owner(GivenOut { mapping, at, len, pieces, number, _file: file }))
    }

    /// Whether anything is given out.
    pub(super) fn has_pieces(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) > 0
    }

    /// Where in a file `memory` stands, if it was given out.
    pub(super) fn place_of(&self, memory: &[u8]) -> Option<Place> {
        let given = lock(&self.0.given);
        let piece = given.list.iter().find(|piece| piece.has(memory))?;
        let within = memory.as_ptr().addr() - piece.addresses.start;
        Some(Place { mapping: Arc::clone(&piece.mapping), offset: piece.offset + within as u64 })
    }
}

impl Piece {
    fn has(&self, memory: &[u8]) -> bool {
        let start = memory.as_ptr().addr();
        self.addresses.start <= start && start + memory.len() <= self.addresses.end
    }
}
