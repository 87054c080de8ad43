//! `cachecompress gc`

use bytesize::ByteSize;
use cachecompress::cache::{CacheFiles, Care};

use super::progress_bar::CommandProgress;
use crate::cli::GcArgs;
use crate::config;
use crate::exit::{ExitStatus, Failure};
use crate::printer::{EscapedPath, Printer};

/// Removes damaged, orphaned and outdated files, with a line for each, and prints a summary.
///
/// # Errors
///
/// If there is no cache, or its directory cannot be read.
pub(crate) fn run(args: GcArgs, printer: Printer) -> Result<ExitStatus, Failure> {
    let dir = config::existing_cache(args.cache)?;
    let progress = CommandProgress::start(printer, "collecting");
    let mut entries = 0;
    let removed = if args.dry_run { "would remove" } else { "removed" };
    let summary = CacheFiles::new(&dir).gc(args.dry_run, |care| {
        match care {
            Care::Whole { .. } => entries += 1,
            Care::Removed { path, litter } => {
                progress.line(format_args!("{removed} {}: {}", EscapedPath(path), litter.as_str()));
            }
            Care::Failed { path, error } => {
                progress.line(format_args!("cannot remove {}: {error}", EscapedPath(path)));
            }
            Care::Progress { done, of } => progress.update_entries(done, of, entries),
            _ => {}
        }
        progress.flow()
    })?;
    let failed = match summary.failed {
        0 => String::new(),
        failed => format!(", {failed} could not be"),
    };
    let stopped = if summary.stopped { " so far; interrupted" } else { "" };
    progress.finish(format_args!(
        "{removed} from {}: {} damaged, {} orphaned, {} of other formats{failed}; {} whole ({}) \
         stay{stopped}",
        EscapedPath(&dir),
        summary.damaged,
        summary.orphaned,
        summary.old_formats,
        summary.entries,
        ByteSize(summary.bytes),
    ));
    Ok(ExitStatus::of(summary.stopped, summary.failed))
}
