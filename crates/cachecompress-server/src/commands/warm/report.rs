//! The table of what was done, and the same as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use cachecompress::{ContentCoding, SourcePath, TierMetrics, TierOutcome};
use serde::Serialize;

use super::export::Exported;
use super::work::Done;

/// The totals, per media type.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    types: BTreeMap<String, Row>,
    total: Row,
    export: Option<ExportCounts>,
    tier: Option<TierCounts>,
    failures: Vec<Failed>,
    /// The globs of `--include` that match no file.
    unmatched: Vec<String>,
    /// The number of representations that the cache has evicted before the end.
    evicted: u64,
    seconds: f64,
    interrupted: bool,
    #[serde(skip)]
    codings: Vec<ContentCoding>,
    /// The text before the paths of the site that is worked on.
    #[serde(skip)]
    prefix: String,
    /// The bound of the cache in bytes.
    #[serde(skip)]
    cache_size: u64,
}

/// The totals of some files.
#[derive(Clone, Debug, Default, Serialize)]
struct Row {
    files: u64,
    /// The bytes of the files.
    before: u64,
    /// The bytes that go out in each coding. A file that is not compressed counts as it is.
    after: BTreeMap<String, u64>,
    /// The number of representations that there are.
    stored: u64,
    /// The number of those that the cache had before.
    reused: u64,
    /// The number of representations that would not save 5 %.
    unprofitable: u64,
    /// The processor time of encodes and their proofs.
    cpu_seconds: f64,
}

/// The totals of an export.
#[derive(Debug, Default, Serialize)]
struct ExportCounts {
    written: u64,
    unchanged: u64,
    /// The files of others that hold their source.
    kept: u64,
    removed: Vec<String>,
}

/// The totals at the store that replicas share.
#[derive(Debug, Default, Serialize)]
struct TierCounts {
    /// The representations that came from there.
    read: u64,
    stored: u64,
    /// The representations that the store did not take.
    failed: u64,
}

/// A failure.
#[derive(Debug, Serialize)]
struct Failed {
    path: String,
    reason: String,
}

impl Report {
    /// Starts a report about these codings.
    pub(super) fn new(codings: Vec<ContentCoding>, exports: bool) -> Self {
        Self { codings, export: exports.then(ExportCounts::default), ..Self::default() }
    }

    /// Puts `prefix` before the paths from now on.
    pub(super) fn begin_site(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    /// The name of the file at `path`.
    pub(super) fn name(&self, path: &SourcePath) -> String {
        format!("{}{}", self.prefix, path.to_string_lossy())
    }

    /// Adds a file.
    pub(super) fn add(&mut self, done: Done) {
        let name = done.media_type.clone().unwrap_or_else(|| "?".to_owned());
        let codings: Vec<_> = self.codings.iter().map(ToString::to_string).collect();
        for row in [self.types.entry(name).or_default(), &mut self.total] {
            row.add(&done, &codings);
        }
        if let Some(export) = &mut self.export {
            for exported in &done.exported {
                *match exported {
                    Exported::Written => &mut export.written,
                    Exported::Unchanged => &mut export.unchanged,
                    Exported::Kept => &mut export.kept,
                } += 1;
            }
        }
        for path in done.removed {
            self.remove(self.name(&path));
        }
        for reason in done.failures {
            self.fail(self.name(&done.path), reason);
        }
    }

    /// Adds a failure.
    pub(super) fn fail(&mut self, name: String, reason: String) {
        self.failures.push(Failed { path: name, reason });
    }

    /// Adds a file that was removed.
    pub(super) fn remove(&mut self, name: String) {
        self.export.get_or_insert_default().removed.push(name);
    }

    /// Adds the globs of `--include` that match no file.
    pub(super) fn add_unmatched(&mut self, globs: Vec<String>) {
        self.unmatched = globs;
    }

    /// Adds the number of representations that a cache of `cache_size` bytes has evicted before the end.
    pub(super) fn add_evicted(&mut self, evicted: u64, cache_size: u64) {
        (self.evicted, self.cache_size) = (evicted, cache_size);
    }

    /// Adds what was read and stored at the store that replicas share.
    pub(super) fn add_tier(&mut self, tier: &TierMetrics) {
        let hits = tier.requests.iter().filter(|(outcome, _)| *outcome == TierOutcome::Hit);
        self.tier = Some(TierCounts {
            read: hits.map(|(_, count)| count).sum(),
            stored: tier.uploads_stored,
            failed: tier.uploads_failed + tier.uploads_dropped,
        });
    }

    /// Ends the report.
    pub(super) fn end(&mut self, elapsed: Duration, interrupted: bool) {
        (self.seconds, self.interrupted) = (elapsed.as_secs_f64(), interrupted);
        if let Some(export) = &mut self.export {
            export.removed.sort_unstable();
        }
    }

    /// The number of problems. Representations that were evicted are none if they were exported before.
    pub(super) fn problems(&self) -> u64 {
        let evicted = if self.export.is_none() { self.evicted } else { 0 };
        let unshared = self.tier.as_ref().map_or(0, |tier| tier.failed);
        (self.failures.len() + self.unmatched.len()) as u64 + evicted + unshared
    }

    /// The report as one line of JSON.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The lines of the table, after one for each glob that matches no file.
    pub(super) fn table(&self) -> Vec<String> {
        let codings: Vec<_> = self.codings.iter().map(ToString::to_string).collect();
        let unmatched = self.unmatched.iter().map(|glob| format!("no file matches {glob}"));
        let title = ["type", "files", "before"].map(str::to_owned).into_iter();
        let title = title.chain(codings.iter().cloned());
        let title: Vec<_> = title.chain(["reused", "time"].map(str::to_owned)).collect();
        let mut rows = vec![title];
        rows.extend(self.types.iter().map(|(name, row)| row.cells(name, &codings)));
        rows.push(self.total.cells("total", &codings));
        unmatched.chain(aligned(&rows)).collect()
    }

    /// The last line.
    pub(super) fn summary(&self) -> String {
        let Row { stored, reused, unprofitable, .. } = self.total;
        let mut text = format!(
            "{stored} compressed ({reused} reused), {unprofitable} would not save 5 %, in {:.1} s",
            self.seconds
        );
        if let Some(ExportCounts { written, unchanged, kept, removed }) = &self.export {
            text += &format!("; exported: {written} written, {unchanged} unchanged");
            if *kept > 0 {
                text += &format!(", {kept} of others kept");
            }
            if !removed.is_empty() {
                text += &format!(", {} removed", removed.len());
            }
        }
        if let Some(TierCounts { read, stored, failed }) = &self.tier {
            text += &format!("; shared: {read} read, {stored} stored");
            if *failed > 0 {
                text += &format!(", {failed} not taken by the store");
            }
        }
        match self.failures.len() {
            0 => {}
            failures => text += &format!("; {failures} failed"),
        }
        if self.evicted > 0 {
            let size = ByteSize(self.cache_size);
            text += &format!("; {} were evicted: --cache-size {size} is too small", self.evicted);
        }
        if self.interrupted {
            text += "; interrupted";
        }
        text
    }
}

impl Row {
    fn add(&mut self, done: &Done, codings: &[String]) {
        self.files += 1;
        self.before += done.len;
        for coding in codings {
            let coded = done.codings.iter().find(|coded| coded.coding.as_str() == coding);
            let len = coded.and_then(|coded| coded.len).unwrap_or(done.len);
            *self.after.entry(coding.clone()).or_default() += len;
        }
        for coded in &done.codings {
            self.stored += u64::from(coded.len.is_some());
            self.unprofitable += u64::from(coded.is_unprofitable);
            self.reused += u64::from(coded.reused);
            self.cpu_seconds += coded.took.as_secs_f64();
        }
    }

    fn cells(&self, name: &str, codings: &[String]) -> Vec<String> {
        let mut cells = vec![name.to_owned(), self.files.to_string(), size(self.before)];
        for coding in codings {
            let after = self.after.get(coding).copied().unwrap_or_default();
            cells.push(if self.stored == 0 { "-".to_owned() } else { size(after) });
        }
        let reused = match self.stored {
            0 => "-".to_owned(),
            stored => format!("{} of {stored}", self.reused),
        };
        cells.extend([reused, format!("{:.1} s", self.cpu_seconds)]);
        cells
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// Aligns the first column at the left and all others at the right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..columns).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::work::DoneCoding;
    use super::*;

    fn done(media_type: &str, len: u64, codings: &[(ContentCoding, Option<u64>, bool)]) -> Done {
        Done {
            path: SourcePath::parse(b"a").unwrap(),
            media_type: Some(media_type.to_owned()),
            len,
            codings: codings
                .iter()
                .map(|(coding, len, reused)| DoneCoding {
                    coding: coding.clone(),
                    len: *len,
                    is_unprofitable: len.is_none(),
                    reused: *reused,
                    took: Duration::from_millis(750),
                })
                .collect(),
            exported: vec![Exported::Written, Exported::Unchanged],
            removed: Vec::new(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn table_has_a_row_for_each_type_and_the_total() {
        let (br, gzip) = (ContentCoding::BROTLI, ContentCoding::GZIP);
        let mut report = Report::new(vec![br.clone(), gzip.clone()], true);
        report.add(done(
            "text/html",
            2048,
            &[(br.clone(), Some(512), true), (gzip.clone(), None, false)],
        ));
        report.add(done("text/html", 1024, &[(br, Some(512), false), (gzip, Some(1000), false)]));
        report.add(done("image/png", 10_240, &[]));
        report.end(Duration::from_secs(3), false);
        assert_eq!(
            report.table(),
            [
                "type       files    before        br      gzip  reused   time",
                "image/png      1  10.0 KiB         -         -       -  0.0 s",
                "text/html      2   3.0 KiB   1.0 KiB   3.0 KiB  1 of 3  3.0 s",
                "total          3  13.0 KiB  11.0 KiB  13.0 KiB  1 of 3  3.0 s",
            ]
        );
        assert_eq!(
            report.summary(),
            "3 compressed (1 reused), 1 would not save 5 %, in 3.0 s; exported: 3 written, 3 unchanged"
        );
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["types"]["text/html"]["after"]["br"], 1024);
        assert_eq!(json["total"]["stored"], 3);
        assert_eq!(json["export"]["written"], 3);
    }
}
