//! One site: its directory, and the rules for its answers.

use cachecompress::{Builder, Directory, ErrorKind, HeaderRule, ServeCompressed};

use crate::cli::Sendfile;
use crate::config::{ServeConfig, SiteConfig};
use crate::exit::Failure;
use crate::flag_values::{Spa, TypeRule};
use crate::printer::EscapedPath;
use crate::tables::HeaderTable;

/// Opens a site of `config`, with the cache, the threads and the memory of `engine`.
///
/// # Errors
///
/// [`Failure::Runtime`] if there is no such directory, [`Failure::Usage`] if a rule is wrong. With
/// several sites the sentence has the site's hosts.
pub(crate) fn open(
    engine: &ServeCompressed,
    config: &ServeConfig,
    site: &SiteConfig,
) -> Result<ServeCompressed, Failure> {
    let directory = open_directory(site)?;
    let builder = ServeCompressed::builder(directory)
        .share(engine)
        .sendfile_sources(config.sendfile == Sendfile::All)
        .preference(config.preference.clone())
        .revalidate(config.revalidate)
        .patience(config.patience);
    let files = config.files_in_force.iter();
    let builder = files.fold(builder, Builder::hide_file);
    apply(builder, site)?.build().map_err(|error| {
        match (Failure::from(error), &*site.tables.hosts) {
            (Failure::Usage(sentence), [host, ..]) => {
                Failure::Usage(format!("the site of {host}: {sentence}"))
            }
            (failure, _) => failure,
        }
    })
}

/// Finds out whether a site can be opened.
///
/// # Errors
///
/// [`Failure::Runtime`] if there is no such directory, [`Failure::Usage`] if a rule is wrong.
pub(crate) fn check(site: &SiteConfig) -> Result<(), Failure> {
    header_rules(site)?;
    open_directory(site).map(drop)
}

fn open_directory(site: &SiteConfig) -> Result<Directory, Failure> {
    let opened = Directory::new(&site.root);
    let ruled = |directory: Directory| directory.symlinks(site.symlinks).dotfiles(site.dotfiles);
    opened.map(ruled).map_err(|error| {
        let dir = EscapedPath(&site.root);
        let reason = match error.kind() {
            ErrorKind::NotFound => "there is no such directory".to_owned(),
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
fn apply(mut builder: Builder, config: &SiteConfig) -> Result<Builder, Failure> {
    builder = builder
        .siblings(config.siblings)
        .encoded_names(config.encoded_names)
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
    // Those of `_headers` come first.
    Ok(header_rules(config)?.into_iter().fold(builder, Builder::header_rule))
}

fn header_rules(site: &SiteConfig) -> Result<Vec<HeaderRule>, Failure> {
    let rules = site.tables.headers.iter().map(HeaderTable::rule);
    rules.collect::<Result<_, _>>().map_err(Failure::Usage)
}
