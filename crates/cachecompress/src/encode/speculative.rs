//! Speculative encodes, which begin while their source is still hashed.
//!
//! The output waits in memory, under no name and for no reader. The digest then tells whether the
//! cache has an entry already. If it has none, the encode job goes on from the output.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use super::context::JobContext;
use super::pipeline::Pipeline;
use super::source_reader::SourceReader;
use super::verdict;
use crate::catalog::{Catalog, Resource};
use crate::codec::Codec;
use crate::concurrency::cpu_time;
use crate::concurrency::sync::{Mutex, lock};
use crate::concurrency::thread_pool::{Priority, ThreadPool};
use crate::error::Error;
use crate::fs::{DiskFile, Fingerprint};
use crate::http::SourcePath;
use crate::limits::{SPECULATIVE_FROM, SPECULATIVE_ROOM};

/// Guesses the codec of a file that is not hashed yet.
pub(crate) type Guess = Box<dyn FnOnce() -> Option<Codec> + Send>;

/// A speculative encode. It runs until it is taken or dropped.
#[derive(Debug)]
pub(super) struct Speculative {
    /// The number of the catalog that `path` is of.
    catalog: u64,
    path: SourcePath,
    fingerprint: Fingerprint,
    codec: Codec,
    stop: Arc<AtomicBool>,
    pipeline: Mutex<Option<Receiver<Pipeline>>>,
}

impl Speculative {
    /// Takes the encode, if it has not been taken yet. Waits for the end of the present piece.
    pub(super) fn take(&self) -> Option<Pipeline> {
        self.stop.store(true, Ordering::Relaxed);
        let pipeline = lock(&self.pipeline).take()?;
        pipeline.recv().ok()
    }
}

impl Drop for Speculative {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The slot of the one speculative encode.
///
/// One at a time bounds the memory. After one whose entry was there already, none begins before
/// another large source had to be encoded. So a full cache costs one of them after each start.
#[derive(Debug)]
pub(super) struct SpeculativeSlot {
    taken: Mutex<Weak<Speculative>>,
    needed: Arc<AtomicBool>,
    /// Whether the hash leaves a core free.
    has_core: bool,
}

impl SpeculativeSlot {
    pub(super) fn new(cores: usize, needed: Arc<AtomicBool>) -> Self {
        Self { taken: Mutex::default(), needed, has_core: cores > 1 }
    }

    /// Finds the encode of this file by `codec`, if it runs.
    pub(super) fn find(
        &self,
        catalog: &Catalog,
        resource: &Resource,
        codec: &Codec,
    ) -> Option<Arc<Speculative>> {
        let speculative = lock(&self.taken).upgrade()?;
        let len = speculative.fingerprint.size;
        let is_same = speculative.catalog == catalog.number()
            && speculative.path == resource.path
            && Some(speculative.fingerprint) == resource.fingerprint
            && (&speculative.codec.coding, speculative.codec.id(len))
                == (&codec.coding, codec.id(len));
        is_same.then_some(speculative)
    }

    /// Gives the slot to `speculative`, if it is free and the encode is likely to be needed.
    fn take(&self, speculative: &Arc<Speculative>) -> bool {
        let mut taken = lock(&self.taken);
        let free = self.has_core
            && taken.strong_count() == 0
            && self.needed.swap(false, Ordering::Relaxed);
        if free {
            *taken = Arc::downgrade(speculative);
        }
        free
    }

    /// Begins to encode a file that is about to be hashed. It does so only if both threads are idle
    /// and the encode is likely to be needed.
    pub(super) fn begin(
        &self,
        context: &Arc<JobContext>,
        encoders: &ThreadPool,
        (catalog, path, fingerprint): (Catalog, SourcePath, Fingerprint),
        file: &Arc<dyn DiskFile>,
        guess: Guess,
    ) -> Option<Arc<Speculative>> {
        let len = fingerprint.size;
        if len < SPECULATIVE_FROM
            || context.is_closing()
            || !encoders.has_idle_worker(Priority::Foreground)
            || !catalog.has_idle_hasher()
            || !context.cache.could_hold(verdict::max_payload(len))
            // A second change within a tick of the clock would leave the same fingerprint.
            || !fingerprint.names_bytes(SystemTime::now())
        {
            return None;
        }
        let codec = guess()?;
        let (sender, receiver) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let speculative = Arc::new(Speculative {
            catalog: catalog.number(),
            path,
            fingerprint,
            codec: codec.clone(),
            stop: Arc::clone(&stop),
            pipeline: Mutex::new(Some(receiver)),
        });
        if !self.take(&speculative) {
            return None;
        }
        let (context, pool) = (Arc::clone(context), encoders.clone());
        let source = SourceReader::File(Arc::clone(file));
        let begun = encoders.submit(Priority::Foreground, false, move || {
            let is_stopped = || {
                stop.load(Ordering::Relaxed)
                    || context.is_cancelled()
                    || pool.is_short(Priority::Foreground)
            };
            run(&context, &codec, &source, len, is_stopped, &sender);
        });
        begun.then_some(speculative)
    }
}

fn run(
    context: &JobContext,
    codec: &Codec,
    source: &SourceReader,
    len: u64,
    is_stopped: impl Fn() -> bool,
    sender: &SyncSender<Pipeline>,
) {
    let before = cpu_time::time();
    // The job meets an error of this encode again, and reports it.
    if let Ok(Some(pipeline)) = encode(codec, source, len, context.prove, is_stopped) {
        // No job takes the encode if the entry is there.
        let _ = sender.send(pipeline);
    }
    context.counters.encode_took(codec.coding.as_str(), cpu_time::time().saturating_sub(before));
}

/// Encodes as much as there is room for, but not the last piece, which is for the job; `None` if
/// a sample saves too little.
fn encode(
    codec: &Codec,
    source: &SourceReader,
    len: u64,
    prove: bool,
    is_stopped: impl Fn() -> bool,
) -> Result<Option<Pipeline>, Error> {
    let sample = verdict::sample(len, |part, at| source.read_exact(part, at))?;
    if is_stopped() || !verdict::sample_saves(codec, &sample)? {
        return Ok(None);
    }
    let mut pipeline = Pipeline::begin(codec, len, prove)?;
    pipeline.fill(source, len, SPECULATIVE_ROOM, is_stopped)?;
    Ok(Some(pipeline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecsBuilder;

    fn speculative() -> Arc<Speculative> {
        let codecs = CodecsBuilder::default().build().unwrap();
        Arc::new(Speculative {
            catalog: 0,
            path: SourcePath::root(),
            fingerprint: Fingerprint { device: 0, inode: 0, size: 0, modified: 0, changed: 0 },
            codec: codecs.iter().next().unwrap().clone(),
            stop: Arc::default(),
            pipeline: Mutex::default(),
        })
    }

    /// On one core the hash took twice as long, and no request gained anything.
    #[test]
    fn slot_stays_empty_on_one_core() {
        let needed = Arc::new(AtomicBool::new(true));
        let (slot, speculative) = (SpeculativeSlot::new(1, needed), speculative());
        assert!(!slot.take(&speculative));
    }

    #[test]
    fn slot_takes_a_second_encode_when_the_first_is_gone_and_one_was_needed() {
        let needed = Arc::new(AtomicBool::new(true));
        let slot = SpeculativeSlot::new(2, Arc::clone(&needed));
        let (first, second) = (speculative(), speculative());
        assert!(slot.take(&first));
        needed.store(true, Ordering::Relaxed);
        assert!(!slot.take(&second), "the first still runs");
        drop(first);
        assert!(slot.take(&second));
        drop(second);
        assert!(!slot.take(&self::speculative()), "the second was not needed");
    }
}
