//! Holds the comparison with tower-http to its list of differences, and `docs/from-tower-http.md`
//! to the comparison.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeSet;

use cachecompress::{Memory, ServeCompressed};

/// The output of `beside_tower_http` as it is expected.
const EXPECTED: &str = include_str!("beside_tower_http.txt");
const PAGE: &str = include_str!("../../docs/from-tower-http.md");
/// The code that builds the services of the comparison.
const PAIRS: &str = include_str!("../src/bin/beside_tower_http/pairs.rs");

/// The methods of `ServeDir` and `ServeFile` in tower-http 0.7.1.
const METHODS: [&str; 18] = [
    "ServeDir::new",
    "ServeDir::with_backend",
    "ServeFile::new",
    "ServeFile::new_with_mime",
    ".append_index_html_on_directories",
    ".redirect_to_trailing_slash",
    ".html_as_default_extension",
    ".redirect_path_prefix",
    ".with_buf_chunk_size",
    ".ignore_multi_range_requests",
    ".precompressed_gzip",
    ".precompressed_br",
    ".precompressed_deflate",
    ".precompressed_zstd",
    ".fallback",
    ".not_found_service",
    ".call_fallback_on_method_not_allowed",
    ".try_call",
];

/// The methods that tower-http has no like of, as the page quotes them.
#[test]
fn methods_besides_are_accepted_by_the_builder() {
    let builder = ServeCompressed::builder(Memory::new())
        .default_cache_control("no-cache")
        .immutable(true)
        .immutable_paths("assets/**")
        .header("**/*.json", "access-control-allow-origin", "*")
        .exclude("**/*.map")
        .spa(true);
    assert!(builder.build().is_ok());
}

/// Links need a Unix.
#[cfg(unix)]
#[test]
fn comparison_differs_exactly_as_listed() {
    let program = env!("CARGO_BIN_EXE_beside_tower_http");
    let output = std::process::Command::new(program).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let mut request = "";
    for (line, (found, expected)) in found.lines().zip(EXPECTED.lines()).enumerate() {
        if !found.starts_with(' ') {
            request = found;
        }
        assert_eq!(found, expected, "line {} of the list, at {request:?}", line + 1);
    }
    assert_eq!(found.lines().count(), EXPECTED.lines().count());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
}

/// The reasons in the list: the words behind the statuses.
fn reasons() -> BTreeSet<&'static str> {
    let named = EXPECTED.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = named.flat_map(|line| line.split_once(": ").unwrap().1.split(", "));
    names.filter(|name| *name != "the same").collect()
}

/// The cells of each row of the page's tables below the heading `section`.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let heading = format!("## {section}\n");
    let from = PAGE.split_once(heading.as_str()).unwrap().1;
    let section = from.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The pieces of code in a cell.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn page_has_the_reasons_of_the_comparison_and_no_other() {
    let rows = rows("What differs, and why");
    let named: Vec<&str> = rows.iter().flat_map(|row| code(row[0])).collect();
    let unique: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(unique.len(), named.len(), "a reason stands there twice");
    assert_eq!(unique, reasons());
}

#[test]
fn page_has_the_totals_of_the_comparison() {
    let totals = EXPECTED.lines().find(|line| line.contains(" requests. ")).unwrap();
    let (requests, rest) = totals.split_once(" requests. ").unwrap();
    let (same, _) = rest.split_once(' ').unwrap();
    let page = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&format!("the same {requests} requests to both")), "{requests}");
    assert!(page.contains(&format!("{same} requests get the same status")), "{same}");
}

#[test]
fn page_has_every_method_of_tower_http() {
    let rows = [rows("ServeDir"), rows("ServeFile")].concat();
    let left: Vec<&str> = rows.iter().flat_map(|row| code(row[0])).collect();
    for method in METHODS {
        let call = format!("{method}(");
        assert!(left.iter().any(|code| code.starts_with(&call)), "{method} is not on the page");
    }
}

#[test]
fn page_quotes_code_that_is_compiled() {
    let bare = |code: &str| code.split_whitespace().collect::<String>();
    let compiled = bare(PAIRS);
    let rows = [rows("ServeDir"), rows("ServeFile")].concat();
    let cells = rows.iter().flat_map(|row| [row[0], row[1]]).flat_map(code);
    let besides = PAGE.split_once("## What we have besides\n").unwrap().1;
    let besides = besides.split("\n## ").next().unwrap();
    let here = bare(include_str!("from_tower_http.rs"));
    for code in code(besides).filter(|code| code.starts_with('.')) {
        assert!(here.contains(&bare(code)), "this file does not have {code}");
    }
    let blocks = PAGE.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    for code in cells.chain(blocks) {
        assert!(compiled.contains(&bare(code)), "pairs.rs does not have {code}");
    }
}

#[test]
fn missing_directory_is_an_error_of_ours_alone() {
    let _ = tower_http::services::ServeDir::new("no/such/directory");
    assert!(cachecompress::Directory::new("no/such/directory").is_err());
}
