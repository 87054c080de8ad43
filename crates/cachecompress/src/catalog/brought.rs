//! Files that a handler brings, which no path of the source leads to.

use std::io;
use std::sync::Arc;

use super::hash::{self, Hashed};
use super::resource::{DigestState, Resource};
use crate::concurrency::sync::clock;
use crate::http::{Digest, SourcePath};
use crate::limits::RESOURCE_BYTES;
use crate::source::{Content, Found, SourceFile};

/// Whether `file` can be described without long work.
pub(super) fn is_quick(file: &SourceFile) -> bool {
    match &file.content {
        _ if file.digest.is_some() => true,
        Content::Bytes(bytes) => bytes.len() <= RESOURCE_BYTES,
        Content::File { .. } => false,
    }
}

/// Describes `file` under the name `path`. Hashes the bytes, unless the file brings its digest.
pub(super) fn describe(path: &SourcePath, mut file: SourceFile) -> io::Result<Resource> {
    let (mut rested, mut read) = (true, None);
    let state = match (&file.content, file.digest) {
        (_, Some(digest)) => DigestState::Known(digest),
        (Content::Bytes(bytes), None) => DigestState::Known(Digest::of(bytes)),
        (Content::File { file: content, fingerprint }, None) => {
            let (fingerprint, hashed) = hash::hash(&**content, *fingerprint)?;
            file.content = Content::File { file: Arc::clone(content), fingerprint };
            match hashed {
                Some(Hashed { digest, buffer, rested: is_rested }) => {
                    (rested, read) = (is_rested, buffer);
                    DigestState::Known(digest)
                }
                None => DigestState::Unstable,
            }
        }
    };
    let mut resource = Resource::new(path, &file, state, rested, clock(), None);
    resource.bytes = match &file.content {
        Content::Bytes(bytes) => Some(bytes.clone()),
        Content::File { .. } => read,
    };
    resource.brought = Some(file.content);
    Ok(resource)
}

/// Returns a brought file in its present state. Blocks on the disk.
pub(super) fn reopen(content: &Content) -> io::Result<Found> {
    Ok(Found::File(match content {
        Content::Bytes(bytes) => SourceFile::from_bytes(bytes.clone()),
        Content::File { file, .. } => {
            let fingerprint = file.stat()?.fingerprint;
            SourceFile::from_disk_file(Arc::clone(file), fingerprint)
        }
    }))
}
