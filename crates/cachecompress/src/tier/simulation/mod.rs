//! Many replicas at one store, in simulated time: the real leases and breakers over a network that loses,
//! delays and refuses.
//!
//! The clock is tokio's, paused: it leaps to the next timer whenever every task waits. Everything random
//! comes from a seed, so a run repeats. Replicas share that clock, and could not tell if each had its own:
//! leases and breakers only measure how long something took, and never write or read a time of day. A
//! clock that runs at another rate is simulated by another life of leases
//! ([`Leases::with_life`](super::lease::Leases::with_life)) and by encodes that take longer.
//!
//! The file that the environment variable `CACHECOMPRESS_SIMULATION` names gets a line of JSON for each
//! scenario. The bench plots them.

mod fleet;
pub(in crate::tier) mod network;
mod tests;
