//! The state that all encode jobs of an engine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::cost::Costs;
use super::second_pass::SecondPass;
use super::under_way::UnderWay;
use crate::cache::{Cache, Key};
use crate::limits::{FAULTS, SPECULATIVE_FROM};
use crate::memory_cache::MemoryCache;
use crate::metrics::{Counters, EncodeObserver};
use crate::tier::Tier;

/// The parts of an engine that an encode job uses.
#[derive(Debug)]
pub(crate) struct JobContext {
    pub(super) cache: Cache,
    pub(super) memory: MemoryCache,
    pub(super) counters: Arc<Counters>,
    pub(super) under_way: Arc<UnderWay>,
    /// The store that replicas share.
    pub(super) tier: Option<Tier>,
    pub(super) costs: Costs,
    pub(super) second_pass: Option<Arc<SecondPass>>,
    /// Whether every encode is decoded and compared with its source.
    pub(super) prove: bool,
    /// The keys whose encoders are at fault, in case that no verdict could be stored.
    faults: quick_cache::sync::Cache<Key, ()>,
    warned_of_busy: AtomicBool,
    /// Whether a large source had to be encoded since a speculative encode began last.
    pub(super) encode_needed: Arc<AtomicBool>,
    life: AtomicU8,
}

/// Encodes begin.
const OPEN: u8 = 0;
/// No encode begins. Running ones are finished.
const FINISHING: u8 = 1;
/// No encode begins. Running ones are given up.
const CANCELLED: u8 = 2;

impl JobContext {
    pub(crate) fn new(
        cache: Cache,
        memory: MemoryCache,
        counters: Arc<Counters>,
        prove: bool,
        (tier, second_pass): (Option<Tier>, Option<Arc<SecondPass>>),
        observer: Option<EncodeObserver>,
    ) -> Self {
        Self {
            cache,
            memory,
            counters,
            under_way: Arc::new(UnderWay::new(observer)),
            tier,
            costs: Costs::default(),
            second_pass,
            prove,
            faults: quick_cache::sync::Cache::new(FAULTS),
            warned_of_busy: AtomicBool::new(false),
            encode_needed: Arc::new(AtomicBool::new(true)),
            life: AtomicU8::new(OPEN),
        }
    }

    /// Lets no encode begin any more. Gives up running ones, unless they are to `finish`.
    pub(super) fn close(&self, finish: bool) {
        if let Some(second_pass) = &self.second_pass {
            second_pass.end();
        }
        self.life.store(if finish { FINISHING } else { CANCELLED }, Ordering::Relaxed);
    }

    /// Whether no encode begins any more.
    pub(super) fn is_closing(&self) -> bool {
        self.life.load(Ordering::Relaxed) != OPEN
    }

    /// Whether running encodes are to give up.
    pub(super) fn is_cancelled(&self) -> bool {
        self.life.load(Ordering::Relaxed) == CANCELLED
    }

    /// Whether this process gives the encoder of `key` no other chance.
    pub(super) fn is_faulty(&self, key: &Key) -> bool {
        self.faults.get(key).is_some()
    }

    pub(super) fn mark_faulty(&self, key: Key) {
        self.faults.insert(key, ());
    }

    /// Notes that a source of `len` bytes had to be encoded.
    pub(super) fn note_encode(&self, len: u64) {
        if len >= SPECULATIVE_FROM {
            self.encode_needed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether this is the first call, whose caller warns.
    pub(super) fn first_busy(&self) -> bool {
        !self.warned_of_busy.swap(true, Ordering::Relaxed)
    }
}
