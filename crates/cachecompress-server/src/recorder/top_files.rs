//! The files that stand out: by bytes sent, by misses, uncompressed, and those that are not there.
//!
//! Each table is bounded, by the space-saving algorithm of Metwally, Agrawal and El Abbadi where it
//! counts: a new path takes over the count of the one that made room. So a frequent path is never
//! missed, and a count may be too high by that of the last row.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use cachecompress::{CacheStatus, Forward, Outcome};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::ranked::{Ranked, Row};
use super::unix_time::unix_seconds;
use crate::access_log::escape_field;
use crate::limits::{KEPT_FILES, LOG_FIELD_BYTES, TOP_FILES};

/// A response to one request for a file, which stands for `weight` of them.
#[derive(Debug)]
pub(super) struct FileResponse {
    /// The path as the client sent it, or as much of it as the tables keep.
    path: Box<[u8]>,
    weight: u32,
    arrived: Instant,
    pub(super) status: StatusCode,
    pub(super) outcome: Option<Outcome>,
    pub(super) cache_status: Option<CacheStatus>,
    /// The file's length in bytes.
    pub(super) source_len: Option<u64>,
    pub(super) sent_bytes: u64,
}

impl FileResponse {
    /// The response to a request for `path` that has `arrived`, of which nothing is known yet.
    pub(super) fn to(path: &str, weight: u32, arrived: Instant) -> Self {
        // One byte more than a field has lets it end with the dots of a cut.
        let kept = path.len().min(LOG_FIELD_BYTES + 1);
        Self {
            path: path.as_bytes()[..kept].into(),
            weight,
            arrived,
            status: StatusCode::OK,
            outcome: None,
            cache_status: None,
            source_len: None,
            sent_bytes: 0,
        }
    }
}

/// The tables of files.
#[derive(Debug)]
pub(super) struct FileTables(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    by_bytes: Ranked<Sent>,
    by_misses: Ranked<Missed>,
    uncompressed: Ranked<Uncompressed>,
    not_found: Ranked<NotFound>,
}

/// The files that stand out, as the API tells of them.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub(crate) struct TopFiles {
    pub(crate) by_bytes: Vec<FileRow<Sent>>,
    pub(crate) by_misses: Vec<FileRow<Missed>>,
    pub(crate) uncompressed: Vec<FileRow<Uncompressed>>,
    pub(crate) not_found: Vec<FileRow<NotFound>>,
}

/// A path with what is known of it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "{R}File")]
pub(crate) struct FileRow<R> {
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) row: R,
}

/// A file by the bytes that were sent of it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub(crate) struct Sent {
    pub(crate) requests: u64,
    pub(crate) sent_bytes: u64,
}

/// A file by the requests that had it encoded or waited for that.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub(crate) struct Missed {
    pub(crate) misses: u64,
}

/// A file by its length, and the last reason for which it went out as it is.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub(crate) struct Uncompressed {
    /// The file's length.
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
    /// The detail of `Cache-Status`.
    pub(crate) reason: &'static str,
}

/// A path that leads nowhere, by the time of the last request.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub(crate) struct NotFound {
    pub(crate) count: u64,
    /// Unix seconds.
    pub(crate) last: f64,
}

impl Row for Sent {
    fn rank(&self) -> u64 {
        self.sent_bytes
    }
}

impl Row for Missed {
    fn rank(&self) -> u64 {
        self.misses
    }
}

impl Row for Uncompressed {
    fn rank(&self) -> u64 {
        self.bytes
    }
}

impl Row for NotFound {
    fn rank(&self) -> u64 {
        // Microseconds order what seconds do not.
        (self.last * 1e6) as u64
    }
}

impl Default for FileTables {
    fn default() -> Self {
        Self(Mutex::new(Tables {
            by_bytes: Ranked::new(KEPT_FILES),
            by_misses: Ranked::new(KEPT_FILES),
            uncompressed: Ranked::new(KEPT_FILES),
            not_found: Ranked::new(KEPT_FILES),
        }))
    }
}

impl FileTables {
    /// Adds each response to the tables that it belongs to.
    #[allow(clippy::vec_box, reason = "each was allocated at its request's arrival")]
    pub(super) fn add(&self, responses: Vec<Box<FileResponse>>) {
        if responses.is_empty() {
            return;
        }
        let now = (SystemTime::now(), Instant::now());
        let Self(tables) = self;
        let mut tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
        responses.iter().for_each(|response| tables.add(response, now));
    }

    /// Takes a snapshot.
    pub(super) fn top(&self) -> TopFiles {
        let Self(tables) = self;
        let tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
        TopFiles {
            by_bytes: rows(&tables.by_bytes),
            by_misses: rows(&tables.by_misses),
            uncompressed: rows(&tables.uncompressed),
            not_found: rows(&tables.not_found),
        }
    }
}

impl Tables {
    /// Adds a response; `now` is the time by both clocks.
    fn add(&mut self, response: &FileResponse, now: (SystemTime, Instant)) {
        let weight = u64::from(response.weight);
        let mut path = String::with_capacity(response.path.len());
        escape_field(&mut path, &response.path);
        let path = &*path;
        if response.status == StatusCode::NOT_FOUND {
            let new = |_| NotFound { count: 0, last: 0.0 };
            let row = self.not_found.row(path, new);
            row.count += weight;
            let ago = now.1.saturating_duration_since(response.arrived);
            row.last = row.last.max(unix_seconds(now.0 - ago));
            return;
        }
        if response.sent_bytes > 0 {
            let new = |sent_bytes| Sent { requests: 0, sent_bytes };
            let row = self.by_bytes.row(path, new);
            row.requests += weight;
            row.sent_bytes += weight * response.sent_bytes;
        }
        if let Some(Outcome::Miss | Outcome::Collapsed) = response.outcome {
            self.by_misses.row(path, |misses| Missed { misses }).misses += weight;
        }
        if let Some(CacheStatus::Forward(Forward::Bypass(detail))) = response.cache_status
            && let Some(bytes) = response.source_len
        {
            let reason = detail.as_str();
            let new = |_| Uncompressed { bytes, requests: 0, reason };
            let row = self.uncompressed.row(path, new);
            row.requests += weight;
            (row.bytes, row.reason) = (bytes, reason);
        }
    }
}

fn rows<R: Row + Clone>(table: &Ranked<R>) -> Vec<FileRow<R>> {
    let top = table.top(TOP_FILES).into_iter();
    top.map(|(path, row)| FileRow { path: path.to_owned(), row: row.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cachecompress::Detail;

    use super::*;

    fn tables() -> Tables {
        FileTables::default().0.into_inner().unwrap()
    }

    fn response(path: &str) -> FileResponse {
        FileResponse {
            outcome: Some(Outcome::Hit),
            cache_status: Some(CacheStatus::Hit),
            source_len: Some(1000),
            sent_bytes: 100,
            ..FileResponse::to(path, 1, Instant::now())
        }
    }

    #[test]
    fn response_is_in_the_tables_that_it_belongs_to() {
        let tables = FileTables::default();
        let bypass = Some(CacheStatus::Forward(Forward::Bypass(Detail::Unprofitable)));
        let responses = [
            FileResponse { weight: 3, ..response("/hit") },
            FileResponse { outcome: Some(Outcome::Miss), ..response("/miss") },
            FileResponse { outcome: Some(Outcome::Collapsed), ..response("/miss") },
            FileResponse { cache_status: bypass, sent_bytes: 1000, ..response("/large") },
            FileResponse { sent_bytes: 0, ..response("/head") },
            FileResponse { status: StatusCode::NOT_FOUND, ..response("/gone") },
        ];
        tables.add(responses.map(Box::new).into());
        let TopFiles { by_bytes, by_misses, uncompressed, not_found } = tables.top();
        let sent: Vec<_> = by_bytes
            .iter()
            .map(|file| (&*file.path, file.row.requests, file.row.sent_bytes))
            .collect();
        assert_eq!(sent, [("/large", 1, 1000), ("/hit", 3, 300), ("/miss", 2, 200)]);
        let [miss] = &*by_misses else { panic!("{by_misses:?}") };
        assert_eq!((&*miss.path, miss.row.misses), ("/miss", 2));
        let row = Uncompressed { bytes: 1000, requests: 1, reason: "unprofitable" };
        assert_eq!(uncompressed, [FileRow { path: "/large".to_owned(), row }]);
        let [gone] = &*not_found else { panic!("{not_found:?}") };
        assert_eq!((&*gone.path, gone.row.count), ("/gone", 1));
    }

    #[test]
    fn latest_missing_paths_stay_when_a_scanner_asks_for_many() {
        let mut tables = tables();
        let path = |number: usize| format!("/{number}");
        for number in 0..10 * KEPT_FILES {
            let response = response(&path(number));
            let response = FileResponse { status: StatusCode::NOT_FOUND, ..response };
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64);
            tables.add(&response, (now, response.arrived));
        }
        let last: Vec<_> = rows(&tables.not_found).into_iter().map(|file| file.path).collect();
        let expected: Vec<_> = (0..10 * KEPT_FILES).rev().take(TOP_FILES).map(path).collect();
        assert_eq!(last, expected);
    }

    /// Half of all requests are for files of which each is asked for once.
    #[test]
    fn frequent_files_stand_out_among_many_that_are_asked_for_once() {
        let (mut tables, now) = (tables(), (SystemTime::now(), Instant::now()));
        for number in 0..10_000 {
            let frequent = format!("/frequent/{}", number % 10);
            tables.add(&response(&frequent), now);
            tables.add(&response(&format!("/once/{number}")), now);
        }
        let top = rows(&tables.by_bytes);
        assert!(top[..10].iter().all(|file| file.path.starts_with("/frequent/")), "{top:?}");
        assert!(top[..10].iter().all(|file| file.row.requests == 1000), "{top:?}");
    }

    #[test]
    fn row_is_one_object_in_json() {
        let tables = FileTables::default();
        tables.add(vec![Box::new(response("/a"))]);
        let json = serde_json::to_value(tables.top()).unwrap();
        let expected = serde_json::json!({
            "by_bytes": [{ "path": "/a", "requests": 1, "sent_bytes": 100 }],
            "by_misses": [], "uncompressed": [], "not_found": [],
        });
        assert_eq!(json, expected);
    }

    /// Responses wait for some seconds before they are entered.
    #[test]
    fn missing_path_has_the_time_of_its_request_when_it_is_entered_later() {
        let mut tables = tables();
        let response = FileResponse { status: StatusCode::NOT_FOUND, ..response("/gone") };
        let later = response.arrived + Duration::from_secs(4);
        tables.add(&response, (SystemTime::UNIX_EPOCH + Duration::from_secs(104), later));
        let [row] = &*rows(&tables.not_found) else { panic!("one row") };
        assert!((row.row.last - 100.0).abs() < 1e-9, "{row:?}");
    }

    #[test]
    fn path_is_escaped_and_bounded() {
        let long = format!("/{}", "a".repeat(2 * LOG_FIELD_BYTES));
        let tables = FileTables::default();
        tables.add(["/\"é", &long].map(|path| Box::new(response(path))).into());
        let paths: Vec<_> = tables.top().by_bytes.into_iter().map(|file| file.path).collect();
        assert_eq!(paths[0], "/\\x22\\xC3\\xA9");
        assert_eq!(paths[1], format!("{}...", &long[..LOG_FIELD_BYTES - 3]));
    }
}
