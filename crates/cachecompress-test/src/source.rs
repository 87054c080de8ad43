//! The promises of every [`Source`], as a suite.

use std::collections::BTreeSet;

use cachecompress::source::{Content, Found, Source, SourceFile};
use cachecompress::{Digest, SourcePath};

/// Files by path.
pub type Site = Vec<(String, Vec<u8>)>;

/// Holds the sources that `make` makes of files against the promises of [`Source`].
///
/// # Panics
///
/// At the first promise that is not kept.
pub fn conformance<S: Source>(make: impl Fn(&Site) -> S) {
    let site = site();
    check(&make(&site), &site);
    check(&make(&Site::new()), &Site::new());
    for file in &site {
        let alone = vec![file.clone()];
        check(&make(&alone), &alone);
    }
}

/// Checks that the sources of `make` hide names that start with a dot.
///
/// # Panics
///
/// At the first promise that is not kept.
pub fn hides_dotfiles<S: Source>(make: impl Fn(&Site) -> S) {
    let file = |path: &str| (path.to_owned(), path.as_bytes().to_vec());
    let seen = vec![
        file(".well-known/security.txt"),
        file(".well-known/acme/token"),
        file("a.b"),
        file("dir/index.html"),
    ];
    let hidden = [
        ".env",
        ".git/config",
        "dir/.htaccess",
        "dir/.deep/file",
        "dir/.well-known/not-at-the-root",
        ".well-known/.hidden",
        "...",
    ];
    let mut all = seen.clone();
    all.extend(hidden.map(file));
    let source = make(&all);
    check(&source, &seen);
    for path in hidden.into_iter().chain([".git", "dir/.deep", "dir/.well-known"]) {
        expect_nothing(&source, path);
    }
}

/// Holds a source that has exactly the files of `site` against the promises of [`Source`].
///
/// # Panics
///
/// At the first promise that is not kept.
pub fn check(source: &dyn Source, site: &Site) {
    let root = source.lookup(&SourcePath::root()).unwrap();
    assert!(matches!(root, Found::Directory), "the root is {root:?}");
    let mut directories = BTreeSet::new();
    for (path, bytes) in site {
        expect_file(source, path, bytes);
        for (slash, _) in path.match_indices('/') {
            directories.insert(&path[..slash]);
        }
    }
    for path in &directories {
        let found = lookup(source, path);
        assert!(matches!(found, Found::Directory), "{path:?} is {found:?}");
    }
    expect_neighbours_missing(source, site, &directories);

    let mut expected: Vec<_> = site.iter().map(|(path, _)| parse(path)).collect();
    expected.sort_unstable();
    assert_eq!(source.paths().unwrap(), expected);
    expect_files_in_memory(source, &expected);
}

/// A source that lists files in memory lists all of `paths` whose buffers stay where they are.
fn expect_files_in_memory(source: &dyn Source, paths: &[SourcePath]) {
    let listed = source.files_in_memory();
    let buffer = |path| match source.lookup(path).unwrap() {
        Found::File(SourceFile { content: Content::Bytes(bytes), .. }) => Some(bytes),
        _ => None,
    };
    for path in paths.iter().filter(|_| !listed.is_empty()) {
        let Some(bytes) = buffer(path) else { continue };
        let is_it = |(of, listed): &(SourcePath, bytes::Bytes)| {
            of == path && listed.as_ptr() == bytes.as_ptr() && listed.len() == bytes.len()
        };
        assert!(listed.iter().any(is_it), "{path:?} is in memory and not listed");
    }
}

fn expect_neighbours_missing(source: &dyn Source, site: &Site, directories: &BTreeSet<&str>) {
    let there =
        |path: &str| directories.contains(path) || site.iter().any(|(file, _)| file == path);
    for (path, _) in site {
        expect_nothing(source, &format!("{path}/x"));
        expect_nothing(source, &format!("{path}/x/y"));
        let end = path.char_indices().next_back().map_or(0, |(last, _)| last);
        for neighbour in [format!("{path}x"), format!("{path}.gz"), path[..end].to_owned()] {
            if !neighbour.is_empty() && !neighbour.ends_with('/') && !there(&neighbour) {
                expect_nothing(source, &neighbour);
            }
        }
    }
    for path in ["missing", "missing/deep", "index.htm", "*", "%2e%2e", "~", "C:", "CON"] {
        if !there(path) {
            expect_nothing(source, path);
        }
    }
    expect_nothing(source, &"x".repeat(256));
    expect_nothing(source, &"x".repeat(5000));
    expect_nothing(source, &["x"; 3000].join("/"));
    let not_utf8 = SourcePath::parse(b"not\xFFutf-8").unwrap();
    assert!(matches!(source.lookup(&not_utf8).unwrap(), Found::Nothing));
}

fn parse(path: &str) -> SourcePath {
    SourcePath::parse(path.as_bytes()).unwrap_or_else(|| panic!("no source path: {path:?}"))
}

/// Looks up a path.
///
/// # Panics
///
/// If the lookup fails, or `path` is no source path.
#[must_use]
pub fn lookup(source: &dyn Source, path: &str) -> Found {
    let found = source.lookup(&parse(path)).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    // The lookup has brought the directories on the way into the kernel's memory.
    match (source.lookup_nowait(&parse(path)), &found) {
        (None, _)
        | (Some(Found::Nothing), Found::Nothing)
        | (Some(Found::Directory), Found::Directory) => {}
        (Some(Found::File(now)), Found::File(file)) => {
            assert!(read(&now) == read(file), "{path:?}");
            if let (Content::File { fingerprint: now, .. }, Content::File { fingerprint, .. }) =
                (&now.content, &file.content)
            {
                assert_eq!(now, fingerprint, "{path:?}");
            }
        }
        (now, found) => panic!("{path:?} is {found:?}, and without a wait {now:?}"),
    }
    found
}

/// Reads `file`, and checks its fingerprint.
///
/// # Panics
///
/// If the bytes cannot be read, or the fingerprint is another one.
#[must_use]
pub fn read(file: &SourceFile) -> Vec<u8> {
    match &file.content {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::File { file, fingerprint } => {
            assert_eq!(file.stat().unwrap().fingerprint, *fingerprint);
            let mut bytes = vec![0; usize::try_from(fingerprint.size).unwrap() + 1];
            let mut len = 0;
            loop {
                match file.read_at(&mut bytes[len..], len as u64).unwrap() {
                    0 => break,
                    read => len += read,
                }
            }
            bytes.truncate(len);
            bytes
        }
        other => panic!("unknown content: {other:?}"),
    }
}

/// Expects the file `path` with `bytes`, and their digest if it has one.
///
/// # Panics
///
/// If the lookup finds anything else.
pub fn expect_file(source: &dyn Source, path: &str, bytes: &[u8]) {
    for _ in 0..2 {
        let found = lookup(source, path);
        let Found::File(file) = found else { panic!("{path:?} is {found:?}") };
        assert!(read(&file) == bytes, "{path:?} has other bytes");
        assert_eq!(file.content.len(), bytes.len() as u64);
        assert_eq!(file.content.is_empty(), bytes.is_empty());
        if let Some(digest) = file.digest {
            assert_eq!(digest, Digest::of(bytes), "{path:?}");
        }
    }
}

/// Expects that nothing is found at `path`.
///
/// # Panics
///
/// If the lookup finds anything.
pub fn expect_nothing(source: &dyn Source, path: &str) {
    let found = lookup(source, path);
    assert!(matches!(found, Found::Nothing), "{path:?} is {found:?}");
}

/// Files whose names and sizes try a source.
#[must_use]
pub fn site() -> Site {
    let long_name = "n".repeat(200);
    let long_path = vec![&*long_name; 14].join("/");
    let noise: Vec<u8> =
        (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let files: [(&str, &[u8]); 18] = [
        ("index.html", b"<!doctype html>"),
        ("a.txt", b"a"),
        ("a.txt.br", b"a sibling that is no encoding"),
        ("empty", b""),
        ("dir/index.html", b"<!doctype html><title>dir</title>"),
        ("dir/sub/noise.bin", &noise),
        ("dir.d/inner.txt", b"a directory that looks like a file"),
        ("dir-", b"sorts between dir and dir/"),
        ("UPPER/Case.TXT", b"upper"),
        ("with space/and more .txt", b"space"),
        ("\u{fc}n\u{ef}/\u{65e5}\u{672c}\u{8a9e}.txt", b"utf-8"),
        ("percent%20%2e%2e%2f.txt", b"percent"),
        ("odd/+&=;,@$'()!#[]{}~^`.txt", b"odd"),
        ("dots/a..b..txt", b"no dot segments"),
        ("dots/a..", b"nor here"),
        (".well-known/security.txt", b"Contact: mailto:security@example.org"),
        (&long_name, b"a long name"),
        (&format!("long/{long_path}"), b"a long path"),
    ];
    files.map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).to_vec()
}
