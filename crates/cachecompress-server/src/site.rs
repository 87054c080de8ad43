//! One site: its directory, and the rules for its answers.

use cachecompress::{Builder, Directory, ErrorKind};

use crate::config::SiteConfig;
use crate::exit::Failure;
use crate::flag_values::TypeRule;
use crate::printer::EscapedPath;

/// Opens the directory of a site.
///
/// # Errors
///
/// [`Failure::Runtime`] if there is none.
pub(crate) fn open(config: &SiteConfig) -> Result<Directory, Failure> {
    let opened = Directory::new(&config.root);
    opened.map(|directory| directory.symlinks(config.symlinks)).map_err(|error| {
        let dir = EscapedPath(&config.root);
        let reason = match error.kind() {
            ErrorKind::NotFound => "there is no such directory".to_owned(),
            _ => error.to_string(),
        };
        Failure::Runtime(format!(
            "cannot serve {dir}: {reason}; name a directory: `cachecompress serve DIR`"
        ))
    })
}

/// Adds the rules of a site to the builder of its service.
pub(crate) fn apply(mut builder: Builder, config: &SiteConfig) -> Builder {
    builder =
        builder.spa(config.spa).immutable(config.immutable).original_length(config.original_length);
    for glob in &config.immutable_paths {
        builder = builder.immutable_paths(glob.clone());
    }
    for TypeRule { name, media_type } in &config.types {
        builder = builder.media_type(name.clone(), media_type.clone());
    }
    if let Some(value) = &config.cache_control {
        builder = builder.default_cache_control(value.clone());
    }
    builder
}
