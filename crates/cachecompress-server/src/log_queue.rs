//! A queue of log lines, bounded in bytes, and the thread that writes them.
//!
//! Nothing that serves waits for a log's output, which may be a full pipe or a disk that hangs. A
//! line that finds no room is lost and counted, and the log tells of the loss later.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{LOG_BUFFER_BYTES, LOG_REPORT_INTERVAL, LOG_RETRY_INTERVAL};

/// Takes lines without ever waiting for the output. Clones share the queue.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue(Arc<Shared>);

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    /// The most bytes that wait. As many may be on their way to the output.
    pub(crate) bytes: usize,
    /// The longest time that a line waits for others, with which it is written at once.
    pub(crate) delay: Duration,
}

/// The place to which a queue's thread writes.
pub(crate) trait LogOutput: Send + 'static {
    /// Writes the first bytes of `lines`, and returns how many. May block.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize>;

    /// Opens the output anew, after its file was renamed.
    fn reopen(&mut self);

    /// Tells the operator that writing has begun to fail.
    fn tell_failure(&mut self, error: &io::Error);

    /// Tells the operator that so many `lines` were lost. `failing` says that nothing can be written
    /// to this output now. Returns whether it could be told.
    fn tell_lost(&mut self, lines: u64, failing: bool) -> bool;
}

/// The thread that writes. [`close`](Self::close) ends it.
#[derive(Debug)]
pub(crate) struct LogThread {
    queue: LogQueue,
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct Shared {
    limits: QueueLimits,
    pending: Mutex<Pending>,
    changed: Condvar,
    lost: AtomicU64,
    left_out: AtomicU64,
}

/// The lines that wait, and the wishes of other threads.
#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    reopen: bool,
    closing: bool,
}

impl Pending {
    fn is_urgent(&self) -> bool {
        self.closing || self.reopen || self.lines.len() >= LOG_BUFFER_BYTES
    }
}

impl LogQueue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        let (pending, changed) = (Mutex::default(), Condvar::new());
        let (lost, left_out) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Shared { limits, pending, changed, lost, left_out }))
    }

    /// Queues `line`, which ends with a newline, or counts it as lost.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut pending = self.lock();
        let before = pending.lines.len();
        if before + line.len() > self.0.limits.bytes {
            drop(pending);
            return self.lose(1);
        }
        pending.lines.extend_from_slice(line);
        let full = before < LOG_BUFFER_BYTES && pending.lines.len() >= LOG_BUFFER_BYTES;
        drop(pending);
        if before == 0 || full {
            self.0.changed.notify_one();
        }
    }

    /// Counts `lines` as lost.
    pub(crate) fn lose(&self, lines: u64) {
        self.0.lost.fetch_add(lines, Ordering::Relaxed);
    }

    /// Counts a line that the operator does not want.
    pub(crate) fn leave_out(&self) {
        self.0.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the thread open its output anew.
    pub(crate) fn reopen(&self) {
        self.lock().reopen = true;
        self.0.changed.notify_one();
    }

    /// The number of lines that were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// The number of lines that the operator did not want so far.
    pub(crate) fn left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    /// Starts the thread `name`, which writes to `output`.
    pub(crate) fn write_to(self, name: &str, output: impl LogOutput) -> io::Result<LogThread> {
        let (end, ended) = sync_channel(1);
        let queue = self.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let state = OutputState { failing: false, torn: false, reported: 0, told: None };
            LogWriter { queue, output, state }.run();
            let _ = end.send(());
        })?;
        Ok(LogThread { queue: self, ended: Mutex::new(ended) })
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do, but not beyond `until`. Moves the lines that wait into
    /// `batch`, which is empty. Returns whether the output is to be reopened and the queue closed.
    fn take(&self, batch: &mut Vec<u8>, until: Option<Instant>) -> (bool, bool) {
        let mut pending = self.lock();
        while pending.lines.is_empty() && !pending.is_urgent() {
            pending = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.0.changed.wait(pending).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return (false, false),
                Some(left) => {
                    let waited = self.0.changed.wait_timeout(pending, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let others = |pending: &mut Pending| !pending.is_urgent();
        let waited = self.0.changed.wait_timeout_while(pending, self.0.limits.delay, others);
        let mut pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        std::mem::swap(&mut pending.lines, batch);
        (std::mem::take(&mut pending.reopen), pending.closing)
    }
}

impl LogThread {
    /// Writes the lines that wait and ends the thread. Returns whether it came to its end.
    ///
    /// Gives up after `timeout`, because the output may be a pipe that nobody reads, and at once if
    /// another caller is closing it.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        self.queue.lock().closing = true;
        self.queue.0.changed.notify_one();
        let Ok(ended) = self.ended.try_lock() else { return true };
        ended.recv_timeout(timeout).is_ok()
    }
}

/// The writing thread's part of the log.
struct LogWriter<O> {
    queue: LogQueue,
    output: O,
    state: OutputState,
}

struct OutputState {
    /// Whether the last write failed.
    failing: bool,
    /// Whether the output ends within a line.
    torn: bool,
    /// Lost lines that the operator was told of, and when.
    reported: u64,
    told: Option<Instant>,
}

impl<O: LogOutput> LogWriter<O> {
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let (reopen, closing) = self.queue.take(&mut batch, self.report_due());
            if !batch.is_empty() {
                self.write(&batch);
            }
            if reopen {
                self.output.reopen();
                self.state.torn = false;
            }
            let through = closing && batch.is_empty();
            batch.clear();
            batch.shrink_to(LOG_BUFFER_BYTES);
            self.report(closing);
            if through {
                return;
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let mut rest = lines;
        while !rest.is_empty() {
            let torn = self.state.torn;
            let written = match self.output.write(if torn { b"\n" } else { rest }) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                written => written,
            };
            match written {
                Ok(_) if torn => self.state.torn = false,
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another program has made the pipe that it shares with us non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(LOG_RETRY_INTERVAL);
                }
                Err(error) => return self.fail(&error, lines, rest),
            }
        }
        self.state.failing = false;
    }

    /// Counts the lines of which `rest` could not be written.
    fn fail(&mut self, error: &io::Error, lines: &[u8], rest: &[u8]) {
        let written = &lines[..lines.len() - rest.len()];
        if let Some(last) = written.last() {
            self.state.torn = *last != b'\n';
        }
        let lost = rest.iter().filter(|byte| **byte == b'\n').count();
        self.queue.lose(lost as u64);
        if !std::mem::replace(&mut self.state.failing, true) {
            self.output.tell_failure(error);
        }
    }

    /// The time of the next report, if there is something to tell.
    fn report_due(&self) -> Option<Instant> {
        let told = self.state.told?;
        (self.queue.lost() > self.state.reported).then(|| told + LOG_REPORT_INTERVAL)
    }

    /// Tells of lost lines, once in a while, and in the end.
    fn report(&mut self, closing: bool) {
        let lost = self.queue.lost();
        let due = self.report_due().is_none_or(|due| closing || due <= Instant::now());
        if lost == self.state.reported || !due {
            return;
        }
        if self.output.tell_lost(lost - self.state.reported, self.state.failing) {
            self.state.reported = lost;
        }
        self.state.told = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    const LIMITS: QueueLimits = QueueLimits { bytes: 8, delay: Duration::ZERO };
    const LONG: Duration = Duration::from_secs(60);

    /// An output that takes so many bytes and then fails, until it is reopened. It hands on what
    /// happens.
    struct Room {
        left: usize,
        events: Sender<String>,
        gate: Arc<Mutex<()>>,
    }

    impl LogOutput for Room {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            let _passed = self.gate.lock();
            let count = lines.len().min(self.left);
            self.left -= count;
            let _ = self.events.send(String::from_utf8_lossy(&lines[..count]).into_owned());
            if count == 0 { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(count) }
        }

        fn reopen(&mut self) {
            self.left = usize::MAX;
        }

        fn tell_failure(&mut self, _: &io::Error) {
            let _ = self.events.send("failed".into());
        }

        fn tell_lost(&mut self, lines: u64, failing: bool) -> bool {
            let _ = self.events.send(format!("lost {lines}"));
            !failing
        }
    }

    /// A queue with its thread, its output's events, and the gate that stops its writes.
    fn queue(left: usize) -> (LogQueue, LogThread, Receiver<String>, Arc<Mutex<()>>) {
        let (events, told) = std::sync::mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let queue = LogQueue::new(LIMITS);
        let room = Room { left, events, gate: Arc::clone(&gate) };
        let thread = queue.clone().write_to("test", room).unwrap();
        (queue, thread, told, gate)
    }

    fn all(told: &Receiver<String>) -> String {
        told.try_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn queue_takes_no_more_than_its_bytes_while_the_output_hangs() {
        let (queue, thread, told, gate) = queue(usize::MAX);
        let held = gate.lock().unwrap();
        queue.push(b"first\n");
        // The thread has taken the first line once there is room for another as long.
        while queue.lock().lines.len() == 6 {
            std::thread::yield_now();
        }
        for _ in 0..5 {
            queue.push(b"abc\n");
        }
        assert_eq!(queue.lost(), 3);
        assert!(queue.lock().lines.len() <= LIMITS.bytes);
        assert!(!thread.close(Duration::from_millis(1)), "the output hangs");
        drop(held);
        thread.ended.lock().unwrap().recv_timeout(LONG).unwrap();
        assert_eq!(all(&told), "first\n|lost 3|abc\nabc\n");
    }

    #[test]
    fn lines_of_a_failed_write_are_counted_and_the_torn_one_ends() {
        let (queue, thread, told, _gate) = queue(5);
        queue.push(b"abc\nde\n");
        assert_eq!(told.recv_timeout(LONG).unwrap(), "abc\nd");
        while queue.lost() < 1 {
            std::thread::yield_now();
        }
        queue.reopen();
        while queue.lock().reopen {
            std::thread::yield_now();
        }
        queue.push(b"f\n");
        assert!(thread.close(LONG));
        // The new file has no torn line.
        assert_eq!(all(&told), "failed|lost 1|f\n|lost 1");
    }

    #[test]
    fn line_after_a_torn_one_begins_a_line() {
        let (queue, thread, told, gate) = queue(1);
        drop(gate);
        queue.push(b"ab\n");
        assert!(thread.close(LONG));
        assert_eq!(all(&told), "a|failed|lost 1|lost 1");
        let (events, told) = std::sync::mpsc::channel();
        let room = Room { left: 9, events, gate: Arc::default() };
        let state = OutputState { failing: true, torn: true, reported: 0, told: None };
        LogWriter { queue, output: room, state }.write(b"cd\n");
        assert_eq!(all(&told), "\n|cd\n");
    }
}
