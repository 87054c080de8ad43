//! The library's modules depend in one direction only.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::Import;
use crate::packages::library_package;
use crate::sources::{Source, settle};

/// Each of the library's modules and those that it uses; a module may always use itself and
/// [`EVERYWHERE`].
///
/// The order is that of the layers: a module stands below all that it uses. An arrow that no import
/// needs is a complaint.
const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("log", &[]),
    ("error", &[]),
    ("concurrency", &[]),
    ("fs", &["concurrency"]),
    ("http", &[]),
    ("metrics", &["http"]),
    ("rules", &["http"]),
    ("sendfile", &["concurrency"]),
    ("source", &["http", "fs"]),
    ("codec", &["http"]),
    ("cache", &["fs", "http", "sendfile", "concurrency"]),
    ("memory_cache", &["http"]),
    ("tier", &["cache", "codec", "concurrency", "fs", "metrics"]),
    ("body", &["cache", "concurrency", "fs", "http", "sendfile", "metrics"]),
    ("catalog", &["source", "codec", "http", "fs", "concurrency", "memory_cache"]),
    (
        "encode",
        &[
            "catalog",
            "source",
            "codec",
            "cache",
            "body",
            "http",
            "fs",
            "concurrency",
            "metrics",
            "memory_cache",
            "tier",
        ],
    ),
    (
        "representations",
        &[
            "encode",
            "catalog",
            "source",
            "codec",
            "cache",
            "body",
            "http",
            "fs",
            "concurrency",
            "metrics",
            "memory_cache",
            "sendfile",
            "tier",
        ],
    ),
];

/// The modules that every other may use.
const EVERYWHERE: &[&str] = &["error", "limits", "log"];

/// The top of the library, which may use all of it.
const TOP: &[&str] = &["service", "lib", "fuzz"];

type Layers<'a> = &'a [(&'a str, &'a [&'a str])];

/// The top-level module of a file of the library: `cache` for `cache/maintenance/gc.rs`.
fn module_of(file: &str) -> String {
    let source = Source::new(file, "");
    let room = source.room().unwrap_or_else(|| panic!("{file} is not of the library"));
    room.split('/').next().unwrap_or(room).to_owned()
}

/// Holds `imports` and the modules at `files` against the table `layers`.
fn layers_hold(layers: Layers<'_>, files: &[&str], imports: &[Import]) -> Vec<String> {
    let present: BTreeSet<String> = files.iter().map(|file| module_of(file)).collect();
    let listed = |module: &str| layers.iter().any(|(name, _)| *name == module);
    let is_top = |module: &str| TOP.contains(&module);
    let mut complaints: Vec<String> = present
        .iter()
        .filter(|module| !listed(module) && !is_top(module))
        .map(|module| format!("`{module}` is missing in the table of layers"))
        .collect();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for import in imports {
        let (from, to) = (module_of(&import.from), module_of(&import.to));
        if is_top(&from) {
            continue;
        }
        let wrong = if import.through_root {
            Some("goes round the layers; name the module it is in".to_owned())
        } else if from == to || EVERYWHERE.contains(&to.as_str()) || allows(layers, &from, &to) {
            None
        } else {
            Some(format!("`{from}` must not use `{to}`"))
        };
        let Import { from: file, line, name, .. } = import;
        complaints.extend(wrong.map(|wrong| format!("{file}:{line}: `{name}`: {wrong}")));
        used.entry(from).or_default().insert(to);
    }
    for (module, allowed) in layers {
        let idle =
            allowed.iter().filter(|to| !used.get(*module).is_some_and(|all| all.contains(**to)));
        complaints.extend(idle.map(|to| format!("`{module}` may use `{to}` and does not")));
        if !present.contains(*module) {
            complaints.push(format!("`{module}` in the table of layers is no module"));
        }
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

fn allows(layers: Layers<'_>, from: &str, to: &str) -> bool {
    layers.iter().any(|(name, allowed)| *name == from && allowed.contains(&to))
}

/// The arrows of `layers` that do not lead down.
fn arrows_up(layers: Layers<'_>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (place, (module, allowed)) in layers.iter().enumerate() {
        let above = |used: &&&str| !layers[..place].iter().any(|(name, _)| name == *used);
        let wrong = allowed.iter().filter(above);
        complaints.extend(wrong.map(|used| format!("`{used}` does not stand before `{module}`")));
    }
    complaints
}

#[test]
fn library_modules_depend_downwards() {
    settle(&arrows_up(LAYERS));
    let library = library_package();
    let files: Vec<&str> = library.files.iter().map(String::as_str).collect();
    settle(&layers_hold(LAYERS, &files, &library.imports));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::made_up;

    const TABLE: Layers<'_> = &[("error", &[]), ("fs", &[]), ("cache", &["fs"])];
    const ROOT: &str = "mod error; mod fs; mod cache; mod service; pub use error::Error;";
    const CACHE: &str = "use crate::{error::Error, fs::Disk}; pub struct Cache;";

    fn held(fs: &str, cache: &str) -> Vec<String> {
        let files = [
            ("lib.rs", ROOT),
            ("error.rs", "pub struct Error;"),
            ("fs/mod.rs", "mod os; pub struct Disk;"),
            ("fs/os/mod.rs", fs),
            ("cache.rs", cache),
            ("service.rs", "use crate::cache::Cache; pub struct Service;"),
        ];
        let paths: Vec<String> =
            files.iter().map(|(path, _)| format!("{}{path}", crate::sources::LIBRARY)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        layers_hold(TABLE, &paths, &made_up(&files))
    }

    #[test]
    fn module_that_keeps_to_the_table_passes() {
        assert_eq!(held("use super::Disk;", CACHE), Vec::<String>::new());
    }

    #[test]
    fn arrow_that_the_table_lacks_is_found() {
        for wrong in [
            "use crate::cache::Cache;",
            "use crate::{\n    error::Error,\n    cache::Cache,\n};",
            "use super::super::cache::Cache;",
            "fn f() { crate::service::Service; }",
        ] {
            assert_eq!(held(wrong, CACHE).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn name_taken_from_the_root_is_found() {
        assert_eq!(held("use crate::Error;", CACHE).len(), 1);
        assert_eq!(held("use super::super::Error;", CACHE).len(), 1);
    }

    #[test]
    fn arrow_that_no_import_needs_is_found() {
        assert_eq!(held("", "pub struct Cache;").len(), 1);
        assert_eq!(held("", "pub struct Cache; #[cfg(test)] use crate::fs::Disk;").len(), 1);
    }

    #[test]
    fn module_that_the_table_lacks_is_found_and_the_reverse() {
        let file = format!("{}novelty/mod.rs", crate::sources::LIBRARY);
        assert_eq!(layers_hold(&[], &[file.as_str()], &[]).len(), 1);
        assert_eq!(layers_hold(&[("gone", &[])], &[], &[]).len(), 1);
    }

    #[test]
    fn arrow_up_is_found() {
        assert_eq!(arrows_up(&[("a", &["b"]), ("b", &[])]).len(), 1);
        assert_eq!(arrows_up(&[("a", &[]), ("b", &["a"])]).len(), 0);
    }
}
