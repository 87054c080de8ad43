//! A stdout whose reader has left, or whose disk is full.

#![cfg(unix)]

use std::process::{Command, Output, Stdio};

use cachecompress_test::server::command;

use crate::common::*;

/// A site, and a cache with an entry of it.
struct Stage {
    site: Site,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let site = Site::with("a.txt", &site::text(1, 9000));
        let stage = Self { site, directory: tempfile::tempdir().unwrap() };
        let mut warm = stage.command("warm SITE");
        assert!(works(&mut warm), "{warm:?}");
        stage
    }

    fn command(&self, arguments: &str) -> Command {
        let mut program = command(Path::new(PROGRAM));
        let site = self.site.path().to_str().unwrap();
        let words = arguments.split(' ').map(|word| if word == "SITE" { site } else { word });
        program.args(words).env("CACHECOMPRESS_CACHE_DIR", self.directory.path().join("cache"));
        program.current_dir(self.directory.path()).stdin(Stdio::null()).stderr(Stdio::piped());
        program
    }

    fn run(&self, arguments: &str, stdout: Stdio) -> Output {
        self.command(arguments).stdout(stdout).spawn().unwrap().wait_with_output().unwrap()
    }
}

/// The commands that print, none of which finds a problem.
const PRINTING: [&str; 14] = [
    "--help",
    "--version",
    "serve --help",
    "warm SITE",
    "warm SITE --json",
    "verify",
    "inspect",
    "inspect --json",
    "inspect SITE /a.txt",
    "config print",
    "config schema",
    "generate completions bash",
    "gc",
    "purge --all",
];

#[test]
fn reader_that_leaves_is_no_failure() {
    let stage = Stage::new();
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let Output { status, stderr, .. } = stage.run(arguments, writer.into());
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.success(), "{arguments}: {status} {stderr}");
        // `warm` shows its progress there.
        assert!(stderr.is_empty() || arguments.starts_with("warm"), "{arguments}: {stderr}");
        assert!(!stderr.contains("stdout"), "{arguments}: {stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_under_stdout_is_one_sentence_and_exit_code_1() {
    let stage = Stage::new();
    for arguments in PRINTING {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let Output { status, stderr, .. } = stage.run(arguments, full.into());
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{arguments}: {stderr}");
        let sentences: Vec<_> =
            stderr.lines().filter(|line| line.starts_with("cachecompress: ")).collect();
        assert_eq!(sentences.len(), 1, "{arguments}: {stderr}");
        assert!(sentences[0].starts_with("cachecompress: cannot write to stdout: "), "{stderr}");
    }
    assert!(cache_dir::entries(&stage.directory.path().join("cache")).is_empty(), "it was purged");
}

#[cfg(target_os = "linux")]
#[test]
fn warm_goes_on_where_stderr_cannot_be_written() {
    let stage = Stage::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut warm = stage.command("warm SITE");
    let run = warm.stderr(full).output().unwrap();
    assert!(run.status.success(), "{run:?}");
}
