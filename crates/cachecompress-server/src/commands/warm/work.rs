//! The work on the files, some of them at once.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use cachecompress::tier::Tier;
use cachecompress::{ContentCoding, Detail, ServeCompressed, Shutdown, SourcePath, WarmOptions};
use http::{Request, header};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::export::{Export, Exported, Order, is_of_export, target_of};
use super::selection::Selection;
use super::siblings;
use crate::commands::progress_bar::CommandProgress;
use crate::exit::Failure;
use crate::limits::{PROGRESS_LINES, PROGRESS_TICK};
use crate::tier;

/// A file that is to be compressed.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) path: SourcePath,
    pub(super) file: PathBuf,
    pub(super) len: u64,
}

/// The work.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) service: ServeCompressed,
    pub(super) codings: Vec<ContentCoding>,
    /// Whether the files are compressed at the best levels.
    pub(super) best: bool,
    pub(super) jobs: usize,
    pub(super) export: Option<Arc<Export>>,
    /// The store that is filled for other replicas.
    pub(super) tier: Option<Tier>,
}

/// The result for one file.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) path: SourcePath,
    /// The media type without its parameters; `None` if the file cannot be read.
    pub(super) media_type: Option<String>,
    pub(super) len: u64,
    pub(super) codings: Vec<DoneCoding>,
    pub(super) exported: Vec<Exported>,
    /// The coded files of earlier exports that held the file no more.
    pub(super) removed: Vec<SourcePath>,
    /// A sentence for each failure.
    pub(super) failures: Vec<String>,
}

/// The result for one file in one coding.
#[derive(Clone, Debug)]
pub(super) struct DoneCoding {
    pub(super) coding: ContentCoding,
    /// The length in bytes; `None` if the file stays as it is.
    pub(super) len: Option<u64>,
    /// Whether it would not save 5 %.
    pub(super) is_unprofitable: bool,
    pub(super) reused: bool,
    pub(super) took: Duration,
}

/// Works on `items`, and hands each result to `each`. Returns whether it was interrupted.
///
/// # Errors
///
/// If there is no runtime.
pub(super) fn run(
    work: &Work,
    items: Vec<Item>,
    progress: &CommandProgress,
    mut each: impl FnMut(Done),
) -> Result<bool, Failure> {
    let runtime = runtime()?;
    let mut shown = Shown::new(&items);
    // Two for each thread, so that none waits for the read of its next file.
    let at_once = if work.jobs == 1 { 1 } else { 2 * work.jobs };
    runtime.block_on(async {
        let (mut tasks, mut waiting) = (JoinSet::new(), items.into_iter());
        let mut tick = tokio::time::interval(PROGRESS_TICK);
        loop {
            while tasks.len() < at_once
                && let Some(item) = waiting.next()
            {
                let work = work.clone();
                tasks.spawn(async move { work.one(item).await });
            }
            tokio::select! {
                joined = tasks.join_next() => match joined {
                    None => break,
                    Some(Ok(done)) => {
                        shown.add(&done);
                        each(done);
                    }
                    Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                },
                _ = tick.tick() => shown.show(progress),
            }
            if progress.flow().is_break() {
                drop(tasks);
                work.service.shutdown(Shutdown::Drop).await;
                return Ok(true);
            }
        }
        if let Some(tier) = &work.tier {
            while tier.metrics().upload_queue > 0 {
                if progress.flow().is_break() {
                    return Ok(true);
                }
                tick.tick().await;
            }
        }
        shown.end(progress);
        Ok(false)
    })
}

/// Starts a runtime on the calling thread.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(|error| Failure::Runtime(error.to_string()))
}

impl Work {
    async fn one(self, item: Item) -> Done {
        let Item { path, file, len } = item;
        let mut done = Done {
            path,
            media_type: None,
            len,
            codings: Vec::new(),
            exported: Vec::new(),
            removed: Vec::new(),
            failures: Vec::new(),
        };
        let state = match fs::metadata(&file) {
            Ok(state) => state,
            Err(error) => {
                done.failures.push(format!("cannot be read: {error}"));
                return done;
            }
        };
        self.encode(&mut done).await;
        if let Some(tier) = &self.tier {
            tier::has_room(tier).await;
        }
        done.media_type = self.media_type(&done.path).await;
        if let Some(export) = &self.export {
            self.export(export, &mut done, &file, &state).await;
        }
        done
    }

    /// Brings the coded files of a file up to date, in the codings that this run lacks as well.
    async fn export(&self, export: &Export, done: &mut Done, source: &Path, state: &Metadata) {
        let stored = done.codings.iter().filter(|coding| coding.len.is_some());
        let stored: Vec<_> = stored.map(|coding| coding.coding.clone()).collect();
        for coding in &stored {
            let order = Order { path: &done.path, coding, source, state };
            match export.write(&self.service, order).await {
                Ok(exported) => done.exported.extend(exported),
                Err(sentence) => done.failures.push(format!("in {coding}: {sentence}")),
            }
        }
        for coding in siblings::codings().filter(|coding| !stored.contains(coding)) {
            match export.remove_stale(&done.path, &coding, source) {
                Ok(removed) => done.removed.extend(removed),
                Err(sentence) => done.failures.push(format!("in {coding}: {sentence}")),
            }
        }
    }

    async fn encode(&self, done: &mut Done) {
        // With one job only one encode may run at a time.
        let codings = match self.jobs {
            1 => self.codings.chunks(1),
            _ => self.codings.chunks(self.codings.len().max(1)),
        };
        for codings in codings {
            let options = WarmOptions::new().paths([done.path.clone()]);
            let options = options.codings(codings.iter().cloned()).best(self.best);
            let mut failed: Vec<(Detail, String)> = Vec::new();
            let summary = self.service.warm_with(options, |progress| {
                let Some(latest) = &progress.latest else { return };
                match latest.missing {
                    None | Some(Detail::Unprofitable) => {}
                    Some(why) => failed.push((why, latest.coding.to_string())),
                }
                done.codings.push(DoneCoding {
                    coding: latest.coding.clone(),
                    len: latest.encoded_len,
                    is_unprofitable: latest.missing == Some(Detail::Unprofitable),
                    reused: latest.reused,
                    took: latest.encode_time,
                });
            });
            let summary = summary.await;
            let is_unread = failed.is_empty() && summary.is_ok_and(|summary| summary.failed > 0);
            if is_unread {
                done.failures.push("cannot be read".to_owned());
                return;
            }
            for (why, coding) in failed {
                done.failures.push(format!("in {coding}: {}", sentence(why)));
            }
        }
    }

    async fn media_type(&self, path: &SourcePath) -> Option<String> {
        let request = Request::head(target_of(path)).body(()).ok()?;
        let Ok(response) = (&self.service).call(request).await;
        if !response.status().is_success() {
            return None;
        }
        let value = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or(value).trim_end().to_owned())
    }
}

fn sentence(why: Detail) -> &'static str {
    match why {
        Detail::Disk => {
            "the cache cannot be written, or has no room; a file may take a quarter of --cache-size"
        }
        Detail::Unsettled => "it changed while it was read",
        Detail::Encoder => "the encoder failed",
        _ => "the encode was given up",
    }
}

/// The progress as it is shown.
struct Shown {
    began: Instant,
    /// The time of the last line.
    told: Option<Instant>,
    files: u64,
    of_files: u64,
    bytes: u64,
    of_bytes: u64,
}

impl Shown {
    fn new(items: &[Item]) -> Self {
        let of_bytes = items.iter().map(|item| item.len).sum();
        let (began, of_files) = (Instant::now(), items.len() as u64);
        Self { began, told: None, files: 0, of_files, bytes: 0, of_bytes }
    }

    fn add(&mut self, done: &Done) {
        self.files += 1;
        self.bytes += done.len;
    }

    fn text(&self, elapsed: Duration) -> String {
        let Self { files, of_files, bytes, of_bytes, .. } = *self;
        let (done, all) = (ByteSize(bytes), ByteSize(of_bytes));
        let text = format!("{files} of {of_files} files, {done} of {all}");
        let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001);
        if bytes == 0 {
            return text;
        }
        let left = of_bytes.saturating_sub(bytes) as f64 / rate;
        format!("{text}, {}/s, {left:.0} s left", ByteSize(rate as u64))
    }

    fn show(&mut self, progress: &CommandProgress) {
        let text = self.text(self.began.elapsed());
        progress.update(self.bytes, self.of_bytes, format_args!("{text}"));
        let is_due = self.told.is_none_or(|told| told.elapsed() >= PROGRESS_LINES);
        if !progress.is_seen() && is_due {
            self.told = Some(Instant::now());
            // A closed stderr is no reason to stop the work.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Shows the end, whatever was shown before.
    fn end(&mut self, progress: &CommandProgress) {
        self.told = None;
        self.show(progress);
    }
}

/// Lists the files of `paths` beneath `root` that are compressed, the longest first, as those take longest.
/// Coded files beside their source, those in `out`, and a file that is gone meanwhile are left out.
pub(super) fn items(
    paths: &[SourcePath],
    selection: &Selection,
    root: &Path,
    out: Option<&Path>,
) -> Vec<Item> {
    let known: HashSet<&SourcePath> = paths.iter().collect();
    let item = |path: &SourcePath| {
        if !selection.compresses(path) || is_of_export(path) {
            return None;
        }
        let file = super::selection::file(root, path)?;
        let source = siblings::source_of(path);
        let is_output = source.is_some_and(|(source, _)| {
            known.contains(&source) || out.is_some_and(|out| file.starts_with(out))
        });
        let len = fs::metadata(&file).ok()?.len();
        (!is_output).then(|| Item { path: path.clone(), file, len })
    };
    let mut items: Vec<_> = paths.iter().filter_map(item).collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.len));
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_files_bytes_rate_and_the_time_left() {
        let mut shown = Shown { files: 3, bytes: 2 << 20, ..Shown::new(&[]) };
        (shown.of_files, shown.of_bytes) = (9, 6 << 20);
        let text = shown.text(Duration::from_secs(4));
        assert_eq!(text, "3 of 9 files, 2.0 MiB of 6.0 MiB, 512.0 KiB/s, 8 s left");
        shown.bytes = 0;
        assert_eq!(shown.text(Duration::ZERO), "3 of 9 files, 0 B of 6.0 MiB");
    }
}
