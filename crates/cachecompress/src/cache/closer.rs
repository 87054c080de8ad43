//! Closes files on a thread of their own.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use super::breaker::Breaker;
use crate::concurrency::may_wait;
use crate::concurrency::sync::{Mutex, lock};
use crate::log;

/// Closes files for threads that must not wait. Its thread starts with the first one.
#[derive(Debug)]
pub(super) struct Closer {
    breaker: Arc<Breaker>,
    sender: Mutex<Option<Sender<Closing>>>,
}

/// A resource whose drop closes it, and the path that it was opened by.
type Closing = (Box<dyn Any + Send>, PathBuf);

impl Closer {
    pub(super) fn new(breaker: &Arc<Breaker>) -> Self {
        Self { breaker: Arc::clone(breaker), sender: Mutex::default() }
    }

    /// Has `resource` dropped. Never waits for it.
    ///
    /// As many may wait as were open: while the disk hangs, no more are opened.
    pub(super) fn close(&self, resource: Box<dyn Any + Send>, path: PathBuf) {
        let mut sender = lock(&self.sender);
        if sender.is_none() {
            let (to, from) = mpsc::channel();
            let breaker = Arc::clone(&self.breaker);
            let started = thread::Builder::new().name("cc-close".to_owned());
            if let Err(error) = started.spawn(move || run(&from, &breaker)) {
                log::warn!(%error, "cannot start a thread that closes the cache's files");
                drop(sender);
                // A wait is better than a descriptor that is never given back.
                drop(resource);
                return;
            }
            *sender = Some(to);
        }
        if let Some(sender) = &*sender {
            let _ = sender.send((resource, path));
        }
    }

    /// Waits until all is closed, but `most` at most.
    pub(super) fn settle(&self, most: Duration) {
        let (done, settled) = mpsc::channel::<()>();
        if lock(&self.sender).is_some() {
            self.close(Box::new(done), PathBuf::new());
            let _ = settled.recv_timeout(most);
        }
    }
}

fn run(closings: &Receiver<Closing>, breaker: &Breaker) {
    may_wait::allow();
    while let Ok((resource, path)) = closings.recv() {
        let _running = breaker.running("close", &path);
        drop(resource);
    }
}
