//! The ledger of dictionaries: the versions of files that clients may hold.
//!
//! A client that was sent a file with `Use-As-Dictionary` may name it by its digest later. The ledger says
//! of which site and pattern that file was. A digest that is not in it costs a lookup in a table, and no
//! call to the disk.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::concurrency::sync::{Mutex, lock};
use crate::http::Digest;
use crate::limits::{DICTIONARY_LIFETIME, DICTIONARY_PATTERNS, DICTIONARY_VERSIONS};

/// The versions of the files of each site, by the pattern of their paths.
///
/// One site's versions are none of another's, so nobody can learn through one what another one has.
#[derive(Debug, Default)]
pub(crate) struct Dictionaries(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    sites: HashMap<Box<str>, HashMap<Box<str>, Vec<Version>>>,
    /// The number of versions with each digest.
    digests: HashMap<Digest, usize>,
}

/// A version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) digest: Digest,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// The time at which it was sent last, in seconds since 1970.
    served: u64,
}

impl Dictionaries {
    /// Notes that a file was sent whose path has `pattern`. Returns whether it is in the ledger, which has
    /// room for [`DICTIONARY_PATTERNS`] patterns of a site.
    pub(crate) fn note(&self, site: &str, pattern: &str, digest: Digest, len: u64) -> bool {
        self.note_at(site, pattern, Version { digest, len, served: now() })
    }

    fn note_at(&self, site: &str, pattern: &str, version: Version) -> bool {
        let mut ledger = lock(&self.0);
        let Ledger { sites, digests } = &mut *ledger;
        let patterns = match sites.get_mut(site) {
            Some(patterns) => patterns,
            None => sites.entry(site.into()).or_default(),
        };
        let versions = match patterns.get_mut(pattern) {
            Some(versions) => versions,
            None => {
                if patterns.len() >= DICTIONARY_PATTERNS {
                    patterns.retain(|_, versions| {
                        let gone = versions.iter().all(|old| old.has_expired(version.served));
                        if gone {
                            versions.iter().for_each(|old| forget(digests, &old.digest));
                        }
                        !gone
                    });
                }
                if patterns.len() >= DICTIONARY_PATTERNS {
                    return false;
                }
                patterns.entry(pattern.into()).or_default()
            }
        };
        match versions.iter_mut().find(|known| known.digest == version.digest) {
            Some(known) => known.served = known.served.max(version.served),
            None => {
                *digests.entry(version.digest).or_default() += 1;
                versions.push(version);
            }
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version.served));
        while versions.len() > DICTIONARY_VERSIONS {
            let oldest = versions.pop();
            oldest.iter().for_each(|oldest| forget(digests, &oldest.digest));
        }
        true
    }

    /// Whether any file with this digest is in the ledger. Its entries are kept from eviction.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        lock(&self.0).digests.contains_key(digest)
    }

    /// Returns the version that `digest` names among those of a pattern, and behind it the others. `None`
    /// if there is none, or it was sent too long ago.
    pub(crate) fn versions(
        &self,
        site: &str,
        pattern: &str,
        digest: &Digest,
    ) -> Option<Vec<Version>> {
        let ledger = lock(&self.0);
        let mut versions = ledger.sites.get(site)?.get(pattern)?.clone();
        drop(ledger);
        let now = now();
        versions.retain(|version| !version.has_expired(now));
        let at = versions.iter().position(|version| version.digest == *digest)?;
        versions.swap(0, at);
        Some(versions)
    }

    /// Forgets all versions with `digest`, whose content cannot be had any more.
    pub(crate) fn forget(&self, digest: &Digest) {
        let Ledger { sites, digests } = &mut *lock(&self.0);
        digests.remove(digest);
        for patterns in sites.values_mut() {
            patterns.values_mut().for_each(|versions| versions.retain(|v| v.digest != *digest));
            patterns.retain(|_, versions| !versions.is_empty());
        }
    }
}

impl Version {
    fn has_expired(&self, now: u64) -> bool {
        now.saturating_sub(self.served) > DICTIONARY_LIFETIME.as_secs()
    }
}

fn forget(digests: &mut HashMap<Digest, usize>, digest: &Digest) {
    if let Some(count) = digests.get_mut(digest) {
        *count -= 1;
        if *count == 0 {
            digests.remove(digest);
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.as_ref().map_or(0, Duration::as_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(content: usize) -> Digest {
        Digest::of(&content.to_le_bytes())
    }

    fn version(content: usize, served: u64) -> Version {
        Version { digest: digest(content), len: 1, served }
    }

    #[test]
    fn version_is_found_for_its_own_site_and_pattern_only() {
        let ledger = Dictionaries::default();
        assert!(ledger.note("a", "/*.js", digest(1), 10));
        assert!(ledger.note("a", "/*.js", digest(2), 20));
        let found = ledger.versions("a", "/*.js", &digest(1)).unwrap();
        let lens: Vec<_> = found.iter().map(|version| version.len).collect();
        assert_eq!(lens, [10, 20], "the named one comes first");
        for (site, pattern, content) in
            [("b", "/*.js", 1), ("a", "/*.css", 1), ("a", "/*.js", 3), ("", "", 1)]
        {
            assert_eq!(ledger.versions(site, pattern, &digest(content)), None, "{site} {pattern}");
        }
        assert!(ledger.has(&digest(1)) && !ledger.has(&digest(3)));
    }

    #[test]
    fn ledger_keeps_the_three_versions_that_were_sent_last() {
        let ledger = Dictionaries::default();
        let today = now();
        for (content, served) in [(1, 40), (2, 30), (3, 20), (1, 10), (4, 0)] {
            assert!(ledger.note_at("", "/*.js", version(content, today - served)));
        }
        for (content, kept) in [(1, true), (2, false), (3, true), (4, true)] {
            assert_eq!(ledger.has(&digest(content)), kept, "{content}");
            let found = ledger.versions("", "/*.js", &digest(content));
            assert_eq!(found.is_some(), kept, "{content}");
        }
    }

    #[test]
    fn version_of_31_days_ago_is_none() {
        let ledger = Dictionaries::default();
        let day = 24 * 60 * 60;
        ledger.note_at("", "/*.js", version(1, now() - 31 * day));
        ledger.note_at("", "/*.css", version(1, now() - 29 * day));
        assert_eq!(ledger.versions("", "/*.js", &digest(1)), None);
        assert!(ledger.versions("", "/*.css", &digest(1)).is_some());
    }

    #[test]
    fn site_has_room_for_a_hundred_patterns() {
        let ledger = Dictionaries::default();
        let old = now() - 40 * 24 * 60 * 60;
        ledger.note_at("", "old", version(9999, old));
        for content in 1..DICTIONARY_PATTERNS {
            assert!(ledger.note("", &format!("/{content}-*.js"), digest(content), 1));
        }
        assert!(ledger.note("", "/one-more", digest(7), 1), "an old one makes room");
        assert!(!ledger.has(&digest(9999)));
        assert!(!ledger.note("", "/and-one", digest(5000), 1));
        assert!(!ledger.has(&digest(5000)));
        assert!(ledger.note("another", "/and-one", digest(5000), 1));
    }

    #[test]
    fn forgotten_version_is_gone_from_all_patterns() {
        let ledger = Dictionaries::default();
        ledger.note("a", "/*.js", digest(1), 1);
        ledger.note("b", "/*.js", digest(1), 1);
        ledger.note("b", "/*.js", digest(2), 1);
        ledger.forget(&digest(1));
        assert!(!ledger.has(&digest(1)) && ledger.has(&digest(2)));
        assert_eq!(ledger.versions("a", "/*.js", &digest(1)), None);
        ledger.note("a", "/*.js", digest(1), 1);
        assert!(ledger.versions("a", "/*.js", &digest(1)).is_some());
    }
}
