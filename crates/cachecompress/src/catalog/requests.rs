//! The catalog as requests see it: what is known and fresh, and the wait for the rest.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::brought;
use super::checked_texts::CheckedTexts;
use super::context::LookupContext;
use super::encoded_source::EncodedSource;
use super::hash_queue::{HashQueue, Key, Run};
use super::held::{Held, Sibling};
use super::listings::Listings;
use super::load_error::LoadError;
use super::lookup::{DuringHash, Inner, Loaded, Looked, Lookup, Need};
use super::name_evidence::EvidenceCache;
use super::path_set::PathSet;
use super::resource::{DigestState, Resource};
use crate::concurrency::progress::{Progress, Stage, Watch};
use crate::concurrency::singleflight::{Join, SingleFlight};
use crate::concurrency::sync::clock;
use crate::concurrency::thread_pool::Priority;
use crate::concurrency::timer;
use crate::concurrency::versioned::Generations;
use crate::error::{Error, ErrorKind};
use crate::fs::Fingerprint;
use crate::http::{MediaTypes, SourcePath, Text};
use crate::limits::{
    ABSENT_SIBLINGS, DECODING_PAUSE, LONGEST_DECODING_PAUSE, RESOURCES, SOURCE_PATIENCE,
};
use crate::source::{Found, Source, SourceFile};

/// The catalog of one source, which finds and keeps the resources of its paths. Cloned handles
/// share it.
///
/// A lookup runs on a thread of `readers`, one at a time for a path. A long hash runs on a thread
/// of its own pool, one at a time for a state of a file. The result of a lookup never overwrites that
/// of one that began later.
#[derive(Clone, Debug)]
pub(crate) struct Catalog(Arc<Inner>);

/// A handle of a [`Catalog`] that does not keep it.
#[derive(Clone)]
pub(crate) struct WeakCatalog(Weak<Inner>);

impl WeakCatalog {
    pub(crate) fn upgrade(&self) -> Option<Catalog> {
        self.0.upgrade().map(Catalog)
    }
}

impl fmt::Debug for WeakCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakCatalog").finish_non_exhaustive()
    }
}

type LookupWatch = Watch<(Looked, Lookup), LoadError>;

/// The meaning of names in a source.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names {
    /// Whether anybody asks for hashes in names.
    pub(crate) may_hold_hashes: bool,
    /// Whether a file `app.js.br` without an `app.js` is that file in a coding.
    pub(crate) may_be_encoded: bool,
}

impl Catalog {
    /// Returns a handle that does not keep the catalog.
    pub(crate) fn downgrade(&self) -> WeakCatalog {
        WeakCatalog(Arc::downgrade(&self.0))
    }

    pub(crate) fn new(
        (source, types, names): (Arc<dyn Source>, MediaTypes, Names),
        (revalidate, patience): (Duration, Duration),
        context: &LookupContext,
    ) -> Self {
        let types = Arc::new(types);
        let texts = CheckedTexts::of(&*source, &types);
        let number = context.number();
        let decoded = (number, Arc::clone(&context.decoded));
        let names_are_encoded = names.may_be_encoded;
        Self(Arc::new(Inner {
            source: EncodedSource::new(source, Arc::clone(&types), names_are_encoded, decoded),
            types,
            evidence: EvidenceCache::new(names.may_hold_hashes),
            revalidate,
            patience,
            number,
            lookups: SingleFlight::new(),
            hashes: HashQueue::new(context.hash_threads.clone()),
            calls: AtomicU64::new(0),
            generations: Generations::default(),
            resources: quick_cache::sync::Cache::new(RESOURCES),
            listings: Listings::new(),
            texts,
            absent: quick_cache::sync::Cache::new(ABSENT_SIBLINGS),
            unstable: PathSet::default(),
            context: context.clone(),
        }))
    }

    /// The number of the catalog among those of its context.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// The time for which a lookup counts.
    pub(crate) fn revalidate(&self) -> Duration {
        self.0.revalidate
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    pub(super) fn patience(&self) -> Duration {
        self.0.patience
    }

    /// The times, in milliseconds of [`clock`], of lookups beside a file that found nothing.
    pub(super) fn absent(&self) -> &quick_cache::sync::Cache<SourcePath, u64> {
        &self.0.absent
    }

    /// The source without the decoder of its coded files.
    pub(super) fn undecoded(&self) -> &dyn Source {
        self.0.source.undecoded()
    }

    pub(crate) fn source(&self) -> &dyn Source {
        &self.0.source
    }

    /// Whether the site itself names the media type of `path`.
    pub(crate) fn names_type(&self, path: &SourcePath) -> bool {
        self.0.types.own(path).is_some()
    }

    /// Returns the media type that the name of `path` suggests.
    pub(crate) fn type_of_name(&self, path: &SourcePath) -> HeaderValue {
        self.0.types.of(path).value(Text::Unknown)
    }

    /// Whether a thread could begin a hash at once.
    pub(crate) fn has_idle_hasher(&self) -> bool {
        self.0.hashes.has_idle_worker()
    }

    /// Finds the target of `path`, by a lookup that began at most `revalidate` ago.
    ///
    /// A lookup that needs a long hash first asks `during_hash` for work beside it. If the hash does
    /// not begin within patience, the file comes without a digest, unless the request `needs_digest`.
    pub(crate) async fn resource(
        &self,
        path: &SourcePath,
        during_hash: impl Fn() -> Option<DuringHash>,
        needs_digest: impl FnOnce() -> bool,
    ) -> Result<Loaded, LoadError> {
        let looked = self.looked(path, during_hash).await?;
        let patience = matches!(looked, Looked::Hashing(..)) && !needs_digest();
        self.hashed_within(looked, patience.then_some(self.0.patience)).await
    }

    /// As [`resource`](Self::resource), without the wait for a hash.
    pub(super) async fn looked(
        &self,
        path: &SourcePath,
        during_hash: impl Fn() -> Option<DuringHash>,
    ) -> Result<Looked, LoadError> {
        let revalidate = self.0.revalidate;
        let known = self.0.known(path).map(|resource| (resource.age(), resource));
        if let Some((age, resource)) = &known
            && *age < revalidate / 2
        {
            return Ok(Looked::Loaded(Loaded::File(Arc::clone(resource), None)));
        }
        if let Some(loaded) = self.0.lookup_cached(path) {
            return Ok(Looked::Loaded(loaded));
        }
        if let Some((age, resource)) = known
            && age < revalidate
        {
            // The resource is used now and looked up meanwhile: a request for a busy file never
            // waits.
            self.join_lookup(path, Need::Always, || None);
            return Ok(Looked::Loaded(Loaded::File(resource, None)));
        }
        self.look_up(path, revalidate, during_hash).await
    }

    /// Finds the target of `path`, by a lookup that begins after this call. Waits for its hash.
    pub(crate) async fn load(&self, path: &SourcePath) -> Result<Loaded, LoadError> {
        let looked = self.look_up(path, Duration::ZERO, || None).await?;
        self.hashed_within(looked, None).await
    }

    /// As [`load`](Self::load), but a hash that does not begin within patience is not waited for.
    pub(crate) async fn reload(&self, path: &SourcePath) -> Result<Loaded, LoadError> {
        let looked = self.look_up(path, Duration::ZERO, || None).await?;
        self.hashed_within(looked, Some(self.0.patience)).await
    }

    pub(super) async fn hashed_within(
        &self,
        looked: Looked,
        patience: Option<Duration>,
    ) -> Result<Loaded, LoadError> {
        let (unhashed, hashing) = match looked {
            Looked::Loaded(loaded) => return Ok(loaded),
            Looked::Hashing(unhashed, hashing) => (unhashed, hashing),
        };
        Ok(match self.0.hashes.hashed(&hashing, patience).await? {
            Some((resource, companion)) => Loaded::File(resource, companion),
            None => Loaded::File(unhashed, None),
        })
    }

    /// Holds `resource` and its slot, if its path leads to it by a fresh lookup, and all `siblings`
    /// rest on fresh ones.
    pub(crate) fn hold(&self, resource: &Arc<Resource>, siblings: Vec<Sibling>) -> Option<Held> {
        let slot = self.0.resources.get(&resource.path)?;
        let fresh = millis(self.0.revalidate / 2);
        let held = Held { resource: Arc::clone(resource), slot, fresh, siblings };
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
        needs_digest: bool,
    ) -> Result<Arc<Resource>, LoadError> {
        let fail = |error| Error::new(ErrorKind::Io, "cannot read a file").with_cause(error);
        let inner = &self.0;
        let is_svgz = inner.source.is_svgz(&name, &file);
        if !is_svgz && brought::is_quick(&inner.types, &name, &file) {
            let described = brought::describe(&inner.types, &name, file, &|| true).map_err(fail)?;
            return described.map(Arc::new).ok_or(LoadError::Busy);
        }
        // Bytes in memory have no state of a file.
        let size = file.content.len();
        let none = Fingerprint { device: 0, inode: 0, size, modified: 0, changed: 0 };
        let fingerprint = file.content.fingerprint().unwrap_or(none);
        let call = Some(inner.calls.fetch_add(1, Ordering::Relaxed));
        let key = Key { path: name.clone(), fingerprint, call };
        let run = || -> Run {
            let (inner, name, file) = (Arc::clone(inner), name.clone(), file.clone());
            Box::new(move |is_wanted| {
                let file = inner.source.decode_svgz(&name, file)?;
                let described = brought::describe(&inner.types, &name, file, is_wanted);
                Ok(described.map_err(fail)?.map(|resource| (Arc::new(resource), None)))
            })
        };
        let hashing = self.0.hashes.join(&key, Priority::Foreground, run);
        // The file of an `.svgz` is not its own bytes.
        let patience = (!needs_digest && !is_svgz).then_some(self.0.patience);
        Ok(match self.0.hashes.hashed(&hashing, patience).await? {
            Some((resource, _)) => resource,
            None => Arc::new(brought::unhashed(&inner.types, &name, file)),
        })
    }

    /// Looks the file of `resource` up again. Blocks on the disk.
    pub(crate) fn reopen(&self, resource: &Resource) -> Result<Found, LoadError> {
        match &resource.brought {
            Some(content) => brought::reopen(content).map_err(|error| {
                Error::new(ErrorKind::Io, "cannot examine a file").with_cause(error).into()
            }),
            None => self.0.source.find(&resource.path),
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
            self.0.context.digests.remove(fingerprint);
        }
        resource.expire();
        // A lookup that began earlier and ends later must not bring the resource back.
        self.0.slot(&resource.path).put(generation, None);
        Arc::new(resource.unstable())
    }

    /// Marks the path of a coded file as unstable, as other bytes were read than its lookup found.
    pub(crate) fn mark_path_unstable(&self, path: &SourcePath) {
        if let Some(resource) = self.0.known(path) {
            self.mark_unstable(&resource);
        }
    }

    /// Waits for the hash of `resource`, if it runs. Returns the resource then known at its path.
    pub(crate) async fn hashed(&self, resource: Arc<Resource>) -> Arc<Resource> {
        if resource.state == DigestState::Unhashed
            && let Some(fingerprint) = resource.fingerprint
        {
            let path = resource.path.clone();
            self.0.hashes.ended(&Key { path, fingerprint, call: None }).await;
        }
        self.0.known(&resource.path).unwrap_or(resource)
    }

    /// Looks `path` up, or joins a lookup that began at most `max_age` ago.
    async fn look_up(
        &self,
        path: &SourcePath,
        max_age: Duration,
        during_hash: impl Fn() -> Option<DuringHash>,
    ) -> Result<Looked, LoadError> {
        let asked = self.0.begin();
        let join = || ended(self.join_lookup(path, Need::Watched, &during_hash));
        let (looked, lookup) = with_place(join).await?;
        if lookup.generation > asked.generation
            || lookup.at.saturating_add(millis(max_age)) > asked.at
        {
            return Ok(looked);
        }
        // The lookup began too early. It has ended, so the next one begins late enough.
        with_place(join).await.map(|(looked, _)| looked)
    }

    /// Joins the lookup of `path` that runs, or begins one.
    fn join_lookup(
        &self,
        path: &SourcePath,
        need: Need,
        during_hash: impl Fn() -> Option<DuringHash>,
    ) -> LookupWatch {
        loop {
            match self.0.lookups.join_running(path) {
                Join::Follow(progress) => match Watch::join(&progress) {
                    Some(watch) => return watch,
                    // The lookup was just given up.
                    None => continue,
                },
                Join::Lead(leader) => {
                    let watch = Watch::new(leader.progress());
                    let progress = Arc::clone(leader.progress());
                    if need == Need::Always {
                        progress.require();
                    }
                    let (inner, of_path) = (Arc::clone(&self.0), path.clone());
                    let during_hash = during_hash();
                    let look_up = move || {
                        if !leader.progress().fail_unless_wanted(LoadError::Busy) {
                            inner.lead_lookup(&of_path, need, during_hash, leader);
                        }
                    };
                    // A refused submission drops the leader, which ends the watch.
                    self.0.read(path, look_up, move || progress.is_wanted());
                    return watch;
                }
            }
        }
    }

    /// Reads what belongs to `path` on a thread of the readers, once there is a place to decode it.
    pub(crate) async fn read_decoded<T: Send + 'static>(
        &self,
        path: &SourcePath,
        read: impl FnOnce() -> Result<T, LoadError> + Clone + Send + 'static,
    ) -> Result<T, LoadError> {
        let read = || async { self.read(path, read.clone()).await? };
        with_place(read).await
    }

    /// Reads what belongs to `path` on a thread of the readers.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        path: &SourcePath,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        let progress = Progress::<(), ()>::new();
        let watch = Watch::new(&progress);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let read = move || {
            // A request that has gone leaves no read behind.
            if !sender.is_closed() {
                let _ = sender.send(read());
            }
        };
        self.0.read(path, read, move || progress.is_watched());
        let read = within_patience(receiver).await?.map_err(|_| LoadError::Busy);
        drop(watch);
        read
    }
}

async fn ended(mut watch: LookupWatch) -> Result<(Looked, Lookup), LoadError> {
    match within_patience(watch.until(Stage::ended)).await? {
        Stage::Finished { shared, .. } => Ok(shared),
        Stage::Failed { why, .. } => Err(why),
        Stage::Pending | Stage::Growing { .. } => Err(LoadError::Busy),
    }
}

/// Awaits a read of the source. One that finds no place to decode in begins again a little later: no
/// thread waits for the place, so that other reads have theirs.
async fn with_place<T, F: Future<Output = Result<T, LoadError>>>(
    read: impl Fn() -> F,
) -> Result<T, LoadError> {
    let deadline = Instant::now() + SOURCE_PATIENCE;
    let mut pause = DECODING_PAUSE;
    loop {
        match read().await {
            Err(LoadError::Decodes) if Instant::now() < deadline => {
                timer::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_DECODING_PAUSE);
            }
            read => return read,
        }
    }
}

/// Awaits a read of the source for as long as a request may wait for that.
pub(super) async fn within_patience<T>(read: impl Future<Output = T>) -> Result<T, LoadError> {
    let deadline = Instant::now() + SOURCE_PATIENCE;
    timer::until(deadline, read).await.ok_or(LoadError::Hangs)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::file_digests::Told;
    use super::super::lookup::LargeFile;
    use super::super::resource::type_of;
    use super::*;
    use crate::fs::{Disk as _, MemoryDisk};
    use crate::http::{ContentCoding, Digest, Question, Text};
    use crate::memory_cache::MemoryCache;
    use crate::source::{Content, Directory, Memory, Overlay, Symlinks};

    fn catalog(source: impl Source) -> Catalog {
        let source = (Arc::new(source) as _, MediaTypes::default(), Names::default());
        let context = LookupContext::new(MemoryCache::new(0), |_, _| ());
        Catalog::new(source, (Duration::ZERO, Duration::MAX), &context)
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
        let loaded = run(catalog.resource(&path, || None, || false));
        let Ok(Loaded::File(resource, None)) = loaded else { panic!("{loaded:?}") };
        assert!(inner.known(&path).is_some());

        let lookup = inner.begin();
        let Ok(Found::File(file)) = inner.source.lookup(&path) else { panic!("no file") };
        let unstable = catalog.mark_unstable(&resource);
        assert_eq!((unstable.state, unstable.tags.is_none()), (DigestState::Unstable, true));
        assert!(inner.known(&path).is_none());
        let slot = inner.slot(&path);
        inner.hash_and_store(&path, &slot, file, None, lookup, &|| true).unwrap();
        assert!(inner.known(&path).is_none(), "the mark is undone");

        let loaded = run(catalog.resource(&path, || None, || false));
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
            let end = async { early.finish((Looked::Loaded(Loaded::Nothing), lookup), 0) };
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
        let kept = catalog.0.context.digests.get(&file.content, Some(Question::Kind));
        assert_eq!(kept, None, "nobody looked for this");
        let question = type_of(&catalog.0.types, &path, &file).question();
        let (digest, text) =
            catalog.0.context.digests.get(&file.content, question).expect("it is kept");
        assert_eq!(Some(digest), hashed.digest());

        // Another digest in its place shows that the file is not hashed again.
        let planted = Digest::of(b"planted");
        catalog.0.context.digests.insert(&file.content, Told { digest: planted, question, text });
        let other = load("dot/dot/package/Cargo.toml");
        assert_eq!(other.digest(), Some(planted));
        catalog.mark_unstable(&other);
        assert_eq!(load("dot/package/Cargo.toml").digest(), hashed.digest(), "it is not trusted");
    }

    /// A reload of the configuration hashed every file anew.
    #[test]
    fn file_is_hashed_once_by_the_catalogs_of_one_context() {
        let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let context = LookupContext::new(MemoryCache::new(0), |_, _| ());
        let catalog = || {
            let source = Arc::new(Directory::new(package).unwrap());
            let source = (source as _, MediaTypes::default(), Names::default());
            Catalog::new(source, (Duration::ZERO, Duration::MAX), &context)
        };
        let path = SourcePath::root().join("Cargo.toml");
        let load = |catalog: &Catalog| {
            let Ok(Loaded::File(resource, _)) = run(catalog.load(&path)) else { panic!("no file") };
            resource
        };
        let (first, second) = (catalog(), catalog());
        load(&first);
        let Ok(Found::File(file)) = first.0.source.lookup(&path) else { panic!("no file") };
        let question = type_of(&first.0.types, &path, &file).question();
        let (_, text) = context.digests.get(&file.content, question).expect("it is kept");

        // Another digest in its place shows that the file is not hashed again.
        let planted = Digest::of(b"planted");
        context.digests.insert(&file.content, Told { digest: planted, question, text });
        assert_eq!(load(&second).digest(), Some(planted));
        assert_ne!(first.number(), second.number());
    }

    /// Each of 20 sites kept 128 MiB of decoded bytes.
    #[cfg(feature = "gzip")]
    #[test]
    fn decoded_files_have_one_room_for_the_catalogs_of_one_context() {
        use std::io::Write as _;

        let context = LookupContext::new(MemoryCache::new(0), |_, _| ());
        let (path, coded) = (SourcePath::root().join("a.js"), "a.js.gz");
        let catalogs = ["one", "another"].map(|text| {
            let mut gzip = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            let files = Memory::new().file(coded, gzip.finish().unwrap());
            let names = Names { may_be_encoded: true, ..Names::default() };
            let source = (Arc::new(files) as _, MediaTypes::default(), names);
            (text, Catalog::new(source, (Duration::ZERO, Duration::MAX), &context))
        });
        for (text, catalog) in &catalogs {
            let Ok(Found::File(file)) = catalog.0.source.lookup(&path) else { panic!("{text}") };
            assert!(matches!(file.content, Content::Bytes(bytes) if bytes == text.as_bytes()));
        }
        assert_eq!(context.decoded.len(), 2, "both are kept by what the catalogs share");
    }

    /// A response was replayed by the lookups of its own file alone, while a file came or changed beside it.
    #[test]
    fn held_resource_is_fresh_as_long_as_the_lookups_beside_it() {
        let files = Memory::new().file("a.js", "longer").file("a.js.br", "coded");
        let mut catalog = catalog(files);
        Arc::get_mut(&mut catalog.0).unwrap().revalidate = Duration::from_secs(2000);
        let path = SourcePath::root().join("a.js");
        let Ok(Loaded::File(resource, _)) = run(catalog.load(&path)) else { panic!("no file") };
        let beside = |coding| run(catalog.sibling(&resource, &coding)).unwrap();
        let held = |sibling| catalog.hold(&resource, vec![sibling]).expect("all is fresh");
        let (absent, present) = (beside(ContentCoding::GZIP), beside(ContentCoding::BROTLI));
        assert!(absent.file.is_none() && present.file.is_some());
        let (absent, present) = (held(absent), held(present));
        let now = clock();
        assert!(absent.is_fresh(now) && present.is_fresh(now));

        // Another request looks the file up again, and not what lies beside it.
        let later = now + 1_500_000;
        resource.confirm(later);
        assert!(!absent.is_fresh(later) && !present.is_fresh(later));
        assert!(catalog.hold(&resource, Vec::new()).is_some_and(|held| held.is_fresh(later)));
        catalog.mark_path_unstable(&path.with_extension_added("br"));
        assert!(!present.is_fresh(now), "it has changed");
    }

    /// The first request for a text in memory looked at all of it.
    #[test]
    fn text_in_memory_is_looked_at_before_the_first_lookup() {
        let build = || {
            let files =
                Memory::new().file("a.html", "gr\u{fc}n").file("b.html", b"gr\xfcn".as_slice());
            let below = Memory::new().file("LICENSE", "text").file("c.png", "no text");
            catalog(Overlay::new().layer(files).layer(below))
        };
        let type_of = |catalog: &Catalog, path: &SourcePath| {
            let Ok(Loaded::File(resource, _)) = run(catalog.load(path)) else { panic!("{path}") };
            resource.media_type.to_str().unwrap().to_owned()
        };
        for (path, planted, media_type) in [
            ("a.html", Text::Other, "text/html"),
            ("b.html", Text::Utf8, "text/html; charset=utf-8"),
            ("LICENSE", Text::Other, "application/octet-stream"),
        ] {
            let path = SourcePath::root().join(path);
            assert_ne!(type_of(&build(), &path), media_type, "{path}");
            // Another answer in its place shows that the bytes are not looked at again.
            let mut catalog = build();
            Arc::get_mut(&mut catalog.0).unwrap().texts.plant(&path, planted);
            assert_eq!(type_of(&catalog, &path), media_type, "{path}");
        }
    }

    #[test]
    fn endless_revalidate_takes_a_lookup_that_began_earlier() {
        let mut catalog = catalog(Memory::new().file("a.txt", "text"));
        Arc::get_mut(&mut catalog.0).unwrap().revalidate = Duration::MAX;
        let path = SourcePath::root().join("a.txt");
        let Join::Lead(early) = catalog.0.lookups.join_running(&path) else { panic!("one runs") };
        let lookup = Lookup { at: 1, ..catalog.0.begin() };
        let loaded = run(async {
            let load = catalog.resource(&path, || None, || false);
            let end = async { early.finish((Looked::Loaded(Loaded::Directory), lookup), 0) };
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
            let found = LargeFile {
                path: &path,
                slot: catalog.0.slot(&path),
                file: SourceFile { content, ..SourceFile::from_bytes("") },
                fingerprint: looked_up,
                before: None,
                lookup: catalog.0.begin(),
            };
            let hash = catalog.0.run_of(found, Some(Arc::new(())));
            let Ok(Some((_, companion))) = hash(&|| true) else { panic!("no file") };
            assert_eq!(companion.is_none(), changed);
        }
    }
}
