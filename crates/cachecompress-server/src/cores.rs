//! The threads that serve: each has a runtime, and listening sockets, of its own.
//!
//! A connection stays on the thread that accepted it, so that nothing of a request moves from one
//! core's memory to another's, and no thread wakes another for one.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads with a runtime each.
#[derive(Debug)]
pub(crate) struct Cores(Vec<Core>);

#[derive(Debug)]
struct Core {
    runtime: Handle,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Cores {
    /// Starts `count` threads. Each takes `patience` at its end for what has to finish.
    ///
    /// # Errors
    ///
    /// If a thread, or what its runtime needs, is not to be had.
    pub(crate) fn start(count: usize, patience: Duration) -> io::Result<Self> {
        (0..count).map(|number| Core::start(number, patience)).collect::<io::Result<_>>().map(Self)
    }

    /// Where tasks may be put.
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.0.iter().map(|core| &core.runtime)
    }

    /// Drops all tasks, and waits for the threads.
    pub(crate) fn end(self) {
        let threads: Vec<_> = self.0.into_iter().map(Core::end).collect();
        for thread in threads {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Core {
    fn start(number: usize, patience: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
                let _ = runtime.block_on(ended);
                runtime.shutdown_timeout(patience);
            })?;
        Ok(Self { runtime: handle, end, thread })
    }

    fn end(self) -> JoinHandle<()> {
        drop(self.end);
        self.thread
    }
}
