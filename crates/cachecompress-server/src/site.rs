//! One site: its directory, and the rules for its answers.

use std::path::PathBuf;
use std::slice;
use std::sync::{Arc, Mutex};

use cachecompress::source::Found;
use cachecompress::{
    Builder, Directory, ErrorKind, HeaderRule, ServeCompressed, Source as _, SourcePath,
};

use crate::basic_auth::Users;
use crate::cli::Sendfile;
use crate::config::{ServeConfig, SiteConfig};
use crate::exit::Failure;
use crate::flag_values::{Spa, TypeRule};
use crate::listing;
use crate::printer::{Escaped, EscapedPath};
use crate::site_rules::{self, Looks, RuleFiles, SiteRules};
use crate::tables::{HeaderTable, RedirectTable};

/// A site's files of rules that are in force.
#[derive(Debug)]
pub(crate) struct RulesInForce {
    /// The directory of the site, to look at the files again.
    pub(crate) directory: Arc<Directory>,
    pub(crate) looks: Mutex<Looks>,
    /// A sentence for each line that is skipped.
    pub(crate) warnings: Vec<String>,
    pub(crate) root: PathBuf,
    files: RuleFiles,
}

impl RulesInForce {
    /// The files, as they were read.
    pub(crate) fn files(&self) -> &RuleFiles {
        &self.files
    }

    /// Whether these are the rules of a site with the same root as `site`.
    pub(crate) fn are_of(&self, site: &SiteConfig) -> bool {
        self.root == site.root
    }
}

/// Opens a site of `config`, with the cache, the threads and the memory of `engine`. The site has
/// [`RulesInForce`] unless its files of rules are not read.
///
/// If they are wrong, the `last` ones that were good take their place, and the log says why.
///
/// # Errors
///
/// [`Failure::Runtime`] if there is no such directory, [`Failure::Usage`] if a rule is wrong. With
/// several sites the sentence has the site's hosts.
pub(crate) fn open(
    engine: &ServeCompressed,
    config: &ServeConfig,
    site: &SiteConfig,
    last: Option<&RulesInForce>,
) -> Result<(ServeCompressed, Option<Arc<RulesInForce>>), Failure> {
    let build = |files| build(engine, config, site, files);
    if !site.site_rules {
        return Ok((build(None)?.0, None));
    }
    // The files of rules are hidden in the directory that is served.
    let directory = Arc::new(open_directory(site)?);
    let read = RuleFiles::read(&*directory);
    let built = match &read {
        Ok(files) => build(Some(files)).map(|built| (built, files.clone())),
        Err(sentence) => Err(name_site(site, Failure::Usage(sentence.clone()))),
    };
    let (((service, warnings), files), refused) = match (built, last) {
        (Ok(built), _) => (built, None),
        (Err(failure), None) => return Err(failure),
        (Err(failure), Some(last)) => {
            // A mistake of the configuration is one with these files, too.
            let built = build(Some(&last.files))?;
            tracing::error!("{}; the rules of before stay in force", Escaped(&failure));
            ((built, last.files.clone()), Some(read))
        }
    };
    let mut looks = Looks::new(files.clone());
    if let Some(wrong) = refused {
        looks.refuse(wrong);
    }
    let (looks, root) = (Mutex::new(looks), site.root.clone());
    Ok((service, Some(Arc::new(RulesInForce { directory, looks, warnings, root, files }))))
}

/// Builds the service of a site by the rules of its `files`. It comes with a sentence for each of
/// their lines that is skipped.
fn build(
    engine: &ServeCompressed,
    config: &ServeConfig,
    site: &SiteConfig,
    files: Option<&RuleFiles>,
) -> Result<(ServeCompressed, Vec<String>), Failure> {
    let named = |failure| name_site(site, failure);
    let rules = match files {
        Some(files) => SiteRules::parse(files, site.tables.site_rules),
        None => Ok(SiteRules::default()),
    };
    let rules = rules.map_err(Failure::Usage).map_err(named)?;
    let warnings = rules.warnings.iter().map(|warning| name_sentence(site, warning));
    let warnings: Vec<_> = warnings.collect();
    let builder = ServeCompressed::builder(open_directory(site)?)
        .share(engine)
        .sendfile_sources(config.sendfile == Sendfile::All)
        .preference(config.preference.clone())
        .revalidate(config.revalidate)
        .patience(config.patience);
    let hidden = config.files_in_force.iter();
    let builder = hidden.fold(builder, Builder::hide_file);
    let rule_files = site_rules::NAMES.map(|name| site.root.join(name));
    let builder = rule_files.into_iter().fold(builder, Builder::hide_file);
    let service = apply(builder, site, rules)?.build();
    let service = service.map_err(|error| named(Failure::from(error)))?;
    Ok((service, warnings))
}

/// Returns a sentence for each wrong line in the files of rules of a site, and for each that is skipped.
pub(crate) fn judge_rules(site: &SiteConfig) -> (Vec<String>, Vec<String>) {
    let read = || RuleFiles::read(&open_directory(site).ok()?).ok();
    let Some(files) = site.site_rules.then(read).flatten() else { return Default::default() };
    let (rules, errors) = SiteRules::parse_all(&files, site.tables.site_rules);
    let named = |lines: Vec<String>| lines.iter().map(|line| name_sentence(site, line)).collect();
    (named(errors), named(rules.warnings))
}

/// Returns a sentence for each page that the rules of a site name and the site lacks. It is no mistake: a
/// site may get its files later.
pub(crate) fn missing_pages(site: &SiteConfig) -> Vec<String> {
    let Ok(directory) = open_directory(site) else { return Vec::new() };
    let mut missing = Vec::new();
    let mut look = |by: &str, pages: &[String], until: &str| {
        if let [page, ..] = pages
            && !pages.iter().any(|page| has_file(site, &directory, page))
        {
            let dir = EscapedPath(&site.root);
            let sentence =
                format!("{by} names {page}, which {dir} lacks; {until} until it is there");
            missing.push(name_sentence(site, &sentence));
        }
    };
    let spa = match &site.spa {
        Spa::Off => &[],
        Spa::Index => &*site.index,
        Spa::Page(page) => slice::from_ref(page),
    };
    look("--spa", spa, "unknown paths are 404");
    let short = "that error has a short text";
    look("--not-found", site.not_found.as_slice(), short);
    for (status, page) in &site.tables.error_pages {
        look(&format!("{status} of [error-pages]"), slice::from_ref(page), short);
    }
    missing
}

/// Whether `directory` has the file `page`, or one that decodes to it.
fn has_file(site: &SiteConfig, directory: &Directory, page: &str) -> bool {
    let ends = ["", ".br", ".zst", ".gz"];
    let ends = if site.encoded_names { &ends[..] } else { &ends[..1] };
    let mut paths = ends.iter().filter_map(|end| format!("{page}{end}").parse().ok());
    paths.any(|path: SourcePath| matches!(directory.lookup(&path), Ok(Found::File(_))))
}

fn name_site(site: &SiteConfig, failure: Failure) -> Failure {
    match failure {
        Failure::Usage(sentence) => Failure::Usage(name_sentence(site, &sentence)),
        failure => failure,
    }
}

/// Names a site in a sentence about its rules, if there are several.
fn name_sentence(site: &SiteConfig, sentence: &str) -> String {
    match &*site.tables.hosts {
        [] => sentence.to_owned(),
        [host, ..] => format!("the site of {host}: {sentence}"),
    }
}

/// Reads the users of a site, if it has a file of them.
///
/// # Errors
///
/// [`Failure::Runtime`] if the file cannot be read, [`Failure::Usage`] if something in it is wrong.
pub(crate) fn users(site: &SiteConfig) -> Result<Option<Users>, Failure> {
    let users = site.basic_auth.as_deref().map(Users::read).transpose();
    users.map_err(|failure| name_site(site, failure))
}

/// Finds out whether a site can be opened, before anything is created. Rings of redirects are found later.
///
/// # Errors
///
/// [`Failure::Runtime`] if there is no such directory, or the file of its users cannot be read;
/// [`Failure::Usage`] if a rule or that file is wrong.
pub(crate) fn check(site: &SiteConfig) -> Result<(), Failure> {
    header_rules(site)?;
    users(site)?;
    let directory = open_directory(site)?;
    if !site.site_rules {
        return Ok(());
    }
    let rules = RuleFiles::read(&directory)
        .and_then(|files| SiteRules::parse(&files, site.tables.site_rules));
    rules.map(drop).map_err(|sentence| name_site(site, Failure::Usage(sentence)))
}

fn open_directory(site: &SiteConfig) -> Result<Directory, Failure> {
    let opened = Directory::new(&site.root);
    let ruled = |directory: Directory| directory.symlinks(site.symlinks).dotfiles(site.dotfiles);
    opened.map(ruled).map_err(|error| {
        let dir = EscapedPath(&site.root);
        let reason = match error.kind() {
            ErrorKind::NotFound => "there is no such directory".to_owned(),
            _ if site.root.is_file() => "it is a file".to_owned(),
            _ => error.to_string(),
        };
        Failure::Runtime(match &*site.tables.hosts {
            [] => {
                format!("cannot serve {dir}: {reason}; name a directory: `cachecompress serve DIR`")
            }
            [host, ..] => format!(
                "cannot serve {dir}, the `root` of the site of {host}: {reason}; name a directory"
            ),
        })
    })
}

/// Adds the rules of a site to the builder of its service.
fn apply(mut builder: Builder, config: &SiteConfig, rules: SiteRules) -> Result<Builder, Failure> {
    builder = builder
        .siblings(config.siblings)
        .encoded_names(config.encoded_names)
        .deltas(config.deltas)
        .site_name(config.tables.hosts.join(","))
        .index(config.index.iter().cloned())
        .clean_urls(config.clean_urls)
        .trailing_slash(config.trailing_slash)
        .nearest_not_found(true)
        .immutable(config.immutable)
        .original_length(config.original_length);
    builder = match &config.spa {
        Spa::Off => builder,
        Spa::Index => builder.spa(true),
        Spa::Page(path) => builder.spa_page(path.clone()),
    };
    for glob in &config.spa_except {
        builder = builder.spa_except(glob.clone());
    }
    for (status, path) in &config.tables.error_pages {
        builder = builder.error_page(*status, path.clone());
    }
    if config.list {
        builder = builder.list(listing::Renderer::new());
    }
    if let Some(path) = &config.not_found {
        builder = builder.not_found(path.clone());
    }
    for glob in &config.immutable_paths {
        builder = builder.immutable_paths(glob.clone());
    }
    for TypeRule { name, media_type } in &config.types {
        builder = builder.media_type(name.clone(), media_type.clone());
    }
    if let Some(value) = &config.cache_control {
        builder = builder.default_cache_control(value.clone());
    }
    // The rules of `_headers` come first.
    for rule in rules.headers.into_iter().chain(header_rules(config)?) {
        builder = builder.header_rule(rule);
    }
    let tables = config.tables.redirects.iter().map(RedirectTable::rule);
    for redirect in rules.redirects.into_iter().chain(tables) {
        builder = builder.redirect(redirect);
    }
    Ok(site_rules::NAMES.into_iter().fold(builder, Builder::exclude))
}

fn header_rules(site: &SiteConfig) -> Result<Vec<HeaderRule>, Failure> {
    let rules = site.tables.headers.iter().map(HeaderTable::rule);
    rules.collect::<Result<_, _>>().map_err(Failure::Usage)
}
