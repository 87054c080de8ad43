//! The renewal of a lease, and its release.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutMode, Result, UpdateVersion};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::calls::{Shared, count, unless_refused};
use crate::limits::{LEASE_RELEASES, LEASE_RETRY, LONGEST_LEASE};

/// A lease of this replica, which a task renews every third of its life.
///
/// A lease that is dropped is not renewed any more and expires.
#[derive(Debug)]
#[must_use]
pub(in crate::tier) struct Lease {
    release: oneshot::Sender<()>,
    renewal: JoinHandle<()>,
}

impl Lease {
    /// Begins to renew the lease that `owner` has written as `version` of the object at `path`.
    pub(super) fn start(
        shared: Arc<Shared>,
        path: Path,
        owner: u128,
        version: UpdateVersion,
    ) -> Self {
        let (release, order) = oneshot::channel();
        let renewal = Renewal { shared, path, owner, number: 0, version };
        Self { release, renewal: tokio::spawn(renewal.run(order)) }
    }

    /// Deletes the lease, if it is still this replica's. A renewal that is under way ends before. The time
    /// is bounded, also if the store fails.
    pub(in crate::tier) async fn release(self) {
        // The task may have ended, because the lease was lost.
        let _ = self.release.send(());
        let _ = self.renewal.await;
    }
}

/// The task that renews a lease.
struct Renewal {
    shared: Arc<Shared>,
    path: Path,
    owner: u128,
    number: u64,
    version: UpdateVersion,
}

impl Renewal {
    async fn run(mut self, mut order: oneshot::Receiver<()>) {
        let begun = Instant::now();
        let third = self.shared.life / 3;
        let mut pause = third;
        while begun.elapsed() < LONGEST_LEASE {
            match timeout(pause, &mut order).await {
                Ok(Ok(())) => return self.release().await,
                Ok(Err(_)) => return,
                Err(_) => {}
            }
            pause = match self.renew().await {
                Ok(true) => third,
                Ok(false) => return count(&self.shared.counters.lost),
                Err(_) => LEASE_RETRY,
            };
        }
    }

    /// Renews the lease. Returns `false` if another has it.
    async fn renew(&mut self) -> Result<bool> {
        // Each try has a content, and so an entity tag, of its own.
        self.number += 1;
        if self.shared.find_support().await?.update {
            let mode = PutMode::Update(self.version.clone());
            if let Some(version) = unless_refused(self.write(mode).await)? {
                self.version = version;
                return Ok(true);
            }
        }
        let Some(seen) = self.shared.look(&self.path).await? else { return Ok(false) };
        if !seen.is_of(self.owner) {
            return Ok(false);
        }
        self.version = if self.shared.find_support().await?.update {
            // An earlier renewal took effect, whose answer was lost.
            seen.version
        } else {
            self.write(PutMode::Overwrite).await?
        };
        Ok(true)
    }

    async fn write(&self, mode: PutMode) -> Result<UpdateVersion> {
        self.shared.write(&self.path, self.owner, self.number, mode).await
    }

    async fn release(self) {
        let Self { shared, path, owner, .. } = self;
        for _ in 0..LEASE_RELEASES {
            let released = match shared.look(&path).await {
                Ok(Some(seen)) if seen.is_of(owner) => {
                    shared.call(shared.store.delete(&path)).await
                }
                seen => seen.map(drop),
            };
            if released.is_ok() {
                return;
            }
            sleep(shared.random.pause(LEASE_RETRY)).await;
        }
    }
}
