//! The threads that serve: each has a runtime, and listening sockets, of its own.
//!
//! A connection stays on the thread that accepted it, so that nothing of a request moves from one
//! worker's memory to another's, and no thread wakes another for one.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads with a runtime each.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    timeout: Duration,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    end: oneshot::Sender<()>,
    /// Nothing comes, but an end.
    ended: Receiver<()>,
}

impl Workers {
    /// Starts `count` threads. At its end each takes `timeout` for what has to finish.
    ///
    /// # Errors
    ///
    /// If a thread, or what its runtime needs, is not to be had.
    pub(crate) fn start(count: usize, timeout: Duration) -> io::Result<Self> {
        let workers = (0..count).map(|number| Worker::start(number, timeout));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, timeout })
    }

    /// Where tasks may be put.
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.workers.iter().map(|worker| &worker.runtime)
    }

    /// Drops all tasks, and waits for the threads, but for one that a disk holds up.
    pub(crate) fn end(self) {
        let until = Instant::now() + 2 * self.timeout;
        let threads: Vec<_> = self.workers.into_iter().map(Worker::end).collect();
        for ended in threads {
            let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl Worker {
    fn start(number: usize, timeout: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, told_to) = oneshot::channel();
        let (lives, ended) = channel();
        std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            let _ = runtime.block_on(told_to);
            runtime.shutdown_timeout(timeout);
            drop(lives);
        })?;
        Ok(Self { runtime: handle, end, ended })
    }

    fn end(self) -> Receiver<()> {
        drop(self.end);
        self.ended
    }
}
