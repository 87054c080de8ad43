//! The service manager that started the program, if it wants to be told: systemd, and those that
//! do as it does (`sd_notify(3)`).

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

/// Tells the service manager of the program's states. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supervisor(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Starting,
    Ready,
    Stopping,
}

/// A message to the service manager.
#[derive(Clone, Copy, Debug)]
enum Message {
    Ready,
    Reloading,
    Stopping,
    Alive,
}

impl Supervisor {
    /// Tells that every listener serves.
    pub(crate) fn ready(&self) {
        self.enter(State::Ready, Message::Ready);
    }

    /// Tells that the program ends.
    pub(crate) fn stopping(&self) {
        self.enter(State::Stopping, Message::Stopping);
    }

    /// Tells that a reload begins, if the program is ready.
    pub(crate) fn reloading(&self) {
        self.send_if_ready(Message::Reloading);
    }

    /// Tells that a reload is over, whatever came of it.
    pub(crate) fn reloaded(&self) {
        self.send_if_ready(Message::Ready);
    }

    fn send_if_ready(&self, message: Message) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Ready {
            send(message);
        }
    }

    fn enter(&self, state: State, message: Message) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
        send(message);
    }
}

/// Tells the watchdog, if there is one, that the program is alive, for as long as this runs.
///
/// It does so twice in the time after which the watchdog would end the program, unless a worker does
/// not answer.
pub(crate) async fn keep_alive(workers: Vec<Handle>) {
    let Some(patience) = os::watchdog() else { return };
    let half = (patience / 2).max(crate::limits::SHORTEST_TICK);
    let mut ticks = crate::deadlines::ticks(half);
    loop {
        match tokio::time::timeout(half, answers(&workers)).await {
            Ok(true) => send(Message::Alive),
            Ok(false) => return,
            Err(_) => tracing::warn!("a thread that serves does not answer; telling the watchdog"),
        }
        ticks.tick().await;
    }
}

/// Waits until each of `workers` has taken its turn. False: one of them has ended.
async fn answers(workers: &[Handle]) -> bool {
    let turns: Vec<_> = workers.iter().map(|worker| worker.spawn(async {})).collect();
    for turn in turns {
        if turn.await.is_err() {
            return false;
        }
    }
    true
}

fn send(message: Message) {
    if let Err(error) = os::send(message) {
        tracing::debug!(?message, %error, "cannot tell the service manager");
    }
}

#[cfg(target_os = "linux")]
mod os {
    use std::io;
    use std::time::Duration;

    use sd_notify::NotifyState;

    use super::Message;

    pub(super) fn send(message: Message) -> io::Result<()> {
        match message {
            Message::Ready => sd_notify::notify(&[NotifyState::Ready]),
            Message::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
            Message::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
            Message::Reloading => {
                let now = NotifyState::monotonic_usec_now()?;
                sd_notify::notify(&[NotifyState::Reloading, now])
            }
        }
    }

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }
}

/// There is none on this system.
#[cfg(not(target_os = "linux"))]
mod os {
    use std::io;
    use std::time::Duration;

    use super::Message;

    pub(super) fn send(_: Message) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::sync::mpsc::channel;
    use std::task::{Context, Waker};

    use super::*;
    use crate::workers::Workers;

    #[tokio::test]
    async fn worker_that_stands_still_gives_no_answer() {
        let workers = Workers::start(2).unwrap();
        let handles: Vec<_> = workers.runtimes().cloned().collect();
        assert!(answers(&handles).await);
        let (go, wait) = channel::<()>();
        let (stands, still) = channel();
        handles[1].spawn(async move {
            stands.send(()).unwrap();
            let _ = wait.recv();
        });
        still.recv().unwrap();
        {
            let mut answers = pin!(answers(&handles));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(answers.as_mut().poll(&mut cx).is_pending());
            drop(go);
            assert!(answers.await);
        }
        workers.end();
        assert!(!answers(&handles).await, "they have ended");
    }
}
