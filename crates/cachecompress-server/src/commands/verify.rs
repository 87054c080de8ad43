//! `cachecompress verify`

use bytesize::ByteSize;
use cachecompress::cache::{CacheFiles, Care};

use super::progress_bar::CommandProgress;
use crate::cli::VerifyArgs;
use crate::config;
use crate::exit::{ExitStatus, Failure};
use crate::printer::{EscapedPath, Printer};

/// Reads every entry and prints a line for each damaged one, then a summary.
///
/// # Errors
///
/// If there is no cache, or its directory cannot be read.
pub(crate) fn run(args: VerifyArgs, printer: Printer) -> Result<ExitStatus, Failure> {
    let dir = config::existing_cache(args.cache)?;
    let progress = CommandProgress::start(printer, "verifying");
    let mut entries = 0;
    let summary = CacheFiles::new(&dir).verify(|care| {
        match care {
            Care::Whole { .. } => entries += 1,
            Care::Damaged { path, damage } => {
                progress.line(format_args!("{}: {}", EscapedPath(path), damage.as_str()));
            }
            Care::Failed { path, error } => {
                progress.line(format_args!("{}: {error}", EscapedPath(path)));
            }
            Care::Progress { done, of } => progress.update_entries(done, of, entries),
            _ => {}
        }
        progress.flow()
    })?;
    let failed = match summary.failed {
        0 => String::new(),
        failed => format!(", {failed} could not be read"),
    };
    let stopped = if summary.stopped { " so far; interrupted" } else { "" };
    progress.finish(format_args!(
        "verified {}: {} whole ({}), {} damaged{failed}{stopped}",
        EscapedPath(&dir),
        summary.entries,
        ByteSize(summary.bytes),
        summary.damaged,
    ));
    Ok(ExitStatus::of(summary.stopped, summary.damaged + summary.failed))
}
