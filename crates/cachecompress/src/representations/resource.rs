//! Resources: what is known of a path, and for how long it counts.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;

use super::{Representations, Shared};
use crate::codec::Codecs;
use crate::error::{Error, ErrorKind};
use crate::flight::{Join, Lead};
use crate::fs::{DiskFile, Fingerprint, read_full};
use crate::progress::{Stage, Watch};
use crate::semantics::{
    Compressibility, Digest, Hasher, RepresentationTags, SourcePath, compressibility, media_type,
};
use crate::source::{Content, Found, SourceFile};
use crate::sync::{Mutex, clock, lock};
use crate::threads::Class;

/// Identity representations up to this length are answered from the buffer that was hashed.
pub(super) const SMALL: u64 = 64 * 1024;
/// Sources longer than this go out before they are hashed.
const HASH_FIRST: u64 = 256 << 20;
/// How long a file must have rested for its fingerprint to vouch for its bytes.
const REST: Duration = Duration::from_secs(2);
/// Longer than the kernel's clock takes between two of its ticks.
const TICK: Duration = Duration::from_millis(20);
/// How often a file that changes while it is hashed is hashed again.
const TRIES: usize = 3;

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
    pub(super) bytes: Option<Bytes>,
    /// The state of the file that was hashed, if it is one.
    pub(super) fingerprint: Option<Fingerprint>,
    modified: Option<SystemTime>,
    own_tag: Option<Arc<str>>,
    pub(super) rested: bool,
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
            None => Error::new(ErrorKind::Aborted, "too much is being read from the source"),
        }
    }
}

/// A bounded set of paths, each for a while.
#[derive(Debug, Default)]
pub(super) struct Paths(Mutex<HashMap<SourcePath, u64>>);

impl Paths {
    /// More would be an attack, or a disk full of logs; either way they settle by themselves.
    const MOST: usize = 4096;
    /// In milliseconds: longer than any file takes to rest, or to be hashed.
    const WHILE: u64 = 10 * 60 * 1000;

    /// Adds `path`; `false` if it was there already, or there is no room.
    fn add(&self, path: &SourcePath) -> bool {
        let (mut paths, now) = (lock(&self.0), clock());
        if paths.len() >= Self::MOST {
            paths.retain(|_, added| now.saturating_sub(*added) < Self::WHILE);
        }
        paths.len() < Self::MOST && paths.insert(path.clone(), now).is_none()
    }

    pub(super) fn contains(&self, path: &SourcePath) -> bool {
        lock(&self.0).contains_key(path)
    }

    fn remove(&self, path: &SourcePath) {
        lock(&self.0).remove(path);
    }
}

impl Resource {
    pub(crate) fn digest(&self) -> Option<Digest> {
        match self.state {
            State::Known(digest) => Some(digest),
            State::Unsettled | State::Unhashed => None,
        }
    }

    fn age(&self) -> Duration {
        Duration::from_millis(clock().saturating_sub(self.checked.load(Ordering::Relaxed)))
    }

    /// Whether `content` is still what this resource was made of, as far as can be told without
    /// reading it.
    fn is_still(&self, file: &SourceFile) -> bool {
        let same_bytes = match (&file.content, &self.bytes) {
            (Content::Bytes(now), Some(then)) => {
                now.as_ptr() == then.as_ptr() && now.len() == then.len()
            }
            (Content::File { fingerprint, .. }, None) => {
                self.rested && self.fingerprint == Some(*fingerprint)
            }
            _ => false,
        };
        same_bytes && self.own_tag == file.entity_tag && self.modified == file.modified
    }
}

impl Representations {
    /// What `path` leads to, known to be true at most `revalidate` ago.
    pub(crate) async fn resource(&self, path: &SourcePath) -> Result<Loaded, LoadError> {
        let revalidate = self.0.config.revalidate;
        if let Some(resource) = self.0.resources.get(path) {
            let age = resource.age();
            if age < revalidate {
                if age >= revalidate / 2 {
                    // Answer now, look meanwhile: so a busy resource is never waited for.
                    self.begin_load(path);
                }
                return Ok(Loaded::File(resource));
            }
        }
        let asked = clock();
        loop {
            let (loaded, looked) = self.look_up(path).await?;
            // A flight that was joined may have looked before this request came.
            if looked + millis(revalidate) >= asked {
                return Ok(loaded);
            }
        }
    }

    /// What `path` leads to, looked up now or by a flight that is under way.
    pub(crate) async fn load(&self, path: &SourcePath) -> Result<Loaded, LoadError> {
        Ok(self.look_up(path).await?.0)
    }

    /// What `path` leads to, and when that was looked up, in milliseconds of [`clock`].
    async fn look_up(&self, path: &SourcePath) -> Result<(Loaded, u64), LoadError> {
        let mut watch = self.begin_load(path);
        match watch.until(Stage::ended).await {
            Stage::Finished { shared, len: looked } => Ok((shared, looked)),
            Stage::Failed { why, .. } => Err(why),
            Stage::Pending | Stage::Growing { .. } => Err(LoadError::default()),
        }
    }

    /// Treats the resource as unsettled until its file has rested; returns it as such.
    pub(crate) fn distrust(&self, resource: &Resource) -> Arc<Resource> {
        self.0.distrust(resource);
        Arc::new(Resource {
            path: resource.path.clone(),
            state: State::Unsettled,
            tags: None,
            media_type: resource.media_type.clone(),
            bytes: resource.bytes.clone(),
            own_tag: resource.own_tag.clone(),
            checked: AtomicU64::new(0),
            ..*resource
        })
    }

    fn begin_load(&self, path: &SourcePath) -> Watch<Loaded, LoadError> {
        match self.0.loads.join(path) {
            Join::Follow(progress) => Watch::new(&progress),
            Join::Lead(lead) => {
                let watch = Watch::new(lead.progress());
                let (shared, path) = (Arc::clone(&self.0), path.clone());
                // A submission that is refused drops the leader, which tells the watch.
                self.0.readers.submit(Class::Waited, true, move || {
                    Shared::lead_load(&shared, &path, lead);
                });
                watch
            }
        }
    }
}

type LoadLead = Lead<SourcePath, Loaded, LoadError>;

impl Shared {
    /// Looks `path` up, and ends the flight with the time of that; what has to be hashed at length goes on where it holds up no one.
    fn lead_load(shared: &Arc<Self>, path: &SourcePath, lead: LoadLead) {
        let looked = clock();
        let file = match shared.config.source.lookup(path) {
            Ok(Found::File(file)) => file,
            Ok(found) => {
                shared.unsettled.remove(path);
                if let Some((_, gone)) = shared.resources.remove(path) {
                    shared.demote(&gone);
                }
                let loaded = match found {
                    Found::Directory => Loaded::Directory,
                    _ => Loaded::Nothing,
                };
                return lead.finish(loaded, looked);
            }
            Err(error) => return lead.fail(LoadError(Some(Arc::new(error)))),
        };
        let before = shared.resources.get(path);
        if let Some(before) = before.as_ref().filter(|before| before.is_still(&file)) {
            before.checked.fetch_max(looked, Ordering::Relaxed);
            return lead.finish(Loaded::File(Arc::clone(before)), looked);
        }
        if file.content.len() <= SMALL || file.digest.is_some() {
            shared.finish_load(path, file, before.as_ref(), looked, lead);
        } else if file.content.len() > HASH_FIRST {
            let unhashed =
                Arc::new(shared.describe(path, &file, State::Unhashed, false, looked, None));
            shared.resources.insert(path.clone(), Arc::clone(&unhashed));
            // First the hash, then the answer: who has that can wait for the other.
            Self::hash_meanwhile(shared, path, file, before, looked);
            lead.finish(Loaded::File(unhashed), looked);
        } else {
            let small = file.content.len() <= Codecs::SMALL;
            let (clone, path) = (Arc::clone(shared), path.clone());
            shared.hashers.submit(Class::Waited, small, move || {
                clone.finish_load(&path, file, before.as_ref(), looked, lead);
            });
        }
    }

    fn hash_meanwhile(
        shared: &Arc<Self>,
        path: &SourcePath,
        file: SourceFile,
        before: Option<Arc<Resource>>,
        looked: u64,
    ) {
        if !shared.hashing.add(path) {
            return;
        }
        let (clone, wanted) = (Arc::clone(shared), path.clone());
        let submitted = shared.hashers.submit(Class::Background, false, move || {
            match clone.hashed(&wanted, file, before.as_ref(), looked) {
                Ok(resource) => clone.resources.insert(wanted.clone(), Arc::new(resource)),
                Err(error) => tracing::warn!(%error, path = %wanted, "cannot hash a large file"),
            }
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
        looked: u64,
        lead: LoadLead,
    ) {
        match self.hashed(path, file, before, looked) {
            Ok(resource) => {
                let resource = Arc::new(resource);
                if let Some(before) = before.filter(|before| before.digest() != resource.digest()) {
                    self.demote(before);
                }
                self.resources.insert(path.clone(), Arc::clone(&resource));
                lead.finish(Loaded::File(resource), looked);
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
        looked: u64,
    ) -> io::Result<Resource> {
        // A source that was caught with another digest than it says is not asked any more.
        let told = file.digest.filter(|_| !self.unsettled.contains(path));
        let digest = match (&file.content, told) {
            (_, Some(digest)) => return Ok(self.known(path, &file, digest, true, looked, before)),
            (Content::Bytes(bytes), None) => {
                let digest = Digest::of(bytes);
                return Ok(self.known(path, &file, digest, true, looked, before));
            }
            (Content::File { file: content, fingerprint }, None) => {
                let (content, mut fingerprint) = (Arc::clone(content), *fingerprint);
                let mut result = None;
                for _ in 0..TRIES {
                    let began = let_tick_pass(fingerprint);
                    let hashed = hash(&*content, fingerprint.size)?;
                    let after = content.stat()?.fingerprint;
                    if after == fingerprint && hashed.is_some() {
                        result = hashed.map(|hash| (hash, fingerprint.rested(REST, began)));
                        break;
                    }
                    fingerprint = after;
                }
                file.content = Content::File { file: content, fingerprint };
                result
            }
        };
        let Some(((digest, buffer), rested)) = digest else {
            self.unsettled.add(path);
            return Ok(self.describe(path, &file, State::Unsettled, false, looked, None));
        };
        if self.unsettled.contains(path) {
            if !rested {
                return Ok(self.describe(path, &file, State::Unsettled, false, looked, None));
            }
            self.unsettled.remove(path);
        }
        if let Some(buffer) = buffer {
            self.small.insert(digest, buffer);
        }
        Ok(self.known(path, &file, digest, rested, looked, before))
    }

    fn known(
        &self,
        path: &SourcePath,
        file: &SourceFile,
        digest: Digest,
        rested: bool,
        looked: u64,
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
        looked: u64,
        replaced: Option<&Arc<Resource>>,
    ) -> Resource {
        let media_type = file
            .media_type
            .as_deref()
            .and_then(|own| HeaderValue::from_str(own).ok())
            .unwrap_or_else(|| media_type(path));
        let compressibility = media_type.to_str().map_or(Compressibility::Never, compressibility);
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
                Content::Bytes(bytes) if file.digest.is_some() || bytes.len() as u64 <= SMALL => {
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
            checked: AtomicU64::new(looked),
        }
    }

    pub(super) fn distrust(&self, resource: &Resource) {
        self.unsettled.add(&resource.path);
        resource.checked.store(0, Ordering::Relaxed);
        self.resources.remove(&resource.path);
    }

    /// Lets the entries of a source that is gone be the first to be evicted.
    fn demote(&self, gone: &Resource) {
        let Some(digest) = gone.digest() else { return };
        for codec in &self.config.codecs {
            self.config.cache.demote(&super::encode::key(digest, codec));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Waits until a later change of the file must show in its fingerprint, which counts in the ticks
/// of the kernel's clock; returns the time.
fn let_tick_pass(fingerprint: Fingerprint) -> SystemTime {
    let now = SystemTime::now();
    if !fingerprint.rested(TICK, now) && fingerprint.rested(Duration::ZERO, now) {
        std::thread::sleep(TICK);
        return SystemTime::now();
    }
    now
}

/// Hashes exactly `len` bytes; also returns them if they are few. `None` if the file has another
/// length by now.
#[allow(clippy::type_complexity, reason = "used in one place, and named right there")]
fn hash(file: &dyn DiskFile, len: u64) -> io::Result<Option<(Digest, Option<Bytes>)>> {
    let mut hasher = Hasher::new();
    let room = if len <= SMALL { len + 1 } else { 256 * 1024 };
    let mut buffer = vec![0; usize::try_from(room).unwrap_or(usize::MAX)];
    let mut at = 0;
    loop {
        let filled = read_full(file, &mut buffer, at)?;
        at += filled as u64;
        hasher.update(&buffer[..filled]);
        if at > len {
            return Ok(None);
        }
        if filled < buffer.len() {
            break;
        }
    }
    if at != len {
        return Ok(None);
    }
    buffer.truncate(usize::try_from(len.min(SMALL)).unwrap_or(0));
    let small = (len <= SMALL).then(|| Bytes::from(buffer));
    Ok(Some((hasher.finish(), small)))
}

fn path_for_people(path: &SourcePath) -> std::path::PathBuf {
    path.to_string_lossy().as_ref().into()
}
