//! The workspace's source files, and how a rule is held against them.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;

use crate::syntax::without_tests;

/// The folders that hold the workspace's packages.
pub(crate) const FOLDERS: [&str; 4] = ["crates", "bench", "examples", "xtask"];

/// The folder of the library's sources.
pub(crate) const LIBRARY: &str = "crates/cachecompress/src/";

/// A file of the workspace.
pub(crate) struct Source {
    /// From the workspace's root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The syntax tree, without what only tests see.
    pub(crate) fn production(&self) -> syn::File {
        without_tests(parse(&self.path, &self.text))
    }

    /// All tokens, those of tests too.
    pub(crate) fn tokens(&self) -> TokenStream {
        self.text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    /// The path below the library's `src` without its ending: `cache/store`, and `cache` for
    /// `cache/mod.rs`.
    pub(crate) fn room(&self) -> Option<&str> {
        let room = self.path.strip_prefix(LIBRARY)?.strip_suffix(".rs")?;
        Some(room.strip_suffix("/mod").unwrap_or(room))
    }

    /// Whether this file of the library is one of `rooms` or lies in one.
    pub(crate) fn lies_in(&self, rooms: &[&str]) -> bool {
        self.room().is_some_and(|room| rooms.iter().any(|outer| is_within(room, outer)))
    }

    /// Whether all of it is test code.
    pub(crate) fn is_test(&self) -> bool {
        let folder = self.path.contains("/tests/") || self.path.starts_with("tests/");
        folder
            || self.path.ends_with("/tests.rs")
            || self.path.starts_with("crates/cachecompress-test/")
    }

    pub(crate) fn complaint(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn is_within(room: &str, outer: &str) -> bool {
    room.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The syntax tree of `text`.
///
/// # Panics
///
/// If `text` is no Rust.
pub(crate) fn parse(path: &str, text: &str) -> syn::File {
    syn::parse_file(text).unwrap_or_else(|error| {
        panic!("{path}:{}: {error}", error.span().start().line);
    })
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of the packages whose names end with `ending`.
pub(crate) fn files(ending: &str) -> Vec<Source> {
    FOLDERS.into_iter().flat_map(|folder| files_in(folder, ending)).collect()
}

fn files_in(folder: &str, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("a directory of the workspace") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a readable name");
        let path = format!("{folder}/{name}");
        // The example that is a workspace of its own may have been built there.
        if name == "target" {
            continue;
        }
        if entry.path().is_dir() {
            found.extend(files_in(&path, ending));
        } else if name.ends_with(ending) {
            found.push(Source::new(&path, &fs::read_to_string(entry.path()).expect("UTF-8")));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every Rust file of the packages.
pub(crate) fn rust_files() -> Vec<Source> {
    let found = files(".rs");
    assert!(found.len() > 100, "the sources are somewhere else");
    found
}

/// Holds `rule` against every Rust file.
#[track_caller]
pub(crate) fn hold(rule: fn(&Source) -> Vec<String>) {
    settle(&rust_files().iter().flat_map(rule).collect::<Vec<_>>());
}

#[track_caller]
pub(crate) fn settle(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} to mend:\n  {}", complaints.len(), complaints.join("\n  "));
}

// --- Made-up files, which show that a rule bites ------------------------------------------------

/// A made-up file of the library.
pub(crate) fn library(path: &str, text: &str) -> Source {
    Source::new(&format!("{LIBRARY}{path}"), text)
}

#[track_caller]
pub(crate) fn bites(rule: fn(&Source) -> Vec<String>, source: &Source) {
    assert_eq!(rule(source).len(), 1, "{}: {:?}", source.text, rule(source));
}

#[track_caller]
pub(crate) fn passes(rule: fn(&Source) -> Vec<String>, source: &Source) {
    assert_eq!(rule(source), Vec::<String>::new(), "{}", source.text);
}

#[test]
fn file_lies_in_its_module_and_in_the_outer_ones() {
    let file = library("fs/os/disk.rs", "");
    assert!(file.lies_in(&["fs"]) && file.lies_in(&["fs/os"]) && file.lies_in(&["fs/os/disk"]));
    assert!(!file.lies_in(&["fs/o"]) && !file.lies_in(&["os"]));
    assert!(library("fs/os/mod.rs", "").lies_in(&["fs/os"]));
    assert!(!Source::new("xtask/src/fs.rs", "").lies_in(&["fs"]));
}
