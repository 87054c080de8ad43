//! The uses of entries, by which the second pass chooses among them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::cache::{Ledger, StoredUse};
use crate::catalog::{Catalog, Resource, WeakCatalog};
use crate::concurrency::sync::{Mutex, clock, lock};
use crate::http::{ContentCoding, Digest};
use crate::limits::{LEAST_HITS, RECOMPRESS_RETRY, USES};

/// The uses of the entries of late. The least used ones are forgotten.
#[derive(Debug)]
pub(super) struct Uses {
    uses: quick_cache::sync::Cache<UseKey, Arc<Use>>,
    news: Arc<AtomicBool>,
}

/// A content in a coding, whichever encoder makes it.
pub(super) type UseKey = (Digest, ContentCoding);

/// The use of one content in one coding.
#[derive(Debug)]
pub(crate) struct Use {
    hits: AtomicU64,
    /// The hits that the ledger has, and the time of the last one of those, in hours since 1970.
    stored_hits: AtomicU64,
    used: AtomicU64,
    /// Whether there is something to do for the second pass, here or elsewhere.
    news: Arc<AtomicBool>,
    /// The length of the payload of the first pass in bytes; 0 if it is not known.
    encoded_len: AtomicU64,
    class: Class,
    /// Whether the second pass has nothing to do for it any more.
    is_settled: AtomicBool,
    /// The time before which it is not tried again, in milliseconds of [`clock`].
    not_before: AtomicU64,
    /// A resource that has the content, for as long as its catalog knows it.
    resource: Mutex<Option<(WeakCatalog, Weak<Resource>)>>,
}

/// The payload of a response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    /// One of the first pass, of this length, if that is known already.
    First {
        len: Option<u64>,
        /// Whether the response has had it encoded.
        is_new: bool,
    },
    /// One of the second pass.
    Better,
}

/// Media types whose files compress alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Page,
    Script,
    Style,
    Data,
    Text,
    Other,
}

impl Class {
    const ALL: [Self; 6] =
        [Self::Page, Self::Script, Self::Style, Self::Data, Self::Text, Self::Other];

    /// The class that the ledger has by this number.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == number)
    }

    fn of(media_type: &str) -> Self {
        let essence = media_type.split(';').next().unwrap_or("").trim();
        match essence {
            "text/html" | "application/xhtml+xml" => Self::Page,
            "text/javascript" | "application/javascript" => Self::Script,
            "text/css" => Self::Style,
            _ if essence.ends_with("json") || essence.ends_with("xml") => Self::Data,
            _ if essence.starts_with("text/") => Self::Text,
            _ => Self::Other,
        }
    }
}

impl Default for Uses {
    fn default() -> Self {
        Self { uses: quick_cache::sync::Cache::new(USES), news: Arc::default() }
    }
}

impl Uses {
    /// Returns the use of the content `digest` in `coding`.
    pub(super) fn of(
        &self,
        digest: Digest,
        coding: &ContentCoding,
        resource: &Resource,
    ) -> Arc<Use> {
        let key = (digest, coding.clone());
        if let Some(known) = self.uses.get(&key) {
            return known;
        }
        let class = Class::of(resource.media_type.to_str().unwrap_or(""));
        let new = || Ok::<_, Infallible>(Arc::new(Use::new(class, &self.news)));
        let Ok(new) = self.uses.get_or_insert_with(&key, new);
        new
    }

    /// Whether an entry may have come to be one for the second pass since the last call.
    pub(super) fn take_news(&self) -> bool {
        self.news.swap(false, Ordering::Relaxed)
    }

    /// Has the entries looked at again.
    pub(super) fn look_again(&self) {
        self.news.store(true, Ordering::Relaxed);
    }

    /// Takes over the uses that an earlier process has counted.
    pub(super) fn restore(&self, ledger: &Ledger) {
        for (key, stored) in &ledger.uses {
            let entry =
                Use::new(Class::of_number(stored.class).unwrap_or(Class::Other), &self.news);
            entry.hits.store(stored.hits, Ordering::Relaxed);
            entry.stored_hits.store(stored.hits, Ordering::Relaxed);
            entry.used.store(stored.used, Ordering::Relaxed);
            entry.encoded_len.store(stored.encoded_len, Ordering::Relaxed);
            // A response that was sent meanwhile has counted itself.
            if let Some(known) = self.uses.get(key) {
                known.hits.fetch_add(stored.hits, Ordering::Relaxed);
                self.look_again();
            } else {
                self.uses.insert(key.clone(), Arc::new(entry));
            }
        }
    }

    /// Adds the uses to `ledger`, at the present `hour`. Returns whether any was used since the last time.
    pub(super) fn store(&self, ledger: &mut Ledger, hour: u64) -> bool {
        let mut has_changed = false;
        for (key, entry) in self.uses.iter() {
            let hits = entry.hits();
            if entry.stored_hits.swap(hits, Ordering::Relaxed) != hits {
                entry.used.store(hour, Ordering::Relaxed);
                has_changed = true;
            }
            let stored = StoredUse {
                hits,
                encoded_len: entry.encoded_len.load(Ordering::Relaxed),
                class: entry.class as u8,
                used: entry.used.load(Ordering::Relaxed),
            };
            ledger.uses.insert(key, stored);
        }
        has_changed
    }

    pub(super) fn forget(&self, digest: Digest, coding: &ContentCoding) {
        self.uses.remove(&(digest, coding.clone()));
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (UseKey, Arc<Use>)> {
        self.uses.iter()
    }
}

impl Use {
    fn new(class: Class, news: &Arc<AtomicBool>) -> Self {
        Self {
            hits: AtomicU64::new(0),
            stored_hits: AtomicU64::new(0),
            used: AtomicU64::new(0),
            news: Arc::clone(news),
            encoded_len: AtomicU64::new(0),
            class,
            is_settled: AtomicBool::new(false),
            not_before: AtomicU64::new(0),
            resource: Mutex::default(),
        }
    }

    /// Counts a response.
    pub(crate) fn hit(&self) {
        let hits = self.hits.fetch_add(1, Ordering::Relaxed) + 1;
        if hits >= LEAST_HITS && !self.is_settled.load(Ordering::Relaxed) {
            self.news.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a response that was made of `resource`.
    pub(super) fn note(&self, catalog: &Catalog, resource: &Arc<Resource>, sent: Sent) {
        match sent {
            Sent::First { len, is_new } => {
                if let Some(len) = len {
                    self.encoded_len.store(len, Ordering::Relaxed);
                }
                if is_new {
                    self.is_settled.store(false, Ordering::Relaxed);
                }
            }
            Sent::Better => self.settle(),
        }
        self.hit();
        // The latest one lives the longest. One that a handler brought leads nowhere.
        if resource.brought.is_none() {
            *lock(&self.resource) = Some((catalog.downgrade(), Arc::downgrade(resource)));
        }
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// The length of the payload of the first pass, as long as the second one may make it shorter.
    pub(super) fn open_len(&self) -> Option<u64> {
        let len = self.encoded_len.load(Ordering::Relaxed);
        (len > 0 && !self.is_settled.load(Ordering::Relaxed)).then_some(len)
    }

    pub(super) fn resource(&self) -> Option<(Catalog, Arc<Resource>)> {
        let known = lock(&self.resource);
        let (catalog, resource) = known.as_ref()?;
        Some((catalog.upgrade()?, resource.upgrade()?))
    }

    /// Whether a further try is to wait.
    pub(super) fn is_put_off(&self) -> bool {
        self.not_before.load(Ordering::Relaxed) > clock()
    }

    /// Lets a further try wait.
    pub(super) fn put_off(&self) {
        let later = clock().saturating_add(RECOMPRESS_RETRY.as_millis() as u64);
        self.not_before.store(later, Ordering::Relaxed);
    }

    pub(super) fn settle(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
    }
}
