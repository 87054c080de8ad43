//! Signals, and how everything hears that the end has come.

use std::io;
use std::time::Duration;

use tokio::sync::watch;

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// `SIGTERM`, `SIGINT`.
    pub(crate) name: &'static str,
    /// What a shell reports for a process that dies of it: 128 + its number.
    pub(crate) exit_code: i32,
}

const INTERRUPT: Signal = Signal { name: "SIGINT", exit_code: 130 };
#[cfg(unix)]
const TERMINATE: Signal = Signal { name: "SIGTERM", exit_code: 143 };

pub(crate) use platform::{Hangups, Signals};

#[cfg(unix)]
mod platform {
    use tokio::signal::unix::{self, SignalKind};

    use super::{INTERRUPT, Signal, TERMINATE, io};

    /// The signals that end the process; from its creation on they no longer do so by themselves.
    pub(crate) struct Signals {
        interrupt: unix::Signal,
        terminate: unix::Signal,
    }

    impl Signals {
        pub(crate) fn install() -> io::Result<Self> {
            Ok(Self {
                interrupt: unix::signal(SignalKind::interrupt())?,
                terminate: unix::signal(SignalKind::terminate())?,
            })
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.interrupt.recv() => INTERRUPT,
                _ = self.terminate.recv() => TERMINATE,
            }
        }
    }

    /// SIGHUP, by which log rotation asks for files to be reopened.
    pub(crate) struct Hangups(unix::Signal);

    impl Hangups {
        pub(crate) fn install() -> io::Result<Self> {
            unix::signal(SignalKind::hangup()).map(Self)
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) {
            self.0.recv().await;
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use super::{INTERRUPT, Signal, io};

    /// Ctrl-C.
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn install() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) -> Signal {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            INTERRUPT
        }
    }

    /// There is no such signal here.
    pub(crate) struct Hangups;

    impl Hangups {
        pub(crate) fn install() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for ever.
        pub(crate) async fn next(&mut self) {
            std::future::pending::<()>().await;
        }
    }
}

/// Tells accept loops and connections to end, and waits until they have.
#[derive(Debug)]
pub(crate) struct Drain(watch::Sender<bool>);

/// One that is told by a [`Drain`]; while it lives, the drain waits.
#[derive(Clone, Debug)]
pub(crate) struct Draining(watch::Receiver<bool>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Another one to tell and to wait for.
    pub(crate) fn subscribe(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    /// Tells everybody, waits for them up to `grace`, and returns how many were left then.
    pub(crate) async fn finish(&self, grace: Duration) -> usize {
        self.0.send_replace(true);
        let _ = tokio::time::timeout(grace, self.0.closed()).await;
        self.0.receiver_count()
    }
}

impl Draining {
    /// Waits until it is told to end.
    pub(crate) async fn begun(&mut self) {
        // An error means that the drain is gone, which is an end as well.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_those_it_told_but_not_for_ever() {
        let drain = Drain::new();
        let mut quick = drain.subscribe();
        let stubborn = drain.subscribe();
        let task = tokio::spawn(async move { quick.begun().await });
        assert_eq!(drain.finish(Duration::from_millis(20)).await, 1);
        task.await.unwrap();
        drop(stubborn);
        assert_eq!(drain.finish(Duration::from_secs(60)).await, 0);
    }
}
