//! The choice of files by path.

use cachecompress::SourcePath;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::Error;

/// The files to embed: those that a glob of `include` matches, or all if there is none, without those of
/// `exclude`.
pub(crate) struct Selection {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Selection {
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self, Error> {
        let include = (!include.is_empty()).then(|| compile(include)).transpose()?;
        Ok(Self { include, exclude: compile(exclude)? })
    }

    pub(crate) fn has(&self, path: &SourcePath) -> bool {
        let path = path.to_string_lossy();
        let is_included = self.include.as_ref().is_none_or(|globs| globs.is_match(&*path));
        is_included && !self.exclude.is_match(&*path)
    }
}

fn compile(globs: &[String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let parsed = GlobBuilder::new(glob).literal_separator(true).build();
        set.add(parsed.map_err(|error| Error::new("a glob is malformed").because(error))?);
    }
    set.build().map_err(|error| Error::new("the globs cannot be used").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(include: &[&str], exclude: &[&str]) -> Vec<String> {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
        let selection = Selection::new(&owned(include), &owned(exclude)).unwrap();
        let paths = ["index.html", "assets/app.js", "assets/app.js.map", "docs/a/b.html"];
        let paths = paths.into_iter().map(|path| path.parse::<SourcePath>().unwrap());
        paths.filter(|path| selection.has(path)).map(|path| path.to_string()).collect()
    }

    #[test]
    fn selection_has_all_files_without_globs() {
        assert_eq!(chosen(&[], &[]).len(), 4);
    }

    #[test]
    fn star_stops_at_a_slash() {
        assert_eq!(chosen(&["*.html"], &[]).len(), 1);
        assert_eq!(chosen(&["**/*.html"], &[]).len(), 2);
    }

    #[test]
    fn exclude_goes_before_include() {
        assert_eq!(chosen(&["assets/*"], &["**/*.map"]).len(), 1);
    }

    #[test]
    fn malformed_glob_is_an_error_that_names_it() {
        let error = Selection::new(&["a[".to_owned()], &[]).err().unwrap().to_string();
        assert!(error.starts_with("a glob is malformed: ") && error.contains("a["), "{error}");
    }
}
