//! What bodies gave out on one connection, until it is sent.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::map::Mapping;
use crate::sync::{Mutex, lock};

/// How many pieces may wait to be sent; bodies of further ones are read.
const PIECES: usize = 16;

/// A connection that sends stored files by `sendfile`.
///
/// Give it to [`ServeCompressed::on`](crate::ServeCompressed::on), or put it into the extensions
/// of the connection's requests; with axum, `into_make_service_with_connect_info::<Connection>()`
/// does that.
#[derive(Clone, Debug, Default)]
pub struct Connection(Arc<Pieces>);

#[derive(Debug, Default)]
struct Pieces {
    /// How many there are, to be looked at without the lock.
    count: AtomicUsize,
    waiting: Mutex<VecDeque<Piece>>,
}

/// A piece of a file under the addresses that were given out for it.
#[derive(Debug)]
struct Piece {
    mapping: Arc<Mapping>,
    /// What of it is not sent yet.
    left: Range<usize>,
    /// The file's offset of the first of those addresses.
    offset: u64,
}

/// Where in a file the bytes stand that an address was given out for.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) mapping: Arc<Mapping>,
    pub(super) offset: u64,
}

/// Memory that was given out, and lives as long as somebody has it.
struct GivenOut {
    mapping: Arc<Mapping>,
    at: u64,
    len: u64,
}

impl AsRef<[u8]> for GivenOut {
    fn as_ref(&self) -> &[u8] {
        self.mapping.memory(self.at, self.len).unwrap_or_default()
    }
}

impl Connection {
    /// That of a request, if its extensions have it.
    pub(crate) fn of(extensions: &http::Extensions) -> Option<Self> {
        #[cfg(feature = "axum")]
        if let Some(axum::extract::ConnectInfo(connection)) = extensions.get() {
            return Some(Self::clone(connection));
        }
        extensions.get().cloned()
    }

    /// Memory for the `len` bytes at `at` of what is mapped, which the connection's stream will
    /// send from the file; `None` if too much waits already, or the file has not so many.
    pub(crate) fn give_out(&self, mapping: &Arc<Mapping>, at: u64, len: u64) -> Option<Bytes> {
        let start = mapping.memory(at, len)?.as_ptr().addr();
        let mut waiting = lock(&self.0.waiting);
        if waiting.len() >= PIECES {
            return None;
        }
        let left = start..start + usize::try_from(len).ok()?;
        waiting.push_back(Piece { mapping: Arc::clone(mapping), left, offset: at });
        self.0.count.store(waiting.len(), Ordering::Relaxed);
        drop(waiting);
        Some(Bytes::from_owner(GivenOut { mapping: Arc::clone(mapping), at, len }))
    }

    /// Whether anything was given out that is not sent yet.
    pub(super) fn has_pieces(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) > 0
    }

    /// Where in a file `memory` stands, if it was given out and is not sent yet.
    pub(super) fn place_of(&self, memory: &[u8]) -> Option<Place> {
        let waiting = lock(&self.0.waiting);
        let piece = waiting.iter().find(|piece| piece.has(memory))?;
        let within = memory.as_ptr().addr() - piece.left.start;
        let offset = piece.offset + within as u64;
        Some(Place { mapping: Arc::clone(&piece.mapping), offset })
    }

    /// Takes note that the first `count` bytes of `memory` are sent.
    pub(super) fn sent(&self, memory: &[u8], count: usize) {
        let mut waiting = lock(&self.0.waiting);
        let Some(at) = waiting.iter().position(|piece| piece.has(memory)) else { return };
        let piece = &mut waiting[at];
        let past = memory.as_ptr().addr() + count - piece.left.start;
        piece.left.start += past;
        piece.offset += past as u64;
        if piece.left.is_empty() {
            waiting.remove(at);
        }
        self.0.count.store(waiting.len(), Ordering::Relaxed);
    }
}

impl Piece {
    fn has(&self, memory: &[u8]) -> bool {
        let start = memory.as_ptr().addr();
        !memory.is_empty() && self.left.start <= start && start + memory.len() <= self.left.end
    }
}
