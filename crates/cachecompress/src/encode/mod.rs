//! The production of an entry from a resource: the encode job and its parts.

mod adopt;
mod brought_bytes;
mod context;
mod cost;
mod earlier;
mod error;
mod foretell;
mod improve;
mod job;
mod output;
mod pipeline;
mod produce;
mod roundtrip;
mod scheduler;
mod second_pass;
mod source_reader;
mod speculative;
mod under_way;
mod verdict;
mod warming;

pub(crate) use context::JobContext;
pub(crate) use earlier::EarlierVersions;
pub(crate) use foretell::Foretold;
pub(crate) use improve::start as start_second_pass;
pub(crate) use scheduler::{EncodeScheduler, Part};
pub use second_pass::Recompress;
pub(crate) use second_pass::{SecondPass, Use};
pub(crate) use speculative::Guess;
pub(crate) use verdict::{insists, judge, key, max_payload, verdict_key};
pub(crate) use warming::Warming;
