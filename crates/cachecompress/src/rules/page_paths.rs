//! The paths of pages: clean URLs, trailing slashes and index files.

use crate::http::SourcePath;

/// The paths at which pages are served without their extension.
///
/// [`Builder::clean_urls`](crate::Builder::clean_urls) takes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CleanUrls {
    /// Every file has its own path only.
    #[default]
    Off,
    /// `/about` is `about.html`, or else `about.htm`. `/about.html` is served as well.
    Serve,
    /// As [`Serve`](Self::Serve), but `/about.html` is 301 to `/about`, and `/docs/index.html` to
    /// `/docs/`.
    Redirect,
}

/// The one of `/a` and `/a/` that is the page. The other is 301.
///
/// [`Builder::trailing_slash`](crate::Builder::trailing_slash) takes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrailingSlash {
    /// `/a/` for the index of a directory, and `/a` for a file.
    #[default]
    Auto,
    /// `/a/` for every page. A file that has the name `a` itself stays at `/a`.
    Always,
    /// `/a` for every page but that of the root.
    Never,
}

/// The extensions that a clean URL lacks, in order.
const EXTENSIONS: [&[u8]; 2] = [b".html", b".htm"];

/// The rules by which a request's path leads to a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct PagePaths {
    pub(crate) clean_urls: CleanUrls,
    pub(crate) trailing_slash: TrailingSlash,
    /// The file names that are tried for a directory, in order.
    pub(crate) index: Vec<String>,
}

/// The kind of a path's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Nothing,
}

/// The answer to a request's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageAnswer {
    /// The file at this path.
    Serve(SourcePath),
    /// 301 to this path, with a slash at its end if it is `true`.
    Redirect(SourcePath, bool),
    /// The path leads nowhere.
    Nothing,
}

/// The path of which the kind must be known before there is an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown(pub(crate) SourcePath);

/// The kinds of paths, as far as they are known.
pub(crate) trait Kinds {
    fn known(&self, path: &SourcePath) -> Option<Kind>;

    /// # Errors
    ///
    /// [`Unknown`] if the path was not looked up yet.
    fn kind(&self, path: &SourcePath) -> Result<Kind, Unknown> {
        self.known(path).ok_or_else(|| Unknown(path.clone()))
    }

    fn is_file(&self, path: &SourcePath) -> Result<bool, Unknown> {
        Ok(self.kind(path)? == Kind::File)
    }
}

/// A path of a request, with a slash at its end or without.
type Url = (SourcePath, bool);

impl PagePaths {
    /// Decides on a request for `path`, which has a slash at its end if it is for a `directory`.
    ///
    /// A redirect leads to a path that is served, but for that of a directory without an index.
    ///
    /// # Errors
    ///
    /// [`Unknown`] if the answer depends on a kind that is not known. The caller looks it up and asks
    /// again.
    pub(crate) fn answer(
        &self,
        path: &SourcePath,
        directory: bool,
        kinds: &impl Kinds,
    ) -> Result<PageAnswer, Unknown> {
        match directory {
            true => self.answer_directory(path, kinds),
            false => self.answer_name(path, kinds),
        }
    }

    fn answer_name(&self, path: &SourcePath, kinds: &impl Kinds) -> Result<PageAnswer, Unknown> {
        let kind = kinds.kind(path)?;
        if kind == Kind::File {
            let url = self.url_of_name(path, kinds)?;
            return Ok(serve_at(path, url, (path, false)));
        }
        let is_directory = kind == Kind::Directory;
        let has_slash = self.trailing_slash == TrailingSlash::Always;
        if has_slash && is_directory && self.index_of(path, kinds)?.is_some() {
            return Ok(PageAnswer::Redirect(path.clone(), true));
        }
        if let Some(page) = self.clean_page(path, kinds)? {
            return Ok(match has_slash {
                true => PageAnswer::Redirect(path.clone(), true),
                false => PageAnswer::Serve(page),
            });
        }
        let has_index = || Ok(is_directory && self.index_of(path, kinds)?.is_some());
        if let Some((url, slash)) = self.url_without_extension(path, kinds)?
            && !has_index()?
        {
            return Ok(PageAnswer::Redirect(url, slash));
        }
        Ok(match (is_directory, self.trailing_slash) {
            (true, TrailingSlash::Never) => match self.index_of(path, kinds)? {
                Some(index) => PageAnswer::Serve(index),
                None => PageAnswer::Nothing,
            },
            (true, _) => PageAnswer::Redirect(path.clone(), true),
            (false, _) => PageAnswer::Nothing,
        })
    }

    fn answer_directory(
        &self,
        path: &SourcePath,
        kinds: &impl Kinds,
    ) -> Result<PageAnswer, Unknown> {
        if let Some(index) = self.index_of(path, kinds)? {
            return Ok(match self.is_slashless(path, kinds)? {
                true => PageAnswer::Redirect(path.clone(), false),
                false => PageAnswer::Serve(index),
            });
        }
        if path.is_root() {
            return Ok(PageAnswer::Nothing);
        }
        let page = self.clean_page(path, kinds)?;
        if let (Some(page), TrailingSlash::Always) = (&page, self.trailing_slash) {
            return Ok(PageAnswer::Serve(page.clone()));
        }
        if kinds.is_file(path)? {
            let url = self.url_of_name(path, kinds)?;
            let (url, slash) = url.unwrap_or_else(|| (path.clone(), false));
            return Ok(PageAnswer::Redirect(url, slash));
        }
        if page.is_some() {
            return Ok(PageAnswer::Redirect(path.clone(), false));
        }
        Ok(match self.url_without_extension(path, kinds)? {
            Some((url, slash)) => PageAnswer::Redirect(url, slash),
            None => PageAnswer::Nothing,
        })
    }

    /// Whether the page of a directory with an index is at its path without a slash.
    fn is_slashless(&self, path: &SourcePath, kinds: &impl Kinds) -> Result<bool, Unknown> {
        // A source need not tell of its directories, and then the path leads nowhere without a slash.
        Ok(self.trailing_slash == TrailingSlash::Never
            && !path.is_root()
            && (kinds.kind(path)? != Kind::Nothing || self.clean_page(path, kinds)?.is_some()))
    }

    /// Returns the path to which the file's own path is redirected; `None` if it is served there.
    fn url_of_name(&self, file: &SourcePath, kinds: &impl Kinds) -> Result<Option<Url>, Unknown> {
        if self.clean_urls != CleanUrls::Redirect {
            return Ok(None);
        }
        if let Some(url) = self.url_of_index(file, kinds)? {
            return Ok(Some(url));
        }
        let stem = EXTENSIONS.iter().find_map(|end| file.file_name().strip_suffix(*end));
        let Some(stem) = stem.and_then(|stem| file.parent().try_join(stem)) else {
            return Ok(None);
        };
        let has_slash = self.trailing_slash == TrailingSlash::Always;
        let is_taken = match has_slash {
            true => self.index_of(&stem, kinds)?.is_some(),
            false => kinds.is_file(&stem)?,
        };
        let is_page = !is_taken && self.clean_page(&stem, kinds)?.as_ref() == Some(file);
        Ok(is_page.then_some((stem, has_slash)))
    }

    /// Returns the path of the directory of which `file` is the page; `None` if it is none.
    fn url_of_index(&self, file: &SourcePath, kinds: &impl Kinds) -> Result<Option<Url>, Unknown> {
        let parent = file.parent();
        let is_index = self.index.iter().any(|name| name.as_bytes() == file.file_name());
        if !is_index || self.index_of(&parent, kinds)?.as_ref() != Some(file) {
            return Ok(None);
        }
        if !self.is_slashless(&parent, kinds)? {
            return Ok(Some((parent, true)));
        }
        // A page beside the directory goes before its index.
        let is_page = self.clean_page(&parent, kinds)?.is_none();
        Ok(is_page.then_some((parent, false)))
    }

    /// Finds the page of which `path` is the path without an extension. The index of a directory is the
    /// page of that.
    fn clean_page(
        &self,
        path: &SourcePath,
        kinds: &impl Kinds,
    ) -> Result<Option<SourcePath>, Unknown> {
        let Some(file) = self.file_without_extension(path, kinds)? else { return Ok(None) };
        Ok(self.url_of_index(&file, kinds)?.is_none().then_some(file))
    }

    /// Returns the path of the page that `path` means as that of an index without its extension.
    fn url_without_extension(
        &self,
        path: &SourcePath,
        kinds: &impl Kinds,
    ) -> Result<Option<Url>, Unknown> {
        match self.file_without_extension(path, kinds)? {
            Some(file) => self.url_of_index(&file, kinds),
            None => Ok(None),
        }
    }

    /// Finds the file of which `path` is the path without an extension.
    fn file_without_extension(
        &self,
        path: &SourcePath,
        kinds: &impl Kinds,
    ) -> Result<Option<SourcePath>, Unknown> {
        if self.clean_urls == CleanUrls::Off || path.is_root() {
            return Ok(None);
        }
        let files = EXTENSIONS
            .iter()
            .filter_map(|end| path.parent().try_join(&[path.file_name(), end].concat()));
        first_file(files, kinds)
    }

    /// Finds the index of a directory.
    fn index_of(
        &self,
        directory: &SourcePath,
        kinds: &impl Kinds,
    ) -> Result<Option<SourcePath>, Unknown> {
        first_file(self.index.iter().map(|name| directory.join(name)), kinds)
    }
}

/// Serves `file` if `url`, the path of its page, is `asked` or there is none, and redirects else.
fn serve_at(file: &SourcePath, url: Option<Url>, asked: (&SourcePath, bool)) -> PageAnswer {
    match url {
        Some((path, directory)) if (&path, directory) != asked => {
            PageAnswer::Redirect(path, directory)
        }
        _ => PageAnswer::Serve(file.clone()),
    }
}

fn first_file(
    paths: impl IntoIterator<Item = SourcePath>,
    kinds: &impl Kinds,
) -> Result<Option<SourcePath>, Unknown> {
    for path in paths {
        if kinds.is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// The files of a site, which tells of its directories or does not.
    #[derive(Debug)]
    struct Tree {
        files: BTreeSet<String>,
        tells_directories: bool,
        asked: RefCell<BTreeSet<String>>,
    }

    impl Tree {
        fn of(files: impl IntoIterator<Item = String>, tells_directories: bool) -> Self {
            let files = files.into_iter().collect();
            Self { files, tells_directories, asked: RefCell::default() }
        }

        fn target(&self, path: &SourcePath) -> Kind {
            let name = path.to_string();
            let beneath = format!("{name}/");
            let is_directory = self.files.iter().any(|file| file.starts_with(&beneath));
            match self.files.contains(&name) {
                true => Kind::File,
                false if path.is_root() => Kind::Directory,
                false if is_directory && self.tells_directories => Kind::Directory,
                false => Kind::Nothing,
            }
        }
    }

    impl Kinds for Tree {
        fn known(&self, path: &SourcePath) -> Option<Kind> {
            self.asked.borrow().contains(&path.to_string()).then(|| self.target(path))
        }
    }

    fn path(text: &str) -> SourcePath {
        SourcePath::parse(text.as_bytes()).unwrap()
    }

    /// The answer, and the number of lookups that it took.
    fn ask(rules: &PagePaths, tree: &Tree, asked: &str, directory: bool) -> (PageAnswer, usize) {
        tree.asked.borrow_mut().clear();
        loop {
            match rules.answer(&path(asked), directory, tree) {
                Ok(answer) => return (answer, tree.asked.borrow().len()),
                Err(Unknown(path)) => {
                    assert!(tree.asked.borrow_mut().insert(path.to_string()), "{path} again");
                }
            }
        }
    }

    fn rules(clean_urls: CleanUrls, trailing_slash: TrailingSlash) -> PagePaths {
        let index = vec!["index.html".to_owned(), "index.htm".to_owned()];
        PagePaths { clean_urls, trailing_slash, index }
    }

    const CLEAN: [CleanUrls; 3] = [CleanUrls::Off, CleanUrls::Serve, CleanUrls::Redirect];
    const SLASH: [TrailingSlash; 3] =
        [TrailingSlash::Auto, TrailingSlash::Always, TrailingSlash::Never];

    #[test]
    fn file_takes_one_lookup_without_clean_urls() {
        let tree = Tree::of(["a.html".to_owned()], true);
        for slash in SLASH {
            let answer = ask(&rules(CleanUrls::Off, slash), &tree, "a.html", false);
            assert_eq!(answer, (PageAnswer::Serve(path("a.html")), 1));
        }
    }

    #[test]
    fn html_goes_before_htm_in_clean_urls_and_index_names() {
        let names = ["a.html", "a.htm", "index.htm", "b/index.htm", "b/index.html", "c.htm"];
        let tree = Tree::of(names.map(str::to_owned), true);
        let ask = |asked, directory| {
            ask(&rules(CleanUrls::Redirect, TrailingSlash::Auto), &tree, asked, directory).0
        };
        assert_eq!(ask("a", false), PageAnswer::Serve(path("a.html")));
        assert_eq!(ask("a.html", false), PageAnswer::Redirect(path("a"), false));
        assert_eq!(ask("a.htm", false), PageAnswer::Serve(path("a.htm")));
        assert_eq!(ask("c.htm", false), PageAnswer::Redirect(path("c"), false));
        assert_eq!(ask("", true), PageAnswer::Serve(path("index.htm")));
        assert_eq!(ask("index.htm", false), PageAnswer::Redirect(path(""), true));
        assert_eq!(ask("index", false), PageAnswer::Redirect(path(""), true));
        assert_eq!(ask("b/index.htm", false), PageAnswer::Serve(path("b/index.htm")));
        assert_eq!(ask("b/index.html", false), PageAnswer::Redirect(path("b"), true));
    }

    fn name() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "a",
            "b",
            "index",
            "a.html",
            "a.htm",
            "index.html",
            "index.htm",
            "a.html.html",
            "index.html.html",
            ".html",
            "..html",
        ])
    }

    fn name_path() -> impl Strategy<Value = String> {
        prop::collection::vec(name(), 1..4).prop_map(|names| names.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn redirect_leads_to_the_same_page_and_to_no_other_redirect(
            files in prop::collection::vec(name_path(), 0..8),
            requests in prop::collection::vec((name_path(), any::<bool>()), 1..16),
            tells_directories in any::<bool>(),
        ) {
            let tree = Tree::of(files.iter().cloned(), tells_directories);
            let lies_in = |file: &String, other: &String| file.starts_with(&format!("{other}/"));
            let is_real = !files.iter().any(|file| files.iter().any(|other| lies_in(file, other)));
            // The files' own paths, and those of their directories, are the ones that matter.
            let own = files.iter().map(|file| (file.clone(), false));
            let parents = files.iter().flat_map(|file| {
                [(path(file).parent().to_string(), true), (path(file).parent().to_string(), false)]
            });
            let stems = files.iter().filter_map(|file| file.rsplit_once('.')).flat_map(|(stem, _)| {
                let stem = stem.trim_end_matches('/').to_owned();
                [(stem.clone(), true), (stem, false)]
            });
            let stems = stems.filter(|(stem, _)| SourcePath::parse(stem.as_bytes()).is_some());
            let requests: Vec<_> = requests.into_iter().chain(own).chain(parents).chain(stems).collect();
            for (clean, slash) in CLEAN.into_iter().flat_map(|c| SLASH.map(|s| (c, s))) {
                let rules = rules(clean, slash);
                let mut served = BTreeMap::<String, BTreeSet<(String, bool)>>::new();
                for (asked, directory) in &requests {
                    let directory = *directory || asked.is_empty();
                    let (answer, lookups) = ask(&rules, &tree, asked, directory);
                    prop_assert!(lookups <= 12, "{} lookups", lookups);
                    let exact = tree.files.contains(asked) && !directory;
                    match answer {
                        PageAnswer::Serve(file) => {
                            prop_assert!(tree.files.contains(&file.to_string()));
                            prop_assert!(!exact || file.to_string() == *asked);
                            served.entry(file.to_string()).or_default().insert((
                                asked.clone(),
                                directory,
                            ));
                        }
                        PageAnswer::Redirect(mut target, mut to_directory) => {
                            prop_assert!(!exact || clean == CleanUrls::Redirect);
                            prop_assert!(target != path(asked) || to_directory != directory);
                            let (mut end, _) = ask(&rules, &tree, &target.to_string(), to_directory);
                            // Only a name that is both a file and a directory takes another step.
                            let mut steps = if is_real { 0 } else { files.len() };
                            while steps > 0
                                && let PageAnswer::Redirect(next, to) = end
                            {
                                (target, to_directory) = (next, to);
                                end = ask(&rules, &tree, &target.to_string(), to_directory).0;
                                steps -= 1;
                            }
                            match end {
                                PageAnswer::Serve(file) => {
                                    prop_assert!(!exact || !is_real || file.to_string() == *asked);
                                }
                                PageAnswer::Nothing => {
                                    prop_assert!(tree.target(&target) == Kind::Directory);
                                    prop_assert!(to_directory && slash != TrailingSlash::Never);
                                }
                                PageAnswer::Redirect(..) => prop_assert!(false, "no end"),
                            }
                        }
                        PageAnswer::Nothing => prop_assert!(!exact),
                    }
                }
                // A page has one path, and its own name may be served as well.
                for (file, mut urls) in served {
                    if clean != CleanUrls::Redirect {
                        urls.remove(&(file.clone(), false));
                    }
                    prop_assert!(urls.len() <= 1 || !is_real, "{} at {:?}", file, urls);
                }
            }
        }
    }
}
