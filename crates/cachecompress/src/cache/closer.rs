//! Closes files on a thread of their own.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use std::{io, thread};

use super::breaker::Breaker;
use crate::concurrency::may_wait;
use crate::concurrency::sync::{Mutex, clock, lock};
use crate::limits::CALL_HANGS;
use crate::log;

/// Closes files for threads that must not wait. Its thread starts with the first one, and another one
/// when a close hangs.
#[derive(Debug)]
pub(super) struct Closer {
    breaker: Arc<Breaker>,
    threads: Mutex<Option<Threads>>,
}

/// A resource whose drop closes it, and the path that it was opened by.
type Closing = (Box<dyn Any + Send>, PathBuf);

/// The threads, which take their work from one queue.
#[derive(Debug)]
struct Threads {
    sender: Sender<Closing>,
    queue: Arc<Mutex<Receiver<Closing>>>,
    /// The time at which the latest thread began its present close, in milliseconds of [`clock`], plus
    /// 1; 0 if it waits for one.
    since: Arc<AtomicU64>,
}

impl Threads {
    fn hang(&self) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since > 0 && u128::from((clock() + 1).saturating_sub(since)) >= CALL_HANGS.as_millis()
    }
}

impl Closer {
    pub(super) fn new(breaker: &Arc<Breaker>) -> Self {
        Self { breaker: Arc::clone(breaker), threads: Mutex::default() }
    }

    /// Has `resource` dropped. Never waits for it.
    ///
    /// As many may wait as were open: while the disk hangs, no more are opened. One file may hang where
    /// all others answer, so the others do not wait for it.
    pub(super) fn close(&self, resource: Box<dyn Any + Send>, path: PathBuf) {
        let mut threads = lock(&self.threads);
        if threads.as_ref().is_none_or(Threads::hang)
            && let Err(error) = self.start(&mut threads)
        {
            log::warn!(%error, "cannot start a thread that closes the cache's files");
        }
        match &*threads {
            Some(threads) => _ = threads.sender.send((resource, path)),
            None => {
                drop(threads);
                // A wait is better than a descriptor that is never given back.
                drop(resource);
            }
        }
    }

    fn start(&self, threads: &mut Option<Threads>) -> io::Result<()> {
        let (sender, queue) = match threads.as_ref() {
            Some(threads) => (threads.sender.clone(), Arc::clone(&threads.queue)),
            None => {
                let (sender, receiver) = mpsc::channel();
                (sender, Arc::new(Mutex::new(receiver)))
            }
        };
        let since = Arc::new(AtomicU64::new(0));
        let (breaker, of_thread) =
            (Arc::clone(&self.breaker), (Arc::clone(&queue), Arc::clone(&since)));
        let thread = thread::Builder::new().name("cc-close".to_owned());
        thread.spawn(move || run(&of_thread.0, &of_thread.1, &breaker))?;
        *threads = Some(Threads { sender, queue, since });
        Ok(())
    }

    /// Waits until all is closed, but `most` at most.
    pub(super) fn settle(&self, most: Duration) {
        let (done, settled) = mpsc::channel::<()>();
        if lock(&self.threads).is_some() {
            self.close(Box::new(done), PathBuf::new());
            let _ = settled.recv_timeout(most);
        }
    }
}

fn run(queue: &Mutex<Receiver<Closing>>, since: &AtomicU64, breaker: &Breaker) {
    may_wait::allow();
    loop {
        let next = lock(queue).recv();
        let Ok((resource, path)) = next else { return };
        since.store(clock() + 1, Ordering::Relaxed);
        let _running = breaker.running("close", &path);
        drop(resource);
        since.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose close waits until the sender is dropped.
    struct Hanging(Receiver<()>);

    impl Drop for Hanging {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    /// One file that hung where all others answered kept every later one open, until the process had
    /// no descriptor left.
    #[test]
    fn files_behind_one_whose_close_hangs_are_closed() {
        let closer = Closer::new(&Arc::new(Breaker::of_memory()));
        let (hold, held) = mpsc::channel();
        closer.close(Box::new(Hanging(held)), PathBuf::new());
        let (open, is_closed) = mpsc::channel::<()>();
        closer.close(Box::new(open), PathBuf::new());
        let begun = std::time::Instant::now();
        let is_open = || is_closed.try_recv() == Err(mpsc::TryRecvError::Empty);
        while is_open() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it stays open");
            thread::sleep(Duration::from_millis(10));
            closer.close(Box::new(()), PathBuf::new());
        }
        drop(hold);
    }
}
