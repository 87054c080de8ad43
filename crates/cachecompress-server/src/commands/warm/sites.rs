//! The directories whose files are compressed: that of DIR, or those of the sites of a configuration.

use std::path::{Path, PathBuf};

use cachecompress::Directory;

use crate::cli::{Dotfiles, Symlinks, WarmArgs};
use crate::config_file::InForce;
use crate::exit::Failure;
use crate::flag_values::TypeRule;
use crate::printer::EscapedPath;

/// A directory whose files are compressed, with the settings of its site.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) root: PathBuf,
    /// The directory of the export, if there is one.
    pub(super) out: Option<PathBuf>,
    pub(super) types: Vec<TypeRule>,
    symlinks: Symlinks,
    dotfiles: Dotfiles,
}

impl Site {
    /// The sites that `in_force` names. Two that are alike are one.
    ///
    /// # Errors
    ///
    /// If there is none, or several would be exported to one place.
    pub(super) fn all(in_force: &InForce) -> Result<Vec<Self>, Failure> {
        let mut sites = Vec::new();
        for args in in_force.args_of_sites::<WarmArgs>()? {
            let site = Self::new(args)?;
            if !sites.contains(&site) {
                sites.push(site);
            }
        }
        let is_named = |site: &Self| site.out.as_ref().is_some_and(|out| *out != site.root);
        if sites.len() > 1 && sites.iter().any(is_named) {
            let sentence = "--export=OUT has room for one site; name its DIR, or write beside the files of \
                            all sites by --export";
            return Err(Failure::Usage(sentence.to_owned()));
        }
        Ok(sites)
    }

    fn new(args: WarmArgs) -> Result<Self, Failure> {
        let root = args.dir.ok_or_else(|| {
            Failure::Usage("no directory given; name one: `cachecompress warm DIR`".to_owned())
        })?;
        let root = absolute(&root)?;
        let out = match args.export {
            Some(Some(out)) => Some(absolute(&out)?),
            Some(None) => Some(root.clone()),
            None => None,
        };
        let WarmArgs { types, symlinks, dotfiles, .. } = args;
        Ok(Self { root, out, types, symlinks, dotfiles })
    }

    /// Opens `directory` as this site is opened.
    pub(super) fn open(&self, directory: &Path) -> Result<Directory, Failure> {
        let opened = Directory::new(directory)?;
        let allows = self.dotfiles == Dotfiles::Allow;
        Ok(opened.symlinks(self.symlinks()).dotfiles(allows))
    }

    pub(super) fn symlinks(&self) -> cachecompress::Symlinks {
        self.symlinks.into()
    }

    /// The directory of the coded files.
    pub(super) fn coded(&self) -> &Path {
        self.out.as_deref().unwrap_or(&self.root)
    }

    /// The text before the paths of this site: its root, if there are `several` sites.
    pub(super) fn prefix(&self, several: bool) -> String {
        match several {
            true => format!("{}/", self.root.to_string_lossy()),
            false => String::new(),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::Usage(format!("{}: {error}", EscapedPath(path))))
}
