//! `cachecompress warm [DIR]`

mod check;
mod evicted;
mod export;
mod ledger;
mod regular_file;
mod report;
mod selection;
mod siblings;
mod sites;
mod temporary;
mod work;

use std::collections::HashSet;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use cachecompress::tier::Tier;
use cachecompress::{
    Builder, Cache, ContentCoding, Recompress, ServeCompressed, Source as _, SourcePath,
};
use tracing_subscriber::filter::LevelFilter;

use super::progress_bar::CommandProgress;
use crate::cli::{LogFormat, WarmArgs};
use crate::config::{self, CacheChoice, TierChoice};
use crate::config_file::InForce;
use crate::exit::{ExitStatus, Failure};
use crate::flag_values::{Codings, Level, TypeRule};
use crate::limits::{EXPORT_MEMORY_BYTES, LOG_CLOSE_TIMEOUT, TIER_WARM_PATIENCE};
use crate::logging;
use crate::printer::{Escaped, EscapedPath, Printer};
use crate::{site_rules, tier};

use check::Siblings;
use evicted::Stored;
use export::Export;
use ledger::Ledger;
use report::Report;
use selection::{Selection, Unmatched};
use sites::Site;
use work::Work;

/// Compresses the files of a directory ahead, or of all sites of the configuration, and exports or checks
/// them. Those that no server of the configuration hands out are none of them.
///
/// # Errors
///
/// If there is no such directory, no cache, or the directory of an export cannot be written.
pub(crate) fn run(in_force: &InForce, printer: Printer) -> Result<ExitStatus, Failure> {
    let args: WarmArgs = in_force.args()?;
    let (sites, hidden) = (Site::all(in_force)?, in_force.files_of_serve()?);
    let selection = Selection::new(&args.include, &args.exclude)?;
    let jobs = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = args.jobs.map_or_else(jobs, usize::from);
    // Neither is told of an error of the cache but by a log.
    let log = logging::start(LevelFilter::WARN, LogFormat::Text);
    let outcome = match args.check {
        true => check(&sites, &selection, jobs, args.json, printer),
        false => warm(args, &sites, &hidden, &selection, jobs, printer),
    };
    if let Ok((_, thread)) = log {
        thread.close(LOG_CLOSE_TIMEOUT);
    }
    outcome
}

fn check(
    sites: &[Site],
    selection: &Selection,
    jobs: usize,
    json: bool,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let (mut siblings, mut ledgers) = (Siblings::default(), Vec::new());
    let mut unmatched = selection.unmatched();
    for site in sites {
        unmatched.look_at(&site.open(&site.root)?.paths()?);
        let (paths, prefix) = (site.open(site.coded())?.paths()?, site.prefix(sites.len() > 1));
        siblings.add(Siblings::find(&paths, site.coded(), &site.root), ledgers.len(), &prefix);
        let ledger = Ledger::read(site.coded());
        ledgers.push(ledger.map_err(|error| Failure::Runtime(error.to_string()))?);
    }
    // A glob may also name a file that is gone.
    unmatched.look_at(siblings.sources());
    let unmatched = unmatched.globs();
    let progress = CommandProgress::start(printer, "checking");
    Ok(siblings.check(selection, &ledgers, unmatched, jobs, json, progress))
}

fn warm(
    args: WarmArgs,
    sites: &[Site],
    hidden: &[PathBuf],
    selection: &Selection,
    jobs: usize,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let began = Instant::now();
    let codings = codings(&args)?;
    let exports = args.export.is_some();
    // Nothing is written while a directory is missing.
    sites.iter().try_for_each(|site| site.open(&site.root).map(drop))?;
    let cache = cache(&args, exports)?;
    let tier = TierChoice::resolve(args.tier.clone());
    let tier = tier.as_ref().map(tier::open).transpose()?;
    let mut run = Run {
        selection,
        report: Report::new(codings.clone(), exports),
        unmatched: selection.unmatched(),
        stored: Vec::new(),
        progress: CommandProgress::start(printer, "compressing"),
        prunes: args.prune,
        json: args.json,
    };
    if let Some(tier) = &tier
        && !work::runtime()?.block_on(tier.ready(TIER_WARM_PATIENCE))
    {
        run.fail(tier.place(), "this store did not answer at the start");
    }
    let mut interrupted = false;
    for site in sites {
        let service = service(site, hidden, (&cache, tier.as_ref()), &args, jobs)?;
        let open = |out| Export::open(out, site.symlinks());
        let export = site.out.clone().map(open).transpose()?.map(Arc::new);
        let (codings, tier, best) = (codings.clone(), tier.clone(), args.best);
        let work = Work { service, codings, best, jobs, export, tier };
        interrupted = run.site(site, &work, site.prefix(sites.len() > 1))?;
        if interrupted {
            break;
        }
    }
    let Run { mut report, unmatched, stored, progress, .. } = run;
    if !interrupted {
        report.add_unmatched(unmatched.globs());
        if args.cache_size > 0 {
            report.add_evicted(evicted::count(&cache, &stored)?, args.cache_size);
        }
    }
    if let Some(tier) = &tier {
        report.add_tier(&tier.metrics());
    }
    report.end(began.elapsed(), interrupted);
    if args.json {
        progress.finish(format_args!("{}", report.json()));
    } else {
        report.table().iter().for_each(|line| progress.line(format_args!("{}", Escaped(line))));
        progress.finish(format_args!("{}", report.summary()));
    }
    Ok(ExitStatus::of(interrupted, report.problems()))
}

/// A run over the sites, and its results so far.
struct Run<'a> {
    selection: &'a Selection,
    report: Report,
    unmatched: Unmatched<'a>,
    stored: Vec<Stored>,
    progress: CommandProgress,
    prunes: bool,
    json: bool,
}

impl Run<'_> {
    /// Tells of a failure that is no file's.
    fn fail(&mut self, name: &str, reason: &str) {
        if !self.json {
            self.progress.line(format_args!("{}: {reason}", Escaped(name)));
        }
        self.report.fail(name.to_owned(), reason.to_owned());
    }

    /// Does the `work` on one site, with `prefix` before its paths in the report. Returns whether it was
    /// interrupted.
    fn site(&mut self, site: &Site, work: &Work, prefix: String) -> Result<bool, Failure> {
        let Self { selection, report, unmatched, stored, progress, prunes, json } = self;
        let tell = |path: &str, sentence: &str| {
            if !*json {
                progress.line(format_args!("{}: {}", Escaped(path), Escaped(sentence)));
            }
        };
        let paths = work.service.paths()?;
        unmatched.look_at(&paths);
        let items = work::items(&paths, selection, &site.root, site.out.as_deref());
        report.begin_site(prefix);
        let mut of_site = Stored::new(work.service.clone());
        let interrupted = work::run(work, items, progress, |done| {
            done.failures.iter().for_each(|sentence| tell(&report.name(&done.path), sentence));
            of_site.add(&done);
            report.add(done);
        })?;
        stored.push(of_site);
        let Some(export) = &work.export else { return Ok(interrupted) };
        if *prunes && !interrupted {
            // A glob may also name a file that is gone.
            let coded = Siblings::find(&export.paths()?, &export.directory, &site.root);
            unmatched.look_at(coded.sources());
            for (path, sentence) in prune(&coded, export, site, selection, report)? {
                tell(&path, &sentence);
                report.fail(path, sentence);
            }
        }
        export.ledger.close().map_err(|error| Failure::Runtime(error.to_string()))?;
        Ok(interrupted)
    }
}

fn codings(args: &WarmArgs) -> Result<Vec<ContentCoding>, Failure> {
    let codings = match &args.codings {
        Codings::Auto => vec![ContentCoding::BROTLI, ContentCoding::ZSTD, ContentCoding::GZIP],
        Codings::List(list) => list.clone(),
    };
    if args.export.is_some() && codings.iter().all(|coding| siblings::end_of(coding).is_none()) {
        let sentence = "--export has no name for files in deflate; add another of --codings";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    Ok(codings)
}

/// Removes those of the `coded` files that earlier exports of `site` have written and that hold nothing of it
/// any more. Returns the names that failed, with the reasons.
///
/// A root that is gone or empty is being made anew, as by a build, and says nothing about its files.
fn prune(
    coded: &Siblings,
    export: &Export,
    site: &Site,
    selection: &Selection,
    report: &mut Report,
) -> Result<Vec<(String, String)>, Failure> {
    let root = &site.root;
    let refused = |sentence: String| Ok(vec![(root.to_string_lossy().into_owned(), sentence)]);
    let sources = match export::all_paths(root, site.symlinks()) {
        Ok(paths) => paths.into_iter().collect::<HashSet<_>>(),
        Err(error) => return refused(format!("nothing is pruned: {error}")),
    };
    let is_output =
        |path: &SourcePath| export::is_of_export(path) || siblings::source_of(path).is_some();
    if sources.iter().all(is_output) {
        return refused("there are no files; nothing is pruned".to_owned());
    }
    Ok(coded.prune(selection, export, &sources, report))
}

/// Opens the cache, which is in memory where only `exports` have it.
fn cache(args: &WarmArgs, exports: bool) -> Result<Cache, Failure> {
    Ok(match config::chosen_cache(args.cache_size, args.cache.clone()) {
        CacheChoice::Disk { dir, max_bytes } => {
            try_to_write(&dir)?;
            Cache::builder(dir).max_bytes(max_bytes).build()?
        }
        CacheChoice::Memory { .. } if exports => Cache::in_memory(EXPORT_MEMORY_BYTES),
        CacheChoice::Memory { because } => {
            let sentence = format!("there is no cache to fill: {because}");
            return Err(Failure::Usage(sentence));
        }
    })
}

/// Writes a file without a name in `dir`, or in the nearest directory above that is there.
///
/// # Errors
///
/// If it cannot be written, as then every file would fail.
fn try_to_write(dir: &Path) -> Result<(), Failure> {
    let refused = |error| {
        let dir = EscapedPath(dir);
        Failure::Usage(format!("there is no cache to fill: {dir} cannot be written: {error}"))
    };
    let absolute = std::path::absolute(dir).map_err(refused)?;
    for dir in absolute.ancestors() {
        match tempfile::tempfile_in(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            written => return written.map(drop).map_err(refused),
        }
    }
    Ok(())
}

fn service(
    site: &Site,
    hidden: &[PathBuf],
    (cache, tier): (&Cache, Option<&Tier>),
    args: &WarmArgs,
    jobs: usize,
) -> Result<ServeCompressed, Failure> {
    let builder = ServeCompressed::builder(site.open(&site.root)?);
    let builder = match tier {
        Some(tier) => builder.tier(tier.clone()),
        None => builder,
    };
    let builder = builder.cache(cache.clone()).memory_cache(0).encode_threads(jobs);
    let rules = site_rules::NAMES.map(|name| site.root.join(name));
    let builder = hidden.iter().cloned().chain(rules).fold(builder, Builder::hide_file);
    let builder = site.types.iter().fold(builder, |builder, TypeRule { name, media_type }| {
        builder.media_type(name.clone(), media_type.clone())
    });
    // What a server has made smaller counts as being there. An export does not depend on that.
    let builder = match args.best || args.export.is_none() {
        // Nothing is compressed but what this command names.
        true => builder.recompress(Recompress::new().cpu_share(0.0)),
        false => builder,
    };
    let set =
        |builder: Builder, Level { coding, level }: &Level| builder.level(coding.clone(), *level);
    Ok(args.level.iter().fold(builder, set).build()?)
}
