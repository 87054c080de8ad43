//! The encode job, which feeds, proves and publishes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::context::JobContext;
use super::error::EncodeError;
use super::pipeline::{End, Pipeline, Step};
use super::second_pass::SecondPass;
use super::source_reader::SourceReader;
use super::speculative::Speculative;
use super::under_way::Place;
use super::verdict;
use super::warming::Interest;
use crate::body::{Product, Production};
use crate::cache::{Entry, EntryWriter, Header, Key, KeyLock, Kind, WriteError};
use crate::catalog::{Catalog, LoadError, Resource};
use crate::codec::{Codec, Proof};
use crate::concurrency::cpu_time;
use crate::concurrency::singleflight::Leader;
use crate::concurrency::thread_pool::Priority;
use crate::error::{Error, ErrorKind, Failure};
use crate::http::Digest;
use crate::limits::SMALL_JOB;
use crate::log;
use crate::metrics::EncodeState;
use crate::source::{Content, Found};
use crate::tier::{Answer, Offer, Sharing};

pub(super) type EncodeLeader = Leader<Key, Product, Failure>;

/// The helps of an encode.
#[derive(Debug, Default)]
pub(super) struct Supply {
    /// The encode that has begun while the source was hashed.
    pub(super) begun: Option<Arc<Speculative>>,
    /// The use of the shared store, if there is one.
    pub(super) sharing: Option<Sharing>,
}

/// A whole payload.
pub(super) struct Made {
    pub(super) product: Product,
    /// Its length in bytes.
    pub(super) len: u64,
    /// Its new entry.
    pub(super) entry: Option<Arc<Entry>>,
    /// Whether all of the encode was done, and measured, by the encode thread.
    pub(super) is_measured: bool,
    /// The answer of the shared store.
    pub(super) offer: Option<Offer>,
}

/// The encode of one representation.
pub(super) struct Job {
    pub(super) context: Arc<JobContext>,
    /// The catalog of the source that the encode reads.
    pub(super) catalog: Catalog,
    pub(super) resource: Arc<Resource>,
    pub(super) digest: Digest,
    pub(super) codec: Codec,
    /// Whether no saving is too small: the client refuses identity, or somebody else has encoded.
    pub(super) insists: bool,
    pub(super) purpose: Purpose,
}

/// The reason for which an encode is made.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// A request needs it.
    Request,
    /// A warming wants it.
    Warming(Interest),
    /// An entry in use is to become smaller while nothing else is to be done.
    SecondPass(Arc<SecondPass>),
}

impl Job {
    pub(super) fn key(&self) -> Key {
        verdict::key(self.digest, self.resource.len, &self.codec)
    }

    pub(super) fn header(&self, kind: Kind, key: Key) -> Header {
        Header {
            kind,
            key,
            source_len: self.resource.len,
            created: SystemTime::now(),
            dictionary: self.codec.dictionary.as_ref().map(|dictionary| dictionary.digest()),
            settings: self.codec.encoder.settings().describe(),
        }
    }

    /// Whether the job may take the thread that is kept for small sources.
    pub(super) fn is_small(&self) -> bool {
        self.resource.len <= SMALL_JOB
    }

    /// Whether and why the encode is to be given up now.
    pub(super) fn stopped(&self, progress: &Production) -> Option<Failure> {
        if self.context.is_cancelled() {
            return Some(Failure::Dropped);
        }
        let is_closing = || self.context.is_closing();
        let is_unwanted = match &self.purpose {
            Purpose::Request => false,
            Purpose::Warming(warming) => warming.has_ended() || is_closing(),
            Purpose::SecondPass(second_pass) => second_pass.pause(is_closing).is_break(),
        };
        (is_unwanted && progress.abandon()).then_some(Failure::Abandoned)
    }

    /// Whether an entry is stored that takes the place of this one's. Blocks.
    pub(super) fn is_superseded(&self) -> bool {
        let (cache, key) = (&self.context.cache, self.key());
        let better = match self.codec.better() {
            None if cache.may_hold_content(&key) => self.codec.derive_better(),
            better => better,
        };
        let Some(better) = better else { return false };
        let key = verdict::key(self.digest, self.resource.len, better);
        let entry = cache.get(&key).ok().flatten();
        entry.is_some_and(|entry| verdict::judge(&entry, self.resource.len, self.insists).is_ok())
    }

    /// Removes the entry that this one's takes the place of. Blocks.
    pub(super) fn supersede(&self) {
        if let Some(key) = verdict::replaced_key(self.digest, self.resource.len, &self.codec) {
            self.context.cache.supersede(&key);
        }
    }

    /// The most bytes of a payload that is worth its entry; `None` if any is. Blocks.
    pub(super) fn max_worth(&self) -> Option<u64> {
        let len = self.resource.len;
        let worth = (!self.insists).then(|| verdict::max_worth(len));
        let earlier = self.earlier_len().map(verdict::max_better);
        worth.into_iter().chain(earlier).min()
    }

    /// The length of the entry that the second pass is to make shorter.
    fn earlier_len(&self) -> Option<u64> {
        let key = verdict::replaced_key(self.digest, self.resource.len, &self.codec);
        let earlier = self.context.cache.look(&key.filter(|_| self.is_second_pass())?).ok()??;
        (earlier.kind() == Kind::Representation).then(|| earlier.payload_len())
    }

    /// Whether the encode is made while nothing else is to be done.
    fn is_second_pass(&self) -> bool {
        matches!(self.purpose, Purpose::SecondPass(_))
    }

    /// Finds the stored entry. A stored verdict is a failure. Blocks.
    pub(super) fn find(&self) -> Result<Option<Arc<Entry>>, Failure> {
        let cache = &self.context.cache;
        self.find_by(|key| {
            cache.get(key).map_err(|error| {
                cache.warn_once(&error);
                Failure::Disk
            })
        })
    }

    /// As [`find`](Self::find), with another way to an entry.
    pub(super) fn find_by(
        &self,
        mut get: impl FnMut(&Key) -> Result<Option<Arc<Entry>>, Failure>,
    ) -> Result<Option<Arc<Entry>>, Failure> {
        let key = self.key();
        if self.context.is_faulty(&key) {
            return Err(Failure::Encoder);
        }
        if let Some(entry) = get(&key)? {
            let judged = verdict::judge(&entry, self.resource.len, self.insists);
            return judged.map(|()| Some(entry));
        }
        let is_refused = (!self.insists && get(&verdict::verdict_key(&key))?.is_some())
            || (self.is_second_pass() && get(&verdict::improvement_key(&key))?.is_some());
        if is_refused {
            return Err(Failure::Unprofitable);
        }
        Ok(None)
    }

    /// Encodes, proves and publishes, on an encode thread. Goes on from the encode `begun`, if
    /// there is one.
    pub(super) fn run(self, supply: Supply, leader: EncodeLeader, place: Place) {
        place.taken();
        let before = cpu_time::time();
        let result = catch_unwind(AssertUnwindSafe(|| self.try_run(supply, &leader, &place)));
        let took = cpu_time::time().saturating_sub(before);
        let (counters, coding) = (&self.context.counters, self.codec.coding.as_str());
        match &result {
            Ok(Ok(Made { product, .. })) if product.imported => {}
            _ => counters.encode_took(coding, took),
        }
        if let Some(elapsed) = place.elapsed() {
            counters.encode_ended(coding, elapsed);
        }
        let state = match result {
            Ok(Ok(_)) => EncodeState::Finished,
            _ => EncodeState::Failed,
        };
        // Nobody who has all bytes still sees the encode.
        place.leave();
        match result {
            Ok(Ok(mut made)) => {
                let took = made.product.took + took;
                let took = if made.product.stored { Duration::ZERO } else { took };
                self.share(&mut made, took);
                leader.finish(Product { took, ..made.product }, made.len);
            }
            Ok(Err(failure)) => self.fail(leader, failure),
            Err(_panic) => {
                let error = Error::new(ErrorKind::Encoder, "it panicked");
                let failure = match &self.codec.adopts {
                    Some(file) => self.refuse_file(file, &error),
                    None => self.disproved(&error, None),
                };
                self.fail(leader, failure);
            }
        }
        place.end(state);
    }

    fn fail(&self, leader: EncodeLeader, failure: Failure) {
        // Nobody has asked for a source that changed since the first pass.
        if failure == Failure::SourceChanged && !self.is_second_pass() {
            match &self.codec.adopts {
                Some(file) => self.catalog.mark_path_unstable(&file.path),
                None => drop(self.catalog.mark_unstable(&self.resource)),
            }
        }
        leader.fail(failure);
    }

    /// Has the entry written to the medium at low priority, unless it is evicted before.
    fn sync(&self, entry: &Arc<Entry>) {
        let (context, entry) = (Arc::clone(&self.context), Arc::downgrade(entry));
        // A slow medium would fill the queue of the encodes.
        self.context.cache.threads().submit(Priority::Background, true, move || {
            if let Some(entry) = entry.upgrade() {
                context.cache.sync(&entry);
            }
        });
    }

    /// Makes the payload, published or not.
    fn try_run(
        &self,
        supply: Supply,
        leader: &EncodeLeader,
        place: &Place,
    ) -> Result<Made, Failure> {
        let key = self.key();
        let lock = self.lock(&key)?.ok_or(Failure::Locked)?;
        // Another process may have published between the lookup and the lock.
        if let Some(entry) = self.find()? {
            return Ok(Made::stored(&entry));
        }
        if let Some(file) = &self.codec.adopts {
            return self.adopt(file, &key, lock, leader);
        }
        if let Some(dictionary) = &self.codec.dictionary
            && let Err(error) = dictionary.bytes()
        {
            let path = &self.resource.path;
            log::debug!(%error, %path, "an earlier version is stored nowhere");
            return Err(Failure::Dictionary);
        }
        let source = self.open()?;
        let Supply { begun, sharing } = supply;
        let begun = begun.and_then(|begun| begun.take());
        let mut offer = self.offer(sharing);
        let is_offered = offer.as_mut().is_some_and(|offer| offer.answer() == Answer::Object);
        if begun.is_none() && !is_offered && !self.sample_saves(&source)? {
            return Err(self.unprofitable(&key));
        }
        let header = self.header(Kind::Representation, key.clone());
        let room = verdict::max_payload(self.resource.len);
        let writer = self.context.cache.create(lock, header, room);
        let mut writer = writer.map_err(|error| self.refused(error))?;
        match self.produce(&source, (begun, offer.as_mut()), &mut writer, (leader, place)) {
            Ok(fed) => {
                let made = self.publish(writer, &key, leader)?;
                let product = Product { took: fed.beside, imported: fed.imported, ..made.product };
                Ok(Made { product, offer, is_measured: fed.is_measured, ..made })
            }
            Err(error) => Err(self.blame(error, writer, leader)),
        }
    }

    /// Publishes a proven payload if it saves enough.
    pub(super) fn publish(
        &self,
        writer: EntryWriter,
        key: &Key,
        leader: &EncodeLeader,
    ) -> Result<Made, Failure> {
        let len = writer.payload_len();
        let unkept = Product::of_payload(writer.payload());
        if self.max_worth().is_some_and(|most| len > most) {
            // The lock is held until the verdict is stored, so that no other encode begins before.
            let lock = writer.abandon();
            let failure = self.unprofitable(key);
            drop(lock);
            // Bodies that follow the encode get the rest, which is exact.
            if leader.progress().stage().available() > 0 {
                return Ok(Made::unkept(unkept, len));
            }
            return Err(failure);
        }
        match writer.publish() {
            Ok(entry) => {
                self.sync(&entry);
                self.supersede();
                let product = Product::of_entry(&entry, false);
                Ok(Made { entry: Some(entry), ..Made::unkept(product, len) })
            }
            Err(error) => {
                log::debug!(%error, "an encoded file could not be published");
                Ok(Made::unkept(unkept, len))
            }
        }
    }

    /// Turns the error of an encode into a failure for its readers, and notes it for later
    /// requests.
    fn blame(&self, error: EncodeError, writer: EntryWriter, leader: &EncodeLeader) -> Failure {
        match error {
            EncodeError::Failure(failure) => failure,
            EncodeError::Disk(error) => self.refused(error.into()),
            EncodeError::Encoder(error) => {
                let unread = leader.progress().stage().available() == 0;
                if unread || error.kind() == ErrorKind::Busy {
                    return self.failed(&error, unread);
                }
                self.disproved(&error, Some(writer.abandon()))
            }
            EncodeError::Disproved(error) => self.disproved(&error, Some(writer.abandon())),
        }
    }

    /// Opens the source, if it still has the bytes that were hashed.
    pub(super) fn open(&self) -> Result<SourceReader, Failure> {
        if let Some(bytes) = &self.resource.bytes {
            return Ok(SourceReader::Bytes(bytes.clone()));
        }
        // The buffer that was hashed is as good as the file, and nearer.
        if let Some(bytes) = self.context.memory.get(&(self.digest, None)) {
            return Ok(SourceReader::Bytes(bytes::Bytes::clone(&bytes)));
        }
        let file = match self.catalog.reopen(&self.resource) {
            Ok(Found::File(file)) => file,
            // The source is the same, but there is no place to decode it in.
            Err(LoadError::Decodes) => return Err(Failure::Busy),
            Ok(_) | Err(_) => return Err(Failure::SourceChanged),
        };
        match file.content {
            Content::File { file, fingerprint }
                if self.resource.fingerprint == Some(fingerprint) =>
            {
                Ok(SourceReader::File(file))
            }
            Content::Bytes(bytes)
                if file.digest.unwrap_or_else(|| Digest::of(&bytes)) == self.digest =>
            {
                Ok(SourceReader::Bytes(bytes))
            }
            _ => Err(Failure::SourceChanged),
        }
    }

    fn lock(&self, key: &Key) -> Result<Option<KeyLock>, Failure> {
        self.context.cache.lock(key).map_err(|error| {
            self.context.cache.warn_once(&error);
            Failure::Disk
        })
    }

    pub(super) fn refused(&self, error: WriteError) -> Failure {
        if let WriteError::Io(error) = &error {
            self.context.cache.warn_once(error);
        }
        Failure::Disk
    }

    /// Finds out why the output did not decode to the bytes that were hashed. The source changed
    /// meanwhile, the cache's disk misread, or the encoder is at fault. The encoder is blamed only
    /// if it fails once more where nothing else can fail. It then gets no other chance with this
    /// content.
    fn disproved(&self, error: &Error, lock: Option<KeyLock>) -> Failure {
        let (path, coding) = (&self.resource.path, &self.codec.coding);
        match catch_unwind(AssertUnwindSafe(|| self.prove_in_memory())) {
            Ok(Ok(())) => {
                log::warn!(%error, %path, "an encode failed, but not again");
                return Failure::SourceChanged;
            }
            Ok(Err(EncodeError::Failure(failure))) => return failure,
            // The cause is not known, and no second body shall abort for it.
            Ok(Err(EncodeError::Encoder(error))) if error.kind() == ErrorKind::Busy => {
                return self.failed(&error, false);
            }
            Ok(Err(_)) | Err(_) => {}
        }
        log::error!(
            %error, %path, %coding,
            "an encoder is at fault; this content goes out without that coding from now on"
        );
        let key = self.key();
        let lock = lock.or_else(|| self.lock(&key).ok().flatten());
        self.record(lock, self.header(Kind::EncoderAtFault, key.clone()));
        // The process remembers the fault too, as the cache may not be writable: no request shall
        // abort twice.
        self.context.mark_faulty(key);
        Failure::Encoder
    }

    /// Encodes the source once more and proves it, with nothing but memory between encoder and
    /// decoder.
    fn prove_in_memory(&self) -> Result<(), EncodeError> {
        let (source, len) = (self.open()?, self.resource.len);
        // Only for the error of an encoder that fails on the sample.
        self.sample_saves(&source)?;
        let pipeline = Pipeline::begin(&self.codec, len, self.context.prove);
        let mut pipeline = pipeline.map_err(EncodeError::Encoder)?;
        let mut proof = Proof::new(pipeline.take_decoding(), len);
        pipeline.hash_source();
        let mut left = verdict::max_payload(len);
        let fed = pipeline.run(
            &source,
            len,
            |_| match self.context.is_cancelled() {
                true => Step::Stop(Failure::Dropped),
                false => Step::On,
            },
            |out, _| {
                left = left.checked_sub(out.len() as u64).ok_or_else(EncodeError::too_long)?;
                proof.write(out).map_err(EncodeError::Disproved)?;
                out.clear();
                Ok(())
            },
        )?;
        if fed != End::Whole(Some(self.digest)) {
            return Err(Failure::SourceChanged.into());
        }
        match proof.finish().map_err(EncodeError::Disproved)? {
            Some(digest) if digest != self.digest => Err(EncodeError::other_source()),
            _ => Ok(()),
        }
    }

    /// Whether a sample of the source, if one is taken, saves enough.
    pub(super) fn sample_saves(&self, source: &SourceReader) -> Result<bool, Failure> {
        let len = self.resource.len;
        // A sample of a delta would cost nearly as much as all of it. The first pass is a sample, too.
        let takes_none = self.codec.dictionary.is_some() || self.is_second_pass();
        if self.insists || takes_none || !verdict::takes_sample(len) {
            return Ok(true);
        }
        let sample = verdict::sample(len, |part, at| source.read_exact(part, at));
        let sample = sample.map_err(|_| Failure::SourceChanged)?;
        verdict::sample_saves(&self.codec, &sample).map_err(|error| self.failed(&error, true))
    }

    /// Notes that the encoder gave up. This process gives it no other chance with this content, so
    /// that no second body aborts. The exception is an encoder that was busy before any body had
    /// begun (`unread`). No verdict is stored for other processes, as the encoder may have lacked
    /// memory.
    fn failed(&self, error: &Error, unread: bool) -> Failure {
        let (path, coding) = (&self.resource.path, &self.codec.coding);
        if error.kind() == ErrorKind::Busy && unread {
            if self.context.first_busy() {
                log::warn!(%error, %path, %coding, "an encoder was busy; this is said once");
            }
            return Failure::Busy;
        }
        log::error!(%error, %path, %coding, "an encoder failed");
        self.context.mark_faulty(self.key());
        Failure::Encoder
    }

    fn unprofitable(&self, key: &Key) -> Failure {
        let key = match self.is_second_pass() {
            true => verdict::improvement_key(key),
            false => verdict::verdict_key(key),
        };
        let lock = self.context.cache.lock(&key).ok().flatten();
        self.record(lock, self.header(Kind::Unprofitable, key));
        Failure::Unprofitable
    }

    fn record(&self, lock: Option<KeyLock>, header: Header) {
        let Some(lock) = lock else { return };
        if let Err(WriteError::Io(error)) = self.context.cache.record_verdict(lock, header) {
            self.context.cache.warn_once(&error);
        }
    }
}

impl Made {
    /// The payload of an entry that was there before.
    pub(super) fn stored(entry: &Entry) -> Self {
        Self::unkept(Product::of_entry(entry, true), entry.payload_len())
    }

    fn unkept(product: Product, len: u64) -> Self {
        Self { product, len, entry: None, is_measured: false, offer: None }
    }
}
