//! `generate`: the man pages, the completions of shells and the reference.

use std::process::{Command, Stdio};

use cachecompress_test::server::{command, output};
use cachecompress_test::tools::require;

use crate::common::*;

#[track_caller]
fn generate(arguments: &[&str]) -> String {
    let mut generate = command(Path::new(PROGRAM));
    let done = output(generate.arg("generate").args(arguments).stdin(Stdio::null()));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn every_command_has_a_man_page() {
    let directory = tempfile::tempdir().unwrap();
    generate(&["man", directory.path().to_str().unwrap()]);
    let pages = fs::read_dir(&directory).unwrap().map(|page| page.unwrap().file_name());
    let pages: Vec<String> = pages.map(|name| name.into_string().unwrap()).collect();
    for command in ["", "-serve", "-verify", "-gc", "-get", "-config-check", "-healthcheck"] {
        let name = format!("cachecompress{command}.1");
        assert!(pages.contains(&name), "{name} is not among {pages:?}");
    }
    let serve = fs::read_to_string(directory.path().join("cachecompress-serve.1")).unwrap();
    for part in ["\\-\\-cache\\-size", "CACHECOMPRESS_CACHE_SIZE", "Exit codes"] {
        assert!(serve.contains(part), "{part:?} is not in {serve}");
    }
}

#[test]
fn bash_completes_commands_and_flags() {
    let Some(bash) = require("bash") else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("completions");
    fs::write(&file, generate(&["completions", "bash"])).unwrap();
    let script = r#"
        . "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _cachecompress cachecompress "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        echo "${COMPREPLY[@]}"
    "#;
    for (line, completed) in [
        ("cachecompress ver", "verify"),
        ("cachecompress serve --cache-s", "--cache-size"),
        ("cachecompress serve --clean-urls re", "redirect"),
        ("cachecompress config ch", "check"),
    ] {
        let mut complete = Command::new(&bash);
        complete.args(["--norc", "-c", script, "bash"]).arg(&file).args(line.split(' '));
        let done = output(complete.stdin(Stdio::null()));
        let stdout = String::from_utf8_lossy(&done.stdout);
        assert_eq!(stdout.trim(), completed, "{line}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn man_pages_in_a_missing_directory_are_a_failure() {
    let mut generate = command(Path::new(PROGRAM));
    let done = output(generate.args(["generate", "man", "/no/such/directory"]));
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/no/such/directory"), "{stderr}");
}

#[test]
fn reference_is_that_of_the_book() {
    let directory = tempfile::tempdir().unwrap();
    generate(&["reference", directory.path().to_str().unwrap()]);
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for name in ["flags.md", "keys.md"] {
        let read = |directory: &Path| fs::read_to_string(directory.join(name)).unwrap();
        assert!(
            read(directory.path()) == read(&book),
            "docs/reference/{name} is old: `cargo run -- generate reference docs/reference`"
        );
    }
}
