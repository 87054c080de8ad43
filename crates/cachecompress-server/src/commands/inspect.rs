//! `cachecompress inspect`

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use cachecompress::cache::{CacheFiles, Care, EntriesSummary};
use serde_json::json;

use super::explain;
use super::progress_bar::CommandProgress;
use crate::cli::InspectArgs;
use crate::config;
use crate::config_file::InForce;
use crate::entry_list::{EntryList, ListedEntry};
use crate::exit::{ExitStatus, Failure};
use crate::printer::{EscapedPath, Printer};

/// Refuses flags that would change nothing: those of the list beside a path, and those of a path without one.
fn expect_flags_of_use(in_force: &InForce, has_path: bool) -> Result<(), Failure> {
    let (ids, use_) = match has_path {
        true => (["sort", "filter"], "is for the list of the cache, without DIR PATH"),
        false => (["accept_encoding", "host"], "explains a file, and needs DIR PATH"),
    };
    match ids.into_iter().find(|id| in_force.is_on_command_line(id)) {
        Some(id) => Err(Failure::Usage(format!("--{} {use_}", id.replace('_', "-")))),
        None => Ok(()),
    }
}

/// Lists the entries of the cache, or explains a path.
///
/// # Errors
///
/// If there is no cache or no site, or a directory cannot be read.
pub(crate) fn run(in_force: &InForce, printer: Printer) -> Result<ExitStatus, Failure> {
    let InspectArgs { serve, own: args } = in_force.args()?;
    expect_flags_of_use(in_force, args.path.is_some())?;
    if args.path.is_some() {
        return explain::run(in_force, &args, printer);
    }
    if in_force.names_directory() {
        let sentence = "inspect DIR needs the path of a file, as in a URL: `cachecompress inspect DIR \
                        /app.js`; without DIR it lists the cache";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let dir = config::existing_cache(serve.cache)?;
    let progress = CommandProgress::start(printer, "reading");
    let mut list = EntryList::default();
    let mut entries = 0;
    let summary = CacheFiles::new(&dir).entries(|care| {
        match care {
            Care::Entry { entry, .. } => {
                entries += 1;
                if let Some(entry) = ListedEntry::of(entry, args.filter.as_deref()) {
                    list.add(entry);
                }
            }
            Care::Damaged { path, damage } if !args.json => {
                progress.line(format_args!("{}: {}", EscapedPath(path), damage.as_str()));
            }
            Care::Failed { path, error } if !args.json => {
                progress.line(format_args!("{}: {error}", EscapedPath(path)));
            }
            Care::Progress { done, of } => progress.update_entries(done, of, entries),
            _ => {}
        }
        progress.flow()
    })?;
    list.sort(args.sort);
    let now = SystemTime::now();
    let text = match args.json {
        true => document(&list, &summary, now),
        false => format!("{}{}", table(&list, now), totals(&list, &summary)),
    };
    progress.finish(format_args!("{text}"));
    Ok(ExitStatus::of(summary.stopped, summary.damaged + summary.failed))
}

fn document(list: &EntryList, summary: &EntriesSummary, now: SystemTime) -> String {
    let entries: Vec<_> = list.entries.iter().map(|entry| entry.row(now)).collect();
    let totals = list.totals().told(summary);
    json!({ "entries": entries, "totals": totals }).to_string()
}

/// The table, with a line for each entry.
fn table(list: &EntryList, now: SystemTime) -> String {
    if list.entries.is_empty() {
        return String::new();
    }
    let mut text =
        line(["DIGEST", "CODING", "SOURCE", "ENCODED", "RATIO", "LEVEL", "HITS", "AGE", "USED"]);
    for entry in &list.entries {
        text += &row(entry, now);
    }
    text
}

fn row(entry: &ListedEntry, now: SystemTime) -> String {
    let ratio = entry.ratio().map_or_else(
        || entry.kind.as_str().replace('_', " "),
        |ratio| format!("{:.1} %", ratio * 100.0),
    );
    let bytes = |bytes: u64| ByteSize(bytes).to_string();
    line([
        &entry.digest.hex()[..12],
        entry.coding.as_str(),
        &bytes(entry.source_bytes),
        &entry.encoded_bytes.map_or_else(|| "-".to_owned(), bytes),
        &ratio,
        &entry.level.map_or_else(|| "-".to_owned(), |level| level.to_string()),
        &entry.hits.map_or_else(|| "-".to_owned(), |hits| hits.to_string()),
        &coarse(entry.age(now)),
        &coarse(entry.unused(now)),
    ])
}

fn line(columns: [&str; 9]) -> String {
    let [digest, coding, source, encoded, ratio, level, hits, age, used] = columns;
    format!(
        "{digest:<12}  {coding:<8} {source:>10} {encoded:>10} {ratio:>16} {level:>5} {hits:>7} {age:>5} {used:>5}\n"
    )
}

/// A time in its largest unit.
fn coarse(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn totals(list: &EntryList, summary: &EntriesSummary) -> String {
    let totals = list.totals();
    let mut text = format!("{} entries ({})", totals.entries, ByteSize(totals.bytes));
    if totals.source_bytes > 0 {
        let ratio = totals.encoded_bytes as f64 / totals.source_bytes as f64 * 100.0;
        let (source, encoded) = (ByteSize(totals.source_bytes), ByteSize(totals.encoded_bytes));
        let _ = write!(text, ": {source} in {encoded}, {ratio:.1} %");
    }
    for (count, what) in [
        (totals.verdicts, "verdicts"),
        (summary.damaged, "damaged"),
        (summary.failed, "could not be read"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    if summary.stopped {
        text += " so far; interrupted";
    }
    text
}
