//! The thresholds of deltas and their dictionaries.

use std::time::Duration;

/// The longest path of which a pattern for a dictionary is made, in bytes. Names of builds are shorter, and
/// the pattern stands in a field and in memory.
pub(crate) const DICTIONARY_PATTERN: usize = 512;

/// The patterns of a site's files that serve as dictionaries. Chromium keeps 1,000 dictionaries in all, and
/// drops those of other sites for more.
pub(crate) const DICTIONARY_PATTERNS: usize = 100;

/// The versions of one pattern that are kept as dictionaries. Most clients come back with one of the last
/// three.
pub(crate) const DICTIONARY_VERSIONS: usize = 3;

/// The time for which a version serves as a dictionary once it was sent last.
pub(crate) const DICTIONARY_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The lengths of sources that serve as dictionaries, in bytes. A longer one takes memory many times over.
pub(crate) const DICTIONARY_SOURCES: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 20;

/// The share of patience that a delta leaves to a plain coding, which begins within 3 ms: one in this many.
pub(crate) const DELTA_LEAVES: u32 = 4;

/// The share of a cache's bounds that dictionaries may take in spite of eviction: one in this many.
pub(crate) const PINNED_SHARE: u64 = 4;

/// The most bytes of the file of the ledger of dictionaries. A site takes 60 KB at most for usual names.
pub(crate) const DICTIONARY_FILE: u64 = 4 << 20;

/// The binary logarithms of the windows of `dcb`, in bytes. RFC 9842 §4 allows 16 MiB; a client reserves no
/// more memory than the source needs.
#[cfg(feature = "brotli")]
pub(crate) const DCB_WINDOW_LOGS: std::ops::RangeInclusive<u8> = 16..=24;

/// The window of `dcz` that clients have for any dictionary, in bytes: RFC 9842 §5.
#[cfg(feature = "zstd")]
pub(crate) const DCZ_WINDOW: u64 = 8 << 20;

/// The largest window of `dcz`, in bytes: RFC 9842 §5.
#[cfg(feature = "zstd")]
pub(crate) const DCZ_LARGEST_WINDOW: u64 = 128 << 20;

/// The binary logarithms of the number of places in the two tables of `dcz`, of four bytes each.
///
/// 64 MiB take 64 MiB of tables, and 10 MB take 16. Level 3 alone has tables for 1 MiB of dictionary: a
/// program of 10.2 MB then takes 4.3 MB instead of 0.75, in 40 instead of 55 ms, and a script of 1.4 MB
/// 221 KB instead of 107, in 3 ms each.
#[cfg(feature = "zstd")]
pub(crate) const DCZ_TABLE_LOGS: std::ops::RangeInclusive<u32> = 17..=23;

/// The largest length of a source of which `dcb` goes before `dcz`, in bytes. At this length `dcb` takes
/// 0.1 s, and four fifths of the bytes of `dcz`.
#[cfg(all(feature = "brotli", feature = "zstd"))]
pub(crate) const DCB_UP_TO: u64 = 2 << 20;
