//! Files that a handler brings, which no path of the source leads to.

use std::io;
use std::sync::Arc;

use super::hash::{self, Outcome};
use super::resource::{DigestState, Resource, Rest, type_of};
use crate::concurrency::sync::clock;
use crate::http::{Digest, MediaTypes, SourcePath, Text, look};
use crate::limits::RESOURCE_BYTES;
use crate::source::{Content, Found, SourceFile};

/// Whether `file` can be described without long work, which is to hash it or to look at its bytes.
pub(super) fn is_quick(types: &MediaTypes, path: &SourcePath, file: &SourceFile) -> bool {
    match &file.content {
        Content::Bytes(bytes) => {
            let is_looked_at = || type_of(types, path, file).question().is_some();
            bytes.len() <= RESOURCE_BYTES || file.digest.is_some() && !is_looked_at()
        }
        Content::File { .. } => file.digest.is_some(),
    }
}

/// Describes `file` under the name `path`. Hashes the bytes, unless the file brings its digest.
pub(super) fn describe(
    types: &MediaTypes,
    path: &SourcePath,
    mut file: SourceFile,
) -> io::Result<Resource> {
    let named = type_of(types, path, &file);
    let (mut rest, mut read) = (Rest::ByTimes, None);
    let mut text = match &file.content {
        Content::Bytes(bytes) => look(named.question(), bytes),
        Content::File { .. } => Text::Unknown,
    };
    let state = match (&file.content, file.digest) {
        (_, Some(digest)) => DigestState::Known(digest),
        (Content::Bytes(bytes), None) => DigestState::Known(Digest::of(bytes)),
        (Content::File { file: content, fingerprint }, None) => {
            let question = named.question();
            let (fingerprint, hashed) = hash::hash(&**content, *fingerprint, question, None)?;
            file.content = Content::File { file: Arc::clone(content), fingerprint };
            match hashed {
                Outcome::Hashed(hashed) => {
                    (rest, read, text) = (hashed.rest, hashed.buffer, hashed.text);
                    DigestState::Known(hashed.digest)
                }
                Outcome::Unstable => DigestState::Unstable,
            }
        }
    };
    let mut resource = Resource::new(path, (named, text), &file, state, rest, clock(), None);
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
