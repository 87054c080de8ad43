//! The choice of files by `--include` and `--exclude`.

use std::path::{Path, PathBuf};

use cachecompress::SourcePath;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::exit::Failure;
use crate::flag_values::Globs;

/// The files that the command looks at.
#[derive(Debug)]
pub(super) struct Selection {
    /// `None` for all files.
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Selection {
    /// Compiles the globs of both flags.
    ///
    /// # Errors
    ///
    /// If they are too long for one expression.
    pub(super) fn new(include: &[Globs], exclude: &[Globs]) -> Result<Self, Failure> {
        let include = (!include.is_empty()).then(|| compile(include)).transpose()?;
        Ok(Self { include, exclude: compile(exclude)? })
    }

    /// Whether a file is looked at. A glob that matches a directory has all that lies beneath.
    pub(super) fn has(&self, path: &SourcePath) -> bool {
        let is_included = self.include.as_ref().is_none_or(|globs| covers(globs, path));
        is_included && !covers(&self.exclude, path)
    }

    /// Whether a file is compressed. Source maps are so only if a glob of `--include` matches them.
    pub(super) fn compresses(&self, path: &SourcePath) -> bool {
        let is_map = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("map"));
        self.has(path) && (self.include.is_some() || !is_map)
    }
}

fn compile(flags: &[Globs]) -> Result<GlobSet, Failure> {
    let wrong = |error: globset::Error| Failure::Usage(format!("--include or --exclude: {error}"));
    let mut set = GlobSetBuilder::new();
    for glob in flags.iter().flat_map(|Globs(globs)| globs) {
        let glob = glob.strip_prefix('/').unwrap_or(glob);
        let glob = glob.strip_suffix('/').unwrap_or(glob);
        set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

fn covers(globs: &GlobSet, path: &SourcePath) -> bool {
    let text = path.to_string_lossy();
    let parents = text.match_indices('/').map(|(end, _)| &text[..end]);
    parents.chain([&*text]).any(|path| globs.is_match(path))
}

/// Returns the file at `path` beneath `root`; `None` for a name that the system cannot have.
pub(super) fn file(root: &Path, path: &SourcePath) -> Option<PathBuf> {
    #[cfg(unix)]
    let beneath = {
        use std::os::unix::ffi::OsStrExt as _;
        Some(std::ffi::OsStr::from_bytes(path.as_bytes()))
    };
    #[cfg(not(unix))]
    let beneath = path.as_str();
    beneath.map(|beneath| root.join(beneath))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(text: &str) -> Vec<Globs> {
        if text.is_empty() { Vec::new() } else { vec![crate::flag_values::globs(text).unwrap()] }
    }

    fn chosen<'a>(include: &str, exclude: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let selection = Selection::new(&globs(include), &globs(exclude)).unwrap();
        let compresses =
            |path: &&&str| selection.compresses(&SourcePath::parse(path.as_bytes()).unwrap());
        paths.iter().filter(compresses).copied().collect()
    }

    #[test]
    fn globs_choose_files_and_all_beneath_directories() {
        let paths = ["a.js", "a.js.map", "js/b.js", "js/b.js.MAP", "js/deep/c.css", "jsx/d.js"];
        assert_eq!(chosen("", "", &paths), ["a.js", "js/b.js", "js/deep/c.css", "jsx/d.js"]);
        assert_eq!(chosen("/js/", "", &paths), ["js/b.js", "js/b.js.MAP", "js/deep/c.css"]);
        assert_eq!(chosen("**/*.js", "", &paths), ["a.js", "js/b.js", "jsx/d.js"]);
        assert_eq!(chosen("*.map", "", &paths), ["a.js.map"]);
        assert_eq!(chosen("", "js/**,a.*", &paths), ["jsx/d.js"]);
        assert_eq!(chosen("js/**", "**/deep", &paths), ["js/b.js", "js/b.js.MAP"]);
    }
}
