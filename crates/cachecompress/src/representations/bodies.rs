//! The bodies of selected representations.

use std::sync::Arc;

use bytes::Bytes;

use super::Representations;
use super::identity::Identity;
use super::select::{Coded, Made};
use crate::body::{Body, Chunks, FileBody, GrowingBody, MultipartBody, Snapshot};
use crate::cache::{Entry, Payload};
use crate::fs::DiskFile;
use crate::http::Multipart;
use crate::limits::{PAYLOAD_IN_MEMORY, SENDFILE_ABOVE};
use crate::sendfile::{Connection, Mapping};

impl Representations {
    /// Makes the body of a coded representation, or of a range of it (offset and length).
    pub(crate) fn coded_body(
        &self,
        coded: &Coded,
        range: Option<(u64, u64)>,
        connection: Option<&Connection>,
    ) -> Body {
        let (product, progress) = match &coded.made {
            Made::Stored(entry) => {
                let (at, len) = range.unwrap_or((0, entry.payload_len()));
                return self.payload_body(entry, at, len, connection);
            }
            Made::Ahead(payload) => return bytes_body(payload, range),
            Made::Now(product, progress) => (product, progress),
        };
        let payload = product.payload.clone();
        let threads = self.0.engine.cache.threads().clone();
        match (coded.len, progress) {
            (None, Some(progress)) => Body::growing(GrowingBody::new(progress, payload, threads)),
            (len, _) => {
                let (at, len) = range.unwrap_or((0, len.unwrap_or(0)));
                let chunks = Chunks::new(payload.file, threads);
                Body::file(FileBody::new(chunks, payload.start + at, len, None))
            }
        }
    }

    /// Returns the payload of `entry`, if it is sent from memory over every connection.
    pub(crate) fn short_payload(&self, entry: &Entry) -> Option<Arc<Bytes>> {
        (entry.payload_len() <= SENDFILE_ABOVE).then(|| self.payload_in_memory(entry))?
    }

    /// Returns the payload of `entry`, if it is not too long for memory, and memory has it or a read
    /// needs no wait.
    fn payload_in_memory(&self, entry: &Entry) -> Option<Arc<Bytes>> {
        let memory = &self.0.engine.memory;
        let len = entry.payload_len();
        if len > PAYLOAD_IN_MEMORY || !memory.keep_any() {
            return None;
        }
        let key = &entry.header().key;
        let key = (key.digest, Some(key.id));
        if let Some(bytes) = memory.get(&key) {
            return Some(bytes);
        }
        let Payload { file, start } = entry.payload();
        let mut buffer = vec![0; usize::try_from(len).ok()?];
        let read = file.read_at_nowait(&mut buffer, start).ok()?;
        // Bytes that were overwritten in place since the last check must not stay in memory.
        let whole = read == buffer.len() && entry.still_verified_nowait();
        whole.then(|| memory.insert(key, buffer.into()))
    }

    /// Makes the body of `entry`'s whole payload.
    pub(crate) fn stored_body(&self, entry: &Entry, connection: Option<&Connection>) -> Body {
        self.payload_body(entry, 0, entry.payload_len(), connection)
    }

    /// Makes the body of the `len` bytes at `at` of `entry`'s payload.
    fn payload_body(
        &self,
        entry: &Entry,
        at: u64,
        len: u64,
        connection: Option<&Connection>,
    ) -> Body {
        let connection = connection.filter(|_| len > SENDFILE_ABOVE);
        let by_sendfile = connection.and_then(|connection| entry.mapping().zip(Some(connection)));
        if by_sendfile.is_none()
            && len == entry.payload_len()
            && let Some(bytes) = self.payload_in_memory(entry)
        {
            return Body::bytes(Bytes::clone(&bytes));
        }
        let Payload { file, start } = entry.payload();
        let chunks = Chunks::new(file, self.0.engine.cache.threads().clone());
        let body = FileBody::new(chunks, start + at, len, None);
        Body::file(match by_sendfile {
            Some((mapping, connection)) => body.mapped(connection, mapping),
            None => body,
        })
    }

    /// Makes the body of the `len` bytes at `at` of identity.
    pub(crate) fn identity_body(
        &self,
        identity: Identity,
        at: u64,
        len: u64,
        connection: Option<&Connection>,
    ) -> Body {
        match identity {
            Identity::Bytes(bytes) => bytes_body(&bytes, Some((at, len))),
            Identity::File { file, snapshot } => {
                let chunks = self.source_chunks(Arc::clone(&file), &snapshot);
                let connection = connection.filter(|_| len > PAYLOAD_IN_MEMORY);
                if let Some(connection) = connection.filter(|_| self.0.sendfile_sources)
                    && let Some(mapping) = file.as_real().cloned().and_then(Mapping::new)
                {
                    let body = FileBody::new(chunks, at, len, None);
                    return Body::file(body.mapped(connection, &Arc::new(mapping)));
                }
                Body::file(FileBody::new(chunks, at, len, Some(snapshot)))
            }
            Identity::Stale => Body::empty(),
        }
    }

    /// Makes the body of several ranges of identity, which are read: they are short mostly.
    pub(crate) fn multipart_body(&self, identity: Identity, multipart: &Multipart) -> Body {
        Body::multipart(match identity {
            Identity::Bytes(bytes) => MultipartBody::of_bytes(multipart, &bytes),
            Identity::File { file, snapshot } => {
                let chunks = self.source_chunks(file, &snapshot);
                // With `--sendfile all`, sources are never overwritten in place.
                let snapshot = (!self.0.sendfile_sources).then_some(snapshot);
                MultipartBody::of_file(multipart, chunks, snapshot)
            }
            Identity::Stale => return Body::empty(),
        })
    }

    /// Reads chunks of a source's file, in the places of its device.
    fn source_chunks(&self, file: Arc<dyn DiskFile>, snapshot: &Snapshot) -> Chunks {
        let places = self.0.engine.lookups.places().clone();
        Chunks::new(file, self.0.engine.lookups.readers().clone())
            .in_places(places, snapshot.fingerprint.device)
    }
}

/// Makes the body of `bytes`, or of a range of them (offset and length).
fn bytes_body(bytes: &Bytes, range: Option<(u64, u64)>) -> Body {
    let Some((at, len)) = range else { return Body::bytes(bytes.clone()) };
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len() - at);
    Body::bytes(bytes.slice(at..at + len))
}
