//! The threads that serve: each has a runtime, and listening sockets, of its own.
//!
//! A connection stays on the thread that accepted it, so that nothing of a request moves from one
//! core's memory to another's, and no thread wakes another for one.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads with a runtime each.
#[derive(Debug)]
pub(crate) struct Cores {
    cores: Vec<Core>,
    patience: Duration,
}

#[derive(Debug)]
struct Core {
    runtime: Handle,
    end: oneshot::Sender<()>,
    /// Nothing comes, but an end.
    ended: Receiver<()>,
}

impl Cores {
    /// Starts `count` threads. At its end each takes `patience` for what has to finish.
    ///
    /// # Errors
    ///
    /// If a thread, or what its runtime needs, is not to be had.
    pub(crate) fn start(count: usize, patience: Duration) -> io::Result<Self> {
        let cores = (0..count).map(|number| Core::start(number, patience));
        Ok(Self { cores: cores.collect::<io::Result<_>>()?, patience })
    }

    /// Where tasks may be put.
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.cores.iter().map(|core| &core.runtime)
    }

    /// Drops all tasks, and waits for the threads, but for one that a disk holds up.
    pub(crate) fn end(self) {
        let until = Instant::now() + 2 * self.patience;
        let threads: Vec<_> = self.cores.into_iter().map(Core::end).collect();
        for ended in threads {
            let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl Core {
    fn start(number: usize, patience: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, told_to) = oneshot::channel();
        let (lives, ended) = channel();
        std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            let _ = runtime.block_on(told_to);
            runtime.shutdown_timeout(patience);
            drop(lives);
        })?;
        Ok(Self { runtime: handle, end, ended })
    }

    fn end(self) -> Receiver<()> {
        drop(self.end);
        self.ended
    }
}
