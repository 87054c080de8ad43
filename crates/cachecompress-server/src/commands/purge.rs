//! `cachecompress purge`

use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

use bytesize::ByteSize;
use cachecompress::Digest;
use cachecompress::cache::{CacheFiles, Care, PurgeSummary};
use serde_json::{Value, json};

use super::explain::open_site;
use super::progress_bar::CommandProgress;
use crate::cli::{PurgeArgs, PurgeFlags};
use crate::config;
use crate::config_file::InForce;
use crate::entry_list::Choice;
use crate::exit::{ExitStatus, Failure};
use crate::printer::{Escaped, EscapedPath, Printer};

/// Removes the entries that the flags choose, with a line for each, and prints a summary.
///
/// # Errors
///
/// If nothing is chosen, there is no cache or no site, or a directory cannot be read.
pub(crate) fn run(in_force: &InForce, printer: Printer) -> Result<ExitStatus, Failure> {
    let PurgeArgs { serve, own: args } = in_force.args()?;
    if in_force.names_directory() && args.globs.is_empty() {
        let sentence = "purge DIR needs the paths of files, as in a URL: `cachecompress purge DIR \
                        '/js/*.js'`; without DIR, --coding, --older-than, --digest or --all choose";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let mut unmatched = Vec::new();
    let choice = choose(in_force, &args, &mut unmatched)?;
    let dir = config::existing_cache(serve.cache)?;
    let progress = CommandProgress::start(printer, "purging");
    if !args.json {
        for glob in &unmatched {
            progress.line(format_args!("no file matches {}", Escaped(glob)));
        }
    }
    let removed = if args.dry_run { "would remove" } else { "removed" };
    let (mut entries, now) = (0, SystemTime::now());
    let wanted = |digest: &Digest, entry: Option<&_>| choice.has(digest, entry, now);
    let summary = CacheFiles::new(&dir).purge(args.dry_run, wanted, |care| {
        match care {
            Care::Purged { entry, .. } => {
                entries += 1;
                if !args.json {
                    let (digest, size) = (entry.digest.hex(), ByteSize(entry.size));
                    progress.line(format_args!("{removed} {digest} {} ({size})", entry.coding));
                }
            }
            Care::Removed { path, litter } if !args.json => {
                progress.line(format_args!("{removed} {}: {}", EscapedPath(path), litter.as_str()));
            }
            Care::Damaged { path, damage } if !args.json => {
                progress.line(format_args!(
                    "{}: {}; `cachecompress gc` removes it",
                    EscapedPath(path),
                    damage.as_str()
                ));
            }
            Care::Failed { path, error } if !args.json => {
                progress.line(format_args!("cannot remove {}: {error}", EscapedPath(path)));
            }
            Care::Progress { done, of } => progress.update_entries(done, of, entries),
            _ => {}
        }
        progress.flow()
    })?;
    match args.json {
        true => progress.finish(format_args!("{}", document(&summary, &unmatched, args.dry_run))),
        false => finish(progress, &summary, removed, &dir),
    }
    Ok(ExitStatus::of(summary.stopped, summary.failed + unmatched.len() as u64))
}

/// The entries that the flags choose.
fn choose(
    in_force: &InForce,
    flags: &PurgeFlags,
    unmatched: &mut Vec<String>,
) -> Result<Choice, Failure> {
    let digests = match flags.globs.as_slice() {
        [] => None,
        globs => Some(digests(in_force, flags.host.as_deref(), globs, unmatched)?),
    };
    let PurgeFlags { coding, older_than, digest, .. } = flags;
    let (coding, older_than, digest) = (coding.clone(), *older_than, digest.clone());
    let choice = Choice { digests, coding, older_than, digest };
    if choice.is_everything() && !flags.all {
        let sentence = "nothing is chosen; name DIR and GLOB, --coding, --older-than or --digest, or say \
                        --all";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    Ok(choice)
}

fn document(summary: &PurgeSummary, unmatched: &[String], dry_run: bool) -> Value {
    json!({
        "entries": summary.entries,
        "bytes": summary.bytes,
        "kept": summary.kept,
        "damaged": summary.damaged,
        "damaged_kept": summary.damaged_kept,
        "failed": summary.failed,
        "unmatched": unmatched,
        "dry_run": dry_run,
    })
}

fn finish(progress: CommandProgress, summary: &PurgeSummary, removed: &str, dir: &Path) {
    let failed = match summary.failed {
        0 => String::new(),
        failed => format!(", {failed} could not be"),
    };
    let damaged = match summary.damaged {
        0 => String::new(),
        damaged => format!(" and {damaged} damaged ones"),
    };
    let damaged_kept = match summary.damaged_kept {
        0 => String::new(),
        kept => format!(", and {kept} damaged ones, which `cachecompress gc` removes"),
    };
    let stopped = if summary.stopped { " so far; interrupted" } else { "" };
    progress.finish(format_args!(
        "{removed} from {}: {} entries ({}){damaged}{failed}; {} stay{damaged_kept}{stopped}",
        EscapedPath(dir),
        summary.entries,
        ByteSize(summary.bytes),
        summary.kept,
    ));
}

/// The digests of the files that match `globs`. Globs without a file go to `unmatched`.
fn digests(
    in_force: &InForce,
    host: Option<&str>,
    globs: &[String],
    unmatched: &mut Vec<String>,
) -> Result<HashSet<Digest>, Failure> {
    let (site, runtime) = open_site(in_force, host)?;
    let mut digests = HashSet::new();
    for glob in globs {
        let found = runtime.block_on(site.service.digests(&[glob]))?;
        if found.is_empty() {
            unmatched.push(glob.clone());
        }
        digests.extend(found.into_iter().map(|(_, digest)| digest));
    }
    Ok(digests)
}
