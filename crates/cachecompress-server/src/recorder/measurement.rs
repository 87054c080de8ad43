//! The recorder of one worker's requests, and the measurement of one request.

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cachecompress::Served;
use http::{Request, Response};
use http_body::Body;

use super::request_times::{RequestTimes, Series};
use super::time_buckets::units;
use super::top_files::{FileResponse, FileTables};
use crate::limits::{ALL_FILES, SAMPLED_FILES, WAITING_FILES};

/// Records the requests of one worker.
///
/// It is shared with those that read it, but each worker writes its own. So no core waits for
/// another's memory.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(super) times: RequestTimes,
    files: Arc<FileTables>,
    /// The responses that are not in the tables yet. To enter one costs as much as to measure ten.
    #[allow(clippy::vec_box, reason = "each was allocated at its request's arrival")]
    waiting: Mutex<Vec<Box<FileResponse>>>,
    sampling: Sampling,
}

impl Recorder {
    pub(super) fn new(files: Arc<FileTables>) -> Self {
        Self {
            times: RequestTimes::default(),
            files,
            waiting: Mutex::default(),
            sampling: Sampling::default(),
        }
    }

    /// Lets the next requests have their files recorded without sampling.
    pub(super) fn refill(&self) {
        self.sampling.all.store(ALL_FILES, Ordering::Relaxed);
    }

    /// Begins to measure `request`, which arrived now.
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> Measurement {
        let arrived = Instant::now();
        let file = self
            .sampling
            .next()
            .map(|weight| Box::new(FileResponse::to(request.uri().path(), weight, arrived)));
        Measurement { recorder: Arc::clone(self), arrived, series: None, has_begun: false, file }
    }

    /// Records a response that is through.
    fn record(&self, file: Box<FileResponse>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(file);
        if waiting.len() >= WAITING_FILES {
            let full = mem::take(&mut *waiting);
            drop(waiting);
            self.files.add(full);
        }
    }

    /// Enters the responses that wait for it into the tables.
    pub(super) fn enter_waiting(&self) {
        let waiting = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.files.add(waiting);
    }
}

/// Chooses the requests whose files are recorded: all of a few, and one in [`SAMPLED_FILES`] beyond.
#[derive(Debug)]
struct Sampling {
    /// The requests that are still recorded without sampling.
    all: AtomicU32,
    /// The requests until the next one that is recorded.
    gap: AtomicU32,
    /// The state of a xorshift generator (Marsaglia 2003), which is never 0. A fixed gap could keep
    /// step with the files of a page.
    random: AtomicU32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            all: AtomicU32::new(ALL_FILES),
            gap: AtomicU32::new(SAMPLED_FILES),
            random: AtomicU32::new(0x9e37_79b9),
        }
    }
}

impl Sampling {
    /// The number of requests that this one stands for, if its file is recorded.
    fn next(&self) -> Option<u32> {
        let all = self.all.load(Ordering::Relaxed);
        if all > 0 {
            self.all.store(all - 1, Ordering::Relaxed);
            return Some(1);
        }
        let gap = self.gap.load(Ordering::Relaxed);
        if gap > 1 {
            self.gap.store(gap - 1, Ordering::Relaxed);
            return None;
        }
        let mut random = self.random.load(Ordering::Relaxed);
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self.random.store(random, Ordering::Relaxed);
        // From 1 to twice the mean less one.
        self.gap.store(1 + random % (2 * SAMPLED_FILES - 1), Ordering::Relaxed);
        Some(SAMPLED_FILES)
    }
}

/// The measurement of one request, until its response's body is through.
#[derive(Debug)]
pub(crate) struct Measurement {
    recorder: Arc<Recorder>,
    arrived: Instant,
    /// `None` before the response, and for one that is not counted.
    series: Option<Series>,
    /// Whether the first byte was measured.
    has_begun: bool,
    /// The response for the tables of files, if it is sampled.
    file: Option<Box<FileResponse>>,
}

impl Measurement {
    /// The time at which the request arrived.
    pub(crate) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Adds the head of the response. Redirects and `OPTIONS` have no outcome and are not measured.
    pub(crate) fn answered<B: Body>(&mut self, response: &Response<B>, served: Option<&Served>) {
        let status = response.status();
        let outcome = served.and_then(|served| served.outcome);
        self.series = match (outcome, served) {
            (Some(outcome), Some(served)) => Some(Series::new(outcome, &served.coding)),
            _ if status.is_client_error() || status.is_server_error() => Some(Series::ERROR),
            _ => None,
        };
        if let Some(file) = &mut self.file {
            file.status = status;
            file.outcome = outcome;
            file.cache_status = served.and_then(|served| served.cache_status);
            file.source_len = served.and_then(|served| served.source_len);
        }
        if response.body().is_end_stream() {
            self.sent(0, true);
        }
    }

    /// Counts a piece of the body; `is_last` says that the body has no more.
    pub(crate) fn sent(&mut self, bytes: usize, is_last: bool) {
        if let Some(file) = &mut self.file {
            file.sent_bytes += bytes as u64;
        }
        if self.has_begun && !is_last {
            return;
        }
        let Some(series) = self.series else { return };
        let time = units(self.arrived.elapsed());
        let times = &self.recorder.times;
        if !self.has_begun {
            self.has_begun = true;
            times.first_byte.add(series, time);
        }
        if is_last {
            self.series = None;
            times.total.add(series, time);
        }
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.recorder.record(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;

    use super::*;

    #[test]
    fn sample_stands_for_as_many_requests_as_there_are() {
        let sampling = Sampling::default();
        let all: Vec<_> = (0..ALL_FILES).map(|_| sampling.next()).collect();
        assert!(all.iter().all(|weight| *weight == Some(1)), "the first ones count for themselves");
        let requests = 1_000_000;
        let weights: u32 = (0..requests).filter_map(|_| sampling.next()).sum();
        assert!(weights.abs_diff(requests) < requests / 20, "{weights}");
        sampling.all.store(1, Ordering::Relaxed);
        assert_eq!(sampling.next(), Some(1));
    }

    /// A worker may answer more requests in a row than wait.
    #[test]
    fn responses_are_all_entered_however_many_wait() {
        let files = Arc::new(FileTables::default());
        let recorder = Arc::new(Recorder::new(Arc::clone(&files)));
        let request = Request::get("/gone?query").body(()).unwrap();
        let response = Response::builder().status(404).body(Empty::<Bytes>::new()).unwrap();
        let count =
            || files.top().not_found.first().map(|file| (file.path.clone(), file.row.count));
        for answered in 1..=WAITING_FILES + 1 {
            recorder.sampling.all.store(1, Ordering::Relaxed);
            recorder.begin(&request).answered(&response, None);
            let expected =
                (answered >= WAITING_FILES).then(|| ("/gone".to_owned(), WAITING_FILES as u64));
            assert_eq!(count(), expected);
        }
        recorder.enter_waiting();
        assert_eq!(count(), Some(("/gone".to_owned(), WAITING_FILES as u64 + 1)));
    }
}
