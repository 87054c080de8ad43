//! The encode job: feed, prove, publish.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::roundtrip::{self as proving, Judge, Proving};
use super::speculative::{self as ahead, Ahead, Begun};
use super::verdict as policy;
use crate::body::Product;
use crate::cache::{Entry, EntryWriter, Header, Key, KeyLock, Kind, WriteError};
use crate::catalog::resource::Resource;
use crate::codec::{Codec, PIECE, Proof};
use crate::concurrency::cpu_time as cpu;
use crate::concurrency::singleflight::Leader;
use crate::concurrency::thread_pool::Priority;
use crate::encode::source_reader::Opened;
use crate::error::{Error, ErrorKind, Failure};
use crate::http::{Digest, Hasher};
use crate::representations::Shared;
use crate::source::{Content, Found};

pub(crate) type EncodeLead = Leader<Key, Product, Failure>;

/// One representation to be made.
pub(crate) struct Task {
    pub(crate) resource: Arc<Resource>,
    pub(crate) digest: Digest,
    pub(crate) codec: Codec,
    pub(crate) class: Priority,
    /// Whether it may be encoded; if not, it is only looked for.
    pub(crate) encode: bool,
    /// Whether the client takes nothing but a coding, so that no saving is too small.
    pub(crate) unconditional: bool,
}

/// The key of `digest` encoded by `codec`.
pub(crate) fn key(digest: Digest, codec: &Codec) -> Key {
    Key { digest, coding: codec.coding.clone(), id: codec.id }
}

/// How a job went wrong.
pub(crate) enum Trouble {
    Failure(Failure),
    /// The cache's disk refused.
    Disk(io::Error),
    /// The encoder gave up.
    Encoder(Error),
    /// The encoder's output is not what the source is.
    Disproved(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Task {
    fn key(&self) -> Key {
        key(self.digest, &self.codec)
    }

    fn header(&self, kind: Kind, key: Key) -> Header {
        Header {
            kind,
            key,
            source_len: self.resource.len,
            created: SystemTime::now(),
            dictionary: None,
            settings: self.codec.encoder.settings().describe(),
        }
    }

    /// Whether it may take the thread that is kept for small sources.
    pub(crate) fn is_small(&self) -> bool {
        self.resource.len <= crate::codec::Codecs::SMALL
    }
}

impl Shared {
    /// Generations for the entry, and has it encoded if there is none, from where it is `ahead`. Blocks.
    pub(crate) fn lead(
        shared: &Arc<Self>,
        task: Task,
        ahead: Option<Arc<Ahead>>,
        lead: EncodeLead,
    ) {
        match shared.find(&task) {
            Ok(Some(entry)) => finish_stored(lead, &entry),
            Ok(None) => {
                let (clone, class, small) = (Arc::clone(shared), task.class, task.is_small());
                // A full queue, or the end, drops the leader, which tells its followers.
                if task.encode {
                    shared.encoders.submit(class, small, move || clone.run(&task, ahead, lead));
                }
            }
            Err(failure) => lead.fail(failure),
        }
    }

    /// The stored entry; a verdict is a failure.
    fn find(&self, task: &Task) -> Result<Option<Arc<Entry>>, Failure> {
        let cache = &self.config.cache;
        let get = |key: &Key| {
            cache.get(key).map_err(|error| {
                cache.warn_once(&error);
                Failure::Disk
            })
        };
        let key = task.key();
        if self.faults.get(&key).is_some() {
            return Err(Failure::Encoder);
        }
        if let Some(entry) = get(&key)? {
            let judged = policy::judge(&entry, task.resource.len, task.unconditional);
            return judged.map(|()| Some(entry));
        }
        if !task.unconditional && get(&policy::verdict_key(&key))?.is_some() {
            return Err(Failure::Unprofitable);
        }
        Ok(None)
    }

    /// The job itself, on an encode thread.
    fn run(self: Arc<Self>, task: &Task, ahead: Option<Arc<Ahead>>, lead: EncodeLead) {
        let before = cpu::time();
        let result = catch_unwind(AssertUnwindSafe(|| self.try_run(task, ahead, &lead)));
        self.counters.encode_took(task.codec.coding.as_str(), cpu::time().saturating_sub(before));
        match result {
            Ok(Ok(entry)) => {
                let payload_len = entry.payload_len();
                lead.finish(product(&entry, false), payload_len);
                // Not kept from being evicted until then.
                let (clone, synced) = (Arc::clone(&self), Arc::downgrade(&entry));
                // Not among the encodes: a slow medium would fill their queue.
                self.readers.submit(Priority::Background, true, move || {
                    if let Some(entry) = synced.upgrade() {
                        clone.config.cache.sync(&entry);
                    }
                });
            }
            Ok(Err(Done::Stored(entry))) => finish_stored(lead, &entry),
            Ok(Err(Done::Unpublished(product, len))) => lead.finish(product, len),
            Ok(Err(Done::Failed(failure))) => lead.fail(failure),
            Err(_panic) => {
                let error = Error::new(ErrorKind::Encoder, "it panicked");
                lead.fail(self.disproved(task, &error, None));
            }
        }
    }

    fn try_run(
        &self,
        task: &Task,
        ahead: Option<Arc<Ahead>>,
        lead: &EncodeLead,
    ) -> Result<Arc<Entry>, Done> {
        let cache = &self.config.cache;
        let key = task.key();
        let lock = self.lock(&key)?.ok_or(Failure::Locked)?;
        // Another process may have published between our look and our lock.
        if let Some(entry) = self.find(task)? {
            return Err(Done::Stored(entry));
        }
        let source = self.open(task)?;
        let begun = ahead.and_then(|ahead| ahead.take());
        if begun.is_none() && !self.sample_saves(task, &source)? {
            return Err(self.unprofitable(task, &key).into());
        }
        let header = task.header(Kind::Representation, key.clone());
        let room = policy::most(task.resource.len);
        let mut writer = cache.create(lock, header, room).map_err(|error| self.refused(error))?;
        self.counters.encode_started(task.codec.coding.as_str());
        if task.resource.len >= ahead::WORTH {
            self.ahead.was_needed();
        }
        match self.feed(task, &source, begun, &mut writer, lead) {
            Ok(()) => {}
            Err(Trouble::Failure(failure)) => return Err(failure.into()),
            Err(Trouble::Disk(error)) => return Err(self.refused(error.into()).into()),
            Err(Trouble::Encoder(error))
                if error.kind() == ErrorKind::Busy || lead.progress().stage().available() == 0 =>
            {
                let unread = lead.progress().stage().available() == 0;
                return Err(self.failed(task, &error, unread).into());
            }
            Err(Trouble::Encoder(error) | Trouble::Disproved(error)) => {
                return Err(self.disproved(task, &error, Some(writer.abandon())).into());
            }
        }
        let (payload, len) = (writer.payload(), writer.payload_len());
        if !task.unconditional && !policy::worth(task.resource.len, len) {
            // Nobody else begins before the verdict stands.
            let lock = writer.abandon();
            let failure = self.unprofitable(task, &key);
            drop(lock);
            // Those who read it already get the rest: it is exact, only not worth keeping.
            if lead.progress().stage().available() > 0 {
                return Err(Done::Unpublished(
                    Product { payload, stored: false, kept: false },
                    len,
                ));
            }
            return Err(failure.into());
        }
        writer.publish().map_err(|error| {
            tracing::debug!(%error, "an encoded file could not be published");
            Done::Unpublished(Product { payload, stored: false, kept: false }, len)
        })
    }

    /// Encodes all of the source, a piece at a time, and proves it. On success the payload is
    /// whole and proven, and all but its last bytes may have been read.
    fn feed(
        &self,
        task: &Task,
        source: &Opened,
        begun: Option<Begun>,
        writer: &mut EntryWriter,
        lead: &EncodeLead,
    ) -> Result<(), Trouble> {
        let len = task.resource.len;
        let begun = begun.map_or_else(|| self.begin(&task.codec, len, task.class), Ok);
        let mut begun = begun.map_err(Trouble::Encoder)?;
        let decoding = begun.decoding.take();
        let decodes = decoding.is_some();
        let progress = lead.progress();
        let commit = |bytes| progress.commit(bytes);
        progress.start(Product { payload: writer.payload(), stored: false, kept: false });
        let mut hasher = None;
        let proving = Proving::new(Proof::new(decoding, len), &commit);
        // To start a thread takes as long as the proof of a small source.
        let beside = decodes && !task.is_small();
        let proven = proving::prove(beside.then(|| writer.payload()), proving, |judge| {
            hasher = self.encode(task, source, begun, |out, readable| {
                self.keep(out, readable, writer, judge)
            })?;
            Ok(())
        })?;
        self.counters.encode_took(task.codec.coding.as_str(), proven.cpu);
        let digest = proven.digest.or_else(|| hasher.map(Hasher::finish));
        if digest != Some(task.digest) {
            return Err(other_source());
        }
        Ok(())
    }

    /// Encodes all pieces, and hands what comes of them to `keep`, which empties it; returns what
    /// has hashed them.
    fn encode(
        &self,
        task: &Task,
        source: &Opened,
        mut begun: Begun,
        mut keep: impl FnMut(&mut Vec<u8>, bool) -> Result<(), Trouble>,
    ) -> Result<Option<Hasher>, Trouble> {
        keep(&mut begun.out, true)?;
        begun.out = Vec::with_capacity(2 * PIECE);
        let mut pieces = source.pieces(begun.fed, task.resource.len);
        loop {
            if self.life.load(Ordering::Relaxed) == crate::representations::CANCELLED {
                return Err(Failure::Dropped.into());
            }
            // What its threads are at is handed on as it comes.
            if begun.encoding.is_behind() {
                begun.encoding.wait(&mut begun.out).map_err(Trouble::Encoder)?;
                keep(&mut begun.out, true)?;
                continue;
            }
            let piece = pieces.next().map_err(|_| self.changed(task))?;
            let Some(piece) = piece else { break };
            begun.feed(piece).map_err(Trouble::Encoder)?;
            // What comes of the last piece waits for the proof, which is near: so a source of
            // one piece is there as a whole, with its length, or not at all.
            keep(&mut begun.out, !pieces.at_end())?;
        }
        let Begun { encoding, hasher, mut out, .. } = begun;
        encoding.finish(&mut out).map_err(Trouble::Encoder)?;
        keep(&mut out, false)?;
        Ok(hasher)
    }

    /// Writes what the encoder has emitted, has it proven, and empties it.
    fn keep(
        &self,
        out: &mut Vec<u8>,
        readable: bool,
        writer: &mut EntryWriter,
        judge: &mut Judge<'_>,
    ) -> Result<(), Trouble> {
        if out.is_empty() {
            return Ok(());
        }
        writer.write(out).map_err(|error| match error {
            // Room was reserved for all that an honest encoder may emit.
            WriteError::NoRoom => too_long(),
            WriteError::Io(error) => Trouble::Disk(error),
        })?;
        judge.take(out, readable)?;
        out.clear();
        Ok(())
    }

    /// The task's source, if it is still to be had as it was hashed.
    fn open(&self, task: &Task) -> Result<Opened, Failure> {
        if let Some(bytes) = &task.resource.bytes {
            return Ok(Opened::Bytes(bytes.clone()));
        }
        // The very buffer that was hashed is as good as the file, and nearer.
        if let Some(bytes) = self.payloads.get(&(task.digest, None)) {
            return Ok(Opened::Bytes(bytes::Bytes::clone(&bytes)));
        }
        match self.config.source.lookup(&task.resource.path) {
            Ok(Found::File(file)) => match file.content {
                Content::File { file, fingerprint }
                    if task.resource.fingerprint == Some(fingerprint) =>
                {
                    Ok(Opened::File(file))
                }
                Content::Bytes(bytes)
                    if file.digest.unwrap_or_else(|| Digest::of(&bytes)) == task.digest =>
                {
                    Ok(Opened::Bytes(bytes))
                }
                _ => Err(self.changed(task)),
            },
            Ok(_) | Err(_) => Err(self.changed(task)),
        }
    }

    fn lock(&self, key: &Key) -> Result<Option<KeyLock>, Failure> {
        self.config.cache.lock(key).map_err(|error| {
            self.config.cache.warn_once(&error);
            Failure::Disk
        })
    }

    fn refused(&self, error: WriteError) -> Failure {
        if let WriteError::Io(error) = &error {
            self.config.cache.warn_once(error);
        }
        Failure::Disk
    }

    fn changed(&self, task: &Task) -> Failure {
        self.distrust(&task.resource);
        Failure::SourceChanged
    }

    /// What was encoded did not decode to what was hashed: the source changed meanwhile, the cache's
    /// disk misread, or the encoder is at fault. Only if it fails once more, where nothing else can
    /// be, it gets no other chance with this content.
    fn disproved(&self, task: &Task, error: &Error, lock: Option<KeyLock>) -> Failure {
        match catch_unwind(AssertUnwindSafe(|| self.prove_in_memory(task))) {
            Ok(Ok(())) => {
                tracing::warn!(%error, path = %task.resource.path, "an encode failed, but not again");
                return self.changed(task);
            }
            Ok(Err(Trouble::Failure(failure))) => return failure,
            // Nothing is known, and no second body shall abort while it is not.
            Ok(Err(Trouble::Encoder(error))) if error.kind() == ErrorKind::Busy => {
                return self.failed(task, &error, false);
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tracing::error!(
            %error,
            path = %task.resource.path,
            coding = %task.codec.coding,
            "an encoder is at fault; this content goes out without that coding from now on"
        );
        let lock = lock.or_else(|| self.lock(&task.key()).ok().flatten());
        self.record(lock, task.header(Kind::EncoderAtFault, task.key()));
        // Also where the cache cannot be written: no request shall abort twice.
        self.faults.insert(task.key(), ());
        Failure::Encoder
    }

    /// Whether a sample of the source, if one is taken, says that it saves enough.
    fn sample_saves(&self, task: &Task, source: &Opened) -> Result<bool, Failure> {
        if task.unconditional || !policy::samples(task.resource.len) {
            return Ok(true);
        }
        let sample = policy::sample(task.resource.len, |part, at| source.read_exact(part, at))
            .map_err(|_| self.changed(task))?;
        policy::sample_saves(&task.codec, &sample).map_err(|error| self.failed(task, &error, true))
    }

    /// Encodes the source once more, and proves that, with nothing between the two but memory.
    fn prove_in_memory(&self, task: &Task) -> Result<(), Trouble> {
        let (source, len) = (self.open(task)?, task.resource.len);
        self.sample_saves(task, &source)?;
        let mut begun = self.begin(&task.codec, len, task.class).map_err(Trouble::Encoder)?;
        let mut proof = Proof::new(begun.decoding.take(), len);
        begun.hasher = Some(Hasher::new());
        let mut left = policy::most(len);
        let fed = self.encode(task, &source, begun, |out, _| {
            left = left.checked_sub(out.len() as u64).ok_or_else(too_long)?;
            proof.write(out).map_err(Trouble::Disproved)?;
            out.clear();
            Ok(())
        })?;
        if fed.map(Hasher::finish) != Some(task.digest) {
            return Err(self.changed(task).into());
        }
        match proof.finish().map_err(Trouble::Disproved)? {
            Some(digest) if digest != task.digest => Err(other_source()),
            _ => Ok(()),
        }
    }

    /// The encoder gave up before anybody read a byte, or was busy. It gets no other chance from
    /// this process, lest a second request aborts, unless it was busy before the first did; but it
    /// may have been for want of memory, so nothing is written down for others.
    fn failed(&self, task: &Task, error: &Error, unread: bool) -> Failure {
        let (path, coding) = (&task.resource.path, &task.codec.coding);
        if error.kind() == ErrorKind::Busy && unread {
            if !self.told_of_busy.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, %path, %coding, "an encoder was busy; this is said once");
            }
            return Failure::Busy;
        }
        tracing::error!(%error, %path, %coding, "an encoder failed");
        self.faults.insert(task.key(), ());
        Failure::Encoder
    }

    fn unprofitable(&self, task: &Task, key: &Key) -> Failure {
        let key = policy::verdict_key(key);
        let lock = self.config.cache.lock(&key).ok().flatten();
        self.record(lock, task.header(Kind::Unprofitable, key));
        Failure::Unprofitable
    }

    fn record(&self, lock: Option<KeyLock>, header: Header) {
        let Some(lock) = lock else { return };
        if let Err(WriteError::Io(error)) = self.config.cache.record_verdict(lock, header) {
            self.config.cache.warn_once(&error);
        }
    }
}

fn other_source() -> Trouble {
    let message = "what was encoded is not what was hashed";
    Trouble::Disproved(Error::new(ErrorKind::Encoder, message))
}

fn too_long() -> Trouble {
    let message = "the encoder's output is longer than the source by more than 1/256 and 64 KiB";
    Trouble::Disproved(Error::new(ErrorKind::Encoder, message))
}

/// How a job ended, other than with a published entry.
enum Done {
    Stored(Arc<Entry>),
    /// Whole and exact, but in no cache.
    Unpublished(Product, u64),
    Failed(Failure),
}

impl From<Failure> for Done {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

pub(crate) fn product(entry: &Entry, stored: bool) -> Product {
    Product { payload: entry.payload(), stored, kept: true }
}

fn finish_stored(lead: EncodeLead, entry: &Entry) {
    lead.finish(product(entry, true), entry.payload_len());
}
