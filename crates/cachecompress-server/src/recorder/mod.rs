//! The record of requests: their times, and the files that stand out.

mod measurement;
mod ranked;
mod request_times;
mod time_buckets;
mod top_files;
mod unix_time;

use std::sync::Arc;

pub(crate) use self::measurement::{Measurement, Recorder};
pub(crate) use self::request_times::{Distribution, Percentiles, Times};
use self::top_files::FileTables;
pub(crate) use self::top_files::TopFiles;
pub(crate) use self::unix_time::unix_seconds;

/// The upper bounds of the buckets that exporters get, in seconds, but for the infinite one.
#[cfg(feature = "otel")]
pub(crate) fn bounds() -> Vec<f64> {
    time_buckets::BOUNDS.map(time_buckets::seconds).into()
}

/// The recorders of all workers.
#[derive(Debug)]
pub(crate) struct Recorders {
    each: Vec<Arc<Recorder>>,
    files: Arc<FileTables>,
}

impl Recorders {
    /// Recorders for so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let files = Arc::new(FileTables::default());
        let recorder = |_| Arc::new(Recorder::new(Arc::clone(&files)));
        Self { each: (0..workers).map(recorder).collect(), files }
    }

    /// The recorder of each worker.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Arc<Recorder>> {
        self.each.iter()
    }

    /// The times to the first byte, of all workers together.
    pub(crate) fn first_bytes(&self) -> Times {
        let mut times = Times::zero();
        self.each.iter().for_each(|recorder| recorder.times.first_byte.add_to(&mut times));
        times
    }

    /// The times to the body's end, of all workers together.
    pub(crate) fn totals(&self) -> Times {
        let mut times = Times::zero();
        self.each.iter().for_each(|recorder| recorder.times.total.add_to(&mut times));
        times
    }

    /// The files that stand out.
    pub(crate) fn files(&self) -> TopFiles {
        self.enter_waiting();
        self.files.top()
    }

    /// Enters the files of the last requests into their tables, and lets each worker record those of its
    /// next ones without sampling.
    pub(crate) fn refill(&self) {
        self.enter_waiting();
        self.each.iter().for_each(|recorder| recorder.refill());
    }

    fn enter_waiting(&self) {
        self.each.iter().for_each(|recorder| recorder.enter_waiting());
    }
}
