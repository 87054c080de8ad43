//! Resources: what is known of a path, and for how long it counts.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;

use crate::catalog::hash::{self, Hashed};
use crate::codec::Codecs;
use crate::concurrency::progress::{Stage, Watch};
use crate::concurrency::singleflight::{Join, Leader};
use crate::concurrency::sync::clock;
use crate::concurrency::thread_pool::Priority;
use crate::concurrency::versioned::{Generation, Put, Versioned};
use crate::encode::speculative::{Ahead, Likely};
use crate::error::{Error, ErrorKind};
use crate::fs::Fingerprint;
use crate::http::{
    Compressibility, Digest, RepresentationTags, SourcePath, compressibility, media_type,
};
use crate::representations::{Representations, Shared};
use crate::source::{Content, Found, SourceFile};

/// Identity representations up to this length are answered from the buffer that was hashed.
pub(crate) const SMALL: u64 = 256 * 1024;
/// A source's bytes of up to this length are kept with their resource.
const KEPT: usize = 64 * 1024;
/// Sources longer than this go out before they are hashed.
const HASH_FIRST: u64 = 256 << 20;

/// A file of the source, as it was when it was last looked at.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) path: SourcePath,
    pub(crate) len: u64,
    pub(crate) state: State,
    /// The tags of its representations, unless it is unsettled or not hashed yet.
    pub(crate) tags: Option<RepresentationTags>,
    pub(crate) last_modified: Option<SystemTime>,
    pub(crate) media_type: HeaderValue,
    pub(crate) compressibility: Compressibility,
    /// The bytes, if the source holds them in memory.
    pub(crate) bytes: Option<Bytes>,
    /// The state of the file that was hashed, if it is one.
    pub(crate) fingerprint: Option<Fingerprint>,
    modified: Option<SystemTime>,
    own_tag: Option<Arc<str>>,
    pub(crate) rested: bool,
    /// Keeps an encode that began while it was hashed: only for those who waited for that.
    pub(crate) ahead: Option<Arc<Ahead>>,
    /// When it was last held against the source, in milliseconds of [`clock`].
    checked: AtomicU64,
}

/// What is known of a resource's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Their digest.
    Known(Digest),
    /// They change too fast to be named.
    Unsettled,
    /// They are being hashed.
    Unhashed,
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub(crate) enum Loaded {
    File(Arc<Resource>),
    Directory,
    Nothing,
}

/// A resource, and where a later look puts what it finds in its place.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) resource: Arc<Resource>,
    slot: Slot,
    /// For how many milliseconds after a look it need not be looked at again.
    pub(crate) fresh: u64,
}

impl Held {
    /// Whether it is still what its path leads to, as far as is known, and need not be looked at
    /// `now`, in milliseconds of [`clock`].
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.resource.checked.load(Ordering::Relaxed)) < self.fresh
            && self.slot.holds(|held| Arc::ptr_eq(held, &self.resource))
    }
}

/// When a path was looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    /// In milliseconds of [`clock`].
    at: u64,
    look: Generation,
}

/// Why a path could not be looked up; shared by all who waited for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadError(Option<Arc<Error>>);

impl LoadError {
    /// The error for one of those who share it.
    pub(crate) fn into_error(self) -> Error {
        match self.0 {
            Some(error) => {
                let kind = error.kind();
                Error::new(kind, "the source could not be read").with_cause(error)
            }
            None => Error::new(ErrorKind::Busy, "too much is being read from the source"),
        }
    }
}

impl Resource {
    pub(crate) fn digest(&self) -> Option<Digest> {
        match self.state {
            State::Known(digest) => Some(digest),
            State::Unsettled | State::Unhashed => None,
        }
    }

    /// What is known, but for an encode that is ahead.
    pub(crate) fn copy(&self) -> Self {
        Self {
            path: self.path.clone(),
            tags: self.tags.clone(),
            media_type: self.media_type.clone(),
            bytes: self.bytes.clone(),
            own_tag: self.own_tag.clone(),
            ahead: None,
            checked: AtomicU64::new(self.checked.load(Ordering::Relaxed)),
            ..*self
        }
    }

    /// The bytes, if the source holds them in memory.
    pub(crate) fn own_bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref()
    }

    fn age(&self) -> Duration {
        Duration::from_millis(clock().saturating_sub(self.checked.load(Ordering::Relaxed)))
    }

    /// Whether `content` is still what this resource was made of, as far as can be told without
    /// reading it.
    fn is_still(&self, file: &SourceFile) -> bool {
        self.looks_like(file) && (self.rested || self.bytes.is_some())
    }

    /// As [`is_still`](Self::is_still), but for a change within one tick of the file system's clock.
    fn looks_like(&self, file: &SourceFile) -> bool {
        let same_bytes = match (&file.content, &self.bytes) {
            (Content::Bytes(now), Some(then)) => {
                now.as_ptr() == then.as_ptr() && now.len() == then.len()
            }
            (Content::File { fingerprint, .. }, None) => self.fingerprint == Some(*fingerprint),
            _ => false,
        };
        same_bytes && self.own_tag == file.entity_tag && self.modified == file.modified
    }
}

impl Representations {
    /// What `path` leads to, known to be true at most `revalidate` ago. `likely` is asked if
    /// that has to be looked up.
    pub(crate) async fn resource(
        &self,
        path: &SourcePath,
        likely: impl Fn() -> Option<Likely>,
    ) -> Result<Loaded, LoadError> {
        let revalidate = self.0.config.revalidate;
        let known = self.0.known_resource(path).map(|resource| (resource.age(), resource));
        if let Some((age, resource)) = &known
            && *age < revalidate / 2
        {
            return Ok(Loaded::File(Arc::clone(resource)));
        }
        if let Some(loaded) = self.0.glance(path) {
            return Ok(loaded);
        }
        if let Some((age, resource)) = known
            && age < revalidate
        {
            // Answer now, look meanwhile: so a busy resource is never waited for.
            self.begin_load(path, || None);
            return Ok(Loaded::File(resource));
        }
        let asked = self.0.now();
        loop {
            let (loaded, looked) = self.look_up(path, &likely).await?;
            // A flight that was joined may have looked before this request came.
            if looked.look > asked.look || looked.at + millis(revalidate) > asked.at {
                return Ok(loaded);
            }
            let_flight_go();
        }
    }

    /// `resource`, if that is what its path leads to, as far as is known.
    pub(crate) fn hold(&self, resource: &Arc<Resource>) -> Option<Held> {
        let slot = self.0.resources.get(&resource.path)?;
        let fresh = millis(self.0.config.revalidate / 2);
        let held = Held { resource: Arc::clone(resource), slot, fresh };
        held.is_fresh(clock()).then_some(held)
    }

    /// What `path` leads to, looked up after this call.
    pub(crate) async fn load(&self, path: &SourcePath) -> Result<Loaded, LoadError> {
        let asked = self.0.now();
        loop {
            let (loaded, looked) = self.look_up(path, || None).await?;
            if looked.look > asked.look {
                return Ok(loaded);
            }
            let_flight_go();
        }
    }

    /// What `path` leads to, and when that was looked up.
    async fn look_up(
        &self,
        path: &SourcePath,
        likely: impl Fn() -> Option<Likely>,
    ) -> Result<(Loaded, Looked), LoadError> {
        let mut watch = self.begin_load(path, likely);
        match watch.until(Stage::ended).await {
            Stage::Finished { shared, .. } => Ok(shared),
            Stage::Failed { why, .. } => Err(why),
            Stage::Pending | Stage::Growing { .. } => Err(LoadError::default()),
        }
    }

    /// Treats the resource as unsettled until its file has rested; returns it as such.
    pub(crate) fn distrust(&self, resource: &Resource) -> Arc<Resource> {
        self.0.distrust(resource);
        let unsettled = Resource { state: State::Unsettled, tags: None, ..resource.copy() };
        unsettled.checked.store(0, Ordering::Relaxed);
        Arc::new(unsettled)
    }

    fn begin_load(
        &self,
        path: &SourcePath,
        likely: impl Fn() -> Option<Likely>,
    ) -> Watch<(Loaded, Looked), LoadError> {
        match self.0.loads.join(path) {
            Join::Follow(progress) => Watch::new(&progress),
            Join::Lead(lead) => {
                let watch = Watch::new(lead.progress());
                let (shared, path, likely) = (Arc::clone(&self.0), path.clone(), likely());
                // A submission that is refused drops the leader, which tells the watch.
                self.0.readers.submit(Priority::Foreground, true, move || {
                    Shared::lead_load(&shared, &path, likely, lead);
                });
                watch
            }
        }
    }
}

type Slot = Arc<Versioned<Arc<Resource>>>;
type LoadLead = Leader<SourcePath, (Loaded, Looked), LoadError>;

impl Shared {
    /// What `path` leads to, if that can be told without a wait: a file that is as it was, or nothing.
    fn glance(&self, path: &SourcePath) -> Option<Loaded> {
        let looked = self.now();
        match self.config.source.lookup_nowait(path)? {
            Found::File(file) => {
                let before = self.known_resource(path).filter(|before| before.is_still(&file))?;
                before.checked.fetch_max(looked.at, Ordering::Relaxed);
                Some(Loaded::File(before))
            }
            // What a look-up that is under way has seen before must not be held afterwards.
            Found::Nothing if self.loads.running(path).is_none() => {
                self.gone(path, looked);
                Some(Loaded::Nothing)
            }
            Found::Nothing | Found::Directory => None,
        }
    }

    /// Forgets what was known of a path where there is no file any more.
    fn gone(&self, path: &SourcePath, looked: Looked) {
        self.unsettled.settle(path, looked.look);
        let Some(slot) = self.resources.get(path) else { return };
        let gone = slot.get();
        // Also a hash that is under way tells its end to this one, and not to the next.
        if !matches!(slot.put(looked.look, None), Put::Outdated) {
            self.resources.remove(path);
            if let Some(gone) = gone {
                self.demote(&gone);
            }
        }
    }

    /// Generations `path` up, and ends the flight with the time of that; what has to be hashed at length
    /// goes on where it holds up no one.
    fn lead_load(shared: &Arc<Self>, path: &SourcePath, likely: Option<Likely>, lead: LoadLead) {
        let looked = shared.now();
        let file = match shared.config.source.lookup(path) {
            Ok(Found::File(file)) => file,
            Ok(found) => {
                shared.gone(path, looked);
                let loaded = match found {
                    Found::Directory => Loaded::Directory,
                    _ => Loaded::Nothing,
                };
                return lead.finish((loaded, looked), 0);
            }
            Err(error) => return lead.fail(LoadError(Some(Arc::new(error)))),
        };
        let before = shared.known_resource(path);
        if let Some(before) = before.as_ref().filter(|before| before.is_still(&file)) {
            before.checked.fetch_max(looked.at, Ordering::Relaxed);
            return lead.finish((Loaded::File(Arc::clone(before)), looked), 0);
        }
        if file.content.len() <= SMALL || file.digest.is_some() {
            shared.finish_load(path, file, before.as_ref(), looked, None, lead);
        } else if file.content.len() > HASH_FIRST {
            let answered = Self::answer_unhashed(shared, path, file, before, looked);
            lead.finish((Loaded::File(answered), looked), 0);
        } else {
            let small = file.content.len() <= Codecs::SMALL;
            let ahead = likely
                .filter(|_| type_of(path, &file).1 != Compressibility::Never)
                .and_then(|likely| Self::begin_ahead(shared, path, &file, likely));
            let (clone, path) = (Arc::clone(shared), path.clone());
            shared.hashers.submit(Priority::Foreground, small, move || {
                clone.finish_load(&path, file, before.as_ref(), looked, ahead, lead);
            });
        }
    }

    /// What is known of a huge file without reading it; has it hashed, unless it is, or is about
    /// to be.
    fn answer_unhashed(
        shared: &Arc<Self>,
        path: &SourcePath,
        file: SourceFile,
        before: Option<Arc<Resource>>,
        looked: Looked,
    ) -> Arc<Resource> {
        let unhashed = Arc::new(shared.describe(path, &file, State::Unhashed, false, looked, None));
        let slot = shared.slot(path);
        // A hash of this very file that ends now must not be forgotten for what is known less of.
        let will_do = |held: &Arc<Resource>| match held.state {
            State::Unhashed => held.looks_like(&file) && shared.hashing.contains(path),
            State::Known(_) | State::Unsettled => held.is_still(&file),
        };
        match slot.put_unless(looked.look, Some(Arc::clone(&unhashed)), will_do) {
            Put::Kept(held) => {
                held.checked.fetch_max(looked.at, Ordering::Relaxed);
                return held;
            }
            // First the hash, then the answer: who has that can wait for the other.
            Put::Stored => Self::hash_meanwhile(shared, path, slot, file, before, looked),
            Put::Outdated => {}
        }
        unhashed
    }

    fn hash_meanwhile(
        shared: &Arc<Self>,
        path: &SourcePath,
        slot: Slot,
        file: SourceFile,
        before: Option<Arc<Resource>>,
        looked: Looked,
    ) {
        if !shared.hashing.add(path, looked.look) {
            return;
        }
        let (clone, wanted) = (Arc::clone(shared), path.clone());
        let submitted = shared.hashers.submit(Priority::Background, false, move || {
            match clone.hashed(&wanted, file, before.as_ref(), looked) {
                Ok(resource) => drop(slot.put(looked.look, Some(Arc::new(resource)))),
                Err(error) => tracing::warn!(%error, path = %wanted, "cannot hash a large file"),
            }
            // Only now: between the two, a look would have it hashed again.
            clone.hashing.remove(&wanted);
        });
        if !submitted {
            shared.hashing.remove(path);
        }
    }

    fn finish_load(
        &self,
        path: &SourcePath,
        file: SourceFile,
        before: Option<&Arc<Resource>>,
        looked: Looked,
        ahead: Option<Arc<Ahead>>,
        lead: LoadLead,
    ) {
        match self.hashed(path, file, before, looked) {
            Ok(resource) => {
                let resource = Arc::new(resource);
                if let Some(before) = before.filter(|before| before.digest() != resource.digest()) {
                    self.demote(before);
                }
                self.slot(path).put(looked.look, Some(Arc::clone(&resource)));
                let resource = match ahead {
                    Some(ahead) if ahead.is_of(&resource) => {
                        Arc::new(Resource { ahead: Some(ahead), ..resource.copy() })
                    }
                    _ => resource,
                };
                lead.finish((Loaded::File(resource), looked), 0);
            }
            Err(error) => {
                let error = Error::io("cannot read", &path_for_people(path), error);
                lead.fail(LoadError(Some(Arc::new(error))));
            }
        }
    }

    /// The resource that `file` is, its bytes hashed unless their digest is known.
    fn hashed(
        &self,
        path: &SourcePath,
        mut file: SourceFile,
        before: Option<&Arc<Resource>>,
        looked: Looked,
    ) -> io::Result<Resource> {
        // A source that was caught with another digest than it says is not asked any more.
        let told = file.digest.filter(|_| !self.unsettled.contains(path));
        let hashed = match (&file.content, told) {
            (_, Some(digest)) => return Ok(self.known(path, &file, digest, true, looked, before)),
            (Content::Bytes(bytes), None) => {
                let digest = Digest::of(bytes);
                return Ok(self.known(path, &file, digest, true, looked, before));
            }
            (Content::File { file: content, fingerprint }, None) => {
                let file_of = Arc::clone(content);
                let (fingerprint, hashed) = hash::hash(&*file_of, *fingerprint)?;
                file.content = Content::File { file: file_of, fingerprint };
                hashed
            }
        };
        let Some(Hashed { digest, buffer, rested }) = hashed else {
            self.unsettled.add(path, looked.look);
            return Ok(self.describe(path, &file, State::Unsettled, false, looked, None));
        };
        if self.unsettled.contains(path) {
            if !rested {
                return Ok(self.describe(path, &file, State::Unsettled, false, looked, None));
            }
            self.unsettled.settle(path, looked.look);
        }
        if let Some(buffer) = buffer {
            self.payloads.insert((digest, None), buffer);
        }
        Ok(self.known(path, &file, digest, rested, looked, before))
    }

    fn known(
        &self,
        path: &SourcePath,
        file: &SourceFile,
        digest: Digest,
        rested: bool,
        looked: Looked,
        before: Option<&Arc<Resource>>,
    ) -> Resource {
        let earlier = before.filter(|b| b.digest().is_some_and(|before| before != digest));
        let same = before.filter(|before| before.digest() == Some(digest));
        let mut resource = self.describe(path, file, State::Known(digest), rested, looked, earlier);
        if let Some(same) = same {
            // The same bytes under a new date: what was said of them stays true, but for a date
            // that went back.
            resource.last_modified = resource.last_modified.max(same.last_modified);
        }
        resource
    }

    fn describe(
        &self,
        path: &SourcePath,
        file: &SourceFile,
        state: State,
        rested: bool,
        looked: Looked,
        replaced: Option<&Arc<Resource>>,
    ) -> Resource {
        let (media_type, compressibility) = type_of(path, file);
        let own = file.entity_tag.as_deref().and_then(RepresentationTags::own);
        let tags = match state {
            State::Known(digest) => {
                Some(own.unwrap_or_else(|| RepresentationTags::of_digest(&digest)))
            }
            State::Unsettled | State::Unhashed => None,
        };
        let now = SystemTime::now();
        let mut last_modified = file.modified.map(|modified| modified.min(now));
        if let Some(before) = replaced.and_then(|replaced| replaced.last_modified)
            && last_modified.is_some_and(|modified| modified <= before)
        {
            last_modified = Some(now);
        }
        Resource {
            path: path.clone(),
            len: file.content.len(),
            state,
            tags,
            last_modified,
            media_type,
            compressibility,
            bytes: match &file.content {
                // Long ones are kept only if the source keeps them, too.
                Content::Bytes(bytes) if file.digest.is_some() || bytes.len() <= KEPT => {
                    Some(bytes.clone())
                }
                Content::Bytes(_) | Content::File { .. } => None,
            },
            fingerprint: match &file.content {
                Content::Bytes(_) => None,
                Content::File { fingerprint, .. } => Some(*fingerprint),
            },
            modified: file.modified,
            own_tag: file.entity_tag.clone(),
            rested,
            ahead: None,
            checked: AtomicU64::new(looked.at),
        }
    }

    pub(crate) fn distrust(&self, resource: &Resource) {
        let look = self.looks.begin();
        self.unsettled.add(&resource.path, look);
        resource.checked.store(0, Ordering::Relaxed);
        // Also a look that began before this one, and ends later, must not bring it back.
        self.slot(&resource.path).put(look, None);
    }

    /// The time, and a place in the order of looks; to be taken before anything is looked at.
    fn now(&self) -> Looked {
        Looked { at: clock(), look: self.looks.begin() }
    }

    /// What is known of `path`.
    pub(crate) fn known_resource(&self, path: &SourcePath) -> Option<Arc<Resource>> {
        self.resources.get(path)?.get()
    }

    /// Where what is known of `path` is held. One that was evicted meanwhile may still be written
    /// to, without effect.
    fn slot(&self, path: &SourcePath) -> Slot {
        let new = || Ok::<_, Infallible>(Arc::new(Versioned::new()));
        match self.resources.get_or_insert_with(path, new) {
            Ok(slot) => slot,
            Err(never) => match never {},
        }
    }

    /// Lets the entries of a source that is gone be the first to be evicted.
    fn demote(&self, gone: &Resource) {
        let Some(digest) = gone.digest() else { return };
        for codec in &self.config.codecs {
            self.config.cache.demote(&crate::encode::job::key(digest, codec));
        }
    }
}

/// Lets the thread go on that has ended a flight, and is about to forget it.
fn let_flight_go() {
    std::thread::yield_now();
}

/// The media type of `file`, and whether it is one that is ever encoded.
fn type_of(path: &SourcePath, file: &SourceFile) -> (HeaderValue, Compressibility) {
    let own = file.media_type.as_deref().and_then(|own| HeaderValue::from_str(own).ok());
    let media_type = own.unwrap_or_else(|| media_type(path));
    let compressibility = media_type.to_str().map_or(Compressibility::Never, compressibility);
    (media_type, compressibility)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn path_for_people(path: &SourcePath) -> std::path::PathBuf {
    path.to_string_lossy().as_ref().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::codec::{CodecsBuilder, Preference};
    use crate::representations::Config;
    use crate::source::{Memory, Source as _};

    fn representations(source: Memory) -> Representations {
        Representations::new(Config {
            source: Arc::new(source),
            cache: Cache::in_memory(1 << 20),
            codecs: CodecsBuilder::default().build().unwrap(),
            preference: Preference::Auto,
            encode_threads: 1,
            queue: 1,
            revalidate: Duration::ZERO,
            patience: Duration::ZERO,
            prove: true,
            payload_bytes: 1 << 20,
            sendfile_sources: false,
        })
    }

    /// A load that had looked before an encode saw the file change, and ended after that, put
    /// back what was not to be trusted any more: until the next look, one encode after the other
    /// began, and aborted.
    #[test]
    fn a_distrust_is_not_undone_by_a_load_that_looked_before_it() {
        let representations = representations(Memory::new().file("a.txt", "text"));
        let path = SourcePath::root().join("a.txt");
        let shared = &representations.0;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let loaded = runtime.block_on(representations.resource(&path, || None));
        let Ok(Loaded::File(resource)) = loaded else { panic!("{loaded:?}") };
        assert!(shared.known_resource(&path).is_some());

        let looked = shared.now();
        let Ok(Found::File(file)) = shared.config.source.lookup(&path) else { panic!("no file") };
        representations.distrust(&resource);
        assert!(shared.known_resource(&path).is_none());
        // The flight before has ended, and may not have been forgotten yet.
        let lead = loop {
            match shared.loads.join(&path) {
                Join::Lead(lead) => break lead,
                Join::Follow(_) => std::thread::yield_now(),
            }
        };
        shared.finish_load(&path, file, None, looked, None, lead);
        assert!(shared.known_resource(&path).is_none(), "the distrust is undone");

        let loaded = runtime.block_on(representations.resource(&path, || None));
        assert!(matches!(loaded, Ok(Loaded::File(_))), "{loaded:?}");
        assert!(shared.known_resource(&path).is_some(), "a later look is to be trusted");
    }
}
