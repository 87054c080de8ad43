//! A resource, which describes a file of the source as a lookup saw it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;

use crate::concurrency::sync::clock;
use crate::fs::Fingerprint;
use crate::http::{
    Compressibility, Digest, MediaTypes, NamedType, RepresentationTags, SourcePath, Text,
    compressibility,
};
use crate::limits::RESOURCE_BYTES;
use crate::source::{Content, SourceFile};

/// A file of the source in its state at the last lookup.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) path: SourcePath,
    /// The length in bytes.
    pub(crate) len: u64,
    pub(crate) state: DigestState,
    /// The tags of its representations; `None` without a digest.
    pub(crate) tags: Option<RepresentationTags>,
    pub(crate) last_modified: Option<SystemTime>,
    pub(crate) media_type: HeaderValue,
    pub(crate) compressibility: Compressibility,
    /// The bytes, if the source holds them in memory.
    pub(crate) bytes: Option<Bytes>,
    /// The state of the file that was hashed; `None` for bytes in memory.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Whether the file had rested before it was hashed, so that its fingerprint names its bytes.
    pub(crate) rested: bool,
    /// The content of a file that a handler brought. No path leads to it.
    pub(crate) brought: Option<Content>,
    /// The type that the name suggests, of which `media_type` is a case.
    named: NamedType,
    modified: Option<SystemTime>,
    own_tag: Option<Arc<str>>,
    /// The time of the last lookup, in milliseconds of [`clock`].
    checked: AtomicU64,
}

/// The knowledge of a resource's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestState {
    Known(Digest),
    /// The bytes change too fast for a digest to hold.
    Unstable,
    /// The digest is still computed.
    Unhashed,
}

impl Resource {
    /// Describes `file` of the type `named`, which a lookup that began at `checked` (milliseconds of
    /// [`clock`]) found.
    ///
    /// `replaced` is the resource with other bytes that stood at the path before. If the time of
    /// modification has not advanced since, Last-Modified is the present time.
    pub(super) fn new(
        path: &SourcePath,
        (named, text): (NamedType, Text),
        file: &SourceFile,
        state: DigestState,
        rested: bool,
        checked: u64,
        replaced: Option<&Self>,
    ) -> Self {
        let media_type = named.value(text);
        let tags = match state {
            DigestState::Known(digest) => {
                let own = file.entity_tag.as_deref().and_then(RepresentationTags::own);
                Some(own.unwrap_or_else(|| RepresentationTags::of_digest(&digest)))
            }
            DigestState::Unstable | DigestState::Unhashed => None,
        };
        let now = SystemTime::now();
        let mut last_modified = file.modified.map(|modified| modified.min(now));
        if let Some(before) = replaced.and_then(|replaced| replaced.last_modified)
            && last_modified.is_some_and(|modified| modified <= before)
        {
            last_modified = Some(now);
        }
        Self {
            path: path.clone(),
            len: file.content.len(),
            state,
            tags,
            last_modified,
            compressibility: compressibility_of(&media_type),
            media_type,
            named,
            bytes: match &file.content {
                // A source that brings the digest keeps long buffers itself.
                Content::Bytes(bytes) if file.digest.is_some() || bytes.len() <= RESOURCE_BYTES => {
                    Some(bytes.clone())
                }
                Content::Bytes(_) | Content::File { .. } => None,
            },
            fingerprint: file.content.fingerprint(),
            brought: None,
            modified: file.modified,
            own_tag: file.entity_tag.clone(),
            rested,
            checked: AtomicU64::new(checked),
        }
    }

    /// Describes `file` with its `digest`, in place of the resource `before`.
    pub(super) fn with_digest(
        path: &SourcePath,
        media_type: (NamedType, Text),
        file: &SourceFile,
        digest: Digest,
        rested: bool,
        checked: u64,
        before: Option<&Self>,
    ) -> Self {
        let (same, other) = match before {
            Some(before) if before.digest() == Some(digest) => (Some(before), None),
            Some(before) if before.digest().is_some() => (None, Some(before)),
            _ => (None, None),
        };
        let mut resource =
            Self::new(path, media_type, file, DigestState::Known(digest), rested, checked, other);
        if let Some(same) = same {
            // The same bytes under an earlier date keep the later date.
            resource.last_modified = resource.last_modified.max(same.last_modified);
        }
        resource
    }

    /// Copies the resource without its digest and without what its bytes told of its type. The copy is
    /// to be looked up again at once.
    pub(super) fn unstable(&self) -> Self {
        let media_type = self.named.value(Text::Unknown);
        Self {
            path: self.path.clone(),
            state: DigestState::Unstable,
            tags: None,
            compressibility: compressibility_of(&media_type),
            media_type,
            named: self.named.clone(),
            bytes: self.bytes.clone(),
            brought: self.brought.clone(),
            own_tag: self.own_tag.clone(),
            checked: AtomicU64::new(0),
            ..*self
        }
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        match self.state {
            DigestState::Known(digest) => Some(digest),
            DigestState::Unstable | DigestState::Unhashed => None,
        }
    }

    /// Returns the time since the last lookup.
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.age_at(clock()))
    }

    /// Returns the milliseconds from the last lookup to `now`.
    pub(super) fn age_at(&self, now: u64) -> u64 {
        now.saturating_sub(self.checked.load(Ordering::Relaxed))
    }

    /// Notes that a lookup which began at `at` found the file unchanged.
    pub(super) fn confirm(&self, at: u64) {
        self.checked.fetch_max(at, Ordering::Relaxed);
    }

    /// Makes the next request look its path up.
    pub(super) fn expire(&self) {
        self.checked.store(0, Ordering::Relaxed);
    }

    /// Whether `file` has the bytes of this resource, by its fingerprint.
    pub(super) fn is_still(&self, file: &SourceFile) -> bool {
        self.looks_like(file) && (self.rested || self.bytes.is_some())
    }

    /// Whether `file` looks unchanged. Unlike for [`is_still`](Self::is_still), a change within one
    /// tick of the file system's clock may hide.
    pub(super) fn looks_like(&self, file: &SourceFile) -> bool {
        let same_bytes = match (&file.content, &self.bytes) {
            (Content::Bytes(now), Some(then)) => {
                now.as_ptr() == then.as_ptr() && now.len() == then.len()
            }
            (Content::File { fingerprint, .. }, None) => self.fingerprint == Some(*fingerprint),
            _ => false,
        };
        same_bytes && self.own_tag == file.entity_tag && self.modified == file.modified
    }
}

/// Returns the media type of `file` as far as it is known without its bytes: its own, else that of its
/// name.
pub(super) fn type_of(types: &MediaTypes, path: &SourcePath, file: &SourceFile) -> NamedType {
    let own = file.media_type.as_deref().and_then(|own| HeaderValue::from_str(own).ok());
    own.map_or_else(|| types.of(path), NamedType::Certain)
}

/// Whether files of `media_type` are ever encoded.
pub(super) fn compressibility_of(media_type: &HeaderValue) -> Compressibility {
    media_type.to_str().map_or(Compressibility::Never, compressibility)
}
