//! `cachecompress warm DIR`

mod check;
mod export;
mod ledger;
mod regular_file;
mod report;
mod selection;
mod siblings;
mod temporary;
mod work;

use std::collections::HashSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use cachecompress::{
    Builder, Cache, ContentCoding, Directory, ServeCompressed, Source as _, SourcePath, Symlinks,
};
use tracing_subscriber::filter::LevelFilter;

use super::progress_bar::CommandProgress;
use crate::cli::{Dotfiles, LogFormat, WarmArgs};
use crate::config::{self, CacheChoice};
use crate::exit::{ExitStatus, Failure};
use crate::flag_values::{Codings, Level, TypeRule};
use crate::limits::{EXPORT_MEMORY_BYTES, LOG_CLOSE_TIMEOUT};
use crate::logging;
use crate::printer::{Escaped, EscapedPath, Printer};
use crate::site_rules;

use check::Siblings;
use export::Export;
use ledger::Ledger;
use report::Report;
use selection::Selection;
use work::Work;

/// The levels of `--best`. Higher ones take many times as long, or windows that browsers refuse.
const BEST: [(ContentCoding, i32); 4] = [
    (ContentCoding::BROTLI, 11),
    (ContentCoding::ZSTD, 19),
    (ContentCoding::GZIP, 9),
    (ContentCoding::DEFLATE, 9),
];

/// Compresses the files of a directory ahead, and exports or checks them. The `hidden` ones, which no
/// server of the configuration hands out, are none of them.
///
/// # Errors
///
/// If there is no such directory, no cache, or the directory of the export cannot be written.
pub(crate) fn run(
    args: WarmArgs,
    hidden: Vec<PathBuf>,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let root = args.dir.clone().ok_or_else(|| {
        Failure::Usage("no directory given; name one: `cachecompress warm DIR`".to_owned())
    })?;
    let root = absolute(&root)?;
    let out = match &args.export {
        Some(Some(out)) => Some(absolute(out)?),
        Some(None) => Some(root.clone()),
        None => None,
    };
    let selection = Selection::new(&args.include, &args.exclude)?;
    let jobs = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = args.jobs.map_or_else(jobs, usize::from);
    // Neither is told of an error of the cache but by a log.
    let log = logging::start(LevelFilter::WARN, LogFormat::Text);
    let outcome = if args.check {
        check(&args, &root, out.as_deref().unwrap_or(&root), &selection, jobs, printer)
    } else {
        warm(args, hidden, &root, out, &selection, jobs, printer)
    };
    if let Ok((_, thread)) = log {
        thread.close(LOG_CLOSE_TIMEOUT);
    }
    outcome
}

fn check(
    args: &WarmArgs,
    root: &Path,
    out: &Path,
    selection: &Selection,
    jobs: usize,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    open(args, root)?;
    let paths = open(args, out)?.paths()?;
    let ledger = Ledger::read(out).map_err(|error| Failure::Runtime(error.to_string()))?;
    let progress = CommandProgress::start(printer, "checking");
    Ok(Siblings::find(&paths, out, root).check(selection, &ledger, jobs, args.json, progress))
}

fn warm(
    args: WarmArgs,
    hidden: Vec<PathBuf>,
    root: &Path,
    out: Option<PathBuf>,
    selection: &Selection,
    jobs: usize,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let began = Instant::now();
    let codings = match &args.codings {
        Codings::Auto => vec![ContentCoding::BROTLI, ContentCoding::ZSTD, ContentCoding::GZIP],
        Codings::List(list) => list.clone(),
    };
    if out.is_some() && codings.iter().all(|coding| siblings::end_of(coding).is_none()) {
        let sentence = "--export has no name for files in deflate; add another of --codings";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    let (json, prune, symlinks) = (args.json, args.prune, args.symlinks.into());
    let directory = open(&args, root)?;
    let service = service(args, directory, hidden, root, out.is_some(), jobs)?;
    let export = out.clone().map(|out| Export::open(out, symlinks)).transpose()?.map(Arc::new);
    let items = work::items(&service.paths()?, selection, root, out.as_deref());
    let mut report = Report::new(codings.clone(), export.is_some());
    let progress = CommandProgress::start(printer, "compressing");
    let work = Work { service, codings, jobs, export: export.clone() };
    let interrupted = work::run(&work, items, &progress, |done| {
        for sentence in done.failures.iter().filter(|_| !json) {
            let path = done.path.to_string_lossy();
            progress.line(format_args!("{}: {}", Escaped(path), Escaped(sentence)));
        }
        report.add(done);
    })?;
    if let Some(export) = &export {
        if prune && !interrupted {
            for (path, sentence) in self::prune(export, root, symlinks, selection, &mut report)? {
                if !json {
                    progress.line(format_args!("{}: {}", Escaped(&path), Escaped(&sentence)));
                }
                report.fail(path, sentence);
            }
        }
        export.ledger.close().map_err(|error| Failure::Runtime(error.to_string()))?;
    }
    report.end(began.elapsed(), interrupted);
    if json {
        progress.finish(format_args!("{}", report.json()));
    } else {
        report.table().iter().for_each(|line| progress.line(format_args!("{}", Escaped(line))));
        progress.finish(format_args!("{}", report.summary()));
    }
    Ok(ExitStatus::of(interrupted, report.failures()))
}

/// Removes the files of earlier exports that hold nothing beneath `root` any more. Returns the paths that
/// failed, with the reasons.
///
/// A root that is gone or empty is being made anew, as by a build, and says nothing about its files.
fn prune(
    export: &Export,
    root: &Path,
    symlinks: Symlinks,
    selection: &Selection,
    report: &mut Report,
) -> Result<Vec<(String, String)>, Failure> {
    let refused = |sentence: String| Ok(vec![(root.to_string_lossy().into_owned(), sentence)]);
    let sources = match export::all_paths(root, symlinks) {
        Ok(paths) => paths.into_iter().collect::<HashSet<_>>(),
        Err(error) => return refused(format!("nothing is pruned: {error}")),
    };
    let is_output =
        |path: &SourcePath| export::is_of_export(path) || siblings::source_of(path).is_some();
    if sources.iter().all(is_output) {
        return refused("there are no files; nothing is pruned".to_owned());
    }
    let found = Siblings::find(&export.paths()?, &export.directory, root);
    Ok(found.prune(selection, export, &sources, report))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::Usage(format!("{}: {error}", EscapedPath(path))))
}

fn open(args: &WarmArgs, directory: &Path) -> Result<Directory, Failure> {
    let opened = Directory::new(directory)?;
    Ok(opened.symlinks(args.symlinks.into()).dotfiles(args.dotfiles == Dotfiles::Allow))
}

fn service(
    args: WarmArgs,
    directory: Directory,
    hidden: Vec<PathBuf>,
    root: &Path,
    exports: bool,
    jobs: usize,
) -> Result<ServeCompressed, Failure> {
    let cache = match config::chosen_cache(args.cache_size, args.cache) {
        CacheChoice::Disk { dir, max_bytes } => Cache::builder(dir).max_bytes(max_bytes).build()?,
        CacheChoice::Memory { .. } if exports => Cache::in_memory(EXPORT_MEMORY_BYTES),
        CacheChoice::Memory { because } => {
            let sentence = format!("there is no cache to fill: {because}");
            return Err(Failure::Usage(sentence));
        }
    };
    let builder =
        ServeCompressed::builder(directory).cache(cache).memory_cache(0).encode_threads(jobs);
    let hidden = hidden.into_iter().chain(site_rules::NAMES.map(|name| root.join(name)));
    let builder = hidden.fold(builder, Builder::hide_file);
    let builder = args.types.into_iter().fold(builder, |builder, TypeRule { name, media_type }| {
        builder.media_type(name, media_type)
    });
    let levels = args.level.into_iter().map(|Level { coding, level }| (coding, level));
    let best = BEST.into_iter().filter(|_| args.best);
    let set = |builder: Builder, (coding, level)| builder.level(coding, level);
    Ok(levels.chain(best).fold(builder, set).build()?)
}
