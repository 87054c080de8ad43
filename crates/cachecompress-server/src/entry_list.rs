//! The entries of a cache as an operator sees and chooses them: `inspect`, `purge` and their API.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cachecompress::cache::{EntriesSummary, Kind, StoredEntry};
use cachecompress::{ContentCoding, Digest};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::cli::Sort;
use crate::flag_values::DigestStart;
use crate::recorder::unix_seconds;

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
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    /// The bytes on disk.
    pub(crate) bytes: u64,
    /// The number of entries that only say that there is no representation.
    pub(crate) verdicts: u64,
    /// The length of the files of all representations.
    pub(crate) source_bytes: u64,
    /// The length of those representations.
    pub(crate) encoded_bytes: u64,
}

/// The totals of a list, as they are told.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct ToldTotals {
    #[serde(flatten)]
    totals: Totals,
    /// The number of files under an entry's name that are none.
    damaged: u64,
    /// The number of files that could not be read.
    failed: u64,
}

/// An entry, as it is told.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct EntryRow {
    /// The SHA-256 of the file's bytes, in hexadecimal digits.
    digest: String,
    coding: String,
    /// The kind of the entry: a representation, or the reason for which there is none.
    kind: &'static str,
    /// The file's length in bytes.
    source_bytes: u64,
    /// The length of the representation; null if there is none.
    encoded_bytes: Option<u64>,
    /// The entry's size on disk.
    bytes: u64,
    /// The representation's length over the file's.
    ratio: Option<f64>,
    /// The encoder's level, if it has one.
    level: Option<i64>,
    /// The encoder with its settings.
    #[serde(serialize_with = "as_str")]
    #[schemars(with = "String")]
    encoder: Arc<str>,
    /// The time of its writing, in Unix seconds.
    created: f64,
    age_seconds: u64,
    /// The time of its last use, at most an hour late, in Unix seconds.
    last_use: f64,
}

fn as_str<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
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
        self.entries.iter().for_each(|entry| totals.add(entry));
        totals
    }
}

impl Totals {
    /// The totals with the failures in the `summary` of a list.
    pub(crate) fn told(self, summary: &EntriesSummary) -> ToldTotals {
        ToldTotals { totals: self, damaged: summary.damaged, failed: summary.failed }
    }

    /// Counts a further entry.
    pub(crate) fn add(&mut self, entry: &ListedEntry) {
        self.entries += 1;
        self.bytes += entry.bytes;
        match entry.encoded_bytes {
            Some(encoded) => {
                self.source_bytes += entry.source_bytes;
                self.encoded_bytes += encoded;
            }
            None => self.verdicts += 1,
        }
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

    /// The entry as it is told at the time `now`.
    pub(crate) fn row(&self, now: SystemTime) -> EntryRow {
        EntryRow {
            digest: self.digest.hex(),
            coding: self.coding.to_string(),
            kind: self.kind.as_str(),
            source_bytes: self.source_bytes,
            encoded_bytes: self.encoded_bytes,
            bytes: self.bytes,
            ratio: self.ratio(),
            level: self.level,
            encoder: Arc::clone(&self.encoder),
            created: unix_seconds(self.created),
            age_seconds: self.age(now).as_secs(),
            last_use: unix_seconds(self.used),
        }
    }
}

fn has_text(entry: &StoredEntry, text: &str) -> bool {
    entry.digest.hex().starts_with(&text.to_ascii_lowercase())
        || [entry.coding.as_str(), entry.kind.as_str(), &entry.settings]
            .iter()
            .any(|field| field.contains(text))
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
