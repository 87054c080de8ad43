//! A gate in the way of an encoder, a disk or a source.

use std::sync::{Arc, Condvar, Mutex};

use crate::wait::HELD;

/// Holds threads until the test lets them go on, one pass at a time.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl Gate {
    /// Creates a closed gate.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets `passes` more passes through.
    pub fn open(&self, passes: u64) {
        let mut state = self.state.lock().unwrap();
        state.1 = state.1.saturating_add(passes);
        self.changed.notify_all();
    }

    /// Lets everything through from now on.
    pub fn open_wide(&self) {
        self.open(u64::MAX);
    }

    /// Returns the number of passes that were asked for.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.state.lock().unwrap().0
    }

    /// Waits until the gate lets the caller through, and no longer than [`HELD`].
    pub fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let wait = self.changed.wait_timeout_while(state, HELD, |state| state.1 == 0);
        let mut state = wait.unwrap().0;
        if state.1 < u64::MAX {
            state.1 = state.1.saturating_sub(1);
        }
    }
}
