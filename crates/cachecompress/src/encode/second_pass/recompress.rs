//! The settings of the second pass.

use std::time::Duration;

use crate::error::Error;
use crate::limits::{DEFAULT_RECOMPRESS_CPU, MOST_PRESSURE, RECOMPRESS_REST};

/// The settings of the second pass, which makes entries in use smaller while nothing else is to be done.
///
/// ```
/// use cachecompress::{Memory, Recompress, ServeCompressed};
///
/// # fn main() -> Result<(), cachecompress::Error> {
/// let service = ServeCompressed::builder(Memory::new())
///     .recompress(Recompress::new().cpu_share(0.05))
///     .build()?;
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Recompress {
    cpu_share: f64,
    rest: Duration,
    max_pressure: f64,
}

impl Default for Recompress {
    fn default() -> Self {
        Self {
            cpu_share: DEFAULT_RECOMPRESS_CPU,
            rest: RECOMPRESS_REST,
            max_pressure: MOST_PRESSURE,
        }
    }
}

impl Recompress {
    /// Creates the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the share of one core that the second pass may take over an hour, from 0 to 1.
    ///
    /// With 0 nothing is made smaller, but better entries that are there are sent. Default: 0.1.
    pub fn cpu_share(mut self, share: f64) -> Self {
        self.cpu_share = share;
        self
    }

    /// Sets the time without an encode for a request before the second pass begins.
    ///
    /// Default: 5 s.
    pub fn rest(mut self, time: Duration) -> Self {
        self.rest = time;
        self
    }

    /// Sets the pressure on the processors at which the second pass stands back, in per cent.
    ///
    /// It is the share of the last ten seconds in which some task of the machine waited for a processor, as
    /// Linux tells it (`some avg10` of `/proc/pressure/cpu`). An encode begins below half of it. Default: 20.
    pub fn max_pressure(mut self, per_cent: f64) -> Self {
        self.max_pressure = per_cent;
        self
    }

    /// Checks the settings.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        match (0.0..=1.0).contains(&self.cpu_share) {
            true => Ok(self),
            false => Err(Error::config(format!(
                "{} is no share of a core for the second pass; choose one from 0 to 1",
                self.cpu_share
            ))),
        }
    }

    pub(super) fn share(&self) -> f64 {
        self.cpu_share
    }

    pub(super) fn rest_time(&self) -> Duration {
        self.rest
    }

    pub(super) fn most_pressure(&self) -> f64 {
        self.max_pressure
    }
}
