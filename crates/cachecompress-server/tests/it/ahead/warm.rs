//! The cache is filled ahead of requests.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use cachecompress_test::server::{command, output};
use rustix::process::{Pid, Signal, kill_process};

use super::stage::{Run, Stage};
use crate::common::*;

#[test]
fn warmed_files_are_hits_of_a_server() {
    let stage = Stage::new();
    let run = stage.warm(&[]);
    run.assert(
        0,
        &["text/html", "text/javascript", "9 compressed (0 reused), 3 would not save 5 %"],
    );
    let title = run.stdout.lines().next().unwrap();
    let words: Vec<_> = title.split_whitespace().collect();
    assert_eq!(words, ["type", "files", "before", "br", "zstd", "gzip", "reused", "time"]);
    let server = stage.server("");
    for path in Stage::WORTH_IT {
        for coding in ["br", "zstd", "gzip"] {
            let response = server.get(&format!("/{path}"), coding);
            assert_is(&response, &fs::read(stage.site.file(path)).unwrap(), coding);
            assert_eq!(response.header("cache-status"), Some(HIT), "{path} {coding}");
        }
    }
    assert_eq!(server.encodes(), 0);
}

#[test]
fn second_run_encodes_only_contents_that_are_new() {
    let stage = Stage::new();
    let first = stage.report(&[]);
    assert_eq!((&first["total"]["stored"], &first["total"]["reused"]), (&9.into(), &0.into()));
    assert!(first["total"]["cpu_seconds"].as_f64().unwrap() > 0.0);
    // The same bytes under another time and another name are no new content.
    stage.site.age("index.html");
    fs::rename(stage.site.file("css/page.css"), stage.site.file("page-2.css")).unwrap();
    let second = stage.report(&[]);
    assert_eq!((&second["total"]["stored"], &second["total"]["reused"]), (&9.into(), &9.into()));
    assert_eq!(second["total"]["cpu_seconds"], 0.0);
    assert_eq!(second["total"]["after"], first["total"]["after"]);
    stage.site.replace_by_rename("js/app.js", &site::text(7, 80_000));
    let third = stage.report(&[]);
    assert_eq!((&third["total"]["stored"], &third["total"]["reused"]), (&9.into(), &6.into()));
}

#[test]
fn report_counts_files_and_bytes_of_each_type() {
    let stage = Stage::new();
    let report = stage.report(&["--codings", "gzip"]);
    let row = |name: &str| &report["types"][name];
    assert_eq!((&row("image/png")["files"], &row("image/png")["stored"]), (&1.into(), &0.into()));
    assert_eq!(row("image/png")["after"]["gzip"], 9000);
    assert_eq!(row("text/html")["before"], 40_000);
    let server = stage.server("");
    let gzip = server.get("/index.html", "gzip").body.len();
    assert_eq!(row("text/html")["after"], serde_json::json!({ "gzip": gzip }));
    // The source map is not among the files, and noise goes out as it is.
    assert_eq!(
        (&report["total"]["files"], &report["total"]["unprofitable"]),
        (&6.into(), &1.into())
    );
    assert_eq!(report["failures"], serde_json::json!([]));
    assert_eq!(report["interrupted"], false);
}

#[test]
fn globs_choose_the_files() {
    let stage = Stage::new();
    let files = |flags: &[&str]| stage.report(flags)["total"]["files"].clone();
    assert_eq!(files(&["--include", "js"]), 2, "the source map is asked for");
    assert_eq!(files(&["--include", "**/*.js,*.html", "--codings", "gzip"]), 2);
    assert_eq!(files(&["--exclude", "js/**", "--exclude", "*.bin"]), 4);
}

/// A mistyped glob ended with 0, and with nothing compressed.
#[test]
fn glob_that_matches_no_file_is_named() {
    let stage = Stage::new();
    let flags = ["--include", "jss/**", "--include", "/js/,{a,b}.js"];
    let run = stage.warm(&flags);
    run.assert(1, &["no file matches jss/**\n", "no file matches {a,b}.js\n"]);
    assert_eq!(run.stdout.matches("no file matches").count(), 2, "{}", run.stdout);
    let run = stage.warm(&[&flags[..], &["--json"]].concat());
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run.code, Some(1));
    assert_eq!(report["unmatched"], serde_json::json!(["jss/**", "{a,b}.js"]));
    assert_eq!(report["total"]["files"], 2, "the other globs count");
    // With --prune a glob may name a file that is gone.
    stage.warm(&["--export=out"]).assert(0, &[]);
    fs::remove_file(stage.site.file("css/page.css")).unwrap();
    stage.warm(&["--export=out", "--include", "css"]).assert(1, &["no file matches css\n"]);
    stage.warm(&["--export=out", "--include", "css", "--prune"]).assert(0, &["3 removed"]);
}

/// The cache evicted most of the work, and the program reported success.
#[test]
fn representations_that_the_cache_has_evicted_are_counted() {
    let stage = Stage::new();
    for index in 0..40 {
        stage.site.write(&format!("{index}.txt"), &site::text(20 + index, 55_000));
    }
    let flags = ["--include", "[0-9]*.txt", "--cache-size", "600KiB"];
    let run = stage.warm(&[&flags[..], &["--json"]].concat());
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["total"]["stored"]), (Some(1), &120.into()), "{}", run.stdout);
    let evicted = report["evicted"].as_u64().unwrap();
    let present = cache_dir::entries(&stage.path("cache")).len() as u64;
    assert_eq!(evicted + present, 120, "{}", run.stdout);
    assert_eq!(report["failures"], serde_json::json!([]));
    stage.warm(&flags).assert(1, &[" were evicted: --cache-size 600.0 KiB is too small\n"]);
    // An exported file is done, and its entry may make room.
    stage.warm(&[&flags[..], &["--export=out"]].concat()).assert(0, &[" were evicted: "]);
    let one = stage.report(&["--include", "0.txt", "--codings", "br", "--cache-size", "600KiB"]);
    assert_eq!(one["evicted"], 0);
}

#[test]
fn best_is_smaller_and_found_by_servers_of_any_lower_level() {
    let stage = Stage::new();
    let quick = stage.report(&[]);
    let best = stage.report(&["--best", "--jobs", "1"]);
    assert_eq!(best["total"]["reused"], 0, "it is another level");
    for coding in ["br", "zstd", "gzip"] {
        let after = |report: &serde_json::Value| report["total"]["after"][coding].as_u64().unwrap();
        assert!(after(&best) < after(&quick), "{coding}");
    }
    let status = |server: Server| {
        let response = server.get("/js/app.js", "br");
        (response.header("cache-status").unwrap().to_owned(), response.body.len())
    };
    let (hit, len) = status(stage.server("--level br=11"));
    assert_eq!(hit, HIT);
    for flags in ["", "--level br=9", "--recompress off"] {
        let improved = "cachecompress; hit; detail=second-pass".to_owned();
        assert_eq!(status(stage.server(flags)), (improved, len), "{flags}");
    }
}

#[test]
fn configuration_file_has_the_directory_the_cache_and_the_types() {
    let stage = Stage::new();
    let root = stage.site.path().display();
    let file = format!(
        "root = \"{root}\"\ncache-dir = \"kept\"\ncodings = \"gzip\"\nlevel = [\"gzip=1\"]\n\
         [types]\n\".js\" = \"image/x-drawn\"\n"
    );
    fs::write(stage.path("c.toml"), file).unwrap();
    let mut warm = command(Path::new(PROGRAM));
    warm.args(["warm", "--config", "c.toml", "--json"]).current_dir(stage.path(""));
    let run = Run::of(output(warm.stdin(Stdio::null())));
    run.assert(0, &["image/x-drawn"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let codings: Vec<_> = report["total"]["after"].as_object().unwrap().keys().collect();
    assert_eq!(codings, ["gzip"]);
    let server = launch(&stage.site).cache(&stage.path("kept")).args("--level gzip=1").start();
    assert_eq!(server.get("/index.html", "gzip").header("cache-status"), Some(HIT));
}

/// Clients ask a server for the files while the program fills the same cache.
#[test]
fn warm_beside_a_busy_server_stores_each_representation_once() {
    let stage = Stage::new();
    let names: Vec<_> = (0..12).map(|n| format!("files/{n}.txt")).collect();
    for (seed, name) in (10..).zip(&names) {
        stage.site.write(name, &site::text(seed, 60_000));
    }
    let server = stage.server("");
    let warming = stage.command(&["--json", "--include", "files"]);
    let report = std::thread::scope(|scope| {
        let warming = scope.spawn(|| {
            let mut warming = warming;
            Run::of(output(&mut warming))
        });
        for name in names.iter().rev() {
            let source = fs::read(stage.site.file(name)).unwrap();
            for coding in ["zstd", "br", "gzip"] {
                let response = server.get(&format!("/{name}"), coding);
                assert!(assert_exact_or_aborted(&response, &[&source]), "{:?}", response.head);
            }
        }
        warming.join().unwrap()
    });
    assert_eq!(report.code, Some(0), "{}{}", report.stdout, report.stderr);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["total"]["stored"], 36);
    let encoded = 36 - report["total"]["reused"].as_u64().unwrap();
    assert_eq!(encoded + server.encodes(), 36, "some were encoded twice");
    let mut verify = command(Path::new(PROGRAM));
    verify.arg("verify").arg("--cache-dir").arg(stage.path("cache")).stdin(Stdio::null());
    let verified = Run::of(output(&mut verify));
    verified.assert(0, &["36 whole", "0 damaged"]);
}

#[test]
fn progress_is_lines_where_stderr_is_no_terminal() {
    let stage = Stage::new();
    let run = stage.warm(&[]);
    let lines: Vec<_> = run.stderr.lines().collect();
    // The first file may be done before the first line is told.
    assert!(lines[0].contains(" of 6 files, ") && lines[0].contains(" of 168.0 KiB"), "{lines:?}");
    let last = lines.last().unwrap();
    assert!(last.starts_with("6 of 6 files, ") && last.ends_with("/s, 0 s left"), "{lines:?}");
}

#[test]
fn interrupted_run_ends_with_130_and_leaves_no_file() {
    for signal in [Signal::INT, Signal::TERM] {
        interrupt(signal);
    }
}

fn interrupt(signal: Signal) {
    let stage = Stage::new();
    stage.site.write("large.txt", &site::text(8, 30_000_000));
    let before = stage.listing();
    let mut warm = stage.command(&["--best", "--codings", "br", "--export"]);
    let mut child = warm.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    kill_process(Pid::from_child(&child), signal).unwrap();
    // The rest is read, so that no pipe is full.
    lines.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("; interrupted"));
    let is_ours = |name: &Path| name.ends_with(".cachecompress-export");
    let mut after = stage.listing();
    after.retain(|(name, ..)| !is_ours(name) && name.extension().is_none_or(|end| end != "br"));
    assert_eq!(after, before, "a temporary file stays");
}

#[test]
fn wrong_usage_is_named() {
    let stage = Stage::new();
    for (flags, code, part) in [
        (&["--prune"][..], 2, "--export"),
        (&["--export", "--prune", "--check"], 2, "--check"),
        (&["--include", "["], 2, "--include"),
        (&["--jobs", "0"], 2, "--jobs"),
        (&["--codings", "lzma"], 2, "lzma"),
        (&["--cache-size", "0"], 2, "there is no cache to fill: --cache-size is 0"),
        (&["--export=index.html"], 0, ""),
    ] {
        let run = stage.warm(flags);
        assert_eq!(run.code, Some(code), "{flags:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(part), "{flags:?}: {}", run.stderr);
    }
    fs::write(stage.path("file"), b"").unwrap();
    let run = stage.warm(&["--cache-dir", "file/cache"]);
    assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{}", run.stderr);
    let sentence = "file/cache cannot be written: Not a directory";
    assert!(run.stderr.contains("there is no cache to fill: "), "{}", run.stderr);
    assert!(run.stderr.contains(sentence), "{}", run.stderr);
    let run = stage.warm(&["--export=file"]);
    assert!(run.code == Some(1) && run.stderr.contains("cannot export to"), "{}", run.stderr);
    for (arguments, code, part) in [
        (&["warm"][..], 2, "`cachecompress warm DIR`"),
        (&["warm", "no-such-site"], 1, "no-such-site"),
        (&["warm", "a", "b"], 2, "see `cachecompress warm --help`"),
    ] {
        let mut warm = command(Path::new(PROGRAM));
        warm.args(arguments).current_dir(stage.path("")).stdin(Stdio::null());
        let run = Run::of(output(&mut warm));
        assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(part), "{arguments:?}: {}", run.stderr);
    }
}

/// A configuration of two sites, the second with a media type of its own, and one more for its first root.
fn sites(stage: &Stage) -> PathBuf {
    let other = stage.path("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("page.html"), site::text(9, 30_000)).unwrap();
    fs::write(other.join("odd.zzz"), site::text(10, 30_000)).unwrap();
    let (one, other) = (stage.site.path().display(), other.display());
    let file = format!(
        "cache-dir = \"cache\"\ncodings = \"gzip\"\n\
         [[sites]]\nhosts = [\"one.example\"]\nroot = \"{one}\"\n\
         [[sites]]\nhosts = [\"other.example\"]\nroot = \"{other}\"\ntypes = {{ \".zzz\" = \"text/x-odd\" }}\n\
         [[sites]]\nhosts = [\"again.example\"]\nroot = \"{one}\"\n"
    );
    fs::write(stage.path("cachecompress.toml"), file).unwrap();
    stage.path("other")
}

fn warm_sites(stage: &Stage, flags: &[&str]) -> Run {
    let mut warm = command(Path::new(PROGRAM));
    warm.arg("warm").args(flags).current_dir(stage.path("")).stdin(Stdio::null());
    Run::of(output(&mut warm))
}

#[test]
fn all_sites_of_the_configuration_are_warmed_with_their_settings() {
    let stage = Stage::new();
    let other = sites(&stage);
    let run = warm_sites(&stage, &["--json"]);
    run.assert(0, &[]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["total"]["files"], &report["total"]["stored"]), (&8.into(), &5.into()));
    assert_eq!(report["types"]["text/x-odd"]["stored"], 1);
    let mut serve = Launch::new(PROGRAM, &other).cache(&stage.path("cache")).args(PATIENT);
    serve = serve.args("--type zzz=text/x-odd");
    let server = serve.start();
    for path in ["/page.html", "/odd.zzz"] {
        assert_eq!(server.get(path, "gzip").header("cache-status"), Some(HIT), "{path}");
    }
    // A directory that is named stands for all of them.
    let named = warm_sites(&stage, &["--json", other.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_str(&named.stdout).unwrap();
    assert_eq!(report["total"]["files"], 2);
}

#[test]
fn sites_are_exported_beside_their_files_and_not_to_one_place() {
    let stage = Stage::new();
    let other = sites(&stage);
    warm_sites(&stage, &["--export"]).assert(0, &["5 written"]);
    assert!(stage.site.file("index.html.gz").exists() && other.join("odd.zzz.gz").exists());
    warm_sites(&stage, &["--check"]).assert(0, &["checked 5 files, 0 wrong"]);
    fs::write(other.join("page.html"), site::text(11, 30_000)).unwrap();
    let wrong = format!("{}/page.html.gz: stale: ", other.display());
    warm_sites(&stage, &["--check"]).assert(1, &[&wrong, "checked 5 files, 1 wrong"]);
    fs::remove_file(other.join("page.html")).unwrap();
    let removed = format!("{}/page.html.gz", other.display());
    let run = warm_sites(&stage, &["--export", "--prune", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["export"]["removed"], serde_json::json!([removed]));

    let refused = warm_sites(&stage, &["--export=out"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--export=OUT has room for one site"), "{}", refused.stderr);
    assert!(!stage.path("out").exists());
}
