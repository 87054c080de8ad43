//! The entries of a cache as an operator sees and chooses them: `inspect`, `purge` and their API.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cachecompress::cache::{Kind, StoredEntry};
use cachecompress::{ContentCoding, Digest};
use serde_json::{Value, json};

use crate::cli::Sort;
use crate::flag_values::DigestStart;

/// An entry in a list.
#[derive(Clone, Debug)]
pub(crate) struct ListedEntry {
    pub(crate) digest: Digest,
    pub(crate) coding: ContentCoding,
    pub(crate) kind: Kind,
    pub(crate) source_bytes: u64,
    /// The length of the representation; `None` for a verdict.
    pub(crate) encoded_bytes: Option<u64>,
    /// The entry's size on disk.
    pub(crate) bytes: u64,
    pub(crate) level: Option<i64>,
    /// The encoder with its settings. Entries of one encoder share it.
    encoder: Arc<str>,
    created: SystemTime,
    used: SystemTime,
}

/// A list of entries, with the totals of all that it was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryList {
    pub(crate) entries: Vec<ListedEntry>,
    encoders: HashSet<Arc<str>>,
}

/// The totals of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    /// The bytes on disk.
    pub(crate) bytes: u64,
    pub(crate) verdicts: u64,
    pub(crate) source_bytes: u64,
    pub(crate) encoded_bytes: u64,
}

impl EntryList {
    /// Adds an entry, if it has the text of a `filter`.
    pub(crate) fn add(&mut self, entry: &StoredEntry, filter: Option<&str>) {
        if filter.is_some_and(|filter| !has_text(entry, filter)) {
            return;
        }
        let encoder = match self.encoders.get(&*entry.settings) {
            Some(known) => Arc::clone(known),
            None => {
                let encoder: Arc<str> = entry.settings.as_str().into();
                self.encoders.insert(Arc::clone(&encoder));
                encoder
            }
        };
        self.entries.push(ListedEntry {
            digest: entry.digest,
            coding: entry.coding.clone(),
            kind: entry.kind,
            source_bytes: entry.source_len,
            encoded_bytes: (entry.kind == Kind::Representation).then_some(entry.encoded_len),
            bytes: entry.size,
            level: entry.level(),
            encoder,
            created: entry.created,
            used: entry.used,
        });
    }

    /// Sorts the entries. Equal ones stay in the order of their digests.
    pub(crate) fn sort(&mut self, by: Sort) {
        match by {
            Sort::Size => self.entries.sort_by_key(|entry| Reverse(entry.bytes)),
            Sort::Ratio => {
                // Verdicts, which save nothing, come first.
                let ratio = |entry: &ListedEntry| entry.ratio().unwrap_or(f64::INFINITY);
                self.entries.sort_by(|one, other| ratio(other).total_cmp(&ratio(one)));
            }
            Sort::Age => self.entries.sort_by_key(|entry| entry.created),
            Sort::LastUse => self.entries.sort_by_key(|entry| entry.used),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in &self.entries {
            totals.entries += 1;
            totals.bytes += entry.bytes;
            match entry.encoded_bytes {
                Some(encoded) => {
                    totals.source_bytes += entry.source_bytes;
                    totals.encoded_bytes += encoded;
                }
                None => totals.verdicts += 1,
            }
        }
        totals
    }
}

impl Totals {
    pub(crate) fn json(&self) -> Value {
        json!({
            "entries": self.entries,
            "bytes": self.bytes,
            "verdicts": self.verdicts,
            "source_bytes": self.source_bytes,
            "encoded_bytes": self.encoded_bytes,
        })
    }
}

impl ListedEntry {
    /// The representation's length over the source's; `None` for a verdict.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(self.encoded_bytes? as f64 / self.source_bytes.max(1) as f64)
    }

    /// The time since it was made.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.created).unwrap_or_default()
    }

    /// The time since its last use, which is noted at most hourly.
    pub(crate) fn unused(&self, now: SystemTime) -> Duration {
        now.duration_since(self.used).unwrap_or_default()
    }

    pub(crate) fn json(&self, now: SystemTime) -> Value {
        json!({
            "digest": self.digest.hex(),
            "coding": self.coding.as_str(),
            "kind": self.kind.as_str(),
            "source_bytes": self.source_bytes,
            "encoded_bytes": self.encoded_bytes,
            "bytes": self.bytes,
            "ratio": self.ratio(),
            "level": self.level,
            "encoder": &*self.encoder,
            "created": unix_seconds(self.created),
            "age_seconds": self.age(now).as_secs(),
            "last_use": unix_seconds(self.used),
            // Neither the disk nor a server counts them by entry.
            "hits": null,
        })
    }
}

fn has_text(entry: &StoredEntry, text: &str) -> bool {
    entry.digest.hex().starts_with(&text.to_ascii_lowercase())
        || [entry.coding.as_str(), entry.kind.as_str(), &entry.settings]
            .iter()
            .any(|field| field.contains(text))
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The entries that an operator chooses. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// The contents of the files that were named, if any were.
    pub(crate) digests: Option<HashSet<Digest>>,
    pub(crate) coding: Option<ContentCoding>,
    pub(crate) older_than: Option<Duration>,
    pub(crate) digest: Option<DigestStart>,
}

impl Choice {
    /// Whether it has no condition, so that it chooses everything.
    pub(crate) fn is_everything(&self) -> bool {
        let Self { digests, coding, older_than, digest } = self;
        digests.is_none() && coding.is_none() && older_than.is_none() && digest.is_none()
    }

    /// Whether `entry` is chosen at the time `now`.
    pub(crate) fn has(&self, entry: &StoredEntry, now: SystemTime) -> bool {
        let age = || now.duration_since(entry.created).unwrap_or_default();
        self.digests.as_ref().is_none_or(|digests| digests.contains(&entry.digest))
            && self.coding.as_ref().is_none_or(|coding| *coding == entry.coding)
            && self.older_than.is_none_or(|least| age() > least)
            && self.digest.as_ref().is_none_or(|start| entry.digest.hex().starts_with(&start.0))
    }
}
