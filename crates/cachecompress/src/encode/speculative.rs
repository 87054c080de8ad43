//! Encodes that begin while their source is still hashed.
//!
//! What comes of them waits in memory: it has no name, and nobody gets it, before the hash tells
//! whether there is an entry of it already. The encode then goes on from there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use super::verdict as policy;
use crate::catalog::hash::REST;
use crate::catalog::resource::Resource;
use crate::codec::{Codec, Decoding, Encoding, PIECE};
use crate::concurrency::cpu_time as cpu;
use crate::concurrency::sync::{Mutex, lock};
use crate::concurrency::thread_pool::Priority;
use crate::encode::cores::Loan;
use crate::encode::source_reader::Opened;
use crate::error::Error;
use crate::fs::Fingerprint;
use crate::http::{Hasher, SourcePath};
use crate::representations::{CANCELLED, Shared};
use crate::source::{Content, SourceFile};

/// Tells what a source will most likely be encoded by, once it is known that it is large.
pub(crate) type Likely = Box<dyn FnOnce() -> Option<Codec> + Send>;

/// Sources from this length on: shorter ones are hashed within a few milliseconds.
pub(crate) const WORTH: u64 = 8 << 20;

/// How much output waits for the hash, at most.
const ROOM: usize = 8 << 20;

/// An encode between two pieces of its source.
pub(crate) struct Begun {
    pub(crate) encoding: Box<dyn Encoding>,
    /// For the proof, if there is to be one.
    pub(crate) decoding: Option<Box<dyn Decoding>>,
    /// How many bytes of the source it has been fed.
    pub(crate) fed: u64,
    /// Their digest, if there is to be no proof.
    pub(crate) hasher: Option<Hasher>,
    /// What has come of them.
    pub(crate) out: Vec<u8>,
    /// The cores that it is spread over.
    _loan: Loan,
}

/// An encode that goes on until it is needed, or this is dropped.
#[derive(Debug)]
pub(crate) struct Ahead {
    path: SourcePath,
    fingerprint: Fingerprint,
    codec: Codec,
    stop: Arc<AtomicBool>,
    begun: Mutex<Option<Receiver<Begun>>>,
}

/// The one that there is, if there is one, and whether the next would be of use.
#[derive(Debug)]
pub(crate) struct Turn {
    taken: Mutex<Weak<Ahead>>,
    needed: AtomicBool,
    /// Whether there is a core that the hash leaves to it.
    has_core: bool,
}

impl Turn {
    /// On so many cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self { taken: Mutex::default(), needed: AtomicBool::new(true), has_core: cores > 1 }
    }

    /// Says that a large source had to be encoded.
    pub(crate) fn was_needed(&self) {
        self.needed.store(true, Ordering::Relaxed);
    }

    /// The encode of `resource` by `codec` that has begun.
    pub(crate) fn of(&self, resource: &Resource, codec: &Codec) -> Option<Arc<Ahead>> {
        let ahead = lock(&self.taken).upgrade()?;
        let is_same = ahead.is_of(resource)
            && (&ahead.codec.coding, ahead.codec.id) == (&codec.coding, codec.id);
        is_same.then_some(ahead)
    }

    /// Makes `ahead` the one that there is, unless there is one, or it would be in vain.
    fn take(&self, ahead: &Arc<Ahead>) -> bool {
        let mut taken = lock(&self.taken);
        let free = self.has_core
            && taken.strong_count() == 0
            && self.needed.swap(false, Ordering::Relaxed);
        if free {
            *taken = Arc::downgrade(ahead);
        }
        free
    }
}

impl Begun {
    /// Encodes the next piece of the source.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.fed += piece.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        self.encoding.write(piece, &mut self.out)
    }
}

impl Ahead {
    pub(crate) fn is_of(&self, resource: &Resource) -> bool {
        self.path == resource.path && resource.fingerprint == Some(self.fingerprint)
    }

    /// The encode, if nobody else has taken it. Waits for the end of the piece that it is at.
    pub(crate) fn take(&self) -> Option<Begun> {
        self.stop.store(true, Ordering::Relaxed);
        let begun = lock(&self.begun).take()?;
        begun.recv().ok()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Begins to encode `file`, which is about to be hashed, if that is likely to be of use.
    ///
    /// There is one at a time, which bounds the memory; and none after one that was in vain, before
    /// another large file had to be encoded: so a full cache costs one of them after each start.
    pub(crate) fn begin_ahead(
        shared: &Arc<Self>,
        path: &SourcePath,
        file: &SourceFile,
        likely: Likely,
    ) -> Option<Arc<Ahead>> {
        let Content::File { file: content, fingerprint } = &file.content else { return None };
        let (content, fingerprint, len) = (Arc::clone(content), *fingerprint, fingerprint.size);
        if len < WORTH
            || shared.is_closing()
            || !shared.encoders.has_idle_worker(Priority::Foreground)
            || !shared.hashers.has_idle_worker(Priority::Foreground)
            || !shared.config.cache.could_hold(policy::most(len))
            // What changes again within a tick of the clock would look the same.
            || !fingerprint.rested(REST, SystemTime::now())
        {
            return None;
        }
        let codec = likely()?;
        let (sender, begun) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let ahead = Arc::new(Ahead {
            path: path.clone(),
            fingerprint,
            codec: codec.clone(),
            stop: Arc::clone(&stop),
            begun: Mutex::new(Some(begun)),
        });
        if !shared.ahead.take(&ahead) {
            return None;
        }
        let clone = Arc::clone(shared);
        let run = move || clone.run_ahead(&codec, &Opened::File(content), len, &stop, &sender);
        shared.encoders.submit(Priority::Foreground, false, run).then_some(ahead)
    }

    fn run_ahead(
        &self,
        codec: &Codec,
        source: &Opened,
        len: u64,
        stop: &AtomicBool,
        sender: &SyncSender<Begun>,
    ) {
        let before = cpu::time();
        let stopped = || {
            stop.load(Ordering::Relaxed)
                || self.life.load(Ordering::Relaxed) == CANCELLED
                || self.encoders.is_short(Priority::Foreground)
        };
        // Whatever goes wrong here goes wrong again, where somebody waits for it.
        if let Ok(Some(begun)) = self.encode_ahead(codec, source, len, stopped) {
            // Nobody takes it any more if the entry was there.
            let _ = sender.send(begun);
        }
        self.counters.encode_took(codec.coding.as_str(), cpu::time().saturating_sub(before));
    }

    /// Encodes until it is `stopped`, there is no more room, or the last piece is next, which only
    /// an encode that is proven may take. `None` if it is not worth the while.
    fn encode_ahead(
        &self,
        codec: &Codec,
        source: &Opened,
        len: u64,
        stopped: impl Fn() -> bool,
    ) -> Result<Option<Begun>, Error> {
        let sample = policy::sample(len, |part, at| source.read_exact(part, at))?;
        if stopped() || !policy::sample_saves(codec, &sample)? {
            return Ok(None);
        }
        let mut begun = self.begin(codec, len, Priority::Foreground)?;
        begun.out.reserve_exact(ROOM + 2 * PIECE);
        let mut pieces = source.pieces(0, len);
        while !stopped() && begun.out.len() < ROOM && begun.fed + (PIECE as u64) < len {
            // Who takes it waits for the piece that it is at.
            if begun.encoding.is_behind() {
                begun.encoding.wait(&mut begun.out)?;
                continue;
            }
            match pieces.next()? {
                Some(piece) => begun.feed(piece)?,
                None => break,
            }
        }
        Ok(Some(begun))
    }

    /// Begins to encode a source, on one of the encoders' threads and cores that are idle.
    pub(crate) fn begin(
        &self,
        codec: &Codec,
        source_len: u64,
        class: Priority,
    ) -> Result<Begun, Error> {
        let mut encoding = codec.encoder.begin(source_len, None)?;
        let decoding = self.config.prove.then(|| codec.encoder.decoder(None)).flatten();
        let hasher = decoding.is_none().then(Hasher::new);
        let others = self.encoders.running(class).saturating_sub(1);
        let [waited, background] = &self.cores;
        let cores = if class == Priority::Foreground { waited } else { background };
        let loan = cores.lend(others, &mut *encoding);
        Ok(Begun { encoding, decoding, fed: 0, hasher, out: Vec::new(), _loan: loan })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecsBuilder;

    fn ahead() -> Arc<Ahead> {
        let codecs = CodecsBuilder::default().build().unwrap();
        Arc::new(Ahead {
            path: SourcePath::root(),
            fingerprint: Fingerprint { device: 0, inode: 0, size: 0, modified: 0, changed: 0 },
            codec: codecs.iter().next().unwrap().clone(),
            stop: Arc::default(),
            begun: Mutex::default(),
        })
    }

    /// There, the hash took twice as long, and nobody gained anything.
    #[test]
    fn on_one_core_nothing_begins_ahead() {
        let (turn, ahead) = (Turn::new(1), ahead());
        turn.was_needed();
        assert!(!turn.take(&ahead));
    }

    #[test]
    fn one_has_its_turn_and_the_next_when_it_is_gone_and_was_needed() {
        let (turn, first, second) = (Turn::new(2), ahead(), ahead());
        assert!(turn.take(&first));
        turn.was_needed();
        assert!(!turn.take(&second), "the first is still there");
        drop(first);
        assert!(turn.take(&second));
        drop(second);
        assert!(!turn.take(&ahead()), "the second was for nothing");
    }
}
