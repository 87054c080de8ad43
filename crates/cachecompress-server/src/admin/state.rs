//! The parts of the server that the admin listener tells of.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use crate::config::CacheChoice;
use crate::limits::EVENT_LISTENERS;
use crate::reload::Reload;
use crate::telemetry::Telemetry;

/// The parts of the server that are looked at or changed.
pub(super) struct State {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) reload: Arc<Reload>,
    pub(super) cache: CacheChoice,
    /// A permit for the warming that may run.
    pub(super) warming: Arc<Semaphore>,
    /// The warming that was begun last.
    last_warming: Mutex<Option<AbortHandle>>,
    /// A permit for the listing of entries that may run, and one for the purge.
    pub(super) listing: Arc<Semaphore>,
    pub(super) purging: Arc<Semaphore>,
    /// A permit for each listener to events.
    pub(super) listeners: Arc<Semaphore>,
    ready: watch::Sender<bool>,
}

impl State {
    /// The server is ready.
    pub(super) fn new(telemetry: Arc<Telemetry>, reload: Arc<Reload>, cache: CacheChoice) -> Self {
        Self {
            telemetry,
            reload,
            cache,
            warming: Arc::new(Semaphore::new(1)),
            last_warming: Mutex::default(),
            listing: Arc::new(Semaphore::new(1)),
            purging: Arc::new(Semaphore::new(1)),
            listeners: Arc::new(Semaphore::new(EVENT_LISTENERS)),
            ready: watch::Sender::new(true),
        }
    }

    /// Remembers a warming that has begun.
    pub(super) fn began_warming(&self, warming: AbortHandle) {
        *self.last_warming.lock().unwrap_or_else(PoisonError::into_inner) = Some(warming);
    }

    /// Ends the warming that runs, if one does.
    pub(super) fn end_warming(&self) {
        let last = self.last_warming.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(warming) = last {
            warming.abort();
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub(super) fn not_ready(&self) {
        self.ready.send_replace(false);
    }

    /// Waits until the server is no longer ready.
    pub(super) fn ending(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ready = self.ready.subscribe();
        async move {
            let _ = ready.wait_for(|is_ready| !is_ready).await;
        }
    }
}
