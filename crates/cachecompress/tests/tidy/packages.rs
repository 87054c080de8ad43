//! The workspace's packages and the imports between their files.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{Import, imports};
use crate::modules::{Texts, Tree};
use crate::sources::{Source, files, rust_files};

/// A package's name, its files without those of tests, and the imports of all its crates.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) files: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
}

/// Every package of the workspace.
pub(crate) fn packages() -> Vec<Package> {
    let texts = rust_files().into_iter().map(|file| (file.path, file.text)).collect();
    let manifests = files("Cargo.toml");
    let found: Vec<Package> = manifests.iter().map(|file| package(file, &texts)).collect();
    assert!(found.len() >= 7, "the packages are somewhere else");
    found
}

/// The library.
pub(crate) fn library_package() -> Package {
    let library = packages().into_iter().find(|package| package.name == "cachecompress");
    let library = library.expect("the library is a package");
    assert!(library.imports.len() > 100, "the library's imports are not read");
    library
}

fn package(manifest: &Source, texts: &Texts) -> Package {
    let folder = manifest.path.strip_suffix("Cargo.toml").expect("a manifest");
    let name = manifest.text.lines().find_map(|line| line.strip_prefix("name = "));
    let roots: Vec<&String> = texts.keys().filter(|path| is_root(path, folder)).collect();
    assert!(!roots.is_empty(), "{folder} has no crate");
    let trees: Vec<Tree> = roots.into_iter().map(|root| Tree::read(texts, root)).collect();
    let modules = trees.iter().flat_map(|tree| &tree.modules);
    Package {
        name: name.expect("a package has a name").trim_matches('"').to_owned(),
        files: modules.map(|module| module.file.clone()).collect(),
        imports: trees.iter().flat_map(imports).collect(),
    }
}

/// Whether `path` is the root of a library or program of the package in `folder`.
fn is_root(path: &str, folder: &str) -> bool {
    let Some(below) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix("src/")) else {
        return false;
    };
    let program = below.strip_prefix("bin/");
    let nested = |rest: &str| rest.matches('/').count() == 1 && rest.ends_with("/main.rs");
    below == "lib.rs"
        || below == "main.rs"
        || program.is_some_and(|rest| !rest.contains('/') || nested(rest))
}

/// The imports of a made-up library whose files lie in `crates/cachecompress/src`.
pub(crate) fn made_up(files: &[(&str, &str)]) -> Vec<Import> {
    let folder = crate::sources::LIBRARY;
    let texts: BTreeMap<String, String> =
        files.iter().map(|(path, text)| (format!("{folder}{path}"), (*text).to_owned())).collect();
    imports(&Tree::read(&texts, &format!("{folder}lib.rs")))
}
