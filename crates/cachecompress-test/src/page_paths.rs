//! The answers to `/a`, `/a/`, `/a.html` and `/a/index.html` by what a site has of them.

/// A site that has some of the files.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// The name of the directory in which the files lie.
    pub name: &'static str,
    /// The files, each with its own letter as its text: `F` for `a`, `H` for `a.html`, `I` for
    /// `a/index.html`, `O` for another file in `a/`.
    pub files: &'static [(&'static str, &'static str)],
}

/// Every set of the files that a file system can have.
pub const TREES: [Tree; 8] = [
    Tree { name: "none", files: &[("x", "X")] },
    Tree { name: "html", files: &[("a.html", "H")] },
    Tree { name: "file", files: &[("a", "F")] },
    Tree { name: "file-html", files: &[("a", "F"), ("a.html", "H")] },
    Tree { name: "dir", files: &[("a/other", "O")] },
    Tree { name: "dir-html", files: &[("a/other", "O"), ("a.html", "H")] },
    Tree { name: "index", files: &[("a/index.html", "I")] },
    Tree { name: "index-html", files: &[("a/index.html", "I"), ("a.html", "H")] },
];

/// The requests of each row.
pub const REQUESTS: [&str; 4] = ["a", "a/", "a.html", "a/index.html"];

/// The settings of clean URLs and trailing slashes, and a row for each of [`TREES`] with an answer for
/// each of [`REQUESTS`]: the letter of a file, `>` and the path to which a 301 leads, or `-` for 404.
///
/// The rows of `serve` and `auto` are those of GitHub Pages, but that GitHub has 404 for `/a/` where it
/// is 301 here.
#[rustfmt::skip]
pub const ANSWERS: [(&str, &str, [[&str; 4]; 8]); 9] = [
    ("off", "auto", [
        ["-",   "-",  "-", "-"],
        ["-",   "-",  "H", "-"],
        ["F",   ">a", "-", "-"],
        ["F",   ">a", "H", "-"],
        [">a/", "-",  "-", "-"],
        [">a/", "-",  "H", "-"],
        [">a/", "I",  "-", "I"],
        [">a/", "I",  "H", "I"],
    ]),
    ("off", "always", [
        ["-",   "-",  "-", "-"],
        ["-",   "-",  "H", "-"],
        ["F",   ">a", "-", "-"],
        ["F",   ">a", "H", "-"],
        [">a/", "-",  "-", "-"],
        [">a/", "-",  "H", "-"],
        [">a/", "I",  "-", "I"],
        [">a/", "I",  "H", "I"],
    ]),
    ("off", "never", [
        ["-", "-",  "-", "-"],
        ["-", "-",  "H", "-"],
        ["F", ">a", "-", "-"],
        ["F", ">a", "H", "-"],
        ["-", "-",  "-", "-"],
        ["-", "-",  "H", "-"],
        ["I", ">a", "-", "I"],
        ["I", ">a", "H", "I"],
    ]),
    ("serve", "auto", [
        ["-",   "-",  "-", "-"],
        ["H",   ">a", "H", "-"],
        ["F",   ">a", "-", "-"],
        ["F",   ">a", "H", "-"],
        [">a/", "-",  "-", "-"],
        ["H",   ">a", "H", "-"],
        [">a/", "I",  "-", "I"],
        ["H",   "I",  "H", "I"],
    ]),
    ("serve", "always", [
        ["-",   "-",  "-", "-"],
        [">a/", "H",  "H", "-"],
        ["F",   ">a", "-", "-"],
        ["F",   "H",  "H", "-"],
        [">a/", "-",  "-", "-"],
        [">a/", "H",  "H", "-"],
        [">a/", "I",  "-", "I"],
        [">a/", "I",  "H", "I"],
    ]),
    ("serve", "never", [
        ["-", "-",  "-", "-"],
        ["H", ">a", "H", "-"],
        ["F", ">a", "-", "-"],
        ["F", ">a", "H", "-"],
        ["-", "-",  "-", "-"],
        ["H", ">a", "H", "-"],
        ["I", ">a", "-", "I"],
        ["H", ">a", "H", "I"],
    ]),
    ("redirect", "auto", [
        ["-",   "-",  "-",  "-"],
        ["H",   ">a", ">a", "-"],
        ["F",   ">a", "-",  "-"],
        ["F",   ">a", "H",  "-"],
        [">a/", "-",  "-",  "-"],
        ["H",   ">a", ">a", "-"],
        [">a/", "I",  "-",  ">a/"],
        ["H",   "I",  ">a", ">a/"],
    ]),
    ("redirect", "always", [
        ["-",   "-",  "-",   "-"],
        [">a/", "H",  ">a/", "-"],
        ["F",   ">a", "-",   "-"],
        ["F",   "H",  ">a/", "-"],
        [">a/", "-",  "-",   "-"],
        [">a/", "H",  ">a/", "-"],
        [">a/", "I",  "-",   ">a/"],
        [">a/", "I",  "H",   ">a/"],
    ]),
    ("redirect", "never", [
        ["-", "-",  "-",  "-"],
        ["H", ">a", ">a", "-"],
        ["F", ">a", "-",  "-"],
        ["F", ">a", "H",  "-"],
        ["-", "-",  "-",  "-"],
        ["H", ">a", ">a", "-"],
        ["I", ">a", "-",  ">a"],
        ["H", ">a", ">a", ">a/index"],
    ]),
];

/// The path to which `location` leads from the request for `path` (RFC 3986 §5.2).
///
/// # Panics
///
/// If `location` is not relative, or leads above the root.
#[must_use]
pub fn resolve(path: &str, location: &str) -> String {
    let (path, location) = (before_query(path), before_query(location));
    assert!(location.starts_with("./") || location.starts_with("../"), "{location}");
    let mut segments: Vec<&str> = path.split('/').collect();
    segments.pop();
    for segment in location.split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
                assert!(!segments.is_empty(), "{location} leads above the root of {path}");
            }
            segment => segments.push(segment),
        }
    }
    segments.join("/")
}

fn before_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(path, _)| path)
}
