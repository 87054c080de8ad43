//! `cachecompress verify`

use bytesize::ByteSize;
use cachecompress::cache::{CacheFiles, Care};

use super::progress_bar::Work;
use crate::cli::VerifyArgs;
use crate::config;
use crate::exit::{Failure, Outcome};
use crate::printer::{Printer, Shown};

/// Reads every entry and prints a line for each that is damaged, then a summary.
///
/// # Errors
///
/// If there is no cache, or its directory cannot be read.
pub(crate) fn run(args: VerifyArgs, printer: Printer) -> Result<Outcome, Failure> {
    let dir = config::existing_cache(args.cache)?;
    let work = Work::begin(printer, "verifying");
    let mut entries = 0;
    let summary = CacheFiles::new(&dir).verify(|care| {
        match care {
            Care::Whole { .. } => entries += 1,
            Care::Damaged { path, damage } => {
                work.line(format_args!("{}: {}", Shown(path), damage.as_str()));
            }
            Care::Failed { path, error } => work.line(format_args!("{}: {error}", Shown(path))),
            Care::Progress { done, of } => work.progress(done, of, entries),
            _ => {}
        }
        work.flow()
    })?;
    let failed = match summary.failed {
        0 => String::new(),
        failed => format!(", {failed} could not be read"),
    };
    let stopped = if summary.stopped { " so far; interrupted" } else { "" };
    work.end(format_args!(
        "verified {}: {} whole ({}), {} damaged{failed}{stopped}",
        Shown(&dir),
        summary.entries,
        ByteSize(summary.bytes),
        summary.damaged,
    ));
    Ok(match (summary.stopped, summary.damaged + summary.failed) {
        (true, _) => Outcome::Interrupted,
        (false, 0) => Outcome::Done,
        (false, _) => Outcome::Found,
    })
}
