//! The check of coded files, whoever has made them.

use std::io::Write as _;
use std::os::unix::fs::symlink;

use cachecompress_test::server::command;

use super::stage::{CODED, Stage};
use crate::common::*;

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    // As `gzip FILE` does, with the name and the time.
    let builder = flate2::GzBuilder::new().filename("app.js").mtime(1_700_000_000);
    let mut encoder = builder.write(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn check_of_a_good_export_finds_nothing_and_writes_nothing() {
    let stage = Stage::new();
    stage.warm(&["--export"]).assert(0, &[]);
    let source = fs::read(stage.site.file("js/app.js")).unwrap();
    stage.site.write("js/app.js.gz", &gzipped(&source));
    stage.site.write("backup.sql.gz", b"anybody's");
    fs::remove_dir_all(stage.path("cache")).unwrap();
    let before = stage.listing();
    stage.warm(&["--check"]).assert(0, &["checked 9 files, 0 wrong, 1 without a source\n"]);
    assert_eq!(stage.listing(), before);
    assert!(!stage.path("cache").exists());
    stage.warm(&["--check", "--include", "js"]).assert(0, &["checked 3 files"]);
}

#[test]
fn check_names_each_file_that_is_stale_or_does_not_decode() {
    let stage = Stage::new();
    stage.warm(&["--export"]).assert(0, &[]);
    // The page changes, as when a build is not followed by an export.
    let mut page = fs::read(stage.site.file("index.html")).unwrap();
    page[7] ^= 1;
    stage.site.write("index.html", &page);
    // A file is cut off, and one has a byte too many.
    for (name, change) in [("js/app.js.br", -1_i64), ("js/app.js.zst", 1)] {
        let file = fs::File::options().write(true).open(stage.site.file(name)).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len.checked_add_signed(change).unwrap()).unwrap();
    }
    fs::remove_file(stage.site.file("css/page.css")).unwrap();
    // Somebody else's are judged too, but for those without a source.
    stage.site.write("robots.txt.gz", &gzipped(b"User-agent: Googlebot\n"));
    stage.site.write("backup.sql.gz", b"no gzip at all");
    let run = stage.warm(&["--check"]);
    run.assert(
        1,
        &[
            "index.html.br: stale: it does not hold index.html\n",
            "index.html.zst: stale: it does not hold index.html\n",
            "index.html.gz: stale: it does not hold index.html\n",
            "js/app.js.br: broken: ",
            "js/app.js.zst: broken: ",
            "css/page.css.br: left over: there is no css/page.css\n",
            "css/page.css.zst: left over: there is no css/page.css\n",
            "css/page.css.gz: left over: there is no css/page.css\n",
            "robots.txt.gz: stale: it does not hold robots.txt\n",
            "checked 10 files, 9 wrong, 1 without a source\n",
        ],
    );
    assert_eq!(run.stdout.lines().count(), 10, "{}", run.stdout);
    let run = stage.warm(&["--check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["checked"]), (Some(1), &10.into()));
    assert_eq!(report["sourceless"], 1);
    let wrong = report["wrong"].as_array().unwrap();
    assert_eq!((wrong.len(), &wrong[0]["path"]), (9, &"css/page.css.br".into()));
    assert_eq!(wrong[0]["finding"], "left over");

    // A new export mends ours, and its prune removes what is left over.
    for name in ["js/app.js.br", "js/app.js.zst", "robots.txt.gz"] {
        fs::remove_file(stage.site.file(name)).unwrap();
    }
    stage.warm(&["--export", "--prune"]).assert(0, &["5 written, 1 unchanged, 3 removed"]);
    stage.warm(&["--check"]).assert(0, &["checked 6 files, 0 wrong, 1 without a source"]);
}

#[test]
fn check_of_another_directory_compares_with_the_site() {
    let stage = Stage::new();
    stage.warm(&["--export=out"]).assert(0, &[]);
    stage.warm(&["--export=out", "--check"]).assert(0, &["checked 9 files, 0 wrong"]);
    for (_, end) in CODED {
        fs::write(stage.path(&format!("out/js/app.js{end}")), b"torn").unwrap();
    }
    stage.warm(&["--export=out", "--check"]).assert(1, &["checked 9 files, 3 wrong"]);
    stage.warm(&["--check"]).assert(0, &["checked 0 files, 0 wrong"]);
}

/// A stale source map was passed over, although the check names every file.
#[test]
fn check_looks_at_the_files_of_source_maps_and_prune_removes_them() {
    let stage = Stage::new();
    stage.warm(&["--export", "--include", "**", "--codings", "gzip"]).assert(0, &["4 written"]);
    stage.warm(&["--check"]).assert(0, &["checked 4 files, 0 wrong"]);
    stage.site.write("js/app.js.map", &site::text(30, 50_000));
    let stale = "js/app.js.map.gz: stale: it does not hold js/app.js.map\n";
    stage.warm(&["--check"]).assert(1, &[stale, "checked 4 files, 1 wrong"]);
    stage.warm(&["--check", "--exclude", "**/*.map"]).assert(0, &["checked 3 files"]);
    stage.warm(&["--check", "--include", "**/*.js"]).assert(0, &["checked 1 files"]);
    // A source map is still not compressed unasked, and what is stale goes.
    let pruned = stage.report(&["--export", "--codings", "gzip", "--prune"]);
    assert_eq!(pruned["total"]["files"], 6);
    assert_eq!(pruned["export"]["removed"], serde_json::json!(["js/app.js.map.gz"]));
}

/// A FIFO held the check up for ever, and a directory was a fault.
#[test]
fn source_that_is_no_regular_file_is_none() {
    let stage = Stage::new();
    let made = command(Path::new("mkfifo")).arg(stage.site.file("pipe")).status().unwrap();
    assert!(made.success());
    fs::create_dir(stage.site.file("release")).unwrap();
    symlink("nowhere", stage.site.file("dangling")).unwrap();
    for name in ["pipe.gz", "release.gz", "dangling.gz", "plain.gz"] {
        stage.site.write(name, &gzipped(b"an archive"));
    }
    stage.warm(&["--check"]).assert(0, &["checked 0 files, 0 wrong, 4 without a source\n"]);
}

/// A mistyped glob let a deployment pass.
#[test]
fn check_names_a_glob_that_matches_no_file() {
    let stage = Stage::new();
    stage.warm(&["--export"]).assert(0, &[]);
    let flags = ["--check", "--include", "js,jss/**"];
    stage.warm(&flags).assert(1, &["no file matches jss/**\n", "checked 3 files, 0 wrong\n"]);
    let run = stage.warm(&[&flags[..], &["--json"]].concat());
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["unmatched"]), (Some(1), &serde_json::json!(["jss/**"])));
    // A file without coded ones is no mistake, and neither is one that is gone.
    stage.warm(&["--check", "--include", "logo.png"]).assert(0, &["checked 0 files"]);
    fs::remove_file(stage.site.file("css/page.css")).unwrap();
    let run = stage.warm(&["--check", "--include", "css/*.css"]);
    run.assert(1, &["checked 3 files, 3 wrong\n"]);
    assert!(!run.stdout.contains("no file matches"), "{}", run.stdout);
}
