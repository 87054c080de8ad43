//! The catalog, which finds the resource of each path of the source.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use super::brought;
use super::file_digests::{FileDigests, Told};
use super::hash::{self, Hashed, Outcome};
use super::load_error::LoadError;
use super::path_set::PathSet;
use super::resource::{DigestState, Resource, Rest, compressibility_of, type_of};
use super::svgz::SvgzSource;
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::{Join, Leader, SingleFlight};
use crate::concurrency::sync::clock;
use crate::concurrency::thread_pool::{Limits, Priority, ThreadPool};
use crate::concurrency::versioned::{Generation, Generations, Put, Versioned};
use crate::error::{Error, ErrorKind};
use crate::fs::{DiskFile, Fingerprint};
use crate::http::{Compressibility, Digest, MediaTypes, Question, SourcePath, Text, look};
use crate::limits::{
    HASH_FIRST_MAX, HASHERS, PAYLOAD_IN_MEMORY, READ_QUEUE, RESOURCES, SMALL_JOB, SPARE_HASHERS,
};
use crate::log;
use crate::memory_cache::MemoryCache;
use crate::source::{Content, Found, Source, SourceFile};

/// The catalog of one source, which finds and keeps the resources of its paths. Cloned handles
/// share it.
///
/// A lookup runs on a thread of `readers`, one at a time for a path. A long hash runs on a thread
/// of its own pool. The result of a lookup never overwrites that of one that began later.
#[derive(Clone, Debug)]
pub(crate) struct Catalog(Arc<Inner>);

struct Inner {
    source: SvgzSource,
    types: Arc<MediaTypes>,
    revalidate: Duration,
    readers: ThreadPool,
    hashers: ThreadPool,
    memory: MemoryCache,
    /// Takes digest and length in bytes of each content that its path no longer leads to.
    on_gone: Box<dyn Fn(Digest, u64) + Send + Sync>,
    lookups: SingleFlight<SourcePath, (Loaded, Lookup), LoadError>,
    /// The hashes of files that go out meanwhile.
    hashes: SingleFlight<SourcePath, (), ()>,
    generations: Generations,
    resources: quick_cache::sync::Cache<SourcePath, Slot>,
    digests: FileDigests,
    /// The paths whose files changed under a hash or an encode. The files go out without a tag
    /// until they have rested.
    unstable: PathSet,
}

type Slot = Arc<Versioned<Arc<Resource>>>;
type LookupLeader = Leader<SourcePath, (Loaded, Lookup), LoadError>;

/// A function that begins work on a file before its long hash; `None` if it begins none.
pub(crate) type DuringHash =
    Box<dyn FnOnce(&SourcePath, &Arc<dyn DiskFile>, Fingerprint) -> Option<Companion> + Send>;

/// Work that was begun during a hash. It ends when the last request that waited for the hash drops
/// it.
pub(crate) type Companion = Arc<dyn Any + Send + Sync>;

/// The target of a path.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    File(Arc<Resource>, Option<Companion>),
    Directory,
    Nothing,
}

/// The beginning of a lookup.
#[derive(Clone, Copy, Debug)]
struct Lookup {
    /// The time, in milliseconds of [`clock`].
    at: u64,
    generation: Generation,
}

/// A resource and the slot that newer lookups overwrite.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) resource: Arc<Resource>,
    slot: Slot,
    /// The milliseconds after a lookup for which the resource counts as fresh.
    pub(crate) fresh: u64,
}

impl Held {
    /// Whether the path still leads to this resource, by a lookup that is fresh at `now` (in
    /// milliseconds of [`clock`]).
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        self.resource.age_at(now) < self.fresh
            && self.slot.holds(|held| Arc::ptr_eq(held, &self.resource))
    }
}

impl Catalog {
    pub(crate) fn new(
        source: Arc<dyn Source>,
        types: MediaTypes,
        revalidate: Duration,
        readers: ThreadPool,
        memory: MemoryCache,
        on_gone: impl Fn(Digest, u64) + Send + Sync + 'static,
    ) -> Self {
        let hashers = Limits { threads: HASHERS, spare: SPARE_HASHERS, queue: READ_QUEUE };
        let types = Arc::new(types);
        Self(Arc::new(Inner {
            source: SvgzSource::new(source, Arc::clone(&types)),
            types,
            revalidate,
            readers,
            hashers: ThreadPool::new("cc-hash", hashers),
            memory,
            on_gone: Box::new(on_gone),
            lookups: SingleFlight::new(),
            hashes: SingleFlight::new(),
            generations: Generations::default(),
            resources: quick_cache::sync::Cache::new(RESOURCES),
            digests: FileDigests::default(),
            unstable: PathSet::default(),
        }))
    }

    pub(crate) fn source(&self) -> &dyn Source {
        &self.0.source
    }

    /// Whether a thread could begin a hash at once.
    pub(crate) fn has_idle_hasher(&self) -> bool {
        self.0.hashers.has_idle_worker(Priority::Foreground)
    }

    /// Finds the target of `path`, by a lookup that began at most `revalidate` ago.
    ///
    /// A lookup that needs a long hash first asks `during_hash` for work beside it.
    pub(crate) async fn resource(
        &self,
        path: &SourcePath,
        during_hash: impl Fn() -> Option<DuringHash>,
    ) -> Result<Loaded, LoadError> {
        let revalidate = self.0.revalidate;
        let known = self.0.known(path).map(|resource| (resource.age(), resource));
        if let Some((age, resource)) = &known
            && *age < revalidate / 2
        {
            return Ok(Loaded::File(Arc::clone(resource), None));
        }
        if let Some(loaded) = self.0.lookup_cached(path) {
            return Ok(loaded);
        }
        if let Some((age, resource)) = known
            && age < revalidate
        {
            // The resource is used now and looked up meanwhile: a request for a busy file never
            // waits.
            self.join_lookup(path, || None);
            return Ok(Loaded::File(resource, None));
        }
        self.look_up(path, revalidate, during_hash).await
    }

    /// Finds the target of `path`, by a lookup that begins after this call.
    pub(crate) async fn load(&self, path: &SourcePath) -> Result<Loaded, LoadError> {
        self.look_up(path, Duration::ZERO, || None).await
    }

    /// Holds `resource` and its slot, if its path leads to it by a fresh lookup.
    pub(crate) fn hold(&self, resource: &Arc<Resource>) -> Option<Held> {
        let slot = self.0.resources.get(&resource.path)?;
        let fresh = millis(self.0.revalidate / 2);
        let held = Held { resource: Arc::clone(resource), slot, fresh };
        held.is_fresh(clock()).then_some(held)
    }

    /// Whether a lookup that begins now finds the bytes of `resource`.
    pub(crate) async fn is_current(&self, resource: &Resource) -> bool {
        resource.fingerprint.is_none()
            || resource.brought.is_some()
            || matches!(
                self.load(&resource.path).await,
                Ok(Loaded::File(now, _)) if now.state == resource.state
            )
    }

    /// Describes a file that a handler brings under a name, which is no path of the source.
    pub(crate) async fn describe(
        &self,
        name: SourcePath,
        file: SourceFile,
    ) -> Result<Arc<Resource>, LoadError> {
        let quick =
            !self.0.source.is_svgz(&name, &file) && brought::is_quick(&self.0.types, &name, &file);
        let described = if quick {
            brought::describe(&self.0.types, &name, file)
        } else {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let small = file.content.len() <= SMALL_JOB;
            let inner = Arc::clone(&self.0);
            self.0.hashers.submit(Priority::Foreground, small, move || {
                // A request that has gone leaves no hash behind.
                if !sender.is_closed() {
                    let file = inner.source.decode(&name, file);
                    let _ = sender.send(brought::describe(&inner.types, &name, file));
                }
            });
            receiver.await.map_err(|_| LoadError::default())?
        };
        described.map(Arc::new).map_err(|error| {
            let error = Error::new(ErrorKind::Io, "cannot read a file").with_cause(error);
            LoadError(Some(Arc::new(error)))
        })
    }

    /// Looks the file of `resource` up again. Blocks on the disk.
    pub(crate) fn reopen(&self, resource: &Resource) -> Result<Found, Error> {
        match &resource.brought {
            Some(content) => brought::reopen(content).map_err(|error| {
                Error::new(ErrorKind::Io, "cannot examine a file").with_cause(error)
            }),
            None => self.0.source.lookup(&resource.path),
        }
    }

    /// As [`reopen`](Self::reopen), but only if that needs no wait.
    pub(crate) fn reopen_nowait(&self, resource: &Resource) -> Option<Found> {
        match resource.brought {
            Some(_) => None,
            None => self.0.source.lookup_nowait(&resource.path),
        }
    }

    /// Marks the path as unstable until its file has rested. Returns the resource without a digest.
    pub(crate) fn mark_unstable(&self, resource: &Resource) -> Arc<Resource> {
        if resource.brought.is_some() {
            return Arc::new(resource.unstable());
        }
        let generation = self.0.generations.begin();
        self.0.unstable.add(&resource.path, generation);
        if let Some(fingerprint) = &resource.fingerprint {
            self.0.digests.remove(fingerprint);
        }
        resource.expire();
        // A lookup that began earlier and ends later must not bring the resource back.
        self.0.slot(&resource.path).put(generation, None);
        Arc::new(resource.unstable())
    }

    /// Waits for the hash of `resource`, if it runs. Returns the resource then known at its path.
    pub(crate) async fn hashed(&self, resource: Arc<Resource>) -> Arc<Resource> {
        if resource.state == DigestState::Unhashed
            && let Some(hash) = self.0.hashes.running(&resource.path)
        {
            Watch::new(&hash).until(Stage::ended).await;
        }
        self.0.known(&resource.path).unwrap_or(resource)
    }

    /// Looks `path` up, or joins a lookup that began at most `max_age` ago.
    async fn look_up(
        &self,
        path: &SourcePath,
        max_age: Duration,
        during_hash: impl Fn() -> Option<DuringHash>,
    ) -> Result<Loaded, LoadError> {
        let asked = self.0.begin();
        let (loaded, lookup) = ended(self.join_lookup(path, &during_hash)).await?;
        if lookup.generation > asked.generation
            || lookup.at.saturating_add(millis(max_age)) > asked.at
        {
            return Ok(loaded);
        }
        // That lookup began too early. It has ended, so the next one begins late enough.
        ended(self.join_lookup(path, during_hash)).await.map(|(loaded, _)| loaded)
    }

    /// Joins the lookup of `path` that runs, or begins one.
    fn join_lookup(
        &self,
        path: &SourcePath,
        during_hash: impl Fn() -> Option<DuringHash>,
    ) -> Watch<(Loaded, Lookup), LoadError> {
        match self.0.lookups.join_running(path) {
            Join::Follow(progress) => Watch::new(&progress),
            Join::Lead(leader) => {
                let watch = Watch::new(leader.progress());
                let (inner, path, during_hash) = (Arc::clone(&self.0), path.clone(), during_hash());
                // A refused submission drops the leader, which ends the watch.
                self.0.readers.submit(Priority::Foreground, true, move || {
                    inner.lead_lookup(&path, during_hash, leader);
                });
                watch
            }
        }
    }
}

async fn ended(
    mut watch: Watch<(Loaded, Lookup), LoadError>,
) -> Result<(Loaded, Lookup), LoadError> {
    match watch.until(Stage::ended).await {
        Stage::Finished { shared, .. } => Ok(shared),
        Stage::Failed { why, .. } => Err(why),
        Stage::Pending | Stage::Growing { .. } => Err(LoadError::default()),
    }
}

impl Inner {
    /// Finds the target of `path` without a wait, if it is an unchanged file or nothing.
    fn lookup_cached(&self, path: &SourcePath) -> Option<Loaded> {
        let lookup = self.begin();
        match self.source.lookup_nowait(path)? {
            Found::File(file) => {
                let before = self.known(path).filter(|before| before.is_still(&file))?;
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

    /// Looks `path` up and ends the flight. A long hash goes on elsewhere and ends it there.
    fn lead_lookup(
        self: &Arc<Self>,
        path: &SourcePath,
        during_hash: Option<DuringHash>,
        leader: LookupLeader,
    ) {
        let lookup = self.begin();
        let file = match self.source.lookup(path) {
            Ok(Found::File(file)) => file,
            Ok(found) => {
                self.forget(path, lookup);
                let loaded = match found {
                    Found::Directory => Loaded::Directory,
                    _ => Loaded::Nothing,
                };
                return leader.finish((loaded, lookup), 0);
            }
            Err(error) => return leader.fail(LoadError(Some(Arc::new(error)))),
        };
        let before = self.known(path);
        if let Some(before) = before.as_ref().filter(|before| before.is_still(&file)) {
            before.confirm(lookup.at);
            return leader.finish((Loaded::File(Arc::clone(before), None), lookup), 0);
        }
        let len = file.content.len();
        let question = type_of(&self.types, path, &file).question();
        let is_told = self.told_digest(path, &file, question).is_some();
        if len <= PAYLOAD_IN_MEMORY || is_told {
            self.finish_lookup(path, file, before.as_ref(), lookup, None, leader);
        } else if len > HASH_FIRST_MAX {
            let resource = self.answer_unhashed(path, file, before, lookup);
            leader.finish((Loaded::File(resource, None), lookup), 0);
        } else {
            let companion = self.begin_beside(path, &file, during_hash);
            let (inner, path) = (Arc::clone(self), path.clone());
            self.hashers.submit(Priority::Foreground, len <= SMALL_JOB, move || {
                inner.finish_lookup(&path, file, before.as_ref(), lookup, companion, leader);
            });
        }
    }

    fn finish_lookup(
        &self,
        path: &SourcePath,
        file: SourceFile,
        before: Option<&Arc<Resource>>,
        lookup: Lookup,
        companion: Option<Companion>,
        leader: LookupLeader,
    ) {
        let looked_up = file.content.fingerprint();
        match self.hash(path, file, before, lookup) {
            Ok(resource) => {
                // Work on bytes that changed during the hash ends at once.
                let companion = companion.filter(|_| resource.fingerprint == looked_up);
                let resource = self.replace(&self.slot(path), before, resource, lookup);
                leader.finish((Loaded::File(resource, companion), lookup), 0);
            }
            Err(error) => {
                let path: std::path::PathBuf = path.to_string_lossy().as_ref().into();
                let error = Error::io("cannot read", &path, error);
                leader.fail(LoadError(Some(Arc::new(error))));
            }
        }
    }

    /// Describes a huge file without reading it. Begins its hash, unless its digest is known or the
    /// hash runs.
    fn answer_unhashed(
        self: &Arc<Self>,
        path: &SourcePath,
        file: SourceFile,
        before: Option<Arc<Resource>>,
        lookup: Lookup,
    ) -> Arc<Resource> {
        let media_type = (type_of(&self.types, path, &file), Text::Unknown);
        let unhashed = DigestState::Unhashed;
        let rest = Rest::Awaited;
        let unhashed = Resource::new(path, media_type, &file, unhashed, rest, lookup.at, None);
        let unhashed = Arc::new(unhashed);
        let slot = self.slot(path);
        // The result of a hash of this very file that ends now must stay.
        let suffices = |held: &Arc<Resource>| match held.state {
            DigestState::Unhashed => held.looks_like(&file) && self.hashes.running(path).is_some(),
            DigestState::Known(_) | DigestState::Unstable => held.is_still(&file),
        };
        match slot.put_unless(lookup.generation, Some(Arc::clone(&unhashed)), suffices) {
            Put::Kept(held) => {
                held.confirm(lookup.at);
                return held;
            }
            // The hash begins before the return, as the caller may wait for it.
            Put::Stored => self.hash_meanwhile(path, slot, file, before, lookup),
            Put::Outdated => {}
        }
        unhashed
    }

    fn hash_meanwhile(
        self: &Arc<Self>,
        path: &SourcePath,
        slot: Slot,
        file: SourceFile,
        before: Option<Arc<Resource>>,
        lookup: Lookup,
    ) {
        let Join::Lead(leader) = self.hashes.join_running(path) else { return };
        let (inner, path) = (Arc::clone(self), path.clone());
        self.hashers.submit(Priority::Background, false, move || {
            match inner.hash(&path, file, before.as_ref(), lookup) {
                Ok(resource) => drop(inner.replace(&slot, before.as_ref(), resource, lookup)),
                Err(error) => log::warn!(%error, %path, "cannot hash a large file"),
            }
            // The slot comes first: a lookup between the two would hash the file again.
            leader.finish((), 0);
        });
    }

    /// Describes `file` with its digest. Hashes the bytes, unless the source brings the digest.
    fn hash(
        &self,
        path: &SourcePath,
        mut file: SourceFile,
        before: Option<&Arc<Resource>>,
        lookup: Lookup,
    ) -> io::Result<Resource> {
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
                return Ok(known(&file, digest, look(named.question(), bytes), Rest::ByTimes));
            }
            // The bytes are not read.
            (Content::File { .. }, Some((digest, text))) => {
                return Ok(known(&file, digest, text, Rest::ByTimes));
            }
            (Content::File { file: content, fingerprint }, None) => {
                let (content, question) = (Arc::clone(content), named.question());
                let (fingerprint, hashed) = hash::hash(&*content, *fingerprint, question, seen)?;
                file.content = Content::File { file: content, fingerprint };
                hashed
            }
        };
        let Outcome::Hashed(Hashed { digest, text, buffer, rest }) = hashed else {
            self.unstable.add(path, lookup.generation);
            return Ok(unstable(&file));
        };
        if self.unstable.contains(path) {
            if rest == Rest::Awaited {
                return Ok(unstable(&file));
            }
            self.unstable.settle(path, lookup.generation);
        }
        if let Some(buffer) = buffer {
            self.memory.insert((digest, None), buffer);
        }
        if rest == Rest::ByTimes {
            self.digests.insert(&file.content, Told { digest, question: named.question(), text });
        }
        Ok(known(&file, digest, text, rest))
    }

    /// Begins work beside the hash of a file whose type may be encoded.
    fn begin_beside(
        &self,
        path: &SourcePath,
        file: &SourceFile,
        during_hash: Option<DuringHash>,
    ) -> Option<Companion> {
        let media_type = type_of(&self.types, path, file).value(Text::Unknown);
        let is_encoded = compressibility_of(&media_type) != Compressibility::Never;
        let begin = during_hash.filter(|_| is_encoded)?;
        match &file.content {
            Content::File { file, fingerprint } => begin(path, file, *fingerprint),
            Content::Bytes(_) => None,
        }
    }

    /// Returns the digest of `file` that is known without a hash, and the answer to `question`: by its
    /// source, which answers nothing, or because the file was hashed under another name. While a path
    /// is unstable, none is trusted.
    fn told_digest(
        &self,
        path: &SourcePath,
        file: &SourceFile,
        question: Option<Question>,
    ) -> Option<(Digest, Text)> {
        let by_source = file.digest.map(|digest| (digest, Text::Unknown));
        let told = by_source.or_else(|| self.digests.get(&file.content, question))?;
        (!self.unstable.contains(path)).then_some(told)
    }

    /// Forgets the resource of a path that leads to no file any more.
    fn forget(&self, path: &SourcePath, lookup: Lookup) {
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
        let resource = Arc::new(resource);
        if let Some(before) = before.filter(|before| before.digest() != resource.digest()) {
            self.tell_gone(before);
        }
        slot.put(lookup.generation, Some(Arc::clone(&resource)));
        resource
    }

    fn tell_gone(&self, gone: &Resource) {
        if let Some(digest) = gone.digest() {
            (self.on_gone)(digest, gone.len);
        }
    }

    /// Takes a lookup's place in the order. To be called before the source is asked.
    fn begin(&self) -> Lookup {
        Lookup { at: clock(), generation: self.generations.begin() }
    }

    /// Returns the resource that is known at `path`.
    fn known(&self, path: &SourcePath) -> Option<Arc<Resource>> {
        self.resources.get(path)?.get()
    }

    /// Returns the slot of `path`. A write to a slot that was evicted meanwhile has no effect.
    fn slot(&self, path: &SourcePath) -> Slot {
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Disk as _, MemoryDisk};
    use crate::source::{Directory, Memory, Symlinks};

    fn catalog(source: impl Source) -> Catalog {
        let readers = ThreadPool::new("test", Limits { threads: 2, spare: 0, queue: 16 });
        let types = MediaTypes::default();
        Catalog::new(
            Arc::new(source),
            types,
            Duration::ZERO,
            readers,
            MemoryCache::new(0),
            |_, _| (),
        )
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// A lookup began before an encode saw the file change, and ended after that. It brought back
    /// the resource that was not to be trusted any more. Until the next lookup, one encode after
    /// the other began and aborted.
    #[test]
    fn mark_unstable_outlasts_a_lookup_that_began_before_it() {
        let catalog = catalog(Memory::new().file("a.txt", "text"));
        let path = SourcePath::root().join("a.txt");
        let inner = &catalog.0;
        let loaded = run(catalog.resource(&path, || None));
        let Ok(Loaded::File(resource, None)) = loaded else { panic!("{loaded:?}") };
        assert!(inner.known(&path).is_some());

        let lookup = inner.begin();
        let Ok(Found::File(file)) = inner.source.lookup(&path) else { panic!("no file") };
        let unstable = catalog.mark_unstable(&resource);
        assert_eq!((unstable.state, unstable.tags.is_none()), (DigestState::Unstable, true));
        assert!(inner.known(&path).is_none());
        let Join::Lead(leader) = inner.lookups.join_running(&path) else { panic!("one runs") };
        inner.finish_lookup(&path, file, None, lookup, None, leader);
        assert!(inner.known(&path).is_none(), "the mark is undone");

        let loaded = run(catalog.resource(&path, || None));
        assert!(matches!(loaded, Ok(Loaded::File(..))), "{loaded:?}");
        assert!(inner.known(&path).is_some(), "a later lookup ends the mark");
    }

    /// Requests spun until the leader of a lookup that had begun too early was gone.
    #[test]
    fn load_begins_a_lookup_after_one_that_began_before_it() {
        let catalog = catalog(Memory::new().file("a.txt", "text"));
        let path = SourcePath::root().join("a.txt");
        let Join::Lead(early) = catalog.0.lookups.join_running(&path) else { panic!("one runs") };
        let lookup = catalog.0.begin();
        let loaded = run(async {
            let load = catalog.load(&path);
            let end = async { early.finish((Loaded::Nothing, lookup), 0) };
            tokio::join!(load, end).0
        });
        assert!(matches!(loaded, Ok(Loaded::File(..))), "{loaded:?}");
    }

    /// A symlink to `.` gave a file names without end, and each was hashed.
    #[cfg(unix)]
    #[test]
    fn file_with_many_names_is_hashed_once() {
        let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(package, dir.path().join("package")).unwrap();
        std::os::unix::fs::symlink(".", dir.path().join("dot")).unwrap();
        let source = Directory::new(dir.path()).unwrap().symlinks(Symlinks::Follow);
        let catalog = catalog(source);
        let load = |path: &str| {
            let path = SourcePath::root().join(path);
            let Ok(Loaded::File(resource, _)) = run(catalog.load(&path)) else { panic!("{path}") };
            resource
        };
        let hashed = load("package/Cargo.toml");
        let path = SourcePath::root().join("package/Cargo.toml");
        let Ok(Found::File(file)) = catalog.0.source.lookup(&path) else { panic!("no file") };
        let kept = catalog.0.digests.get(&file.content, Some(Question::Kind));
        assert_eq!(kept, None, "nobody looked for this");
        let question = type_of(&catalog.0.types, &path, &file).question();
        let (digest, text) = catalog.0.digests.get(&file.content, question).expect("it is kept");
        assert_eq!(Some(digest), hashed.digest());

        // Another digest in its place shows that the file is not hashed again.
        let planted = Digest::of(b"planted");
        catalog.0.digests.insert(&file.content, Told { digest: planted, question, text });
        let other = load("dot/dot/package/Cargo.toml");
        assert_eq!(other.digest(), Some(planted));
        catalog.mark_unstable(&other);
        assert_eq!(load("dot/package/Cargo.toml").digest(), hashed.digest(), "it is not trusted");
    }

    #[test]
    fn endless_revalidate_takes_a_lookup_that_began_earlier() {
        let mut catalog = catalog(Memory::new().file("a.txt", "text"));
        Arc::get_mut(&mut catalog.0).unwrap().revalidate = Duration::MAX;
        let path = SourcePath::root().join("a.txt");
        let Join::Lead(early) = catalog.0.lookups.join_running(&path) else { panic!("one runs") };
        let lookup = catalog.0.begin();
        let loaded = run(async {
            let load = catalog.resource(&path, || None);
            let end = async { early.finish((Loaded::Directory, lookup), 0) };
            tokio::join!(load, end).0
        });
        assert!(matches!(loaded, Ok(Loaded::Directory)), "{loaded:?}");
    }

    #[test]
    fn lookup_drops_work_on_a_file_that_changed_during_its_hash() {
        let catalog = catalog(Memory::new());
        let path = SourcePath::root().join("a.txt");
        let file = MemoryDisk::new().create_unnamed(std::path::Path::new("/")).unwrap();
        file.write_all_at(b"text", 0).unwrap();
        let fingerprint = file.stat().unwrap().fingerprint;
        for changed in [false, true] {
            // The state before a change differs from the one that the hash finds at its end.
            let looked_up =
                Fingerprint { inode: fingerprint.inode + u64::from(changed), ..fingerprint };
            let content = Content::File { file: Arc::clone(&file), fingerprint: looked_up };
            let source_file = SourceFile { content, ..SourceFile::from_bytes("") };
            let work: Companion = Arc::new(());
            let Join::Lead(leader) = catalog.0.lookups.join_running(&path) else {
                panic!("one runs")
            };
            let watch = Watch::new(leader.progress());
            let lookup = catalog.0.begin();
            catalog.0.finish_lookup(&path, source_file, None, lookup, Some(work), leader);
            let Ok((Loaded::File(_, companion), _)) = run(ended(watch)) else { panic!("no file") };
            assert_eq!(companion.is_none(), changed);
        }
    }
}
