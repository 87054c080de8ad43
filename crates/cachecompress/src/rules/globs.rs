//! Globs over the paths of a source.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::Error;
use crate::http::SourcePath;

/// A set of paths by globs. `*` stops at a slash, `**` does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globs {
    globs: Vec<Glob>,
    /// All of them. It compares names without a star by a table, and others by one expression.
    set: GlobSet,
}

impl Globs {
    /// The paths that match any of `globs`.
    pub(crate) fn of<'a>(globs: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let globs = globs.into_iter().map(|glob| compile(glob, false)).collect::<Result<_, _>>()?;
        let mut all = Self { globs, ..Self::default() };
        all.compile()?;
        Ok(all)
    }

    /// Adds the paths that match `glob`.
    pub(crate) fn add(&mut self, glob: &str) -> Result<(), Error> {
        self.globs.push(compile(glob, false)?);
        self.compile()
    }

    /// Adds the paths that match `glob` and all paths beneath them. A glob `dir/**` means `dir`, too.
    ///
    /// Case does not count where the usual file systems ignore it: another spelling leads to the
    /// same file there.
    pub(crate) fn add_tree(&mut self, glob: &str) -> Result<(), Error> {
        let ignore_case = cfg!(any(windows, target_vendor = "apple"));
        let glob = glob.strip_suffix('/').unwrap_or(glob);
        for glob in [Some(glob), glob.strip_suffix("/**")].into_iter().flatten() {
            self.globs.push(compile(glob, ignore_case)?);
        }
        self.compile()
    }

    fn compile(&mut self) -> Result<(), Error> {
        let mut set = GlobSetBuilder::new();
        for glob in &self.globs {
            set.add(glob.clone());
        }
        self.set = set.build().map_err(|error| {
            Error::config("the globs are too long for one expression").with_cause(error)
        })?;
        Ok(())
    }

    pub(crate) fn contains(&self, path: &SourcePath) -> bool {
        !self.globs.is_empty() && self.set.is_match(&*path.to_string_lossy())
    }

    /// Whether the set has `path` or a directory in which it lies.
    pub(crate) fn covers(&self, path: &SourcePath) -> bool {
        self.covers_bytes(path.as_bytes())
    }

    /// As [`covers`](Self::covers), also for a path that no source can have.
    pub(crate) fn covers_bytes(&self, path: &[u8]) -> bool {
        if self.globs.is_empty() {
            return false;
        }
        let text = String::from_utf8_lossy(path);
        let parents = text.match_indices('/').map(|(end, _)| &text[..end]);
        parents.chain([&*text]).any(|path| self.set.is_match(path))
    }
}

/// Compiles the globs of a header rule, as in `netlify.toml`: `/*` at the end is `/**`, `dir/**` is
/// `dir` as well, and `/` is the root. A slash at either end means nothing.
pub(crate) fn tree(glob: &str) -> Result<Vec<Glob>, Error> {
    if glob == "/" {
        return Ok(vec![build("", "/", false)?]);
    }
    let pattern = glob.strip_prefix('/').unwrap_or(glob);
    let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
    let root = match pattern {
        "*" | "**" => Some(""),
        _ => pattern.strip_suffix("/*").or_else(|| pattern.strip_suffix("/**")),
    };
    match root {
        Some("") => Ok(vec![build("", glob, false)?, compile("**", false)?]),
        Some(root) => Ok(vec![compile(root, false)?, compile(&format!("{root}/**"), false)?]),
        None => Ok(vec![compile(pattern, false)?]),
    }
}

/// Compiles a glob over paths. A leading slash means nothing.
///
/// A glob with an empty segment, or with `.` or `..`, is refused, as no path matches it.
fn compile(glob: &str, ignore_case: bool) -> Result<Glob, Error> {
    let pattern = glob.strip_prefix('/').unwrap_or(glob);
    if pattern.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        let message = format!(
            "\"{glob}\" matches no path, as it is empty or has a segment that is empty, \".\" or \"..\""
        );
        return Err(Error::config(message));
    }
    build(pattern, glob, ignore_case)
}

fn build(pattern: &str, glob: &str, ignore_case: bool) -> Result<Glob, Error> {
    GlobBuilder::new(pattern).literal_separator(true).case_insensitive(ignore_case).build().map_err(
        |error| Error::config(format!("\"{glob}\" is no glob for paths")).with_cause(error),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> SourcePath {
        SourcePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn tree_covers_what_lies_beneath_its_paths() {
        let mut globs = Globs::default();
        for glob in ["/private/**", "drafts/", "*.tpl", "**/*.map"] {
            globs.add_tree(glob).unwrap();
        }
        for covered in ["private", "private/a", "drafts", "drafts/a/b", "a.tpl", "x/y.map", "y.map"]
        {
            assert!(globs.covers(&path(covered)), "{covered}");
        }
        for free in ["", "privates", "public/private", "x/a.tpl", "draft", "a.map.js"] {
            assert!(!globs.covers(&path(free)), "{free}");
        }
        for refused in ["[", "", "/", "//a", "a//", "./a", "a/../b", "a//b"] {
            assert!(globs.add_tree(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn star_stops_at_a_slash() {
        let mut globs = Globs::default();
        globs.add("assets/*").unwrap();
        assert!(globs.contains(&path("assets/a.js")));
        assert!(!globs.contains(&path("assets/deep/a.js")));
        assert!(!globs.contains(&path("assets")));
    }

    #[test]
    fn slash_at_the_end_of_a_header_rules_glob_means_nothing() {
        for glob in ["/docs/", "docs/", "/docs", "docs"] {
            let globs = tree(glob).unwrap();
            assert!(globs.iter().any(|glob| glob.compile_matcher().is_match("docs")), "{glob}");
            assert!(!globs.iter().any(|glob| glob.compile_matcher().is_match("docs/a")), "{glob}");
        }
        for bad in ["", "//", "docs//", "/docs/../"] {
            assert!(tree(bad).is_err(), "{bad}");
        }
    }
}
