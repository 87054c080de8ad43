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
    /// The globs of `include` as they were given, in the same order.
    included: Vec<String>,
    exclude: GlobSet,
}

/// The globs of `--include` that no file has matched so far.
#[derive(Debug)]
pub(super) struct Unmatched<'a> {
    selection: &'a Selection,
    /// Whether a file has matched, for each glob.
    is_matched: Vec<bool>,
}

impl Selection {
    /// Compiles the globs of both flags.
    ///
    /// # Errors
    ///
    /// If they are too long for one expression.
    pub(super) fn new(include: &[Globs], exclude: &[Globs]) -> Result<Self, Failure> {
        let included = include.iter().flat_map(|Globs(globs)| globs).cloned().collect();
        let include = (!include.is_empty()).then(|| compile(include)).transpose()?;
        Ok(Self { include, included, exclude: compile(exclude)? })
    }

    /// Starts the search for globs of `--include` that match no file.
    pub(super) fn unmatched(&self) -> Unmatched<'_> {
        Unmatched { selection: self, is_matched: vec![false; self.included.len()] }
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

impl Unmatched<'_> {
    /// Strikes out the globs that match one of `paths`.
    pub(super) fn look_at<'a>(&mut self, paths: impl IntoIterator<Item = &'a SourcePath>) {
        let Some(globs) = &self.selection.include else { return };
        for path in paths {
            if self.is_matched.iter().all(|matched| *matched) {
                return;
            }
            let text = path.to_string_lossy();
            for glob in itself_and_parents(&text).flat_map(|path| globs.matches(path)) {
                self.is_matched[glob] = true;
            }
        }
    }

    /// Returns those that are left, as they were given.
    pub(super) fn globs(self) -> Vec<String> {
        let globs = self.selection.included.iter().zip(self.is_matched);
        globs.filter(|(_, matched)| !matched).map(|(glob, _)| glob.clone()).collect()
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
    itself_and_parents(&path.to_string_lossy()).any(|path| globs.is_match(path))
}

fn itself_and_parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end]).chain([path])
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
