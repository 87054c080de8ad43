//! An entry as its header and its file tell of it.

use std::time::SystemTime;

use super::entry::{Header, Kind};
use crate::fs::Fingerprint;
use crate::http::{ContentCoding, Digest};

/// An entry of a cache, by its header and its file's length and time. Its payload was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEntry {
    /// The digest of the source's bytes.
    pub digest: Digest,
    /// The content coding.
    pub coding: ContentCoding,
    /// The kind of the entry.
    pub kind: Kind,
    /// The source's length in bytes.
    pub source_len: u64,
    /// The representation's length in bytes; 0 for a verdict.
    pub encoded_len: u64,
    /// The entry's size on disk in bytes, header and trailer included.
    pub size: u64,
    /// The encoder with its settings, for people.
    pub settings: String,
    /// The time of its writing, in whole seconds.
    pub created: SystemTime,
    /// The time of its last use, at most an hour late.
    pub used: SystemTime,
    /// The responses that were sent from it and from earlier entries of the content in the coding, the first one
    /// among them, at most a minute late; `None` if no [second pass](crate::Builder::recompress) counts them.
    pub hits: Option<u64>,
}

impl StoredEntry {
    pub(super) fn new(header: Header, encoded_len: u64, fingerprint: &Fingerprint) -> Self {
        Self {
            digest: header.key.digest,
            coding: header.key.coding,
            kind: header.kind,
            source_len: header.source_len,
            encoded_len,
            size: fingerprint.size,
            settings: header.settings,
            created: header.created,
            used: fingerprint.modified_time(),
            hits: None,
        }
    }

    /// Returns the encoder's level, if it has one and the settings name it.
    #[must_use]
    pub fn level(&self) -> Option<i64> {
        let mut words = self.settings.split_ascii_whitespace();
        words.find_map(|word| word.strip_prefix("level=")?.parse().ok())
    }
}
