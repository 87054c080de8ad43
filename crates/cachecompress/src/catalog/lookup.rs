//! The lookup from a path to a resource, on the threads that read.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use std::{fmt, io};

use super::checked_texts::CheckedTexts;
use super::context::LookupContext;
use super::encoded_source::EncodedSource;
use super::file_digests::Told;
use super::hash::{self, Hashed, Outcome};
use super::hash_queue::{Companion, HashQueue, Hashing, Key, Run};
use super::listings::Listings;
use super::load_error::LoadError;
use super::name_evidence::EvidenceCache;
use super::path_set::PathSet;
use super::resource::{DigestState, Resource, Rest, compressibility_of, type_of};
use crate::concurrency::places::{Area, InArea};
use crate::concurrency::singleflight::{Leader, SingleFlight};
use crate::concurrency::sync::clock;
use crate::concurrency::thread_pool::{Job, Priority, Refused};
use crate::concurrency::versioned::{Generation, Generations, Put, Versioned};
use crate::error::Error;
use crate::fs::{DiskFile, Fingerprint};
use crate::http::{Compressibility, Digest, MediaTypes, Question, SourcePath, Text};
use crate::limits::{HASH_FIRST_MAX, PAYLOAD_IN_MEMORY};
use crate::log;
use crate::source::{Content, Found, Source, SourceFile};

/// The state of a catalog, which its lookups share.
pub(super) struct Inner {
    pub(super) source: EncodedSource,
    pub(super) types: Arc<MediaTypes>,
    pub(super) evidence: EvidenceCache,
    pub(super) revalidate: Duration,
    /// The time that a request waits for its hash to begin.
    pub(super) patience: Duration,
    pub(super) context: LookupContext,
    /// The number of the catalog among those of its context.
    pub(super) number: u64,
    pub(super) lookups: SingleFlight<SourcePath, (Looked, Lookup), LoadError>,
    pub(super) hashes: HashQueue,
    /// Counts the files that handlers brought.
    pub(super) calls: AtomicU64,
    pub(super) generations: Generations,
    pub(super) resources: quick_cache::sync::Cache<SourcePath, Slot>,
    pub(super) listings: Listings,
    pub(super) texts: CheckedTexts,
    /// The times of lookups beside a file that found nothing.
    pub(super) absent: quick_cache::sync::Cache<SourcePath, u64>,
    /// The paths whose files changed under a hash or an encode. The files go out without a tag
    /// until they have rested.
    pub(super) unstable: PathSet,
}

pub(super) type Slot = Arc<Versioned<Arc<Resource>>>;
type LookupLeader = Leader<SourcePath, (Looked, Lookup), LoadError>;

/// A function that begins work on a file before its long hash; `None` if it begins none.
pub(crate) type DuringHash =
    Box<dyn FnOnce(&SourcePath, &Arc<dyn DiskFile>, Fingerprint) -> Option<Companion> + Send>;

/// The target of a path.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    File(Arc<Resource>, Option<Companion>),
    Directory,
    Nothing,
}

/// The end of a lookup.
#[derive(Clone, Debug)]
pub(super) enum Looked {
    Loaded(Loaded),
    /// A file without its digest, and the hash that will tell it.
    Hashing(Arc<Resource>, Arc<Hashing>),
}

/// The need for a lookup, and for the hash that it may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Requests wait. Once they have gone, nobody needs it.
    Watched,
    /// The next request needs it.
    Always,
}

/// The beginning of a lookup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    /// The time, in milliseconds of [`clock`].
    pub(super) at: u64,
    pub(super) generation: Generation,
}

impl Inner {
    /// Finds the target of `path` without a wait, if it is an unchanged file or nothing.
    pub(super) fn lookup_cached(&self, path: &SourcePath) -> Option<Loaded> {
        let lookup = self.begin();
        match self.source.lookup_nowait(path)? {
            Found::File(file) => {
                let before = self.known(path).filter(|before| before.is_still(&file))?;
                if self.evidence.is_missing(&before) {
                    return None;
                }
                before.confirm(lookup.at);
                Some(Loaded::File(before, None))
            }
            // A running lookup may have seen a file before.
            Found::Nothing if self.lookups.running(path).is_none() => {
                self.forget(path, lookup);
                Some(Loaded::Nothing)
            }
            Found::Nothing | Found::Directory => None,
        }
    }

    /// Queues a read of the source, which gets a place among the reads of its directories.
    pub(super) fn read(
        &self,
        path: &SourcePath,
        read: impl FnOnce() + Send + 'static,
        is_wanted: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        let area = Area::Above { source: self.number, path: path.as_bytes().into() };
        let places = self.context.places.clone();
        let job = Job::new(true, read).on(InArea { places, area, is_wanted });
        if let Err(Refused { job, lacks_thread: true }) =
            self.context.readers.submit_job(Priority::Foreground, job)
        {
            // A wait here is better than no answer.
            job.run();
        }
    }

    /// Looks `path` up and ends the flight. A long hash goes on elsewhere.
    pub(super) fn lead_lookup(
        self: &Arc<Self>,
        path: &SourcePath,
        need: Need,
        during_hash: Option<DuringHash>,
        leader: LookupLeader,
    ) {
        let lookup = self.begin();
        let file = match self.source.find(path) {
            Ok(Found::File(file)) => file,
            Ok(found) => {
                self.forget(path, lookup);
                let loaded = match found {
                    Found::Directory => Loaded::Directory,
                    _ => Loaded::Nothing,
                };
                return leader.finish((Looked::Loaded(loaded), lookup), 0);
            }
            Err(error) => return leader.fail(error),
        };
        let before = self.known(path);
        if let Some(before) = before.as_ref().filter(|before| before.is_still(&file)) {
            self.evidence.ask(&self.source, before);
            before.confirm(lookup.at);
            let loaded = Loaded::File(Arc::clone(before), None);
            return leader.finish((Looked::Loaded(loaded), lookup), 0);
        }
        let (slot, len) = (self.slot(path), file.content.len());
        let question = type_of(&self.types, path, &file).question();
        let is_told = self.told_digest(path, &file, question).is_some();
        let result = match &file.content {
            Content::File { fingerprint, .. } if len > PAYLOAD_IN_MEMORY && !is_told => {
                let fingerprint = *fingerprint;
                let found = LargeFile { path, slot, file, fingerprint, before, lookup };
                Ok(match len > HASH_FIRST_MAX {
                    true => Looked::Loaded(Loaded::File(self.answer_unhashed(found), None)),
                    false => self.answer_hashing(found, need, during_hash),
                })
            }
            _ => {
                let hashed = self.hash_and_store(path, &slot, file, before, lookup, &|| true);
                hashed.and_then(|hashed| {
                    let resource = hashed.ok_or(LoadError::Busy)?;
                    Ok(Looked::Loaded(Loaded::File(resource, None)))
                })
            }
        };
        match result {
            Ok(looked) => leader.finish((looked, lookup), 0),
            Err(error) => leader.fail(error),
        }
    }

    /// Hashes a file while it `is_wanted`, and stores its resource; `None` if it was given up.
    pub(super) fn hash_and_store(
        &self,
        path: &SourcePath,
        slot: &Slot,
        file: SourceFile,
        before: Option<Arc<Resource>>,
        lookup: Lookup,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Arc<Resource>>, LoadError> {
        match self.hash(path, file, before.as_ref(), lookup, is_wanted) {
            Ok(resource) => {
                Ok(resource.map(|resource| self.replace(slot, before.as_ref(), resource, lookup)))
            }
            Err(error) => {
                let path: std::path::PathBuf = path.to_string_lossy().as_ref().into();
                Err(Error::io("cannot read", &path, error).into())
            }
        }
    }

    /// Describes a file whose hash may soon begin. Queues the hash, unless it waits or runs.
    fn answer_hashing(
        self: &Arc<Self>,
        found: LargeFile<'_>,
        need: Need,
        during_hash: Option<DuringHash>,
    ) -> Looked {
        let unhashed = found.unhashed(&self.types);
        self.evidence.ask(&self.source, &unhashed);
        let priority = match need {
            Need::Watched => Priority::Foreground,
            Need::Always => Priority::Background,
        };
        let key = found.key();
        let hashing = self.hashes.join(&key, priority, || {
            let companion = self.begin_beside(found.path, &found.file, during_hash);
            self.run_of(found, companion)
        });
        Looked::Hashing(unhashed, Arc::new(hashing))
    }

    /// Describes a huge file without reading it. Begins its hash in the background, unless its digest is
    /// known or the hash runs.
    fn answer_unhashed(self: &Arc<Self>, found: LargeFile<'_>) -> Arc<Resource> {
        let unhashed = found.unhashed(&self.types);
        self.evidence.ask(&self.source, &unhashed);
        let key = found.key();
        // The result of a hash of this very file that ends now must stay.
        let suffices = |held: &Arc<Resource>| match held.state {
            DigestState::Unhashed => held.looks_like(&found.file) && self.hashes.is_running(&key),
            DigestState::Known(_) | DigestState::Unstable => held.is_still(&found.file),
        };
        let lookup = found.lookup;
        match found.slot.put_unless(lookup.generation, Some(Arc::clone(&unhashed)), suffices) {
            Put::Kept(held) => {
                held.confirm(lookup.at);
                return held;
            }
            // The hash begins before the return, as the caller may wait for it.
            Put::Stored => {
                self.hashes.join(&key, Priority::Background, || self.run_of(found, None));
            }
            Put::Outdated => {}
        }
        unhashed
    }

    /// Makes the hash of a large file, whose result goes into the slot that its lookup found.
    pub(super) fn run_of(
        self: &Arc<Self>,
        found: LargeFile<'_>,
        companion: Option<Companion>,
    ) -> Run {
        let LargeFile { path, slot, file, fingerprint, before, lookup } = found;
        let (inner, path) = (Arc::clone(self), path.clone());
        Box::new(move |is_wanted| {
            let hashed = inner.hash_and_store(&path, &slot, file, before, lookup, is_wanted);
            // No request waits for the hash of a huge file, and would tell of its error.
            if let Err(LoadError::Failed(error)) = &hashed
                && fingerprint.size > HASH_FIRST_MAX
            {
                log::warn!(%error, "cannot hash a large file");
            }
            // Work on bytes that changed during the hash ends at once.
            Ok(hashed?.map(|resource| {
                let is_same = resource.fingerprint == Some(fingerprint);
                (resource, companion.filter(|_| is_same))
            }))
        })
    }

    /// Describes `file` with its digest. Hashes the bytes, unless the source brings the digest, while it
    /// `is_wanted`.
    fn hash(
        &self,
        path: &SourcePath,
        mut file: SourceFile,
        before: Option<&Arc<Resource>>,
        lookup: Lookup,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<Option<Resource>> {
        let before = before.map(|before| &**before);
        let named = type_of(&self.types, path, &file);
        let seen = before.and_then(Resource::seen);
        let known = |file: &SourceFile, digest, text, rest| {
            let media_type = (named.clone(), text);
            Resource::with_digest(path, media_type, file, digest, rest, lookup.at, before)
                .steady_as(seen)
        };
        let unstable = |file: &SourceFile| {
            let (media_type, unstable) = ((named.clone(), Text::Unknown), DigestState::Unstable);
            Resource::new(path, media_type, file, unstable, Rest::Awaited, lookup.at, None)
                .steady_as(seen)
        };
        let told = self.told_digest(path, &file, named.question());
        let hashed = match (&file.content, told) {
            (Content::Bytes(bytes), told) => {
                let digest = told.map_or_else(|| Digest::of(bytes), |(digest, _)| digest);
                let look = || self.texts.look(path, named.question(), bytes);
                let text = file.told_text().unwrap_or_else(look);
                return Ok(Some(known(&file, digest, text, Rest::ByTimes)));
            }
            // The bytes are not read.
            (Content::File { .. }, Some((digest, text))) => {
                return Ok(Some(known(&file, digest, text, Rest::ByTimes)));
            }
            (Content::File { file: content, fingerprint }, None) => {
                let (content, question) = (Arc::clone(content), named.question());
                let (fingerprint, hashed) =
                    hash::hash(&*content, *fingerprint, question, seen, is_wanted)?;
                file.content = Content::File { file: content, fingerprint };
                hashed
            }
        };
        let Hashed { digest, text, buffer, rest } = match hashed {
            Outcome::Hashed(hashed) => hashed,
            Outcome::Unstable => {
                self.unstable.add(path, lookup.generation);
                return Ok(Some(unstable(&file)));
            }
            Outcome::GivenUp => return Ok(None),
        };
        if self.unstable.contains(path) {
            if rest == Rest::Awaited {
                return Ok(Some(unstable(&file)));
            }
            self.unstable.settle(path, lookup.generation);
        }
        if let Some(buffer) = buffer {
            self.context.memory.insert((digest, None), buffer);
        }
        if rest == Rest::ByTimes {
            let told = Told { digest, question: named.question(), text };
            self.context.digests.insert(&file.content, told);
        }
        Ok(Some(known(&file, digest, text, rest)))
    }

    /// Begins work beside the hash of a file whose type may be encoded.
    fn begin_beside(
        &self,
        path: &SourcePath,
        file: &SourceFile,
        during_hash: Option<DuringHash>,
    ) -> Option<Companion> {
        let media_type = type_of(&self.types, path, file).value(Text::Unknown);
        let is_encoded =
            compressibility_of(&media_type) != Compressibility::Never && file.in_coding.is_none();
        let begin = during_hash.filter(|_| is_encoded)?;
        match &file.content {
            Content::File { file, fingerprint } => begin(path, file, *fingerprint),
            Content::Bytes(_) => None,
        }
    }

    /// Returns the digest of `file` that is known without a hash, and the answer to `question`.
    ///
    /// The source knows the digest and no answer, or the file was hashed under another name. While a
    /// path is unstable, neither is trusted.
    fn told_digest(
        &self,
        path: &SourcePath,
        file: &SourceFile,
        question: Option<Question>,
    ) -> Option<(Digest, Text)> {
        let by_source = file.digest.map(|digest| (digest, Text::Unknown));
        let told = by_source.or_else(|| self.context.digests.get(&file.content, question))?;
        (!self.unstable.contains(path)).then_some(told)
    }

    /// Forgets the resource of a path that leads to no file any more.
    pub(super) fn forget(&self, path: &SourcePath, lookup: Lookup) {
        self.unstable.settle(path, lookup.generation);
        let Some(slot) = self.resources.get(path) else { return };
        let gone = slot.get();
        // A running hash puts its result into this slot, not into the next one.
        if !matches!(slot.put(lookup.generation, None), Put::Outdated) {
            self.resources.remove(path);
            if let Some(gone) = gone {
                self.tell_gone(&gone);
            }
        }
    }

    /// Stores what a lookup found in place of the resource `before`.
    fn replace(
        &self,
        slot: &Slot,
        before: Option<&Arc<Resource>>,
        resource: Resource,
        lookup: Lookup,
    ) -> Arc<Resource> {
        self.evidence.ask(&self.source, &resource);
        let resource = Arc::new(resource);
        if let Some(before) = before.filter(|before| before.digest() != resource.digest()) {
            self.tell_gone(before);
        }
        slot.put(lookup.generation, Some(Arc::clone(&resource)));
        resource
    }

    fn tell_gone(&self, gone: &Resource) {
        if let Some(digest) = gone.digest() {
            (self.context.on_gone)(digest, gone.len);
        }
    }

    /// Takes a lookup's place in the order. To be called before the source is asked.
    pub(super) fn begin(&self) -> Lookup {
        Lookup { at: clock(), generation: self.generations.begin() }
    }

    /// Returns the resource that is known at `path`.
    pub(super) fn known(&self, path: &SourcePath) -> Option<Arc<Resource>> {
        self.resources.get(path)?.get()
    }

    /// Returns the slot of `path`. A write to a slot that was evicted meanwhile has no effect.
    pub(super) fn slot(&self, path: &SourcePath) -> Slot {
        let new = || Ok::<_, Infallible>(Arc::new(Versioned::new()));
        match self.resources.get_or_insert_with(path, new) {
            Ok(slot) => slot,
            Err(never) => match never {},
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("source", &self.source).finish_non_exhaustive()
    }
}

/// A file that is hashed on a thread of its own, as a lookup found it.
pub(super) struct LargeFile<'a> {
    pub(super) path: &'a SourcePath,
    pub(super) slot: Slot,
    pub(super) file: SourceFile,
    pub(super) fingerprint: Fingerprint,
    pub(super) before: Option<Arc<Resource>>,
    pub(super) lookup: Lookup,
}

impl LargeFile<'_> {
    fn key(&self) -> Key {
        Key { path: self.path.clone(), fingerprint: self.fingerprint, call: None }
    }

    /// Describes the file without its digest.
    fn unhashed(&self, types: &MediaTypes) -> Arc<Resource> {
        let media_type = (type_of(types, self.path, &self.file), Text::Unknown);
        let (unhashed, at) = (DigestState::Unhashed, self.lookup.at);
        let rest = Rest::Awaited;
        let unhashed = Resource::new(self.path, media_type, &self.file, unhashed, rest, at, None);
        Arc::new(unhashed.dated_after(self.before.as_deref()))
    }
}
