//! `unsafe` and the file system stay in their modules, and the program uses the public API.

use proc_macro2::TokenTree;

use crate::mentions::paths_of_all;
use crate::sources::{Source, hold, rust_files};
use crate::syntax::{each_stretch, is_ident};

/// The library's files, or folders of them, in which `unsafe` may stand.
const UNSAFE_ALLOWED: &[&str] = &["sendfile/map", "concurrency/priority"];

/// The library's modules that may reach the file system: `sendfile` sends what `fs` has opened,
/// and `concurrency::cpu_time` asks the kernel, which keeps no file of ours.
const FILES_ALLOWED: &[&str] = &["fs", "sendfile", "concurrency/cpu_time"];

/// The paths that lead to the file system.
const DOORS_TO_FILES: &[&str] = &["std::fs", "tokio::fs", "cap_std", "cap_fs_ext", "rustix::fs"];

/// `unsafe` stands only where [`UNSAFE_ALLOWED`] says, in tests too.
fn unsafe_stays_home(source: &Source) -> Vec<String> {
    if source.lies_in(UNSAFE_ALLOWED) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    each_stretch(source.tokens(), &mut |tokens| {
        let words = tokens.iter().filter(|token| is_ident(token, "unsafe"));
        let permits = tokens.windows(2).filter(|pair| permits_unsafe(pair)).map(|pair| &pair[0]);
        complaints.extend(words.chain(permits).map(|token| {
            source.complaint(token.span().start().line, "`unsafe` outside its module")
        }));
    });
    complaints
}

/// Whether these two tokens are `allow(unsafe_code)` or `expect(unsafe_code)`, with a reason or
/// without.
fn permits_unsafe(pair: &[TokenTree]) -> bool {
    let [word, TokenTree::Group(group)] = pair else { return false };
    let permits = is_ident(word, "allow") || is_ident(word, "expect");
    permits && group.stream().into_iter().any(|token| is_ident(&token, "unsafe_code"))
}

/// The library reaches the file system only through [`FILES_ALLOWED`].
fn files_go_through_fs(source: &Source) -> Vec<String> {
    if source.is_test() || source.room().is_none() || source.lies_in(FILES_ALLOWED) {
        return Vec::new();
    }
    let paths = paths_of_all(&source.production().items).into_iter();
    let found = paths.filter(|path| {
        let written = path.segments.join("::") + "::";
        DOORS_TO_FILES.iter().any(|door| written.starts_with(&format!("{door}::")))
    });
    found.map(|path| source.complaint(path.line, "the file system outside `fs`")).collect()
}

/// The program uses only what every user of the library can.
fn program_uses_public_api(source: &Source) -> Vec<String> {
    if !source.path.starts_with("crates/cachecompress-server/") {
        return Vec::new();
    }
    let paths = paths_of_all(&source.production().items).into_iter();
    let hidden = paths.filter(|path| {
        path.segments.first().is_some_and(|first| first == "cachecompress")
            && path.segments.get(1).is_some_and(|second| second.starts_with("__"))
    });
    hidden.map(|path| source.complaint(path.line, "a hidden module of the library")).collect()
}

#[test]
fn workspace_keeps_unsafe_home() {
    hold(unsafe_stays_home);
}

#[test]
fn library_goes_through_fs() {
    hold(files_go_through_fs);
}

#[test]
fn program_goes_through_the_public_api() {
    hold(program_uses_public_api);
}

#[test]
fn homes_of_unsafe_and_files_exist() {
    let sources = rust_files();
    for room in UNSAFE_ALLOWED.iter().chain(FILES_ALLOWED) {
        assert!(sources.iter().any(|source| source.lies_in(&[room])), "there is no `{room}`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{bites, library, passes};

    #[test]
    fn stray_unsafe_is_found() {
        let rule = unsafe_stays_home;
        bites(rule, &library("cache/map.rs", "fn f() { unsafe { map() } }"));
        bites(rule, &library("cache/map.rs", "#![allow(unsafe_code)]"));
        bites(
            rule,
            &library("cache/map.rs", "#[cfg(test)] mod tests { unsafe impl Send for X {} }"),
        );
        bites(rule, &library("cache/map.rs", "#[cfg_attr(unix, allow(dead_code, unsafe_code))]"));
        bites(rule, &library("cache/map.rs", "wrap! { unsafe }"));
        passes(rule, &library("cache/map.rs", "#![forbid(unsafe_code)]"));
        passes(rule, &library("cache/map.rs", "// unsafe\nconst UNSAFE: &str = \"unsafe\";"));
        passes(rule, &library("sendfile/map.rs", "fn f() { unsafe { map() } }"));
    }

    #[test]
    fn back_door_to_the_file_system_is_found() {
        let rule = files_go_through_fs;
        for text in [
            "use std::fs::File;",
            "use std::{fmt, fs, io};",
            "use ::tokio::fs;",
            "use cap_std as cap;",
            "fn f() { cap_std::fs::Dir::open() }",
            "mod inner { fn f() { println!(\"{:?}\", std::fs::read(\"x\")); } }",
        ] {
            bites(rule, &library("source/directory.rs", text));
        }
        passes(rule, &library("fs/linux.rs", "use std::fs::File;"));
        passes(
            rule,
            &library("cache/store.rs", "use crate::fs::Disk;\n/// [`std::fs`]\nfn f() {}"),
        );
        passes(rule, &library("cache/store.rs", "#[cfg(test)]\nuse std::fs;"));
    }

    #[test]
    fn program_with_privileges_is_found() {
        let server = |text| Source::new("crates/cachecompress-server/src/main.rs", text);
        bites(program_uses_public_api, &server("use cachecompress::__internal::Cache;"));
        bites(program_uses_public_api, &server("fn f() { cachecompress::__internal::f() }"));
        passes(program_uses_public_api, &server("use cachecompress::Cache;"));
    }
}
