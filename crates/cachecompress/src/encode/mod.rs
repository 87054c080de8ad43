//! The production of an entry from a resource: the encode job and its parts.

mod adopt;
mod brought_bytes;
mod context;
mod cost;
mod error;
mod foretell;
mod job;
mod output;
mod pipeline;
mod produce;
mod roundtrip;
mod scheduler;
mod source_reader;
mod speculative;
mod under_way;
mod verdict;
mod warming;

pub(crate) use context::JobContext;
pub(crate) use foretell::Foretold;
pub(crate) use scheduler::{EncodeScheduler, Part};
pub(crate) use speculative::Guess;
pub(crate) use verdict::{insists, judge, key, max_payload, verdict_key};
pub(crate) use warming::Warming;
