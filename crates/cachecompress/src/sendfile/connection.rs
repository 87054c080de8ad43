//! The pieces of files that a connection's bodies hand to it, by the addresses they are mapped at.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::map::Mapping;
use crate::concurrency::sync::{Mutex, lock};
use crate::limits::SENDFILE_PIECES;

/// A connection that sends stored files by `sendfile`.
///
/// Give it to [`ServeCompressed::on`](crate::ServeCompressed::on), or put it into the extensions
/// of the connection's requests. With axum, `into_make_service_with_connect_info::<Connection>()`
/// does that.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn example() {
/// use axum::Router;
/// use axum::extract::{ConnectInfo, Request};
/// use axum::middleware::{Next, from_fn};
/// use axum::response::Response;
/// use axum::routing::get;
/// use cachecompress::sendfile::Connection;
///
/// /// One connect info serves both: the files, and handlers that ask for the peer.
/// async fn whoami(ConnectInfo(connection): ConnectInfo<Connection>) -> String {
///     connection.peer_addr().map_or_else(String::new, |peer| peer.to_string())
/// }
///
/// /// For middleware that wants `ConnectInfo<SocketAddr>`: this layer goes around it.
/// async fn peer(mut request: Request, next: Next) -> Response {
///     let connection = request.extensions().get::<ConnectInfo<Connection>>();
///     if let Some(peer) = connection.and_then(|ConnectInfo(connection)| connection.peer_addr()) {
///         request.extensions_mut().insert(ConnectInfo(peer));
///     }
///     next.run(request).await
/// }
///
/// let app: Router = Router::new().route("/whoami", get(whoami)).layer(from_fn(peer));
/// let service = app.into_make_service_with_connect_info::<Connection>();
/// # let _ = service;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pieces: Pieces,
    peer: Option<SocketAddr>,
}

/// A file that counts as being in use as long as this lives.
pub(crate) type InUse = Arc<dyn std::fmt::Debug + Send + Sync>;

/// The pieces that are given out.
#[derive(Debug, Default)]
struct Pieces {
    /// The length of the list, to be read without the lock.
    count: AtomicUsize,
    list: Mutex<Vec<Piece>>,
}

/// A piece of a file, and the addresses that were given out for it.
#[derive(Debug)]
struct Piece {
    place: Place,
    addresses: Range<usize>,
}

/// The place in a file for which an address was given out.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) mapping: Arc<Mapping>,
    pub(super) offset: u64,
}

/// The memory of one piece.
///
/// It stays mapped as long as anybody has it, so that its addresses are no other file's. The piece
/// is in the list for exactly as long.
struct GivenOut {
    place: Place,
    len: u64,
    shared: Arc<Shared>,
    _file: InUse,
}

impl Pieces {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Piece>) -> T) -> T {
        let mut list = lock(&self.list);
        let changed = change(&mut list);
        self.count.store(list.len(), Ordering::Relaxed);
        changed
    }
}

impl AsRef<[u8]> for GivenOut {
    fn as_ref(&self) -> &[u8] {
        self.place.mapping.memory(self.place.offset, self.len).unwrap_or_default()
    }
}

impl Drop for GivenOut {
    fn drop(&mut self) {
        // A second piece of the same bytes of the same file has the same addresses: either may go.
        let addresses = self.as_ref().as_ptr_range();
        let addresses = addresses.start.addr()..addresses.end.addr();
        self.shared.pieces.change(|list| {
            if let Some(at) = list.iter().position(|piece| piece.addresses == addresses) {
                list.swap_remove(at);
            }
        });
    }
}

impl Connection {
    /// Creates the connection of a new stream.
    pub(super) fn new(peer: Option<SocketAddr>) -> Self {
        Self(Arc::new(Shared { pieces: Pieces::default(), peer }))
    }

    /// Returns the address of the client; `None` if it had gone at once.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    /// Returns the connection of a request, if its extensions have it.
    pub(crate) fn of(extensions: &http::Extensions) -> Option<Self> {
        #[cfg(feature = "axum")]
        if let Some(axum::extract::ConnectInfo(connection)) = extensions.get() {
            return Some(Self::clone(connection));
        }
        extensions.get().cloned()
    }

    /// Returns mapped memory for the `len` bytes at `at`, which the connection's stream will send
    /// from the file. The memory keeps `file` in use.
    ///
    /// `None` if too many pieces wait already, or the file has not so many bytes.
    pub(crate) fn give_out(
        &self,
        mapping: &Arc<Mapping>,
        at: u64,
        len: u64,
        file: InUse,
    ) -> Option<Bytes> {
        let start = mapping.memory(at, len)?.as_ptr().addr();
        let addresses = start..start + usize::try_from(len).ok()?;
        let place = Place { mapping: Arc::clone(mapping), offset: at };
        let has_room = self.0.pieces.change(|list| {
            let has_room = list.len() < SENDFILE_PIECES;
            if has_room {
                list.push(Piece { place: place.clone(), addresses });
            }
            has_room
        });
        let shared = Arc::clone(&self.0);
        has_room.then(|| Bytes::from_owner(GivenOut { place, len, shared, _file: file }))
    }

    /// Whether anything is given out.
    pub(super) fn has_pieces(&self) -> bool {
        self.0.pieces.count.load(Ordering::Relaxed) > 0
    }

    /// Returns the place of `memory` in a file, if it was given out.
    pub(super) fn place_of(&self, memory: &[u8]) -> Option<Place> {
        let addresses = memory.as_ptr_range();
        let (start, end) = (addresses.start.addr(), addresses.end.addr());
        let list = lock(&self.0.pieces.list);
        let has = |piece: &&Piece| piece.addresses.start <= start && end <= piece.addresses.end;
        let Piece { place, addresses } = list.iter().find(has)?;
        let within = (start - addresses.start) as u64;
        Some(Place { mapping: Arc::clone(&place.mapping), offset: place.offset + within })
    }
}
