//! The figures of the second pass.

use std::time::Duration;

/// A snapshot of the figures of the second pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecondPassMetrics {
    /// The number of encodes that ended, those that saved too little among them.
    pub encodes: u64,
    /// The bytes by which entries have become smaller.
    pub saved_bytes: u64,
    /// The processor time that was spent, that of interrupted encodes included.
    pub cpu: Duration,
}
