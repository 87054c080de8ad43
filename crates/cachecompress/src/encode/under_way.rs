//! The encodes that run or wait for a thread, for those who watch over them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::body::Production;
use crate::concurrency::sync::{Mutex, lock};
use crate::http::{ContentCoding, Digest, SourcePath};
use crate::metrics::{EncodeObserver, EncodeProgress, EncodeState};

/// The encodes of an engine from their queueing to their end.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    encodes: Mutex<Numbered>,
    observer: Option<EncodeObserver>,
}

/// The encodes in the order in which they were queued.
#[derive(Debug, Default)]
struct Numbered {
    next: u64,
    encodes: BTreeMap<u64, Arc<Encode>>,
}

/// One encode, whose progress is followed.
#[derive(Debug)]
struct Encode {
    path: SourcePath,
    digest: Digest,
    coding: ContentCoding,
    source_bytes: u64,
    read_bytes: AtomicU64,
    production: Arc<Production>,
    queued: Instant,
    /// The time at which a thread took it.
    taken: OnceLock<Instant>,
    /// Whether its encoder has begun. An encode ends without if the cache has its result by then, or a
    /// sample saves too little.
    begun: AtomicBool,
}

/// A place among the encodes under way, which a drop gives up.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    encode: Arc<Encode>,
    under_way: Arc<UnderWay>,
}

impl UnderWay {
    /// Follows encodes, and tells `observer` of those that begin and end.
    pub(super) fn new(observer: Option<EncodeObserver>) -> Self {
        Self { encodes: Mutex::default(), observer }
    }

    /// Adds an encode that waits for a thread.
    pub(super) fn enter(
        self: &Arc<Self>,
        path: &SourcePath,
        (digest, source_bytes): (Digest, u64),
        coding: &ContentCoding,
        production: &Arc<Production>,
    ) -> Place {
        let encode = Arc::new(Encode {
            path: path.clone(),
            digest,
            coding: coding.clone(),
            source_bytes,
            read_bytes: AtomicU64::new(0),
            production: Arc::clone(production),
            queued: Instant::now(),
            taken: OnceLock::new(),
            begun: AtomicBool::new(false),
        });
        let mut numbered = lock(&self.encodes);
        let number = numbered.next;
        numbered.next += 1;
        numbered.encodes.insert(number, Arc::clone(&encode));
        drop(numbered);
        Place { number, encode, under_way: Arc::clone(self) }
    }

    /// Takes a snapshot of all of them, the oldest first.
    pub(super) fn snapshot(&self) -> Vec<EncodeProgress> {
        let encodes: Vec<_> = lock(&self.encodes).encodes.values().cloned().collect();
        encodes.iter().map(|encode| encode.progress(encode.state())).collect()
    }

    fn tell(&self, encode: &Encode, state: EncodeState) {
        if let Some(observer) = &self.observer {
            observer.tell(&encode.progress(state));
        }
    }
}

impl Encode {
    fn state(&self) -> EncodeState {
        match self.taken.get() {
            Some(_) => EncodeState::Running,
            None => EncodeState::Queued,
        }
    }

    fn progress(&self, state: EncodeState) -> EncodeProgress {
        EncodeProgress {
            path: self.path.clone(),
            digest: self.digest,
            coding: self.coding.clone(),
            source_bytes: self.source_bytes,
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            encoded_bytes: self.production.stage().available(),
            waiters: self.production.watchers(),
            state,
            elapsed: self.taken.get().unwrap_or(&self.queued).elapsed(),
        }
    }
}

impl Place {
    /// Notes that a thread works at the encode.
    pub(super) fn taken(&self) {
        let _ = self.encode.taken.set(Instant::now());
    }

    /// Notes that the encoder begins, and tells the observer.
    pub(super) fn begin(&self) {
        self.encode.begun.store(true, Ordering::Relaxed);
        self.under_way.tell(&self.encode, EncodeState::Running);
    }

    /// Notes that the encoder has taken so many bytes.
    pub(super) fn read(&self, bytes: u64) {
        self.encode.read_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The time since a thread took the encode, if its encoder has begun.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        let is_begun = self.encode.begun.load(Ordering::Relaxed);
        self.encode.taken.get().filter(|_| is_begun).map(Instant::elapsed)
    }

    /// Takes the encode from those under way.
    pub(super) fn leave(&self) {
        lock(&self.under_way.encodes).encodes.remove(&self.number);
    }

    /// Tells the observer of the end, if the encoder had begun.
    pub(super) fn end(self, state: EncodeState) {
        if self.encode.begun.load(Ordering::Relaxed) {
            self.under_way.tell(&self.encode, state);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
