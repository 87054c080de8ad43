//! Files that a handler brings, which no path of the source leads to.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::hash::{self, Outcome};
use super::resource::{DigestState, Resource, Rest, type_of};
use crate::concurrency::sync::clock;
use crate::http::{Digest, MediaTypes, NamedType, SourcePath, Text, look};
use crate::limits::RESOURCE_BYTES;
use crate::source::{Content, Found, SourceFile};

/// Whether `file` can be described without long work, which is to hash it or to look at its bytes.
pub(super) fn is_quick(types: &MediaTypes, path: &SourcePath, file: &SourceFile) -> bool {
    match &file.content {
        Content::Bytes(bytes) => {
            let is_looked_at =
                || file.told_text().is_none() && type_of(types, path, file).question().is_some();
            bytes.len() <= RESOURCE_BYTES || file.digest.is_some() && !is_looked_at()
        }
        Content::File { .. } => file.digest.is_some(),
    }
}

/// Describes `file` under the name `path`. Hashes the bytes while they are wanted, unless the file brings
/// its digest. `None` if the hash was given up.
pub(super) fn describe(
    types: &MediaTypes,
    path: &SourcePath,
    mut file: SourceFile,
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<Option<Resource>> {
    let named = type_of(types, path, &file);
    let (mut rest, mut read) = (Rest::ByTimes, None);
    let mut text = match &file.content {
        Content::Bytes(bytes) => file.told_text().unwrap_or_else(|| look(named.question(), bytes)),
        Content::File { .. } => Text::Unknown,
    };
    let state = match (&file.content, file.digest) {
        (_, Some(digest)) => DigestState::Known(digest),
        (Content::Bytes(bytes), None) => DigestState::Known(Digest::of(bytes)),
        (Content::File { file: content, fingerprint }, None) => {
            let question = named.question();
            let (fingerprint, hashed) =
                hash::hash(&**content, *fingerprint, question, None, is_wanted)?;
            file.content = Content::File { file: Arc::clone(content), fingerprint };
            match hashed {
                Outcome::Hashed(hashed) => {
                    (rest, read, text) = (hashed.rest, hashed.buffer, hashed.text);
                    DigestState::Known(hashed.digest)
                }
                Outcome::Unstable => DigestState::Unstable,
                Outcome::GivenUp => return Ok(None),
            }
        }
    };
    Ok(Some(resource(path, (named, text), file, state, rest, read)))
}

/// Describes `file` without reading it.
pub(super) fn unhashed(types: &MediaTypes, path: &SourcePath, file: SourceFile) -> Resource {
    let media_type = (type_of(types, path, &file), Text::Unknown);
    resource(path, media_type, file, DigestState::Unhashed, Rest::Awaited, None)
}

fn resource(
    path: &SourcePath,
    media_type: (NamedType, Text),
    file: SourceFile,
    state: DigestState,
    rest: Rest,
    read: Option<Bytes>,
) -> Resource {
    let mut resource = Resource::new(path, media_type, &file, state, rest, clock(), None);
    resource.bytes = match &file.content {
        Content::Bytes(bytes) => Some(bytes.clone()),
        Content::File { .. } => read,
    };
    resource.brought = Some(file.content);
    resource
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
