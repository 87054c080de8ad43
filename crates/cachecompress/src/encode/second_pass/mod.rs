//! The second pass: entries in use get smaller bytes while nothing else is to be done.
//!
//! This is its state, which encodes, answers and its thread share: the uses of entries, the needs of requests,
//! the processor time that is left, and what earlier encodes have saved.

mod budget;
mod demand;
mod pressure;
mod recompress;
mod savings;
mod uses;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use self::budget::Budget;
use self::demand::Demand;
pub(super) use self::demand::Need;
use self::pressure::Pressure;
pub use self::recompress::Recompress;
use self::savings::{Group, Savings};
pub(crate) use self::uses::Use;
use self::uses::{Sent, Uses};
use super::cost::Costs;
use crate::cache::{Cache, Ledger};
use crate::catalog::{Catalog, Resource};
use crate::codec::{Codec, Codecs};
use crate::concurrency::cpu_time;
use crate::concurrency::sync::{Mutex, lock};
use crate::http::{ContentCoding, Digest, EncoderId};
use crate::limits::{LEAST_HITS, LEDGER_HOURS, PAUSE_LOOK, PAUSE_MOST};
use crate::log;
use crate::metrics::SecondPassMetrics;

/// The state of the second pass.
#[derive(Debug)]
pub(crate) struct SecondPass {
    settings: Recompress,
    codecs: Codecs,
    cache: Cache,
    uses: Uses,
    demand: Arc<Demand>,
    pressure: Pressure,
    budget: Mutex<Budget>,
    savings: Mutex<Savings>,
    /// The processor time of the present encode.
    clock: Mutex<EncodeClock>,
    has_ended: AtomicBool,
    encodes: AtomicU64,
    saved_bytes: AtomicU64,
    cpu_nanos: AtomicU64,
    /// That time when the ledger was last stored.
    stored_cpu: AtomicU64,
}

/// The processor time of an encode, as its thread counts it.
#[derive(Clone, Copy, Debug, Default)]
struct EncodeClock {
    /// The time of the thread when it was last counted.
    counted: Duration,
    /// The time that the encode has spent.
    spent: Duration,
}

/// An entry that the second pass may make smaller.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) catalog: Catalog,
    pub(super) resource: Arc<Resource>,
    /// The better codec.
    pub(super) codec: Codec,
    pub(super) entry: Arc<Use>,
    group: Group,
    earlier: u64,
}

impl SecondPass {
    pub(crate) fn new(settings: Recompress, codecs: Codecs, cache: Cache) -> Self {
        Self {
            budget: Mutex::new(Budget::new(settings.share())),
            pressure: Pressure::new(settings.most_pressure()),
            settings,
            codecs,
            cache,
            uses: Uses::default(),
            demand: Arc::default(),
            savings: Mutex::default(),
            clock: Mutex::default(),
            has_ended: AtomicBool::new(false),
            encodes: AtomicU64::new(0),
            saved_bytes: AtomicU64::new(0),
            cpu_nanos: AtomicU64::new(0),
            stored_cpu: AtomicU64::new(0),
        }
    }

    /// Derives the ids of all better codecs. Takes some 0.2 s.
    pub(super) fn derive(&self) {
        for codec in &self.codecs {
            let _ = codec.derive_better();
        }
    }

    /// Whether the pass encodes anything by itself.
    pub(super) fn is_on(&self) -> bool {
        self.settings.share() > 0.0
    }

    /// Takes over what earlier processes have counted. Blocks on the disk.
    pub(super) fn restore(&self) {
        let ledger = self.cache.ledger();
        lock(&self.budget).restore(&ledger.spent);
        lock(&self.savings).restore(&ledger);
        self.uses.restore(&ledger);
    }

    /// Stores what was counted, if that has changed since the last time. Blocks on the disk.
    pub(crate) fn store(&self) {
        let mut ledger = Ledger::default();
        let hour = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let hour = hour.as_secs() / 3600;
        let cpu = self.cpu_nanos.load(Ordering::Relaxed);
        let was_used = self.uses.store(&mut ledger, hour);
        let has_spent = self.stored_cpu.swap(cpu, Ordering::Relaxed) != cpu;
        if !was_used && !has_spent {
            return;
        }
        ledger.spent = lock(&self.budget).stored();
        lock(&self.savings).store(&mut ledger);
        let oldest = hour.saturating_sub(LEDGER_HOURS);
        // A cache that is gone, or has no room, counts anew.
        if let Err(error) = self.cache.write_ledger(ledger, oldest) {
            log::debug!(%error, "the uses of entries could not be stored");
        }
    }

    /// Notes that a response is sent whose body is a whole representation of `resource`, of `len` bytes once that
    /// is known, which it has had encoded if it `is_new`. Returns the entry's counter, for responses that are
    /// copies of this one.
    pub(crate) fn note(
        &self,
        catalog: &Catalog,
        resource: &Arc<Resource>,
        (coding, id): (&ContentCoding, EncoderId),
        (len, is_new): (Option<u64>, bool),
    ) -> Option<Arc<Use>> {
        let codec = self.codecs.get(coding).filter(|codec| codec.has_better())?;
        let sent = match codec.id(resource.len) == id {
            true => Sent::First { len, is_new },
            false if codec.better()?.id(resource.len) == id => Sent::Better,
            false => return None,
        };
        let entry = self.uses.of(resource.digest()?, coding, resource);
        entry.note(catalog, resource, sent);
        Some(entry)
    }

    /// Forgets the uses of a content that is gone from its source.
    pub(crate) fn forget(&self, digest: Digest) {
        self.codecs.iter().for_each(|codec| self.uses.forget(digest, &codec.coding));
    }

    /// Notes that an encode is needed, until the result is dropped.
    pub(super) fn need(&self) -> Need {
        self.demand.enter()
    }

    /// Whether an encode of the second pass may begin.
    pub(super) fn may_begin(&self) -> bool {
        self.demand.rests_for(self.settings.rest_time())
            && self.pressure.is_low()
            && lock(&self.budget).left() > Duration::ZERO
    }

    /// Chooses the entry that saves the most bytes for its processor time.
    pub(super) fn choose(&self, costs: &Costs) -> Option<Candidate> {
        if !self.uses.take_news() {
            return None;
        }
        let (left, hourly) = {
            let mut budget = lock(&self.budget);
            (budget.left(), budget.hourly())
        };
        let savings = lock(&self.savings);
        let mut best: Option<(f64, Candidate)> = None;
        for ((_, coding), entry) in self.uses.all() {
            let Some(codec) = self.codecs.get(&coding).and_then(Codec::better) else { continue };
            let hits = entry.hits();
            let Some((earlier, (catalog, resource))) =
                entry.open_len().zip(entry.resource()).filter(|_| hits >= LEAST_HITS)
            else {
                continue;
            };
            let cost = costs.predict(codec, resource.len);
            // One that takes more than is left waits, and leaves the time to others. One that takes more than all
            // of an hour never begins.
            if cost > left || entry.is_put_off() {
                if cost <= hourly {
                    self.uses.look_again();
                }
                continue;
            }
            let group = Group::of(&coding, entry.class(), resource.len);
            let worth = worth(hits, earlier, savings.predict(&group), cost);
            if best.as_ref().is_none_or(|(known, _)| worth > *known) {
                let codec = codec.clone();
                best = Some((worth, Candidate { catalog, resource, codec, entry, group, earlier }));
            }
        }
        let (_, best) = best?;
        // There may be more.
        self.uses.look_again();
        Some(best)
    }

    /// Begins to count the processor time of the calling thread.
    pub(super) fn begin(&self) {
        *lock(&self.clock) = EncodeClock { counted: cpu_time::time(), spent: Duration::ZERO };
    }

    /// Waits while a request needs an encoder, other work waits for a processor, or no processor time is left.
    /// Breaks if the encode is to be given up.
    pub(super) fn pause(&self, is_closing: impl Fn() -> bool) -> ControlFlow<()> {
        self.count();
        let begun = Instant::now();
        loop {
            if self.has_ended.load(Ordering::Relaxed) || is_closing() {
                return ControlFlow::Break(());
            }
            let is_free = !self.demand.is_there()
                && !self.pressure.is_high()
                && lock(&self.budget).left() > Duration::ZERO;
            if is_free {
                return ControlFlow::Continue(());
            }
            // It holds memory, and room in the cache.
            if begun.elapsed() > PAUSE_MOST {
                return ControlFlow::Break(());
            }
            self.demand.wait(PAUSE_LOOK);
        }
    }

    /// Counts the processor time that the calling thread has spent since the last count.
    fn count(&self) {
        let now = cpu_time::time();
        let mut clock = lock(&self.clock);
        let time = now.saturating_sub(std::mem::replace(&mut clock.counted, now));
        clock.spent += time;
        self.spend(time);
    }

    fn spend(&self, time: Duration) {
        lock(&self.budget).spend(time);
        self.cpu_nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Notes that an encode was given up, which may begin again.
    pub(super) fn interrupted(&self) {
        self.count();
    }

    /// Notes that an encode failed for a passing reason.
    pub(super) fn failed(&self, candidate: &Candidate) {
        self.count();
        candidate.entry.put_off();
    }

    /// Notes the end of an encode: the length of the payload, or `None` if it saved too little or failed. It
    /// `took` so much processor time on all threads.
    pub(super) fn ended(&self, candidate: &Candidate, len: Option<u64>, took: Duration) {
        self.count();
        // The proof of a large payload has a thread of its own.
        let beside = took.saturating_sub(lock(&self.clock).spent);
        self.spend(beside);
        candidate.entry.settle();
        self.encodes.fetch_add(1, Ordering::Relaxed);
        let earlier = candidate.earlier;
        let len = len.unwrap_or(earlier);
        lock(&self.savings).learn(&candidate.group, earlier, len);
        self.saved_bytes.fetch_add(earlier.saturating_sub(len), Ordering::Relaxed);
    }

    /// Lets no encode of the second pass begin any more, and gives up the one that runs.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.demand.wake();
    }

    pub(crate) fn metrics(&self) -> SecondPassMetrics {
        SecondPassMetrics {
            encodes: self.encodes.load(Ordering::Relaxed),
            saved_bytes: self.saved_bytes.load(Ordering::Relaxed),
            cpu: Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed)),
        }
    }

    /// Waits for a while, or until the pass ends. Returns whether it goes on.
    pub(super) fn wait(&self, time: Duration) -> bool {
        self.demand.wait(time);
        !self.has_ended.load(Ordering::Relaxed)
    }
}

/// The bytes that an encode saves for each second of processor time, if the entry of `earlier` bytes is sent as
/// often again.
fn worth(hits: u64, earlier: u64, saving: f64, cost: Duration) -> f64 {
    hits as f64 * earlier as f64 * saving / cost.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worth_grows_with_hits_length_and_saving_and_falls_with_the_cost() {
        let second = Duration::from_secs(1);
        let usual = worth(3, 1000, 0.1, second);
        assert!((usual - 300.0).abs() < 1e-9);
        for better in [
            worth(4, 1000, 0.1, second),
            worth(3, 1001, 0.1, second),
            worth(3, 1000, 0.11, second),
            worth(3, 1000, 0.1, second / 2),
        ] {
            assert!(better > usual);
        }
        assert!(worth(3, 1000, 0.1, Duration::ZERO).is_finite());
    }
}
