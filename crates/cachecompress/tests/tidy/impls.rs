//! The methods of a type lie in its own folder.

use std::collections::BTreeMap;

use syn::{Item, Type};

use crate::sources::{Source, rust_files, settle};

/// One complaint for each `impl` of a type's own methods that lies outside the folder of the file
/// that defines the type.
fn methods_stay_with_their_type(sources: &[Source]) -> Vec<String> {
    let mut homes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut impls = Vec::new();
    for source in sources {
        for item in source.production().items {
            match item {
                Item::Struct(item) => homes.entry(item.ident.to_string()).or_default(),
                Item::Enum(item) => homes.entry(item.ident.to_string()).or_default(),
                Item::Impl(item) if item.trait_.is_none() => {
                    if let Some(name) = name_of(&item.self_ty) {
                        impls.push((name, source));
                    }
                    continue;
                }
                _ => continue,
            }
            .push(folder(&source.path));
        }
    }
    let is_away = |(name, source): &&(String, &Source)| {
        let homes = homes.get(name).map_or(&[][..], Vec::as_slice);
        !homes.iter().any(|home| source.path.starts_with(home))
    };
    let away = impls.iter().filter(is_away);
    away.map(|(name, source)| format!("{}: methods of `{name}` far from it", source.path)).collect()
}

/// The folder of `path`, with its last slash.
fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |end| &path[..=end])
}

fn name_of(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

#[test]
fn methods_lie_in_the_folder_of_their_type() {
    for folder in ["crates/cachecompress/src/", "crates/cachecompress-server/src/"] {
        let sources: Vec<_> =
            rust_files().into_iter().filter(|source| source.path.starts_with(folder)).collect();
        assert!(sources.len() > 15, "the sources are somewhere else");
        settle(&methods_stay_with_their_type(&sources));
    }
}

#[test]
fn methods_far_from_their_type_are_found() {
    let file = |path: &str, text: &str| Source::new(path, text);
    let near = file("src/a/mod.rs", "struct Near; struct Far; trait T {}");
    let child = file("src/a/b/c.rs", "impl Near { fn f() {} }");
    let other = file("src/d.rs", "impl T for Far {} impl Far { fn f() {} }");
    assert_eq!(methods_stay_with_their_type(&[near, child, other]).len(), 1);
}
