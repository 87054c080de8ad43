//! The models, one file for each module of the library.

mod progress;
mod singleflight;
mod versioned;

use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `model` in every interleaving with at most `preemptions` switches away from a thread that
/// could go on, or as many as `LOOM_MAX_PREEMPTIONS` says. Prints the number of interleavings.
///
/// Nearly all faults of concurrent code show with two such switches; without a bound the larger
/// models take hours.
fn explore(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} interleavings", runs.load(Ordering::Relaxed));
}
