//! Calls to a store for leases, and the conditions that it honours.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, Result, UpdateVersion,
};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use crate::concurrency::sync::lock;
use crate::limits::{LEASE_BYTES, LEASE_CALL, LEASE_SETTLES, LEASE_SETTLES_CALLS};
use crate::tier::breaker::Breaker;
use crate::tier::random::Random;

/// The conditional writes that a store honours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tier) struct Support {
    /// A write that fails if there is an object.
    pub(in crate::tier) create: bool,
    /// A write that fails if the object is not the one of an entity tag.
    pub(in crate::tier) update: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) acquired: AtomicU64,
    pub(super) waited: AtomicU64,
    pub(super) taken_over: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) alone: AtomicU64,
}

pub(super) struct Shared {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) breaker: Arc<Breaker>,
    pub(super) folder: Path,
    pub(super) life: Duration,
    pub(super) support: OnceCell<Support>,
    /// The time of the slowest call of late.
    pub(super) slowest: Mutex<Duration>,
    pub(super) random: Random,
    pub(super) counters: Counters,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The lease's object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) content: Bytes,
    pub(super) version: UpdateVersion,
}

impl Seen {
    pub(super) fn is_of(&self, owner: u128) -> bool {
        self.content.starts_with(format!("{owner:032x}").as_bytes())
    }
}

impl Shared {
    /// Calls the store, unless the breaker is open, and waits a bounded time.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let admission = self.breaker.admit().ok_or_else(no_answer)?;
        let begun = Instant::now();
        let result = timeout(LEASE_CALL, call).await.unwrap_or_else(|_| Err(no_answer()));
        self.breaker.record(admission, is_answer(&result));
        let mut slowest = lock(&self.slowest);
        *slowest = begun.elapsed().max(*slowest - *slowest / 8);
        result
    }

    /// Reads the lease at `path`.
    pub(super) async fn look(&self, path: &Path) -> Result<Option<Seen>> {
        let read = async {
            let found = match self.store.get_opts(path, GetOptions::default()).await {
                Err(Error::NotFound { .. }) => return Ok(None),
                found => found?,
            };
            let version = UpdateVersion {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            let is_ours = found.meta.size <= LEASE_BYTES;
            let content = if is_ours { found.bytes().await? } else { Bytes::new() };
            Ok(Some(Seen { content, version }))
        };
        self.call(read).await
    }

    pub(super) async fn write(
        &self,
        path: &Path,
        owner: u128,
        number: u64,
        mode: PutMode,
    ) -> Result<UpdateVersion> {
        let content = format!("{owner:032x} {number}");
        let written = self.store.put_opts(path, content.into_bytes().into(), mode.into());
        self.call(written).await.map(UpdateVersion::from)
    }

    /// Writes a lease under a condition; nothing if the store does not answer in time. SeaweedFS holds up all but
    /// one of those who create an object at the same moment, for seconds, which says nothing of its health.
    /// The next look tells who has the lease.
    pub(super) async fn create(
        &self,
        path: &Path,
        owner: u128,
        condition: PutMode,
    ) -> Result<Option<UpdateVersion>> {
        let admission = self.breaker.admit().ok_or_else(no_answer)?;
        let content = format!("{owner:032x} 0").into_bytes();
        let written = self.store.put_opts(path, content.into(), condition.into());
        let Ok(result) = timeout(LEASE_CALL, written).await else { return Ok(None) };
        self.breaker.record(admission, is_answer(&result));
        result.map(|written| Some(written.into()))
    }

    /// Tries to have a lease without conditional writes; see the module's documentation. The look that
    /// found it free began at `begun`.
    pub(super) async fn claim(
        &self,
        path: &Path,
        begun: Instant,
    ) -> Result<Option<(u128, UpdateVersion)>> {
        // A number of its own tells this write from others of this replica.
        let owner = self.random.id();
        let longest = (*lock(&self.slowest) * LEASE_SETTLES_CALLS).max(LEASE_SETTLES);
        let settles = longest.min(self.life / 2);
        self.write(path, owner, 0, PutMode::Overwrite).await?;
        let is_late = begun.elapsed() > settles;
        sleep(settles + self.random.pause(settles / 4)).await;
        let seen = match self.look(path).await {
            Err(_) => self.look(path).await?,
            Ok(seen) => seen,
        };
        let seen = seen.filter(|seen| seen.is_of(owner) && !is_late);
        Ok(seen.map(|seen| (owner, seen.version)))
    }

    pub(super) async fn find_support(&self) -> Result<Support> {
        self.support.get_or_try_init(|| self.probe_support()).await.copied()
    }

    pub(super) async fn probe_support(&self) -> Result<Support> {
        let path = self.folder.clone().join(format!("probe-{:032x}", self.random.id()));
        let create = self.honours_create(&path).await;
        let update = match create {
            Ok(_) => self.honours_update(&path).await,
            Err(_) => Ok(false),
        };
        // The store's own rules delete a probe that stays.
        let _ = self.call(self.store.delete(&path)).await;
        Ok(Support { create: create?, update: update? })
    }

    pub(super) async fn honours_create(&self, path: &Path) -> Result<bool> {
        let first = self.write(path, 0, 0, PutMode::Create).await;
        if first.is_err() {
            self.write(path, 0, 0, PutMode::Overwrite).await?;
        }
        let second = self.write(path, 0, 1, PutMode::Create).await;
        match unless_refused(second) {
            Ok(written) => Ok(written.is_none()),
            Err(error) if first.is_ok() => Err(error),
            // The condition fails where a plain write succeeds.
            Err(_) => Ok(false),
        }
    }

    pub(super) async fn honours_update(&self, path: &Path) -> Result<bool> {
        let old = self.write(path, 0, 2, PutMode::Overwrite).await?;
        if old.e_tag.is_none() && old.version.is_none() {
            return Ok(false);
        }
        let first = self.write(path, 0, 3, PutMode::Update(old.clone())).await;
        let second = self.write(path, 0, 4, PutMode::Update(old)).await;
        match unless_refused(second) {
            Ok(written) => Ok(first.is_ok() && written.is_none()),
            Err(error) if first.is_ok() => Err(error),
            Err(_) => Ok(false),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn no_answer() -> Error {
    Error::Generic { store: "shared store", source: "no answer".into() }
}

/// Turns the refusal of a conditional write into `None`. A store without the bucket is not found, which is
/// an error.
pub(super) fn unless_refused<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(None),
        result => result.map(Some),
    }
}

/// Whether the store works, whatever it answered.
pub(super) fn is_answer<T>(result: &Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(
            error,
            Error::AlreadyExists { .. }
                | Error::NotFound { .. }
                | Error::NotImplemented { .. }
                | Error::NotModified { .. }
                | Error::NotSupported { .. }
                | Error::Precondition { .. }
        ),
    }
}
