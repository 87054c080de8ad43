//! Coded files for other servers.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::{Child, Stdio};

use cachecompress_test::client::fetch;
use cachecompress_test::server::{command, output};
use cachecompress_test::tools::require;

use super::stage::{CODED, Run, Stage};
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
    let stale = "robots.txt.gz is not ours and holds something else; remove it";
    let run = stage.warm(&["--export", "--codings", "gzip"]);
    run.assert(1, &[stale, "1 written, 2 unchanged", "1 removed"]);
    assert!(!stage.site.file("css/page.css.gz").exists());
    fs::remove_file(stage.site.file("skipped/gone.js")).unwrap();
    let before = names(stage.site.path());

    let removed = |flags: &[&str]| {
        let pruning = ["--export", "--codings", "gzip", "--prune", "--json"];
        let run = stage.warm(&[&pruning, flags].concat());
        assert!(run.code == Some(1) && run.stdout.contains(stale), "{}", run.stdout);
        let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        report["export"]["removed"].clone()
    };
    assert_eq!(removed(&["--exclude", "skipped"]), serde_json::json!(["old/gone.js.gz"]));
    let mut left = before;
    left.retain(|name| name != "old/gone.js.gz");
    assert_eq!(names(stage.site.path()), left);
    // The list still knows what it knew of the others, and of the one that was edited.
    assert_eq!(removed(&[]), serde_json::json!(["skipped/gone.js.gz"]));
    let list = fs::read_to_string(stage.site.file(LIST)).unwrap();
    assert_eq!(list.lines().filter(|line| line.len() == 64).count(), 3, "{list}");

    // Without the list nothing is ours.
    fs::remove_file(stage.site.file(LIST)).unwrap();
    fs::remove_file(stage.site.file("index.html")).unwrap();
    assert_eq!(removed(&[]), serde_json::json!([]));
    assert!(stage.site.file("index.html.gz").exists());
}

/// A list that was a symlink got the digests of the export, and its prune cut the target off.
#[test]
fn list_that_is_no_list_of_ours_is_refused_and_left_as_it_is() {
    let stage = Stage::new();
    let (precious, list) = (stage.path("precious"), stage.site.file(LIST));
    fs::write(&precious, b"bytes of somebody else\n").unwrap();
    let refuses = |kind: &str| {
        let run = stage.warm(&["--export", "--prune"]);
        assert_eq!(run.code, Some(1), "{kind}: {}", run.stderr);
        assert!(run.stderr.contains(LIST) && run.stderr.contains("remove it"), "{}", run.stderr);
        assert_eq!(fs::read(&precious).unwrap(), b"bytes of somebody else\n", "{kind}");
    };
    symlink(&precious, &list).unwrap();
    refuses("a symlink");
    assert_eq!(stage.warm(&["--check"]).code, Some(1), "a check reads no other file either");
    fs::remove_file(&list).unwrap();
    fs::hard_link(&precious, &list).unwrap();
    refuses("a hard link");
    fs::remove_file(&list).unwrap();
    fs::create_dir(&list).unwrap();
    refuses("a directory");
    fs::remove_dir(&list).unwrap();
    fifo(&list);
    refuses("a FIFO");
}

fn fifo(path: &Path) {
    assert!(command(Path::new("mkfifo")).arg(path).status().unwrap().success());
}

/// A file that became too short kept the files of its longer version, which nginx went on to send.
#[test]
fn export_removes_its_stale_files_of_a_source_that_is_not_compressed_any_more() {
    let stage = Stage::new();
    stage.warm(&["--export"]).assert(0, &["9 written"]);
    stage.site.write("js/app.js", b"x");
    stage.warm(&["--export", "--codings", "gzip"]).assert(0, &["0 written", "3 removed"]);
    for (_, end) in CODED {
        assert!(!stage.site.file(&format!("js/app.js{end}")).exists(), "{end}");
    }
    // One in a coding that this run does not have is stale as well.
    stage.site.write("index.html", &site::text(21, 30_000));
    stage.warm(&["--export", "--codings", "gzip"]).assert(0, &["1 written", "2 removed"]);
    assert!(
        stage.site.file("index.html.gz").exists() && !stage.site.file("index.html.br").exists()
    );
    // A coded file of another tool is named, unless it holds the file.
    stage.site.write("js/app.js.gz", &gzipped(b"x"));
    stage.warm(&["--export"]).assert(0, &[]);
    stage.site.write("js/app.js.gz", &gzipped(b"another"));
    let run = stage.warm(&["--export"]);
    run.assert(1, &["js/app.js.gz is not ours and holds something else; remove it"]);
    assert!(stage.site.file("js/app.js.gz").exists());
}

/// A prune while a build had emptied the directory removed the whole export.
#[test]
fn prune_refuses_a_directory_without_files() {
    let stage = Stage::new();
    stage.warm(&["--export=out"]).assert(0, &["9 written"]);
    for name in fs::read_dir(stage.site.path()).unwrap() {
        let path = name.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    let run = stage.warm(&["--export=out", "--prune"]);
    run.assert(1, &["there are no files; nothing is pruned"]);
    assert_eq!(names(&stage.path("out")), expected());
}

/// The list forgot files behind a link, and each later export took them for somebody else's.
#[test]
fn prune_forgets_only_the_files_that_it_removes() {
    let stage = Stage::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("far.js"), site::text(31, 9000)).unwrap();
    symlink(outside.path(), stage.site.file("linked")).unwrap();
    let follow = ["--export", "--symlinks", "follow", "--codings", "gzip"];
    stage.warm(&follow).assert(0, &["4 written"]);
    stage.warm(&[&follow[..], &["--prune"]].concat()).assert(0, &["4 unchanged"]);
    // One that does not follow the link sees none of its files.
    stage.warm(&["--export", "--codings", "gzip", "--prune"]).assert(0, &["3 unchanged"]);
    fs::write(outside.path().join("far.js"), site::text(32, 9000)).unwrap();
    stage.warm(&follow).assert(0, &["1 written, 3 unchanged"]);
    fs::remove_file(outside.path().join("far.js")).unwrap();
    stage.warm(&[&follow[..], &["--prune"]].concat()).assert(0, &["1 removed"]);
    assert!(!outside.path().join("far.js.gz").exists());
    let list = fs::read_to_string(stage.site.file(LIST)).unwrap();
    assert_eq!(list.lines().filter(|line| line.len() == 64).count(), 3, "{list}");
}

/// A killed export left its temporary file, which a server with `--dotfiles allow` hands out.
#[test]
fn export_removes_the_temporary_file_of_a_killed_one() {
    let stage = Stage::new();
    // Half of it is left by gzip, and takes a while to be written.
    stage.site.write("large.txt", &site::hex(40_000_000, 8));
    let root = stage.site.path();
    let temporary = || {
        let files = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
        let is_one = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.starts_with(".cachecompress-") && name != LIST
        };
        files.filter(is_one).collect::<Vec<_>>()
    };
    let flags = ["--export", "--codings", "gzip", "--level", "gzip=1"];
    eventually("an export is killed while it writes", || {
        drop(fs::remove_file(root.join("large.txt.gz")));
        let mut export = stage.command(&flags);
        let mut child = export.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while temporary().is_empty() && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        (!temporary().is_empty()).then_some(())
    });
    let others = [".cachecompress-export-notes", ".cachecompress-notes"];
    others.iter().for_each(|name| stage.site.write(name, b"somebody's"));
    stage.warm(&flags).assert(0, &[]);
    let mut stays = temporary();
    stays.sort();
    assert_eq!(stays, others.map(|name| root.join(name)));
}

/// The export compressed its own list, which changed meanwhile, and failed in every run.
#[test]
fn export_with_dotfiles_leaves_its_list_out() {
    let stage = Stage::new();
    stage.site.write(".well-known/long.txt", &site::text(41, 9000));
    stage.site.write(".hidden.css", &site::text(42, 9000));
    let flags = ["--export", "--dotfiles", "allow", "--codings", "gzip"];
    for filler in 0..40 {
        stage.site.write(&format!("many/{filler}.css"), &site::text(100 + filler, 900));
    }
    stage.warm(&flags).assert(0, &["45 written"]);
    stage.warm(&flags).assert(0, &["0 written, 45 unchanged"]);
    assert!(stage.site.file(".hidden.css.gz").exists());
    assert!(!stage.site.file(".cachecompress-export.gz").exists());
}

/// Files that a server of the same configuration never hands out went to other servers.
#[test]
fn export_leaves_out_the_files_that_the_server_hides() {
    let stage = Stage::new();
    let rules = b"# rules of the site, which are long enough\n/a /b 301\n".repeat(20);
    for name in ["key.pem", "cert.pem", "users.txt", "_headers", "_redirects"] {
        stage.site.write(name, &rules);
    }
    stage.site.write("copies/_headers", &rules);
    fs::hard_link(stage.site.file("key.pem"), stage.site.file("same.txt")).unwrap();
    let config = format!(
        "basic-auth = \"users.txt\"\n[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n{}",
        "# a comment that makes the file long enough to be compressed\n".repeat(20)
    );
    stage.site.write("cachecompress.toml", config.as_bytes());
    let config = stage.site.file("cachecompress.toml");
    let config = config.to_str().unwrap();
    let run = stage.warm(&["--export=out", "--codings", "gzip", "--config", config]);
    run.assert(0, &[]);
    let gz = Stage::WORTH_IT.into_iter().chain(["copies/_headers"]);
    let mut expected: Vec<_> = gz.map(|path| format!("{path}.gz")).collect();
    expected.push(LIST.to_owned());
    expected.sort();
    assert_eq!(names(&stage.path("out")), expected);
    // The cache beneath the site is none of its files either.
    let mut inner = command(Path::new(PROGRAM));
    inner.arg("warm").arg(stage.site.path()).arg("--cache-dir").arg(stage.site.file("cache"));
    inner.args(["--export=inner", "--codings", "gzip"]).current_dir(stage.path(""));
    for _ in 0..2 {
        super::stage::Run::of(output(&mut inner)).assert(0, &[]);
    }
    let names = names(&stage.path("inner"));
    assert!(!names.iter().any(|name| name.starts_with("cache/")), "{names:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn name_that_is_no_utf8_is_exported_as_any_other() {
    use std::os::unix::ffi::OsStrExt as _;

    let stage = Stage::new();
    let source = stage.site.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9 100%.css"));
    fs::write(&source, site::text(51, 9000)).unwrap();
    stage.warm(&["--export", "--codings", "gzip"]).assert(0, &["4 written"]);
    let coded = stage.site.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9 100%.css.gz"));
    let decoded = decode::decode("gzip", &fs::read(coded).unwrap()).unwrap();
    assert!(decoded == fs::read(&source).unwrap());
}

#[test]
fn export_in_no_coding_with_a_name_is_refused() {
    let stage = Stage::new();
    let run = stage.warm(&["--export", "--codings", "deflate"]);
    assert_eq!(run.code, Some(2), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("deflate"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(!stage.site.file(LIST).exists());
    stage.warm(&["--codings", "deflate"]).assert(0, &[]);
    stage.warm(&["--export", "--codings", "gzip,deflate"]).assert(0, &["3 written"]);
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

/// The sentence told of a larger cache, although nothing was evicted.
#[test]
fn file_that_changes_while_it_is_exported_is_named_so() {
    let stage = Stage::new();
    let changing = stage.site.file("js/app.js");
    let mut export = stage.command(&["--export", "--best", "--include", "js/*.js"]);
    let mut child = export.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        fs::File::options().append(true).open(&changing).unwrap().write_all(b"x").unwrap();
    }
    let run = Run::of(child.wait_with_output().unwrap());
    run.assert(1, &["js/app.js: in ", ": it changed while it was "]);
    assert!(!run.stdout.contains("--cache-size"), "{}", run.stdout);
}
