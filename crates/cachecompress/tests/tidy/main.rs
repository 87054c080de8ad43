//! What no lint holds: the direction of dependencies, sizes, and the house's words.
//!
//! Every rule is a function from a file's path and text to complaints, with a test that shows that
//! it bites. The texts are read line by line; that is exact enough for sources under rustfmt.

#![allow(clippy::disallowed_methods, reason = "this test reads the sources themselves")]

use std::fs;
use std::path::{Path, PathBuf};

/// Which of the library's modules may use which; a module may always use itself and `error`.
///
/// The order is that of the layers: a module stands below all that it uses.
const LAYERS: [(&str, &[&str]); 9] = [
    ("error", &[]),
    ("metrics", &[]),
    ("concurrency", &[]),
    ("fs", &["concurrency"]),
    ("http", &[]),
    ("sendfile", &["concurrency"]),
    ("source", &["http", "fs", "concurrency"]),
    ("codec", &["http", "fs", "concurrency"]),
    ("cache", &["fs", "concurrency", "http", "sendfile", "metrics"]),
];

/// The top of the library, which may use all of it.
///
/// `body`, `catalog`, `encode` and `representations` are here until the struct that they share is
/// taken apart.
const TOP: [&str; 7] = ["service", "lib", "fuzz", "body", "catalog", "encode", "representations"];

/// Modules in which `unsafe` may stand.
const UNSAFE_ALLOWED: [&str; 1] = ["sendfile"];

/// Words that say nothing, or something else than they mean here: see CONTRIBUTING.md.
const BANNED_WORDS: [&str; 9] =
    ["variant", "manager", "helper", "helpers", "util", "utils", "data", "process", "handle"];

const LONGEST_FUNCTION: usize = 70;
const LONGEST_FILE: usize = 600;

/// A source file of the workspace.
struct Source {
    /// From the workspace's root, with slashes.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The lines before the tests, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
    }

    /// As [`lines`](Self::lines), without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The name of the library's module that this file belongs to.
    fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("crates/cachecompress/src/")?;
        let first = rest.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// Whether all of it is test code.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let folder = self.path.contains("/tests/") || self.path.starts_with("tests/");
        folder || name == "tests.rs" || self.path.starts_with("crates/cachecompress-test/")
    }

    fn complaint(&self, number: usize, what: &str) -> String {
        format!("{}:{number}: {what}", self.path)
    }
}

// --- The rules ---------------------------------------------------------------------------------

/// A module uses only what [`LAYERS`] gives it.
fn dependencies_point_down(source: &Source) -> Vec<String> {
    let Some(module) = source.module().filter(|module| !TOP.contains(module)) else {
        return Vec::new();
    };
    if source.is_test() {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![source.complaint(1, &format!("`{module}` is missing in the table of layers"))];
    };
    let mut complaints = Vec::new();
    for (number, used) in uses(source) {
        let known = LAYERS.iter().any(|(name, _)| *name == used) || TOP.contains(&used.as_str());
        // What is no module is an item that the crate's root exports again.
        let what = match known {
            true if used == module || used == "error" || allowed.contains(&used.as_str()) => {
                continue;
            }
            true => format!("`{module}` must not use `{used}`"),
            false => format!("`crate::{used}` goes round the layers; name the module it is in"),
        };
        complaints.push(source.complaint(number, &what));
    }
    complaints
}

/// The first segment of each path that starts at the crate's root, also inside `use crate::{…}`.
fn uses(source: &Source) -> Vec<(usize, String)> {
    let depth = source.path.matches('/').count() - "crates/cachecompress/src".matches('/').count();
    // `super` from `a/mod.rs` and `a.rs` is the root; from `a/b.rs` it takes two.
    let to_root = if source.path.ends_with("/mod.rs") { depth - 1 } else { depth };
    let up = "super::".repeat(to_root.max(1));
    let mut found = Vec::new();
    let mut open_group: Option<usize> = None;
    for (number, line) in source.code() {
        if let Some(depth) = open_group {
            let (names, depth) = group_members(line, depth);
            found.extend(names.into_iter().map(|name| (number, name)));
            open_group = (depth > 0).then_some(depth);
            continue;
        }
        for root in ["crate::", &up] {
            for (at, _) in line.match_indices(root) {
                let before = line[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                    continue;
                }
                let rest = &line[at + root.len()..];
                if let Some(group) = rest.strip_prefix('{') {
                    let (names, depth) = group_members(group, 1);
                    found.extend(names.into_iter().map(|name| (number, name)));
                    open_group = (depth > 0).then_some(depth);
                } else {
                    found.push((number, first_word(rest)));
                }
            }
        }
    }
    found.retain(|(_, name)| !name.is_empty() && name != "super");
    found
}

/// The names at the top of a `use` group, read from `text` at brace depth `depth`, and the depth
/// at its end.
fn group_members(text: &str, mut depth: usize) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    let mut at_start = true;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 1 => at_start = true,
            c if c.is_alphanumeric() && depth == 1 && at_start => {
                names.push(first_word(&text[at..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    (names, depth)
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Functions stay under [`LONGEST_FUNCTION`] lines; a test that is a long table may be longer.
fn functions_are_short(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    if source.is_test() {
        return complaints;
    }
    let mut open: Vec<(usize, usize, String)> = Vec::new();
    for (number, line) in source.text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let code = line.trim_start();
        if code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test") {
            break;
        }
        let indent = line.len() - code.len();
        if let Some(name) = function_name(code) {
            let ends_here = code.ends_with(';') || code.ends_with('}');
            if !ends_here {
                open.push((indent, number, name));
            }
            continue;
        }
        // The end of a function, or of a signature over several lines that has no body.
        let ends =
            ["}", ");", ")"].contains(&code) || code.starts_with(") -> ") && code.ends_with(';');
        let closes_body = code == "}";
        if open.last().is_some_and(|(depth, _, _)| *depth == indent) && ends {
            if !closes_body && !code.ends_with(';') {
                continue;
            }
            let Some((_, start, name)) = open.pop() else { continue };
            let length = number - start + 1;
            if length >= LONGEST_FUNCTION {
                complaints.push(source.complaint(start, &format!("`{name}` has {length} lines")));
            }
        }
    }
    complaints
}

/// The name of the function that `code` begins to define.
fn function_name(code: &str) -> Option<String> {
    let (before, after) = code.split_once("fn ")?;
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    let only_qualifiers = before.split_whitespace().all(|word| words.contains(&word));
    let name = first_word(after);
    (only_qualifiers && !name.is_empty()).then_some(name)
}

/// Files stay under [`LONGEST_FILE`] lines before their tests.
fn files_are_short(source: &Source) -> Vec<String> {
    let length = source.lines().count();
    let long = length >= LONGEST_FILE && !source.is_test();
    long.then(|| source.complaint(1, &format!("{length} lines before its tests")))
        .into_iter()
        .collect()
}

/// Nothing unfinished, and nothing switched off without a reason.
fn nothing_is_left_lying(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut before = "";
    for (number, line) in source.text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let code = line.trim_start();
        if !code.starts_with("//") {
            for word in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"] {
                if outside_strings(code).contains(word) {
                    complaints.push(source.complaint(number, &format!("`{word}`")));
                }
            }
            let allows = outside_strings(code).contains("allow(dead_code");
            let reasoned =
                before.starts_with("//") || code.contains("//") || code.contains("reason");
            if allows && !reasoned {
                complaints.push(source.complaint(number, "allow(dead_code) without a reason"));
            }
        }
        before = code;
    }
    complaints
}

/// `code` without what stands between quotes.
fn outside_strings(code: &str) -> String {
    code.split('"').step_by(2).collect()
}

/// `unsafe` only where [`UNSAFE_ALLOWED`] says.
fn unsafe_stays_home(source: &Source) -> Vec<String> {
    if source.module().is_some_and(|module| UNSAFE_ALLOWED.contains(&module)) {
        return Vec::new();
    }
    let is_unsafe = |line: &str| {
        let code = outside_strings(line);
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "unsafe") || code.contains("allow(unsafe_code")
    };
    let found = source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//") && is_unsafe(line));
    found.map(|(index, _)| source.complaint(index + 1, "`unsafe` outside its module")).collect()
}

/// The library reaches the file system only through its `fs` module; `sendfile` sends what that has
/// opened.
fn files_go_through_disk(source: &Source) -> Vec<String> {
    // `concurrency::cpu_time` asks the kernel, which keeps no file of ours.
    let may = ["fs", "sendfile", "concurrency"];
    if source.is_test() || source.module().is_none_or(|module| may.contains(&module)) {
        return Vec::new();
    }
    let doors = ["std::fs", "tokio::fs", "cap_std::", "cap_fs_ext::", "rustix::fs"];
    let mut complaints = Vec::new();
    for (number, line) in source.code() {
        let grouped = line.starts_with("use std::{") && group_has(line, "fs");
        if doors.iter().any(|door| line.contains(door)) || grouped {
            complaints.push(source.complaint(number, "the file system outside `fs`"));
        }
    }
    complaints
}

fn group_has(line: &str, name: &str) -> bool {
    let group = line.split_once('{').map_or("", |(_, group)| group);
    group_members(group, 1).0.iter().any(|member| member == name)
}

/// The program uses only what every user of the library can.
fn program_uses_public_api(source: &Source) -> Vec<String> {
    if !source.path.starts_with("crates/cachecompress-server/") {
        return Vec::new();
    }
    let found = source.code().filter(|(_, line)| line.contains("cachecompress::__"));
    found.map(|(number, _)| source.complaint(number, "a hidden module of the library")).collect()
}

/// File names, types and functions carry none of the [`BANNED_WORDS`].
fn names_mean_something(source: &Source) -> Vec<String> {
    let file = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    let mut complaints = Vec::new();
    if let Some(word) = banned_word(file) {
        complaints.push(source.complaint(1, &format!("`{word}` in the file's name")));
    }
    for (number, line) in source.code() {
        let code = line.trim_start();
        // An associated type's name is the trait's choice.
        let associated = code.starts_with("type ") && line.len() > code.len();
        if associated {
            continue;
        }
        let defined = function_name(code).or_else(|| type_name(code));
        if let Some((name, word)) =
            defined.and_then(|name| Some((name.clone(), banned_word(&name)?)))
        {
            complaints.push(source.complaint(number, &format!("`{word}` in the name `{name}`")));
        }
    }
    complaints
}

/// The name of the type, trait or module that `code` begins to define.
fn type_name(code: &str) -> Option<String> {
    let code = code.strip_prefix("pub").map_or(code, |rest| {
        rest.strip_prefix("(crate)").or(rest.strip_prefix("(super)")).unwrap_or(rest).trim_start()
    });
    let kinds = ["struct ", "enum ", "trait ", "type ", "mod ", "union "];
    let rest = kinds.iter().find_map(|kind| code.strip_prefix(kind))?;
    Some(first_word(rest))
}

/// The banned word that is one of the words of `name`, in either case style.
fn banned_word(name: &str) -> Option<&'static str> {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    let first = snake.trim_start_matches('_').split('_').next().unwrap_or_default();
    BANNED_WORDS.into_iter().find(|banned| match *banned {
        // A handle is a thing; to handle is to say nothing.
        "handle" => first == "handle" && snake.starts_with('h') && snake != "handle",
        banned => snake.split('_').any(|word| word == banned),
    })
}

/// Every dependency of a user of ours stands in docs/dependencies.md with its reason.
fn dependencies_have_reasons(manifest: &Source, reasons: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut inside = false;
    for (number, line) in manifest.text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
            continue;
        }
        let end = line.find(['.', ' ', '=']).unwrap_or(0);
        let name = &line[..end];
        let ours = name.starts_with("cachecompress");
        if inside && !name.is_empty() && !line.starts_with('#') && !ours {
            let listed = reasons.lines().any(|reason| reason.contains(&format!("`{name}`")));
            if !listed {
                let what = format!("`{name}` has no line in docs/dependencies.md");
                complaints.push(manifest.complaint(number, &what));
            }
        }
    }
    complaints
}

// --- The workspace held against them -----------------------------------------------------------

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(dir: &str, is_wanted: fn(&str) -> bool) -> Vec<Source> {
    let mut found = Vec::new();
    let entries = fs::read_dir(root().join(dir)).expect("a directory of the workspace");
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a readable name");
        let path = format!("{dir}/{name}");
        if entry.path().is_dir() {
            found.extend(files(&path, is_wanted));
        } else if is_wanted(&name) {
            found.push(Source::new(&path, &fs::read_to_string(entry.path()).expect("UTF-8")));
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let rust = |name: &str| name.ends_with(".rs");
    let found: Vec<Source> = ["crates", "bench", "examples", "xtask"]
        .into_iter()
        .flat_map(|dir| files(dir, rust))
        .collect();
    assert!(found.len() > 15, "the sources are somewhere else");
    found
}

#[track_caller]
fn hold(rule: fn(&Source) -> Vec<String>) {
    let this = "crates/cachecompress/tests/tidy/main.rs";
    let rest = sources().into_iter().filter(|source| source.path != this);
    settle(rest.flat_map(|source| rule(&source)).collect());
}

#[track_caller]
fn settle(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} to mend:\n  {}", complaints.len(), complaints.join("\n  "));
}

#[test]
fn workspace_dependencies_point_down() {
    hold(dependencies_point_down);
}

#[test]
fn workspace_functions_are_short() {
    hold(functions_are_short);
}

#[test]
fn workspace_files_are_short() {
    hold(files_are_short);
}

#[test]
fn workspace_leaves_nothing_lying() {
    hold(nothing_is_left_lying);
}

#[test]
fn workspace_keeps_unsafe_home() {
    hold(unsafe_stays_home);
}

#[test]
fn workspace_goes_through_disk() {
    hold(files_go_through_disk);
}

#[test]
fn workspace_program_uses_public_api() {
    hold(program_uses_public_api);
}

#[test]
fn workspace_names_mean_something() {
    hold(names_mean_something);
}

#[test]
fn workspace_dependencies_have_reasons() {
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).expect("the list");
    let manifests = ["crates", "bench", "examples", "xtask"]
        .into_iter()
        .flat_map(|dir| files(dir, |name| name == "Cargo.toml"));
    settle(manifests.flat_map(|file| dependencies_have_reasons(&file, &reasons)).collect());
}

// --- The rules bite ----------------------------------------------------------------------------

fn library(path: &str, text: &str) -> Source {
    Source::new(&format!("crates/cachecompress/src/{path}"), text)
}

#[track_caller]
fn bites(rule: fn(&Source) -> Vec<String>, source: &Source) {
    assert_eq!(rule(source).len(), 1, "{:?}", rule(source));
}

#[track_caller]
fn passes(rule: fn(&Source) -> Vec<String>, source: &Source) {
    assert_eq!(rule(source), Vec::<String>::new());
}

#[test]
fn wrong_dependencies_are_found() {
    let rule = dependencies_point_down;
    bites(rule, &library("cache/store.rs", "use crate::codec::Encoder;"));
    bites(rule, &library("cache/store.rs", "    let x = crate::service::plan();"));
    bites(rule, &library("fs/mod.rs", "use crate::{error::Error, cache::Cache};"));
    bites(
        rule,
        &library("fs/real.rs", "use crate::{\n    error::{Error, ErrorKind},\n    body::Body,\n};"),
    );
    bites(rule, &library("cache/store.rs", "use super::super::codec::Encoder;"));
    bites(rule, &library("progress.rs", "use super::cache::Cache;"));
    bites(rule, &library("cache/mod.rs", "use crate::Error;"));
    bites(rule, &library("novelty.rs", ""));
}

#[test]
fn right_dependencies_pass() {
    let rule = dependencies_point_down;
    passes(rule, &library("cache/store.rs", "use crate::fs::Disk;\nuse super::entry::Entry;"));
    passes(rule, &library("fs/mod.rs", "use crate::error::Error;\n// use crate::cache::Cache;"));
    passes(rule, &library("fs/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::cache::Cache;"));
    passes(rule, &library("service/mod.rs", "use crate::representations::Select;"));
    passes(rule, &library("lib.rs", "pub use crate::service::ServeCompressed;"));
}

#[test]
fn no_layer_uses_one_above_it() {
    for (place, (module, allowed)) in LAYERS.iter().enumerate() {
        for used in *allowed {
            let below = LAYERS[..place].iter().any(|(name, _)| name == used);
            assert!(below, "`{module}` uses `{used}`, which does not stand before it");
        }
    }
}

#[test]
fn long_functions_are_found() {
    let body = |lines: usize| format!("pub(crate) fn f() {{\n{}}}\n", "    x();\n".repeat(lines));
    bites(functions_are_short, &library("lib.rs", &body(68)));
    passes(functions_are_short, &library("lib.rs", &body(67)));
    let method = format!(
        "impl X {{\n    async fn g(\n        a: u8,\n    ) -> u8 {{\n{}    }}\n}}\n",
        "        x();\n".repeat(70)
    );
    bites(functions_are_short, &library("lib.rs", &method));
    let bodiless = "trait T {\n    fn a(\n        x: u8,\n    ) -> u8;\n";
    passes(
        functions_are_short,
        &library("lib.rs", &format!("{bodiless}{}}}\n", "    fn b();\n".repeat(90))),
    );
}

#[test]
fn long_files_are_found() {
    bites(files_are_short, &library("lib.rs", &"//\n".repeat(600)));
    let tested = "//\n".repeat(599) + "#[cfg(test)]\n" + &"//\n".repeat(900);
    passes(files_are_short, &library("lib.rs", &tested));
}

#[test]
fn loose_ends_are_found() {
    for text in
        ["    todo!()", "unimplemented!(\"x\")", "dbg!(x);", "#[ignore]", "#[ignore = \"slow\"]"]
    {
        bites(nothing_is_left_lying, &library("lib.rs", text));
    }
    bites(nothing_is_left_lying, &library("lib.rs", "#[allow(dead_code)]\nfn f() {}"));
    passes(nothing_is_left_lying, &library("lib.rs", "// Windows only.\n#[allow(dead_code)]"));
    passes(nothing_is_left_lying, &library("lib.rs", "// no todo!() here\nlet x = \"todo!()\";"));
}

#[test]
fn stray_unsafe_is_found() {
    bites(unsafe_stays_home, &library("cache/map.rs", "    unsafe { map() }"));
    bites(unsafe_stays_home, &library("cache/map.rs", "#![allow(unsafe_code)]"));
    passes(unsafe_stays_home, &library("cache/map.rs", "// unsafe\nlet unsafe_name = \"unsafe\";"));
}

#[test]
fn back_doors_to_the_file_system_are_found() {
    bites(files_go_through_disk, &library("cache/store.rs", "use std::fs::File;"));
    bites(files_go_through_disk, &library("source/directory.rs", "use std::{fmt, fs, io};"));
    bites(files_go_through_disk, &library("source/directory.rs", "    cap_std::fs::Dir::open()"));
    passes(files_go_through_disk, &library("fs/linux.rs", "use std::fs::File;"));
    passes(
        files_go_through_disk,
        &library("cache/store.rs", "use crate::fs::Disk;\n/// [`std::fs`]"),
    );
}

#[test]
fn a_program_with_privileges_is_found() {
    let server = |text| Source::new("crates/cachecompress-server/src/main.rs", text);
    bites(program_uses_public_api, &server("use cachecompress::__internal::Cache;"));
    passes(program_uses_public_api, &server("use cachecompress::Cache;"));
}

#[test]
fn empty_names_are_found() {
    for path in ["utils.rs", "cache/manager.rs", "cache_helpers.rs"] {
        bites(names_mean_something, &library(path, ""));
    }
    for text in [
        "pub struct CacheManager;",
        "fn process_file() {}",
        "enum Variant {",
        "pub(crate) async fn handle_request() {}",
        "mod data;",
    ] {
        bites(names_mean_something, &library("lib.rs", text));
    }
    for text in [
        "pub struct Handle;",
        "fn processed() {}",
        "struct Metadata;",
        "fn handle() {}",
        "let data = 1;",
    ] {
        passes(names_mean_something, &library("lib.rs", text));
    }
}

#[test]
fn unreasoned_dependencies_are_found() {
    let text =
        "[dependencies]\nbytes.workspace = true\n[dev-dependencies]\nproptest.workspace = true\n";
    let manifest = Source::new("crates/x/Cargo.toml", text);
    assert_eq!(dependencies_have_reasons(&manifest, "").len(), 1);
    assert!(dependencies_have_reasons(&manifest, "| `bytes` | shared buffers |").is_empty());
}
