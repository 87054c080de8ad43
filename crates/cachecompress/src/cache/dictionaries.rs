//! The ledger of dictionaries: the versions of files that clients may hold.
//!
//! A client that was sent a file with `Use-As-Dictionary` may name it by its digest later. The ledger says
//! of which site and pattern that file was. A digest that is not in it costs a lookup in a table, and no
//! call to the disk.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::concurrency::sync::{Mutex, lock};
use crate::http::{Digest, decode_leniently, encode_bytes};
use crate::limits::{
    DICTIONARY_FILE, DICTIONARY_LIFETIME, DICTIONARY_PATTERNS, DICTIONARY_VERSIONS,
};

const HOUR: u64 = 60 * 60;

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
    /// Whether the file of the ledger is behind.
    has_changed: bool,
}

/// The first line of the file of the ledger. Another one is of another format.
const FIRST_LINE: &str = "cachecompress dictionaries 1";

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
        let Ledger { sites, digests, has_changed } = &mut *ledger;
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
            Some(known) => {
                // A file that says it to the hour is good enough for 30 days.
                *has_changed |= version.served / HOUR > known.served / HOUR;
                known.served = known.served.max(version.served);
            }
            None => {
                *has_changed = true;
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
        let Ledger { sites, digests, has_changed } = &mut *lock(&self.0);
        *has_changed |= digests.remove(digest).is_some();
        for patterns in sites.values_mut() {
            patterns.values_mut().for_each(|versions| versions.retain(|v| v.digest != *digest));
            patterns.retain(|_, versions| !versions.is_empty());
        }
    }
}

impl Dictionaries {
    /// Forgets a site, whose name nobody will use again.
    pub(crate) fn forget_site(&self, site: &str) {
        let Ledger { sites, digests, has_changed } = &mut *lock(&self.0);
        for version in sites.remove(site).into_iter().flat_map(HashMap::into_values).flatten() {
            forget(digests, &version.digest);
            *has_changed = true;
        }
    }

    /// Forgets the versions that were sent too long ago.
    pub(super) fn prune(&self) {
        let (now, Ledger { sites, digests, .. }) = (now(), &mut *lock(&self.0));
        for patterns in sites.values_mut() {
            patterns.retain(|_, versions| {
                versions.retain(|version| {
                    let has_expired = version.has_expired(now);
                    if has_expired {
                        forget(digests, &version.digest);
                    }
                    !has_expired
                });
                !versions.is_empty()
            });
        }
    }

    /// Whether the ledger has changed since it was last asked.
    pub(super) fn take_changed(&self) -> bool {
        std::mem::take(&mut lock(&self.0).has_changed)
    }

    pub(super) fn set_changed(&self) {
        lock(&self.0).has_changed = true;
    }

    /// Writes the ledger as lines of time, length, digest, pattern and site. Versions that were sent too
    /// long ago are left out.
    pub(super) fn to_text(&self) -> String {
        use std::fmt::Write as _;

        let (ledger, now) = (lock(&self.0), now());
        let mut text = format!("{FIRST_LINE}\n");
        // The name of a service that has none of its own ends with it.
        for (site, patterns) in ledger.sites.iter().filter(|(site, _)| !site.starts_with('\0')) {
            let mut name = String::new();
            encode_bytes(site.as_bytes(), b"/", &mut name);
            for (pattern, versions) in patterns {
                for Version { digest, len, served } in
                    versions.iter().filter(|version| !version.has_expired(now))
                {
                    let _ = writeln!(text, "{served} {len} {digest:?} {pattern} {name}");
                }
            }
            if text.len() as u64 > DICTIONARY_FILE / 2 {
                break;
            }
        }
        text
    }

    /// Adds the versions of such a text. A line that is not whole or not sound is passed over.
    pub(super) fn merge(&self, text: &str) {
        let Some(rest) = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n'))
        else {
            return;
        };
        let now = now();
        for line in rest.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            if let Some((site, pattern, version)) = parse(line)
                && version.served <= now
                && !version.has_expired(now)
            {
                self.note_at(&site, pattern, version);
            }
        }
    }
}

/// Parses a line of the file.
fn parse(line: &str) -> Option<(String, &str, Version)> {
    let mut words = line.split(' ');
    let served = words.next()?.parse().ok()?;
    let len = words.next()?.parse().ok()?;
    let digest = digest_of_hex(words.next()?)?;
    let pattern = words.next().filter(|pattern| pattern.contains('*'))?;
    let site = String::from_utf8(decode_leniently(words.next()?)).ok()?;
    words.next().is_none().then_some((site, pattern, Version { digest, len, served }))
}

fn digest_of_hex(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(Digest::from_bytes(bytes))
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
        ledger.note_at("", "/*.txt", version(2, now() - 31 * day));
        ledger.prune();
        assert!(ledger.has(&digest(1)) && !ledger.has(&digest(2)));
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
    fn text_of_the_ledger_reads_back() {
        let ledger = Dictionaries::default();
        assert!(!ledger.take_changed());
        for (site, pattern, content) in
            [("", "/a-*.js", 1), ("shop one\n", "/a-*.js", 1), ("", "/a-*.js", 2), ("x", "/*/t", 3)]
        {
            assert!(ledger.note(site, pattern, digest(content), 10 + content as u64));
        }
        assert!(ledger.take_changed() && !ledger.take_changed());
        let text = ledger.to_text();
        let read = Dictionaries::default();
        read.merge(&text);
        let found = read.versions("shop one\n", "/a-*.js", &digest(1)).unwrap();
        assert_eq!(found, ledger.versions("shop one\n", "/a-*.js", &digest(1)).unwrap());
        assert_eq!(read.versions("", "/a-*.js", &digest(2)).map(|found| found.len()), Some(2));
        assert!(read.has(&digest(3)));
    }

    #[test]
    fn lines_that_are_not_sound_are_passed_over() {
        let hex = digest(1).hex();
        let good = format!("{} 5 {hex} /*.js s\n", now());
        let has = |text: &str| {
            let ledger = Dictionaries::default();
            ledger.merge(text);
            ledger.has(&digest(1))
        };
        assert!(has(&format!("{FIRST_LINE}\n{good}")));
        assert!(has(&format!("{FIRST_LINE}\nnonsense\n\n1 2 3\n{good}")));
        for bad in [
            good.clone(),
            format!("cachecompress dictionaries 2\n{good}"),
            format!("{FIRST_LINE}\n{}", good.trim_end()),
            format!("{FIRST_LINE}\n{}", good.replace(&hex, &hex[1..])),
            format!("{FIRST_LINE}\n{}", good.replace(&hex, &format!("{}é", &hex[2..]))),
            format!("{FIRST_LINE}\n{}", good.replace("/*.js", "/a.js")),
            format!("{FIRST_LINE}\n{}", good.replace(" s", " s t")),
            format!("{FIRST_LINE}\n{}", good.replace(" 5 ", " -5 ")),
            format!("{FIRST_LINE}\n99999999999 5 {hex} /*.js s\n"),
            format!("{FIRST_LINE}\n1 5 {hex} /*.js s\n"),
        ] {
            assert!(!has(&bad), "{bad:?}");
        }
    }

    #[test]
    fn forgotten_site_leaves_nothing() {
        let ledger = Dictionaries::default();
        ledger.note("\u{0}7", "/*.js", digest(1), 1);
        ledger.note("\u{0}7", "/*.js", digest(2), 1);
        ledger.note("", "/*.js", digest(2), 1);
        assert!(!ledger.to_text().contains(&digest(1).hex()));
        ledger.forget_site("\u{0}7");
        assert!(!ledger.has(&digest(1)) && ledger.has(&digest(2)));
        assert_eq!(ledger.versions("\u{0}7", "/*.js", &digest(2)), None);
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
