//! The times of requests, by their outcome and coding, and never by their path.

use std::sync::atomic::{AtomicU64, Ordering};

use cachecompress::{ContentCoding, Outcome};
use schemars::JsonSchema;
use serde::Serialize;

use super::time_buckets::{self, BOUNDS, BUCKETS};

/// The codings of responses. A coding that the program does not make itself is that of a file.
const CODINGS: [&str; 6] = ["identity", "br", "zstd", "gzip", "deflate", "other"];

/// The outcome and the coding of a response, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Series(usize);

const SERIES: usize = Outcome::ALL.len() * CODINGS.len();

impl Series {
    /// The series of an error that the program answers itself.
    pub(super) const ERROR: Self = Self((Outcome::ALL.len() - 1) * CODINGS.len());

    pub(super) fn new(outcome: Outcome, coding: &ContentCoding) -> Self {
        let outcome = match outcome {
            Outcome::Hit => 0,
            Outcome::Miss => 1,
            Outcome::Collapsed => 2,
            Outcome::Bypass => 3,
            Outcome::Identity => 4,
            Outcome::NotModified => 5,
            _ => 6,
        };
        let coding = match coding.as_str() {
            "identity" => 0,
            "br" => 1,
            "zstd" => 2,
            "gzip" => 3,
            "deflate" => 4,
            _ => 5,
        };
        Self(outcome * CODINGS.len() + coding)
    }

    /// The words for the outcome and the coding.
    fn labels(self) -> (&'static str, &'static str) {
        let Self(number) = self;
        (Outcome::ALL[number / CODINGS.len()].as_str(), CODINGS[number % CODINGS.len()])
    }
}

/// The times of one worker's requests. Others only read them.
#[derive(Debug, Default)]
pub(super) struct RequestTimes {
    /// From a request's arrival to its body's first byte.
    pub(super) first_byte: TimeCounters,
    /// From a request's arrival to its body's end.
    pub(super) total: TimeCounters,
}

/// Counts times of one kind.
#[derive(Debug)]
pub(super) struct TimeCounters(Box<[SeriesCounters; SERIES]>);

#[derive(Debug)]
struct SeriesCounters {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for SeriesCounters {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Default for TimeCounters {
    fn default() -> Self {
        let all: Box<[_]> = (0..SERIES).map(|_| SeriesCounters::default()).collect();
        Self(all.try_into().expect("as many as there are series"))
    }
}

impl TimeCounters {
    pub(super) fn add(&self, Series(series): Series, units: u64) {
        let series = &self.0[series];
        series.buckets[time_buckets::bucket(units)].fetch_add(1, Ordering::Relaxed);
        series.sum.fetch_add(units, Ordering::Relaxed);
    }

    /// Adds the counts of one worker to those of others.
    pub(super) fn add_to(&self, times: &mut Times) {
        for (counters, series) in self.0.iter().zip(&mut times.0) {
            for (counter, count) in counters.buckets.iter().zip(&mut series.buckets) {
                *count += counter.load(Ordering::Relaxed);
            }
            series.sum += counters.sum.load(Ordering::Relaxed);
        }
    }
}

/// A snapshot of times of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Times(Vec<SeriesTimes>);

#[derive(Clone, Debug)]
struct SeriesTimes {
    buckets: [u64; BUCKETS],
    sum: u64,
}

/// A histogram as Prometheus gets it.
pub(crate) struct ClassicHistogram {
    pub(crate) outcome: &'static str,
    pub(crate) coding: &'static str,
    /// Upper bounds in seconds, with the number of times beyond the bound before.
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl Times {
    pub(super) fn zero() -> Self {
        Self(vec![SeriesTimes { buckets: [0; BUCKETS], sum: 0 }; SERIES])
    }

    /// The histogram of each outcome and coding that there was.
    pub(crate) fn classic(&self) -> impl Iterator<Item = ClassicHistogram> {
        let all = self.0.iter().enumerate();
        all.filter_map(|(number, SeriesTimes { buckets, sum })| {
            let count = buckets.iter().sum();
            let (outcome, coding) = Series(number).labels();
            let mut begin = 0;
            let mut up_to = |bound| {
                let end = time_buckets::bucket(bound) + 1;
                let count = buckets[std::mem::replace(&mut begin, end)..end].iter().sum();
                (time_buckets::seconds(bound), count)
            };
            let mut classic: Vec<_> = BOUNDS.map(&mut up_to).into();
            classic.push((f64::INFINITY, buckets[begin..].iter().sum()));
            let sum = time_buckets::seconds(*sum);
            (count > 0).then_some(ClassicHistogram {
                outcome,
                coding,
                buckets: classic,
                count,
                sum,
            })
        })
    }

    /// The counts of all outcomes and codings together.
    pub(crate) fn all(&self) -> Distribution {
        let mut all = Distribution([0; BUCKETS]);
        for series in &self.0 {
            all.0.iter_mut().zip(&series.buckets).for_each(|(all, count)| *all += count);
        }
        all
    }
}

/// The number of times in each bucket.
#[derive(Clone, Debug)]
pub(crate) struct Distribution([u64; BUCKETS]);

/// Quantiles of a distribution, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

impl Distribution {
    /// The times that came after those of `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        since.0.iter_mut().zip(&before.0).for_each(|(now, before)| *now -= before);
        since
    }

    /// The percentiles; `None` if there is no time.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let count: u64 = self.0.iter().sum();
        let quantile = |percent: u64| self.nth((count * percent).div_ceil(100));
        (count > 0).then(|| Percentiles { p50: quantile(50), p95: quantile(95), p99: quantile(99) })
    }

    /// The `nth` shortest time in seconds, as if those of a bucket were spread evenly over it.
    fn nth(&self, nth: u64) -> f64 {
        let mut before = 0;
        for (place, count) in self.0.iter().enumerate() {
            if before + count >= nth {
                let low = place.checked_sub(1).map_or(0, time_buckets::bound);
                if place == BUCKETS - 1 {
                    return time_buckets::seconds(low);
                }
                let part = (nth - before) as f64 / *count as f64;
                let (low, high) = (low as f64, time_buckets::bound(place) as f64);
                return time_buckets::seconds(1) * (low + (high - low) * part);
            }
            before += count;
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counted(times: impl IntoIterator<Item = (Outcome, ContentCoding, Duration)>) -> Times {
        let counters = TimeCounters::default();
        for (outcome, coding, time) in times {
            counters.add(Series::new(outcome, &coding), time_buckets::units(time));
        }
        let mut all = Times::zero();
        counters.add_to(&mut all);
        all
    }

    #[test]
    fn series_has_the_words_of_its_outcome_and_coding() {
        for &outcome in Outcome::ALL {
            for coding in CODINGS {
                let series = Series::new(outcome, &ContentCoding::new(coding).unwrap());
                assert_eq!(series.labels(), (outcome.as_str(), coding));
            }
        }
        assert_eq!(Series::ERROR.labels(), ("error", "identity"));
    }

    #[test]
    fn histogram_counts_each_time_once() {
        let millis = Duration::from_millis;
        let [hit, miss] = [Outcome::Hit, Outcome::Miss];
        let times = counted([
            (hit, ContentCoding::BROTLI, Duration::ZERO),
            (hit, ContentCoding::BROTLI, millis(1)),
            (hit, ContentCoding::BROTLI, millis(3)),
            (hit, ContentCoding::BROTLI, Duration::from_secs(100)),
            (miss, ContentCoding::GZIP, millis(1)),
        ]);
        let all: Vec<_> = times.classic().collect();
        let [hits, misses] = &*all else { panic!("two series") };
        assert_eq!((hits.outcome, hits.coding), ("hit", "br"));
        assert_eq!((misses.outcome, misses.coding, misses.count), ("miss", "gzip", 1));
        let filled: Vec<_> = hits.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(1.0 / 16_000.0, 1), (0.001, 1), (0.004, 1), (f64::INFINITY, 1)]);
        assert_eq!(hits.count, 4);
        assert!((hits.sum - 100.004).abs() < 1e-4, "{}", hits.sum);
    }

    #[test]
    fn percentiles_are_at_most_a_bucket_off() {
        let millis = (1..=1024).map(Duration::from_millis);
        let of = |time| (Outcome::Hit, ContentCoding::GZIP, time);
        let before = counted([of(Duration::from_secs(9))]);
        let since = |after: Times| after.all().since(&before.all()).percentiles();
        assert_eq!(since(before.clone()), None, "nothing came since");
        let after = counted(millis.chain([Duration::from_secs(9)]).map(of));
        let Percentiles { p50, p95, p99 } = since(after).unwrap();
        for (found, expected) in [(p50, 0.512), (p95, 0.973), (p99, 1.014)] {
            assert!((found - expected).abs() < 0.01 * expected, "{found} for {expected}");
        }
        let longest = counted([of(Duration::from_secs(900))]).all().percentiles().unwrap();
        assert!((longest.p99 - 65.536).abs() < 1e-9, "the longest time that is told");
    }
}
