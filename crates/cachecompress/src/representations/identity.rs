//! The identity representation, which is the bytes of a resource itself.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::Representations;
use crate::body::Snapshot;
use crate::catalog::{Catalog, DigestState, LoadError, Resource};
use crate::error::Error;
use crate::fs::{DiskFile, Fingerprint, read_full};
use crate::http::Digest;
use crate::limits::{PAYLOAD_IN_MEMORY, SNAPSHOT_TRIES};
use crate::memory_cache::MemoryCache;
use crate::source::{Content, Found, SourceFile};

/// An identity representation that is ready to be sent.
#[derive(Debug)]
pub(crate) enum Identity {
    Bytes(Bytes),
    /// The file to send from. Its last chunk leaves only if the snapshot still holds.
    File {
        file: Arc<dyn DiskFile>,
        snapshot: Snapshot,
    },
    /// The source's bytes are not those of the resource any more.
    Stale,
}

impl Representations {
    /// Obtains the bytes of `resource`, or its file.
    pub(crate) async fn identity(&self, resource: &Arc<Resource>) -> Result<Identity, Error> {
        if let Some(bytes) = &resource.bytes {
            return Ok(Identity::Bytes(bytes.clone()));
        }
        if let Some(bytes) = self.identity_payload(resource) {
            return Ok(Identity::Bytes(Bytes::clone(&bytes)));
        }
        let inner = &self.0;
        if let Some(identity) = open_nowait(&inner.catalog, resource) {
            return Ok(identity);
        }
        let (catalog, memory) = (inner.catalog.clone(), inner.engine.memory.clone());
        let resource = Arc::clone(resource);
        let path = resource.path.clone();
        let read = move || read(&catalog, &memory, &resource);
        inner.catalog.read_decoded(&path, read).await.map_err(LoadError::into_error)
    }

    /// Returns the bytes of `resource`, if memory has them.
    pub(crate) fn identity_payload(&self, resource: &Resource) -> Option<Arc<Bytes>> {
        resource.digest().and_then(|digest| self.0.engine.memory.get(&(digest, None)))
    }
}

/// Opens the file of a large resource, if it is unchanged and needs no wait.
fn open_nowait(catalog: &Catalog, resource: &Resource) -> Option<Identity> {
    if resource.len <= PAYLOAD_IN_MEMORY || resource.digest().is_none() {
        return None;
    }
    match catalog.reopen_nowait(resource)? {
        Found::File(SourceFile { content: Content::File { file, fingerprint }, .. })
            if resource.fingerprint == Some(fingerprint) =>
        {
            Some(Identity::of_file(resource, file, fingerprint))
        }
        _ => None,
    }
}

fn read(
    catalog: &Catalog,
    memory: &MemoryCache,
    resource: &Resource,
) -> Result<Identity, LoadError> {
    let file = match catalog.reopen(resource)? {
        Found::File(file) => file,
        Found::Directory | Found::Nothing => return Ok(Identity::Stale),
    };
    // The digest of what was decoded is of these very bytes.
    let decoded = file.decoded.and(file.digest);
    match file.content {
        Content::File { file, fingerprint } => Ok(match resource.digest() {
            None => without_digest(file, fingerprint, resource.state),
            Some(_) if resource.fingerprint != Some(fingerprint) => Identity::Stale,
            Some(digest) if fingerprint.size <= PAYLOAD_IN_MEMORY => {
                read_small(memory, &*file, fingerprint.size, digest)
            }
            Some(_) => Identity::of_file(resource, file, fingerprint),
        }),
        Content::Bytes(bytes)
            if resource.digest() == Some(decoded.unwrap_or_else(|| Digest::of(&bytes))) =>
        {
            Ok(Identity::Bytes(bytes))
        }
        Content::Bytes(_) => Ok(Identity::Stale),
    }
}

fn read_small(memory: &MemoryCache, file: &dyn DiskFile, len: u64, digest: Digest) -> Identity {
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = read_full(file, &mut buffer, 0);
    if read.is_ok_and(|read| read == buffer.len()) && Digest::of(&buffer) == digest {
        let bytes = Bytes::from(buffer);
        memory.insert((digest, None), bytes.clone());
        return Identity::Bytes(bytes);
    }
    Identity::Stale
}

/// Obtains the present bytes of a file without a digest. A small file is read until two readings
/// agree.
fn without_digest(
    file: Arc<dyn DiskFile>,
    mut fingerprint: Fingerprint,
    state: DigestState,
) -> Identity {
    for _ in 0..SNAPSHOT_TRIES {
        if fingerprint.size > PAYLOAD_IN_MEMORY {
            break;
        }
        let len = usize::try_from(fingerprint.size).unwrap_or(0);
        let (mut one, mut other) = (vec![0; len], vec![0; len]);
        let read = |into: &mut [u8]| read_full(&*file, into, 0).is_ok_and(|read| read == len);
        if read(&mut one) && read(&mut other) && one == other {
            return Identity::Bytes(one.into());
        }
        let Ok(after) = file.stat() else { break };
        fingerprint = after.fingerprint;
    }
    // A file that goes out before its hash has not been seen to change.
    let vouches = state == DigestState::Unhashed && fingerprint.names_bytes(SystemTime::now());
    Identity::File { file, snapshot: Snapshot { fingerprint, vouches, digest: None } }
}

impl Identity {
    /// Makes identity of a hashed resource's file, in the state in which it was hashed.
    fn of_file(resource: &Resource, file: Arc<dyn DiskFile>, fingerprint: Fingerprint) -> Self {
        let (vouches, digest) = (resource.has_rested(), resource.digest());
        Self::File { file, snapshot: Snapshot { fingerprint, vouches, digest } }
    }

    /// Returns the number of bytes that can be sent.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { snapshot, .. } => snapshot.fingerprint.size,
            Self::Stale => 0,
        }
    }
}
