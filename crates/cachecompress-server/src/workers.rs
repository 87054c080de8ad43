//! The worker threads: each has a runtime and listening sockets of its own.
//!
//! A connection stays on the thread that accepted it. So nothing of a request moves from one
//! core's memory to another's, and no thread wakes another for one.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::limits::RUNTIME_TIMEOUT;

/// Worker threads with a runtime each.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Ends the thread when it is dropped.
    stop: oneshot::Sender<()>,
    /// Disconnects when the thread has ended.
    ended: Receiver<()>,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    ///
    /// If a thread or its runtime cannot be had.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        (0..count).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    /// The runtimes, on which tasks are spawned.
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.0.iter().map(|worker| &worker.runtime)
    }

    /// Drops all tasks and waits for the threads, but not for one that a disk holds up.
    pub(crate) fn end(self) {
        let until = Instant::now() + 2 * RUNTIME_TIMEOUT;
        let stop = |worker: Worker| {
            drop(worker.stop);
            worker.ended
        };
        let threads: Vec<_> = self.0.into_iter().map(stop).collect();
        for ended in threads {
            let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (alive, ended) = channel();
        std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(RUNTIME_TIMEOUT);
            drop(alive);
        })?;
        Ok(Self { runtime: handle, stop, ended })
    }
}
