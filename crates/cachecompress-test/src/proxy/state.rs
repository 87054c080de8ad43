//! The faults of a proxy, and its open connections.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A fault of the network or of the store. Offsets count bytes of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Pass,
    /// Every request and every response takes longer.
    Latency {
        /// The delay of a request.
        to_store: Duration,
        /// The delay of a response.
        from_store: Duration,
    },
    /// A response's body comes at one byte a second.
    Trickle,
    /// Bodies pass at so many bytes a second, in both directions.
    Rate(u64),
    /// The connection is reset after so many bytes of a response.
    ResetAfter(u64),
    /// The connection is reset after so many bytes of a request.
    ResetUploadAfter(u64),
    /// The connection is closed after so many bytes of a response.
    CloseAfter(u64),
    /// A bit of each byte of a response is flipped from there on.
    FlipFrom(u64),
    /// Connections are accepted, and nothing is answered. Responses under way stop.
    BlackHole,
    /// Connections are refused, and open ones reset.
    Refuse,
    /// These bytes are the response. The store gets no request.
    Answer(Vec<u8>),
    /// The response is a body of so many zeros. The store gets no request.
    Zeros(u64),
}

/// A request that has reached the proxy.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The target, with its query.
    pub target: String,
    /// The time at which its head was there.
    pub at: Instant,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: SocketAddr,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) rules: Vec<Rule>,
    /// The number of changes of the rules.
    pub(super) epoch: u64,
    pub(super) is_listening: bool,
    pub(super) has_ended: bool,
    pub(super) accepted: u64,
    pub(super) asked: Vec<Asked>,
    /// Both sides of the open connections.
    pub(super) open: BTreeMap<u64, Vec<TcpStream>>,
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) method: String,
    pub(super) part: String,
    pub(super) fault: Fault,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and returns the fault that befalls it, and the epoch of that.
    pub(super) fn befall(&self, method: &str, target: &str) -> (Fault, u64) {
        let mut state = self.lock();
        let asked = Asked { method: method.into(), target: target.into(), at: Instant::now() };
        state.asked.push(asked);
        let is_meant = |rule: &&Rule| {
            (rule.method.is_empty() || rule.method == method) && target.contains(&rule.part)
        };
        let rule = state.rules.iter().find(is_meant);
        (rule.map_or(Fault::Pass, |rule| rule.fault.clone()), state.epoch)
    }

    /// Waits while nothing may be answered. Returns whether it had to.
    pub(super) fn pass_black_hole(&self) -> bool {
        let is_held = |state: &mut State| {
            let holds = |rule: &Rule| rule.fault == Fault::BlackHole && rule.part.is_empty();
            state.rules.iter().any(holds) && !state.has_ended
        };
        let mut state = self.lock();
        let had_to = is_held(&mut state);
        drop(self.changed.wait_while(state, is_held));
        had_to
    }

    /// Waits until another fault is set.
    pub(super) fn until_changed(&self, epoch: u64) {
        let is_same = |state: &mut State| state.epoch == epoch && !state.has_ended;
        drop(self.changed.wait_while(self.lock(), is_same));
    }

    /// Waits, but not longer than the fault lasts.
    pub(super) fn wait(&self, time: Duration, epoch: u64) {
        let is_same = |state: &mut State| state.epoch == epoch && !state.has_ended;
        drop(self.changed.wait_timeout_while(self.lock(), time, is_same));
    }

    /// Waits for the time that so many bytes of a body take.
    pub(super) fn pace(&self, fault: &Fault, epoch: u64, bytes: usize) {
        if let Fault::Rate(rate) = *fault {
            self.wait(Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64), epoch);
        }
    }

    /// Remembers one side of a connection, so that it can be reset.
    pub(super) fn remember(&self, connection: u64, stream: &TcpStream) -> io::Result<()> {
        let stream = stream.try_clone()?;
        self.lock().open.entry(connection).or_default().push(stream);
        Ok(())
    }

    pub(super) fn forget(&self, connection: u64) {
        self.lock().open.remove(&connection);
    }
}
