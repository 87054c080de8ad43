//! A site, a cache, and the program's `warm` over them.

use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Output, Stdio};

use cachecompress_test::server::{command, output};
use tempfile::TempDir;

use crate::common::*;

/// The codings with the ends of their files.
pub(crate) const CODED: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

/// A directory with a site and a cache.
pub(crate) struct Stage {
    pub(crate) site: Site,
    directory: TempDir,
}

/// A run of the program that has ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// Three files that are compressed, and three that are not: a picture, a short and a dull one.
    pub(crate) fn new() -> Self {
        let stage = Self { site: Site::new(), directory: TempDir::with_prefix("warm-").unwrap() };
        stage.site.write("index.html", &site::text(1, 40_000));
        stage.site.write("js/app.js", &site::text(2, 90_000));
        stage.site.write("js/app.js.map", &site::text(3, 50_000));
        stage.site.write("css/page.css", &site::text(4, 3000));
        stage.site.write("logo.png", &site::text(5, 9000));
        stage.site.write("robots.txt", b"User-agent: *\n");
        stage.site.write("noise.bin", &site::random(6, 30_000));
        stage
    }

    /// The paths of the files that are compressed unless more is asked for.
    pub(crate) const WORTH_IT: [&str; 3] = ["index.html", "js/app.js", "css/page.css"];

    /// The path of a file beside the site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command `warm` of this site, with its cache and these flags.
    pub(crate) fn command(&self, flags: &[&str]) -> Command {
        let mut warm = command(Path::new(PROGRAM));
        warm.arg("warm").arg(self.site.path()).arg("--cache-dir").arg(self.path("cache"));
        warm.args(flags).current_dir(self.directory.path()).stdin(Stdio::null());
        warm
    }

    /// Runs `warm` to its end.
    pub(crate) fn warm(&self, flags: &[&str]) -> Run {
        Run::of(output(&mut self.command(flags)))
    }

    /// Runs `warm --json`, which must end well, and returns its report.
    #[track_caller]
    pub(crate) fn report(&self, flags: &[&str]) -> serde_json::Value {
        let run = self.warm(&[flags, &["--json"]].concat());
        assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// A server of the site with the same cache.
    pub(crate) fn server(&self, flags: &str) -> Server {
        launch(&self.site).cache(&self.path("cache")).args(flags).start()
    }

    /// The names and states of all files of the site.
    pub(crate) fn listing(&self) -> Vec<(PathBuf, i64, i64, u64)> {
        let files = site::files_below(self.site.path()).into_iter();
        let mut files: Vec<_> = files
            .map(|file| {
                let state = fs::metadata(&file).unwrap();
                (file, state.mtime_nsec(), state.ctime_nsec(), state.ino())
            })
            .collect();
        files.sort();
        files
    }
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let Output { status, stdout, stderr } = output;
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Asserts the exit code, and that stdout has all of these parts.
    #[track_caller]
    pub(crate) fn assert(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        for part in parts {
            assert!(self.stdout.contains(part), "no {part:?} in: {}", self.stdout);
        }
    }
}
