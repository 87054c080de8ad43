//! The work for a store that a shutdown waits for.

use std::sync::Arc;

use tokio::sync::watch;

/// A count of the work under way.
#[derive(Clone, Debug)]
pub(super) struct Pending(Arc<watch::Sender<u64>>);

/// A part of the work, which a drop ends.
#[derive(Debug)]
pub(super) struct Part(Pending);

impl Default for Pending {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Pending {
    /// Begins a part of the work.
    pub(super) fn begin(&self) -> Part {
        self.0.send_modify(|parts| *parts += 1);
        Part(self.clone())
    }

    /// Waits until no work is under way.
    pub(super) async fn is_done(&self) {
        let mut parts = self.0.subscribe();
        let _ = parts.wait_for(|parts| *parts == 0).await;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.0.send_modify(|parts| *parts -= 1);
    }
}
