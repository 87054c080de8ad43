//! The entries of a cache as an operator sees and chooses them: `inspect`, `purge` and their API.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    /// The encoder with its settings. Entries of one list and encoder share it.
    encoder: Arc<str>,
    created: SystemTime,
    used: SystemTime,
    /// The responses that were sent from it, if they are counted.
    pub(crate) hits: Option<u64>,
}

/// A list of entries, with the totals of all that it was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryList {
    pub(crate) entries: Vec<ListedEntry>,
    encoders: HashSet<Arc<str>>,
}

/// The place of an entry in the order of a list, which no other entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    rank: u64,
    /// The first digits of the entry's digest.
    digest: u64,
    /// Tells entries apart that have these in common: a hash of all that names one.
    tie: u64,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { rank, digest, tie } = self;
        write!(f, "{rank:016x}{digest:016x}{tie:016x}")
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 48 || !text.bytes().all(is_digit) {
            return Err(NoPlace);
        }
        let number = |part: &str| u64::from_str_radix(part, 16).map_err(|_| NoPlace);
        let ((rank, digest), tie) = (text[..32].split_at(16), &text[32..]);
        Ok(Self { rank: number(rank)?, digest: number(digest)?, tie: number(tie)? })
    }
}

/// The text is no [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

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
    /// The responses that were sent from it and from earlier entries of the file in the coding, at most a minute
    /// late; null if they are not known.
    hits: Option<u64>,
}

fn as_str<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl EntryList {
    /// Adds an entry.
    pub(crate) fn add(&mut self, mut entry: ListedEntry) {
        match self.encoders.get(&*entry.encoder) {
            Some(known) => entry.encoder = Arc::clone(known),
            None => drop(self.encoders.insert(Arc::clone(&entry.encoder))),
        }
        self.entries.push(entry);
    }

    /// Sorts the entries by their places.
    pub(crate) fn sort(&mut self, by: Sort) {
        self.entries.sort_by_cached_key(|entry| entry.place(by));
    }

    /// Drops all entries but the first ones, and the encoders that only those had.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
        self.encoders.retain(|encoder| Arc::strong_count(encoder) > 1);
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
    /// The entry for a list of those that have the text of a `filter`; `None` if it has not.
    pub(crate) fn of(entry: &StoredEntry, filter: Option<&str>) -> Option<Self> {
        filter.is_none_or(|filter| has_text(entry, filter)).then(|| Self {
            digest: entry.digest,
            coding: entry.coding.clone(),
            kind: entry.kind,
            source_bytes: entry.source_len,
            encoded_bytes: (entry.kind == Kind::Representation).then_some(entry.encoded_len),
            bytes: entry.size,
            level: entry.level(),
            encoder: entry.settings.as_str().into(),
            created: entry.created,
            used: entry.used,
            hits: entry.hits,
        })
    }

    /// The entry's place in a list that is sorted so: the largest, the least compressed, the oldest, or the
    /// longest unused comes first.
    pub(crate) fn place(&self, by: Sort) -> Place {
        let since_1970 = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |time| u64::try_from(since_1970(time).as_nanos()).unwrap_or(u64::MAX);
        let rank = match by {
            Sort::Size => u64::MAX - self.bytes,
            // Verdicts, which save nothing, come first. The bits of numbers from 0 on are in their order.
            Sort::Ratio => u64::MAX - self.ratio().unwrap_or(f64::INFINITY).to_bits(),
            Sort::Age => nanos(self.created),
            Sort::LastUse => nanos(self.used),
        };
        let digest = self.digest.hex();
        let mut hasher = DefaultHasher::new();
        (&digest, self.coding.as_str(), &*self.encoder, self.kind.as_str()).hash(&mut hasher);
        let digest = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
        Place { rank, digest, tie: hasher.finish() }
    }

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
            hits: self.hits,
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

    /// Whether an entry that was `created` then is that old at the time `now`, or older.
    fn is_old_enough(&self, created: SystemTime, now: SystemTime) -> bool {
        let age = || now.duration_since(created).unwrap_or_default();
        self.older_than.is_none_or(|least| age() >= least)
    }

    /// Whether an entry of this `digest` is chosen at the time `now`. Of a damaged one no more is known,
    /// and it meets no other condition.
    pub(crate) fn has(
        &self,
        digest: &Digest,
        entry: Option<&StoredEntry>,
        now: SystemTime,
    ) -> bool {
        let is = |coding: &ContentCoding| entry.is_some_and(|entry| *coding == entry.coding);
        let is_old = || entry.is_some_and(|entry| self.is_old_enough(entry.created, now));
        self.digests.as_ref().is_none_or(|digests| digests.contains(digest))
            && self.coding.as_ref().is_none_or(is)
            && (self.older_than.is_none() || is_old())
            && self.digest.as_ref().is_none_or(|start| digest.hex().starts_with(&start.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, encoder: &str) -> ListedEntry {
        let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        ListedEntry {
            digest: Digest::of(&number.to_be_bytes()),
            coding: ContentCoding::GZIP,
            kind: Kind::Representation,
            source_bytes: 1000,
            encoded_bytes: Some(number),
            bytes: number + 100,
            level: None,
            encoder: encoder.into(),
            created: time(1000 - number),
            used: time(number),
            hits: None,
        }
    }

    #[test]
    fn encoders_go_with_their_entries() {
        let mut list = EntryList::default();
        for number in 0..100 {
            list.add(entry(number, &format!("copied from {}", number / 2)));
        }
        assert_eq!((list.entries.len(), list.encoders.len()), (100, 50));
        list.truncate(4);
        assert_eq!((list.entries.len(), list.encoders.len()), (4, 2));
    }

    #[test]
    fn place_is_in_the_order_of_the_list_and_survives_its_text() {
        for (sort, ascends) in
            [(Sort::Size, false), (Sort::Ratio, false), (Sort::Age, false), (Sort::LastUse, true)]
        {
            let mut list = EntryList::default();
            let numbers = [5, 300, 0, 7, 900];
            numbers.iter().for_each(|number| list.add(entry(*number, "one")));
            list.add(ListedEntry {
                encoded_bytes: None,
                kind: Kind::Unprofitable,
                ..entry(7, "one")
            });
            list.add(entry(7, "two"));
            list.sort(sort);
            let places: Vec<_> = list.entries.iter().map(|entry| entry.place(sort)).collect();
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{sort:?}: {places:?}");
            for place in &places {
                assert_eq!(place.to_string().parse(), Ok(*place));
            }
            let mut used: Vec<_> = list.entries.iter().map(|entry| entry.bytes - 100).collect();
            if sort == Sort::Ratio {
                assert_eq!(list.entries[0].kind, Kind::Unprofitable, "a verdict saves nothing");
                used.remove(0);
            }
            if !ascends {
                used.reverse();
            }
            assert!(used.is_sorted(), "{sort:?}: {used:?}");
        }
        let whole = "0123456789abcdef".repeat(3);
        assert_eq!(whole.parse::<Place>().unwrap().to_string(), whole);
        for wrong in ["", "7", &whole[1..], &whole.to_uppercase(), &"é".repeat(24)] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace), "{wrong}");
        }
    }

    #[test]
    fn age_that_is_the_least_is_old_enough() {
        let (zero, now) = (Duration::ZERO, SystemTime::now());
        let chosen = |older_than, age: u64| {
            let choice = Choice { older_than: Some(older_than), ..Choice::default() };
            choice.is_old_enough(now - Duration::from_secs(age), now)
        };
        assert!(chosen(zero, 0) && chosen(Duration::from_secs(3), 3));
        assert!(!chosen(Duration::from_secs(3), 2));
    }
}
