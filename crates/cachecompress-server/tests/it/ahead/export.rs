//! Coded files for other servers.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::{Child, Stdio};

use cachecompress_test::client::fetch;
use cachecompress_test::server::command;
use cachecompress_test::tools::require;

use super::stage::{CODED, Stage};
use crate::common::*;

const LIST: &str = ".cachecompress-export";

/// The names of all files below `directory`.
fn names(directory: &Path) -> Vec<String> {
    let files = site::files_below(directory).into_iter();
    let name = |file: PathBuf| file.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = files.map(name).collect();
    names.sort();
    names
}

/// The files that an export of the stage's site writes.
fn expected() -> Vec<String> {
    let files =
        Stage::WORTH_IT.iter().flat_map(|path| CODED.map(|(_, end)| format!("{path}{end}")));
    let mut files: Vec<_> = files.chain([LIST.to_owned()]).collect();
    files.sort();
    files
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn exported_files_decode_by_independent_programs() {
    let stage = Stage::new();
    fs::set_permissions(stage.site.file("js/app.js"), fs::Permissions::from_mode(0o640)).unwrap();
    stage.site.age("css/page.css");
    stage.warm(&["--export=out"]).assert(0, &["exported: 9 written, 0 unchanged"]);
    assert_eq!(names(&stage.path("out")), expected());
    for path in Stage::WORTH_IT {
        let source = fs::read(stage.site.file(path)).unwrap();
        let of_source = fs::metadata(stage.site.file(path)).unwrap();
        for (coding, end) in CODED {
            let file = stage.path("out").join(format!("{path}{end}"));
            let coded = fs::read(&file).unwrap();
            assert!(
                coded.len() < source.len() && decode::decode(coding, &coded).unwrap() == source
            );
            if let Some(decoded) = decode::decode_by_program(coding, &coded) {
                assert!(decoded == source, "{file:?}");
            }
            let state = fs::metadata(&file).unwrap();
            let of = |state: &fs::Metadata| (state.mtime(), state.mtime_nsec(), state.mode());
            assert_eq!(of(&state), of(&of_source), "{file:?}");
        }
    }
}

#[test]
fn export_beside_the_files_leaves_these_as_they_are_and_is_no_source_itself() {
    let stage = Stage::new();
    let before = stage.listing();
    stage.warm(&["--export"]).assert(0, &["exported: 9 written"]);
    let second = stage.report(&["--export"]);
    assert_eq!(second["total"]["files"], 6, "the coded files are none of the site");
    assert_eq!(second["export"]["unchanged"], 9);
    let mut after = stage.listing();
    after.retain(|(name, ..)| before.iter().any(|(known, ..)| known == name));
    assert_eq!(after, before);
    assert_eq!(names(stage.site.path()).len(), before.len() + 9 + 1);
}

#[test]
fn bytes_are_the_same_in_every_run_and_unchanged_files_stay() {
    let stage = Stage::new();
    stage.warm(&["--export=one", "--jobs", "1"]).assert(0, &[]);
    fs::remove_dir_all(stage.path("cache")).unwrap();
    stage.warm(&["--export=two", "--cache-size", "0", "--jobs", "3"]).assert(0, &[]);
    assert!(!stage.path("cache").exists(), "the cache was in memory");
    for name in names(&stage.path("one")).iter().filter(|name| *name != LIST) {
        let [one, two] = ["one", "two"].map(|out| fs::read(stage.path(out).join(name)).unwrap());
        assert!(one == two, "{name}");
    }
    let inodes = || {
        let inode = |name: &String| fs::metadata(stage.path("one").join(name)).unwrap().ino();
        names(&stage.path("one")).iter().map(inode).collect::<Vec<_>>()
    };
    let before = inodes();
    // A new time and other permissions of the source are given to the files that there are.
    stage.site.age("index.html");
    fs::set_permissions(stage.site.file("index.html"), fs::Permissions::from_mode(0o600)).unwrap();
    stage.warm(&["--export=one"]).assert(0, &["0 written, 9 unchanged"]);
    assert_eq!(inodes(), before);
    let state = fs::metadata(stage.path("one/index.html.br")).unwrap();
    assert_eq!(state.mode() & 0o777, 0o600);
    assert_eq!(state.modified().unwrap(), stage.site.modified("index.html"));
}

#[test]
fn changed_source_replaces_its_files_by_new_ones() {
    let stage = Stage::new();
    stage.warm(&["--export"]).assert(0, &[]);
    let old = fs::metadata(stage.site.file("js/app.js.gz")).unwrap().ino();
    let kept = fs::File::open(stage.site.file("js/app.js.gz")).unwrap();
    let text = site::text(9, 70_000);
    stage.site.write("js/app.js", &text);
    stage.warm(&["--export"]).assert(0, &["3 written, 6 unchanged"]);
    let coded = fs::read(stage.site.file("js/app.js.gz")).unwrap();
    assert!(decode::decode("gzip", &coded).unwrap() == text);
    assert_ne!(fs::metadata(stage.site.file("js/app.js.gz")).unwrap().ino(), old);
    assert_eq!(kept.metadata().unwrap().ino(), old, "a reader keeps the old one");
    // Other levels give other bytes, which replace those of ours.
    stage.warm(&["--export", "--best"]).assert(0, &["9 written, 0 unchanged"]);
}

#[test]
fn files_of_others_are_never_replaced() {
    let stage = Stage::new();
    let source = fs::read(stage.site.file("index.html")).unwrap();
    let good = gzipped(&source);
    stage.site.write("index.html.gz", &good);
    let foreign = gzipped(b"a dump of yesterday");
    stage.site.write("js/app.js.gz", &foreign);
    fs::create_dir(stage.site.file("css/page.css.gz")).unwrap();
    symlink("../index.html", stage.site.file("css/page.css.br")).unwrap();
    let run = stage.warm(&["--export"]);
    run.assert(
        1,
        &[
            "js/app.js: in gzip: ",
            "js/app.js.gz is not ours and holds something else; remove it",
            "css/page.css.gz is no regular file; remove it",
            "css/page.css.br is no regular file; remove it",
            "exported: 5 written, 0 unchanged, 1 of others kept; 3 failed",
        ],
    );
    assert!(fs::read(stage.site.file("index.html.gz")).unwrap() == good);
    assert!(fs::read(stage.site.file("js/app.js.gz")).unwrap() == foreign);
    assert!(fs::read(stage.site.file("index.html")).unwrap() == source);
}

#[test]
fn prune_removes_only_files_of_earlier_exports_that_hold_no_present_file() {
    let stage = Stage::new();
    stage.site.write("old/gone.js", &site::text(11, 5000));
    stage.site.write("old/edited.js", &site::text(12, 5000));
    stage.warm(&["--export", "--codings", "gzip"]).assert(0, &["5 written"]);
    let edited = fs::read(stage.site.file("old/gone.js.gz")).unwrap();
    // Files of others: an orphan, a stale one, a copy of ours, and one of ours that was edited.
    let foreign = gzipped(b"backup");
    stage.site.write("backup.sql.gz", &foreign);
    stage.site.write("robots.txt.gz", &foreign);
    stage.site.write("copy.js.gz", &edited);
    fs::remove_file(stage.site.file("old/edited.js")).unwrap();
    stage.site.write("old/edited.js.gz", &foreign);
    fs::remove_file(stage.site.file("old/gone.js")).unwrap();
    // Too short to be compressed now.
    stage.site.write("css/page.css", b"p {}");
    stage.site.write("skipped/gone.js", &site::text(13, 5000));
    stage.warm(&["--export", "--codings", "gzip"]).assert(0, &[]);
    fs::remove_file(stage.site.file("skipped/gone.js")).unwrap();
    let before = names(stage.site.path());

    let pruning = ["--export", "--codings", "gzip", "--prune", "--exclude", "skipped"];
    let report = stage.report(&pruning);
    assert_eq!(
        report["export"]["removed"],
        serde_json::json!(["css/page.css.gz", "old/gone.js.gz"])
    );
    let mut left = before;
    left.retain(|name| !["css/page.css.gz", "old/gone.js.gz"].contains(&name.as_str()));
    assert_eq!(names(stage.site.path()), left);
    // The list still knows what it knew of the others.
    let report = stage.report(&["--export", "--codings", "gzip", "--prune"]);
    assert_eq!(report["export"]["removed"], serde_json::json!(["skipped/gone.js.gz"]));
    let list = fs::read_to_string(stage.site.file(LIST)).unwrap();
    assert_eq!(list.lines().filter(|line| line.len() == 64).count(), 2, "{list}");

    // Without the list nothing is ours.
    fs::remove_file(stage.site.file(LIST)).unwrap();
    fs::remove_file(stage.site.file("index.html")).unwrap();
    let report = stage.report(&["--export", "--codings", "gzip", "--prune"]);
    assert_eq!(report["export"]["removed"], serde_json::json!([]));
    assert!(stage.site.file("index.html.gz").exists());
}

/// A server that is killed when dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn nginx_with_gzip_static_serves_an_export() {
    let Some(nginx) = require("nginx") else { return };
    let stage = Stage::new();
    stage.warm(&["--export"]).assert(0, &[]);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (home, root) = (stage.path("nginx"), stage.site.path().display());
    fs::create_dir(&home).unwrap();
    let shown = home.display();
    let settings = format!(
        "daemon off; master_process off; pid {shown}/pid; error_log {shown}/error.log;\n\
         events {{}}\n\
         http {{\n\
         include /etc/nginx/mime.types; access_log off; gzip off;\n\
         client_body_temp_path {shown}/body; proxy_temp_path {shown}/proxy;\n\
         fastcgi_temp_path {shown}/f; uwsgi_temp_path {shown}/u; scgi_temp_path {shown}/s;\n\
         server {{ listen {address}; root {root}; gzip_static on; }}\n\
         }}\n"
    );
    fs::write(home.join("nginx.conf"), settings).unwrap();
    let mut started = command(&nginx);
    started.args(["-c", "nginx.conf", "-p"]).arg(&home).stdin(Stdio::null());
    let _server = Nginx(started.stderr(Stdio::null()).spawn().unwrap());
    let log = || fs::read_to_string(home.join("error.log")).unwrap_or_default();
    eventually("nginx listens", || std::net::TcpStream::connect(address).ok());
    for path in Stage::WORTH_IT {
        let request = Request::get(&format!("/{path}"));
        let response = fetch(address, &request.clone().accept("gzip")).unwrap();
        assert_eq!((response.status(), response.coding()), (200, "gzip"), "{path}: {}", log());
        let exported = fs::read(stage.site.file(&format!("{path}.gz"))).unwrap();
        assert!(response.body == exported, "other bytes than those exported");
        assert!(response.decoded() == fs::read(stage.site.file(path)).unwrap());
        let plain = fetch(address, &request).unwrap();
        assert_eq!(plain.coding(), "identity");
    }
}
