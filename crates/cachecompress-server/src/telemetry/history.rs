//! An hour of samples in memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use cachecompress::Metrics;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::second_pass::SecondPassFigures;
use super::tier::TierFigures;
use crate::limits::{HISTORY_SAMPLES, LAST_MINUTE_SAMPLES};
use crate::recorder::{Distribution, Percentiles, unix_seconds};

/// The counters at one moment, as totals, and the first bytes since the sample before.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Sample {
    /// Unix seconds.
    pub(crate) at: f64,
    /// Requests by outcome.
    #[serde(serialize_with = "as_map")]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub(crate) requests: Vec<(&'static str, u64)>,
    /// Responses that went past the cache, by reason.
    #[serde(serialize_with = "as_map")]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub(crate) bypasses: Vec<(&'static str, u64)>,
    pub(crate) sent_bytes: u64,
    pub(crate) source_bytes: u64,
    pub(crate) encode_cpu_seconds: f64,
    pub(crate) entries: u64,
    pub(crate) entry_bytes: u64,
    pub(crate) evictions: u64,
    pub(crate) damaged_entries: u64,
    /// The connections that are open.
    pub(crate) connections: usize,
    pub(crate) second_pass: SecondPassFigures,
    /// The store that replicas share; `null` without one.
    pub(crate) tier: Option<TierFigures>,
    /// The first bytes' percentiles in seconds; `null` without a request.
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
}

fn as_map<S: Serializer>(pairs: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

impl Sample {
    pub(super) fn new(
        at: SystemTime,
        metrics: &Metrics,
        connections: usize,
        first_byte: Option<Percentiles>,
    ) -> Self {
        let requests = metrics.requests.iter().map(|(outcome, count)| (outcome.as_str(), *count));
        let bypasses = metrics.bypasses.iter().map(|(detail, count)| (detail.as_str(), *count));
        let cpu = metrics.encodes.iter().map(|encode| encode.cpu.as_secs_f64());
        Self {
            at: unix_seconds(at),
            requests: requests.collect(),
            bypasses: bypasses.collect(),
            sent_bytes: metrics.sent_bytes,
            source_bytes: metrics.source_bytes,
            encode_cpu_seconds: cpu.sum(),
            entries: metrics.entries,
            entry_bytes: metrics.entry_bytes,
            evictions: metrics.evictions,
            damaged_entries: metrics.damaged_entries,
            connections,
            second_pass: metrics.second_pass.as_ref().into(),
            tier: metrics.tier.as_ref().map(TierFigures::from),
            p50: first_byte.map(|first_byte| first_byte.p50),
            p95: first_byte.map(|first_byte| first_byte.p95),
            p99: first_byte.map(|first_byte| first_byte.p99),
        }
    }
}

/// The samples of the last hour, the oldest first, and the first bytes up to those of the last minute.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    first_bytes: VecDeque<Distribution>,
}

impl History {
    /// The first bytes that came after the last sample, of which there are `now`.
    pub(super) fn since_last(&self, now: &Distribution) -> Option<Percentiles> {
        self.first_bytes.back().map_or_else(|| now.clone(), |last| now.since(last)).percentiles()
    }

    /// The first bytes of the last minute, of which there are `now`.
    pub(super) fn last_minute(&self, now: &Distribution) -> Option<Percentiles> {
        // Before the first minute is over, all of them are of it.
        let before =
            self.first_bytes.front().filter(|_| self.first_bytes.len() == LAST_MINUTE_SAMPLES);
        before.map_or_else(|| now.clone(), |before| now.since(before)).percentiles()
    }

    /// Adds a sample and forgets what is older than an hour.
    pub(super) fn push(&mut self, sample: Sample, first_bytes: Distribution) {
        push_bounded(&mut self.samples, sample, HISTORY_SAMPLES);
        push_bounded(&mut self.first_bytes, first_bytes, LAST_MINUTE_SAMPLES);
    }

    /// The samples, the oldest first.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.iter().cloned().collect()
    }
}

fn push_bounded<T>(all: &mut VecDeque<T>, one: T, most: usize) {
    if all.len() == most {
        all.pop_front();
    }
    all.push_back(one);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cachecompress::{Memory, ServeCompressed};
    use http::{Request, Response};

    use super::*;
    use crate::recorder::Recorders;

    /// A sample with this number as its time.
    fn sample(number: usize) -> Sample {
        let metrics = ServeCompressed::builder(Memory::new()).build().unwrap().metrics();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64);
        Sample::new(at, &metrics, number, None)
    }

    /// Has one request answered with an error.
    fn answer(recorders: &Recorders) {
        let recorder = recorders.each().next().unwrap();
        let mut measurement = recorder.begin(&Request::new(()));
        let mut response = Response::new(String::new());
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        measurement.answered(&response, None);
    }

    #[test]
    fn sample_has_the_first_bytes_since_the_one_before() {
        let (recorders, mut history) = (Recorders::new(2), History::default());
        let now = || recorders.first_bytes().all();
        assert_eq!(history.since_last(&now()), None);
        answer(&recorders);
        assert!(history.since_last(&now()).is_some());
        history.push(sample(0), now());
        assert_eq!(history.since_last(&now()), None, "it was of the sample before");
        assert!(history.last_minute(&now()).is_some());
    }

    #[test]
    fn history_forgets_what_is_older_than_an_hour_and_first_bytes_after_a_minute() {
        let (recorders, mut history) = (Recorders::new(1), History::default());
        answer(&recorders);
        let all = recorders.first_bytes().all();
        for number in 0..LAST_MINUTE_SAMPLES {
            assert!(history.last_minute(&all).is_some(), "{number}");
            history.push(sample(number), all.clone());
        }
        assert_eq!(history.last_minute(&all), None);
        for number in LAST_MINUTE_SAMPLES..HISTORY_SAMPLES + 3 {
            history.push(sample(number), all.clone());
        }
        let times: Vec<_> = history.samples().iter().map(|sample| sample.connections).collect();
        assert_eq!(times, (3..HISTORY_SAMPLES + 3).collect::<Vec<_>>());
    }

    #[test]
    fn sample_is_an_object_of_totals_in_json() {
        let json = serde_json::to_value(sample(7)).unwrap();
        assert_eq!(json["at"], 7.0);
        assert_eq!(json["requests"]["hit"], 0);
        assert_eq!(json["bypasses"]["patience"], 0);
        assert_eq!(json["p50"], serde_json::Value::Null);
    }
}
