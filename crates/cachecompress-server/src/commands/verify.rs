//! `cachecompress verify`

use std::path::Path;

use bytesize::ByteSize;
use cachecompress::cache::{CacheFiles, Care};
use cachecompress::tier::{Tier, TierFinding, TierMode};
use serde::Serialize;

use super::progress_bar::CommandProgress;
use crate::cli::{ServeArgs, VerifyArgs};
use crate::config::{self, TierChoice};
use crate::config_file::InForce;
use crate::exit::{ExitStatus, Failure};
use crate::printer::{Escaped, EscapedPath, Printer};
use crate::tier;

/// Reads every entry and prints a line for each damaged one, then a summary.
///
/// # Errors
///
/// If there is no cache or no such store, or it cannot be read.
pub(crate) fn run(in_force: &InForce, printer: Printer) -> Result<ExitStatus, Failure> {
    let args: VerifyArgs = in_force.args()?;
    let report = Report { json: args.json, ..Report::default() };
    match args.tier {
        None => {
            let dir = config::existing_cache(args.cache)?;
            verify_cache(&dir, report, CommandProgress::start(printer, "verifying"))
        }
        Some(named) => {
            let url = match named {
                Some(url) => url,
                None => configured(in_force)?,
            };
            let mode = TierMode::ReadOnly;
            let tier = tier::open(&TierChoice { url, mode, key_file: args.tier_key_file })?;
            let progress = CommandProgress::start(printer, "verifying");
            verify_tier(&tier, args.remove, report, progress)
        }
    }
}

/// The URL of the store that `serve` uses.
fn configured(in_force: &InForce) -> Result<String, Failure> {
    let serve: ServeArgs = in_force.of_serve()?.args()?;
    serve.tier.tier.ok_or_else(|| {
        Failure::Usage("there is no store in the configuration; name one: --tier URL".to_owned())
    })
}

/// The outcome, which is also the document of `--json`.
#[derive(Debug, Default, Serialize)]
struct Report {
    entries: u64,
    bytes: u64,
    /// The damaged entries. Those that were removed are among them.
    damaged: Vec<Damaged>,
    removed: u64,
    failed: Vec<Failed>,
    interrupted: bool,
    /// Whether the document is printed, and no lines are.
    #[serde(skip)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Damaged {
    path: String,
    damage: String,
}

#[derive(Debug, Serialize)]
struct Failed {
    path: String,
    error: String,
}

impl Report {
    fn damaged(&mut self, progress: &CommandProgress, path: String, damage: &str) {
        if !self.json {
            progress.line(format_args!("{path}: {}", Escaped(damage)));
        }
        self.damaged.push(Damaged { path, damage: damage.to_owned() });
    }

    fn failed(&mut self, progress: &CommandProgress, path: String, error: String) {
        if !self.json {
            progress.line(format_args!("{path}: {}", Escaped(&error)));
        }
        self.failed.push(Failed { path, error });
    }

    /// Prints the document, or the summary of what was verified at `place`.
    fn finish(self, progress: CommandProgress, place: &str) -> ExitStatus {
        let problems = self.damaged.len() + self.failed.len();
        let status = ExitStatus::of(self.interrupted, problems as u64);
        if self.json {
            progress.finish(format_args!("{}", serde_json::to_string(&self).unwrap_or_default()));
            return status;
        }
        let removed = match self.removed {
            0 => String::new(),
            removed => format!(", {removed} of them removed"),
        };
        let failed = match self.failed.len() {
            0 => String::new(),
            failed => format!(", {failed} could not be read"),
        };
        let stopped = if self.interrupted { " so far; interrupted" } else { "" };
        progress.finish(format_args!(
            "verified {place}: {} whole ({}), {} damaged{removed}{failed}{stopped}",
            self.entries,
            ByteSize(self.bytes),
            self.damaged.len(),
        ));
        status
    }
}

fn verify_cache(
    dir: &Path,
    mut report: Report,
    progress: CommandProgress,
) -> Result<ExitStatus, Failure> {
    let mut entries = 0;
    let summary = CacheFiles::new(dir).verify(|care| {
        let name = |path: &Path| EscapedPath(path).to_string();
        match care {
            Care::Whole { .. } => entries += 1,
            Care::Damaged { path, damage } => {
                report.damaged(&progress, name(path), damage.as_str());
            }
            Care::Failed { path, error } => {
                report.failed(&progress, name(path), error.to_string());
            }
            Care::Progress { done, of } => progress.update_entries(done, of, entries),
            _ => {}
        }
        progress.flow()
    })?;
    (report.entries, report.bytes) = (summary.entries, summary.bytes);
    report.interrupted = summary.stopped;
    Ok(report.finish(progress, &EscapedPath(dir).to_string()))
}

fn verify_tier(
    tier: &Tier,
    remove: bool,
    mut report: Report,
    progress: CommandProgress,
) -> Result<ExitStatus, Failure> {
    let name = |path: &str| Escaped(path).to_string();
    let summary = tier.verify(remove, |finding| {
        match finding {
            TierFinding::Damaged { path, damage } => report.damaged(&progress, name(path), damage),
            TierFinding::Removed { path, damage } => {
                report.damaged(&progress, name(path), &format!("{damage}; removed"));
            }
            TierFinding::Failed { path, error } => {
                report.failed(&progress, name(path), error.to_string());
            }
            // Nobody knows how many there are.
            TierFinding::Progress { objects, bytes } => {
                progress.update(0, 1, format_args!("{objects} objects, {}", ByteSize(bytes)));
            }
            _ => {}
        }
        progress.flow()
    })?;
    (report.entries, report.bytes, report.removed) =
        (summary.entries, summary.bytes, summary.removed);
    report.interrupted = summary.stopped;
    Ok(report.finish(progress, &Escaped(tier.place()).to_string()))
}
