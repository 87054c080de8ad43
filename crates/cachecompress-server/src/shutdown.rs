//! The signals that end the program, and the drain that tells everything of the end.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

#[cfg(unix)]
use tokio::signal::unix::{self, SignalKind};
#[cfg(windows)]
use tokio::signal::windows;

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// The name, such as `SIGTERM`.
    pub(crate) name: &'static str,
    /// The exit code that a shell reports for a process that dies of it: 128 + its number.
    pub(crate) exit_code: i32,
}

const INTERRUPT: Signal = Signal { name: "SIGINT", exit_code: 130 };
#[cfg(unix)]
const TERMINATE: Signal = Signal { name: "SIGTERM", exit_code: 143 };

/// The signals that end the process: SIGINT and SIGTERM, or Ctrl-C on Windows.
///
/// From its creation on they no longer end the process by themselves. One that comes before
/// [`next`](Self::next) is first polled is kept for it. (`tokio::signal::ctrl_c` listens only from
/// its first poll on; a signal just before that would be lost.)
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: unix::Signal,
    #[cfg(unix)]
    terminate: unix::Signal,
    #[cfg(windows)]
    interrupt: windows::CtrlC,
}

impl Signals {
    /// Catches the signals from now on.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            interrupt: unix::signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: unix::signal(SignalKind::terminate())?,
            #[cfg(windows)]
            interrupt: windows::ctrl_c()?,
        })
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }

    /// Waits for the next signal.
    #[cfg(windows)]
    pub(crate) async fn next(&mut self) -> Signal {
        self.interrupt.recv().await;
        INTERRUPT
    }
}

/// The signals that would end the process and shall not.
///
/// Log rotation asks by SIGHUP for files to be reopened. A write beyond the limit of a file's size
/// (`ulimit -f`) sends SIGXFSZ beside its error.
pub(crate) struct HarmlessSignals {
    #[cfg(unix)]
    hangups: unix::Signal,
}

impl HarmlessSignals {
    /// Catches the signals from now on, for as long as the process lives.
    pub(crate) fn install() -> io::Result<Self> {
        #[cfg(unix)]
        drop(unix::signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Self {
            #[cfg(unix)]
            hangups: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Spawns a task that calls `hang_up` at each SIGHUP, also for one that has come already.
    pub(crate) fn on_hangup(self, hang_up: impl Fn() + Send + 'static) {
        #[cfg(unix)]
        tokio::spawn(async move {
            let mut hangups = self.hangups;
            while hangups.recv().await.is_some() {
                hang_up();
            }
        });
        #[cfg(not(unix))]
        let _ = hang_up;
    }
}

/// Tells accept loops and connections to end, and waits until they have.
#[derive(Debug)]
pub(crate) struct Drain(watch::Sender<bool>);

/// A subscription to a [`Drain`], which waits for as long as this lives.
#[derive(Clone, Debug)]
pub(crate) struct Draining(watch::Receiver<bool>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// A further subscription.
    pub(crate) fn subscribe(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Tells all subscribers, waits for them up to `timeout`, and returns how many are left.
    pub(crate) async fn finish(&self, timeout: Duration) -> usize {
        self.0.send_replace(true);
        let _ = tokio::time::timeout(timeout, self.0.closed()).await;
        self.0.receiver_count()
    }
}

impl Draining {
    /// Waits until the drain begins. Returns at once if it has begun, or if the drain is gone.
    pub(crate) async fn begun(&mut self) {
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drain_waits_for_its_subscribers_up_to_its_timeout() {
        let drain = Drain::new();
        let mut quick = drain.subscribe();
        let stubborn = drain.subscribe();
        let task = tokio::spawn(async move { quick.begun().await });
        assert_eq!(drain.finish(Duration::from_millis(20)).await, 1);
        task.await.unwrap();
        drop(stubborn);
        assert_eq!(drain.finish(Duration::from_secs(60)).await, 0);
    }

    #[tokio::test]
    async fn drain_that_has_begun_is_seen_by_a_later_wait() {
        let drain = Drain::new();
        let mut late = drain.subscribe();
        assert_eq!(drain.finish(Duration::ZERO).await, 1);
        late.begun().await;
    }

    /// A signal between the program's first words and its first wait must not be lost.
    #[cfg(unix)]
    #[tokio::test]
    async fn signal_before_the_first_wait_is_kept() {
        use rustix::process::{Signal as Number, getpid, kill_process};

        let mut signals = Signals::install().unwrap();
        kill_process(getpid(), Number::TERM).unwrap();
        assert_eq!(signals.next().await, TERMINATE);
    }
}
