//! The check of coded files, and the removal of those that an export has left behind.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use cachecompress::{ContentCoding, SourcePath};
use serde::Serialize;

use super::export::Export;
use super::ledger::Ledger;
use super::report::Report;
use super::selection::{self, Selection};
use super::siblings::{self, Verdict};
use crate::commands::progress_bar::CommandProgress;
use crate::exit::ExitStatus;
use crate::printer::Escaped;

/// Coded files and the files that they are named after.
#[derive(Debug, Default)]
pub(super) struct Siblings {
    found: Vec<Sibling>,
}

/// A coded file.
#[derive(Debug)]
struct Sibling {
    path: SourcePath,
    /// The number of its site, and the text before its path.
    site: usize,
    prefix: String,
    file: PathBuf,
    coding: ContentCoding,
    source: PathBuf,
    source_path: SourcePath,
}

/// The findings of a check.
#[derive(Debug, Default, Serialize)]
struct CheckReport {
    /// The number of files that were decoded or are left over.
    checked: usize,
    /// The number of files of others that have no source.
    sourceless: usize,
    /// The globs of `--include` that match no file.
    unmatched: Vec<String>,
    wrong: Vec<Wrong>,
    interrupted: bool,
}

/// The judgement about a coded file.
#[derive(Debug)]
enum Judgement {
    Right,
    /// A file of others that has no source, and cannot be checked.
    Sourceless,
    /// The kind of the fault, and a sentence about it.
    Wrong(&'static str, String),
}

/// A coded file that is wrong.
#[derive(Debug, Serialize)]
struct Wrong {
    path: String,
    /// `stale`, `broken`, `left over` or `unreadable`.
    finding: &'static str,
    reason: String,
}

impl Siblings {
    /// Finds the coded files among `paths` of `directory`, for files beneath `root`.
    pub(super) fn find(paths: &[SourcePath], directory: &Path, root: &Path) -> Self {
        let sibling = |path: &SourcePath| {
            let (source, coding) = siblings::source_of(path)?;
            Some(Sibling {
                path: path.clone(),
                site: 0,
                prefix: String::new(),
                file: selection::file(directory, path)?,
                coding,
                source: selection::file(root, &source)?,
                source_path: source,
            })
        };
        Self { found: paths.iter().filter_map(sibling).collect() }
    }

    /// Adds the coded `files` of the site with this number, with `prefix` before their paths.
    pub(super) fn add(&mut self, files: Self, site: usize, prefix: &str) {
        let of_site = |sibling| Sibling { site, prefix: prefix.to_owned(), ..sibling };
        self.found.extend(files.found.into_iter().map(of_site));
    }

    /// The paths of the files that they are named after.
    pub(super) fn sources(&self) -> impl Iterator<Item = &SourcePath> {
        self.found.iter().map(|sibling| &sibling.source_path)
    }

    /// Decodes those that are named after a chosen file, by so many `jobs`, and prints a line for each that
    /// is wrong. One without a source is wrong if it is in the ledger of its site, and else only counted.
    /// `unmatched` are the globs that match no file.
    pub(super) fn check(
        mut self,
        selection: &Selection,
        ledgers: &[Ledger],
        unmatched: Vec<String>,
        jobs: usize,
        json: bool,
        progress: CommandProgress,
    ) -> ExitStatus {
        self.found.retain(|sibling| selection.has(&sibling.source_path));
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, judged) = channel();
        let mut checked = CheckReport { unmatched, ..CheckReport::default() };
        thread::scope(|scope| {
            for _ in 0..jobs {
                let sender = sender.clone();
                scope.spawn(|| {
                    let sender = sender;
                    while !stop.load(Ordering::Relaxed) {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some(sibling) = self.found.get(place) else { return };
                        let _ = sender.send((place, sibling.judge(&ledgers[sibling.site])));
                    }
                });
            }
            drop(sender);
            // They are told in the order of their paths.
            let (mut waiting, mut done, of) = (BTreeMap::new(), 0, self.found.len());
            for (place, judgement) in judged {
                waiting.insert(place, judgement);
                while let Some(judgement) = waiting.remove(&done) {
                    checked.add(&self.found[done], judgement, json, &progress);
                    done += 1;
                }
                progress.update(done as u64, of as u64, format_args!("{done} of {of} files"));
                if progress.flow().is_break() && done < of {
                    checked.interrupted = true;
                    stop.store(true, Ordering::Relaxed);
                    break;
                }
            }
        });
        checked.end(json, progress)
    }

    /// Removes those of earlier exports that hold no present file. `sources` are the files that there were
    /// just now: one of them that is gone by now is not gone for good. Returns the paths that failed, with
    /// the reasons.
    pub(super) fn prune(
        &self,
        selection: &Selection,
        export: &Export,
        sources: &HashSet<SourcePath>,
        report: &mut Report,
    ) -> Vec<(String, String)> {
        let mut failed = Vec::new();
        for sibling in self.found.iter().filter(|sibling| selection.has(&sibling.source_path)) {
            let path = report.name(&sibling.path);
            match sibling.is_left_behind(export, sources) {
                Ok(None) => {}
                Ok(Some(digest)) => match export.remove(&sibling.file, &digest) {
                    Ok(()) => report.remove(path),
                    Err(error) => failed.push((path, format!("cannot be removed: {error}"))),
                },
                Err(error) => failed.push((path, format!("cannot be read: {error}"))),
            }
        }
        failed
    }
}

impl Sibling {
    /// The digest of a file that an export has written, and that holds nothing any more.
    fn is_left_behind(
        &self,
        export: &Export,
        sources: &HashSet<SourcePath>,
    ) -> io::Result<Option<String>> {
        let Some(digest) = export.ledger.find(self.path.as_bytes(), &self.file)? else {
            return Ok(None);
        };
        let stays = match siblings::judge(&self.file, &self.coding, &self.source)? {
            Verdict::Holds => true,
            Verdict::Sourceless => sources.contains(&self.source_path),
            Verdict::Stale | Verdict::Broken(_) => false,
        };
        Ok((!stays).then_some(digest))
    }

    fn judge(&self, ledger: &Ledger) -> Judgement {
        let source = Escaped(self.source_path.to_string_lossy());
        match siblings::judge(&self.file, &self.coding, &self.source) {
            Ok(Verdict::Holds) => Judgement::Right,
            Ok(Verdict::Stale) => Judgement::Wrong("stale", format!("it does not hold {source}")),
            Ok(Verdict::Broken(why)) => Judgement::Wrong("broken", why),
            Ok(Verdict::Sourceless) => match ledger.find(self.path.as_bytes(), &self.file) {
                Ok(None) => Judgement::Sourceless,
                Ok(Some(_)) => Judgement::Wrong("left over", format!("there is no {source}")),
                Err(error) => Judgement::Wrong("unreadable", error.to_string()),
            },
            Err(error) => Judgement::Wrong("unreadable", error.to_string()),
        }
    }
}

impl CheckReport {
    fn add(
        &mut self,
        sibling: &Sibling,
        judgement: Judgement,
        json: bool,
        progress: &CommandProgress,
    ) {
        let (finding, reason) = match judgement {
            Judgement::Sourceless => return self.sourceless += 1,
            Judgement::Right => return self.checked += 1,
            Judgement::Wrong(finding, reason) => (finding, reason),
        };
        self.checked += 1;
        let path = format!("{}{}", sibling.prefix, sibling.path.to_string_lossy());
        if !json {
            progress.line(format_args!("{}: {finding}: {}", Escaped(&path), Escaped(&reason)));
        }
        self.wrong.push(Wrong { path, finding, reason });
    }

    fn end(self, json: bool, progress: CommandProgress) -> ExitStatus {
        let problems = self.wrong.len() + self.unmatched.len();
        let status = ExitStatus::of(self.interrupted, problems as u64);
        if json {
            let json = serde_json::to_string(&self).unwrap_or_default();
            progress.finish(format_args!("{json}"));
            return status;
        }
        let stopped = if self.interrupted { " so far; interrupted" } else { "" };
        for glob in &self.unmatched {
            progress.line(format_args!("no file matches {}", Escaped(glob)));
        }
        let (checked, wrong) = (self.checked, self.wrong.len());
        let sourceless = match self.sourceless {
            0 => String::new(),
            sourceless => format!(", {sourceless} without a source"),
        };
        progress
            .finish(format_args!("checked {checked} files, {wrong} wrong{sourceless}{stopped}"));
        status
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use cachecompress::Symlinks;

    use super::super::ledger::FileDigest;
    use super::*;

    /// A root that was moved away in the midst of a prune looked as if all its files were gone.
    #[test]
    fn file_that_vanishes_after_the_list_was_made_is_not_gone_for_good() {
        let directory = tempfile::tempdir().unwrap();
        let (out, root) = (directory.path().join("out"), directory.path().join("moved-away"));
        let export = Export::open(out.clone(), Symlinks::Within).unwrap();
        fs::write(out.join("a.js.gz"), b"ours").unwrap();
        let mut digest = FileDigest::of_path(b"a.js.gz");
        digest.write_all(b"ours").unwrap();
        export.ledger.add(digest).unwrap();
        let found = Siblings::find(&export.paths().unwrap(), &out, &root);
        let selection = Selection::new(&[], &[]).unwrap();
        let mut report = Report::new(Vec::new(), true);
        let mut prune = |sources: &[&str]| {
            let sources = sources.iter().map(|path| path.parse().unwrap()).collect();
            assert_eq!(found.prune(&selection, &export, &sources, &mut report), []);
            out.join("a.js.gz").exists()
        };
        assert!(prune(&["a.js", "b.js"]));
        assert!(!prune(&["b.js"]));
    }
}
