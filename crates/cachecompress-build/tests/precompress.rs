//! A directory, and what is written of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cachecompress::ContentCoding;
use cachecompress_build::{Error, Precompress};
use cachecompress_test::decode::decode;
use cachecompress_test::site::{Site, random, text};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A directory for the output, and one to embed.
struct Stage {
    site: Site,
    out: Site,
}

impl Stage {
    fn new() -> Self {
        let site = Site::new();
        site.write("index.html", &text(1, 3_000));
        site.write("assets/app.js", &text(2, 60_000));
        site.write("assets/copy.js", &text(2, 60_000));
        site.write("assets/logo.png", &random(3, 5_000));
        site.write("noise.txt", &random(4, 5_000));
        site.write("tiny.txt", b"tiny");
        site.write(".env", b"secret");
        Self { site, out: Site::new() }
    }

    /// Levels that are quick without optimisation.
    fn precompress(&self) -> Precompress {
        Precompress::new(self.site.path())
            .out_dir(self.out.path())
            .level(ContentCoding::BROTLI, 5)
            .level(ContentCoding::ZSTD, 3)
            .level(ContentCoding::GZIP, 6)
    }

    fn write(&self) {
        self.precompress().write("ui").unwrap();
    }

    fn code(&self) -> String {
        fs::read_to_string(self.out.file("ui.rs")).unwrap()
    }

    fn payloads(&self) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        let listed = fs::read_dir(self.out.file("ui")).unwrap().map(Result::unwrap);
        let of = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            let modified = entry.metadata().unwrap().modified().unwrap();
            (name, (fs::read(entry.path()).unwrap(), modified))
        };
        listed.map(of).collect()
    }
}

/// A file as the written code has it: its bytes, and its codings, of which some have no payload.
#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    digest: String,
    codings: BTreeMap<String, Option<(Vec<u8>, String)>>,
    is_utf8: bool,
}

/// Reads the written code line by line.
fn files(stage: &Stage) -> BTreeMap<String, Written> {
    let code = stage.code();
    let (mut statics, mut lists, mut files) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    let quoted = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let word = |line: &str, at: usize| line.split(", ").nth(at).unwrap().to_owned();
    let array = |line: &str| {
        let (_, rest) = line.split_once(", [").unwrap();
        let bytes = rest.split_once(']').unwrap().0.split(", ");
        bytes.map(|byte| format!("{:02x}", byte.parse::<u8>().unwrap())).collect::<String>()
    };
    for line in code.lines().map(str::trim) {
        if line.starts_with("static B") {
            let name = line["static ".len()..].split(':').next().unwrap().to_owned();
            statics.insert(name, fs::read(stage.out.file(&quoted(line))).unwrap());
        } else if line.starts_with("static C") {
            lists.push(BTreeMap::new());
        } else if line.starts_with("Coding::unprofitable") {
            lists.last_mut().unwrap().insert(quoted(line), None);
        } else if line.starts_with("Coding::new") {
            let payload = statics[&word(line, 1)].clone();
            lists.last_mut().unwrap().insert(quoted(line), Some((payload, array(line))));
        } else if line.starts_with("File::new") {
            let codings = lists[files.len()].clone();
            let bytes = statics[&word(line, 1)].clone();
            let is_utf8 = line.ends_with(".utf8(true),");
            let digest = array(line);
            files.insert(quoted(line), Written { bytes, digest, codings, is_utf8 });
        }
    }
    files
}

fn hex_digest(bytes: &[u8]) -> String {
    cachecompress::Digest::of(bytes).hex()
}

/// The entries of a cache, each with what tells it from another of the same name.
fn entries(cache: &Path) -> BTreeSet<(PathBuf, u64)> {
    let entries = cachecompress_test::cache_dir::entries(cache).into_iter();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    entries.map(|path| (path.clone(), inode(&path))).collect()
}

#[test]
fn every_payload_decodes_to_its_file_and_has_its_digest() {
    let stage = Stage::new();
    stage.write();
    let files = files(&stage);
    let mut payloads = 0;
    for (path, file) in &files {
        assert_eq!(file.bytes, fs::read(stage.site.file(path)).unwrap(), "{path}");
        assert_eq!(file.digest, hex_digest(&file.bytes), "{path}");
        for (coding, payload) in &file.codings {
            let Some((payload, digest)) = payload else { continue };
            assert_eq!(decode(coding, payload).unwrap(), file.bytes, "{path} in {coding}");
            assert_eq!(*digest, hex_digest(payload), "{path} in {coding}");
            assert!(payload.len() < file.bytes.len(), "{path} in {coding}");
            payloads += 1;
        }
    }
    assert_eq!(payloads, 9, "three files in three codings");
    let paths: Vec<_> = files.keys().map(String::as_str).collect();
    let expected = [
        "assets/app.js",
        "assets/copy.js",
        "assets/logo.png",
        "index.html",
        "noise.txt",
        "tiny.txt",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn file_without_a_payload_tells_that_it_saves_too_little() {
    let stage = Stage::new();
    stage.write();
    let files = files(&stage);
    for path in ["noise.txt", "tiny.txt"] {
        let refused: Vec<_> =
            files[path].codings.iter().map(|(coding, of)| (&**coding, of)).collect();
        assert_eq!(refused, [("br", &None), ("gzip", &None), ("zstd", &None)], "{path}");
    }
    assert!(files["assets/logo.png"].codings.is_empty(), "its type is compressed already");
    assert!(files["tiny.txt"].is_utf8 && !files["noise.txt"].is_utf8);
}

#[test]
fn equal_contents_are_written_once() {
    let stage = Stage::new();
    stage.write();
    let payloads = stage.payloads();
    assert_eq!(payloads.len(), 5 + 6, "five contents, and two of them in three codings");
    assert_eq!(stage.code().matches("include_bytes!").count(), payloads.len());
}

#[test]
fn second_build_encodes_changed_files_alone() {
    let stage = Stage::new();
    stage.write();
    let (before, code) = (stage.payloads(), stage.code());
    let entries = || entries(&stage.out.file("ui-cache"));
    let encoded = entries();
    stage.write();
    assert_eq!((stage.payloads(), stage.code()), (before.clone(), code), "nothing is written anew");
    assert_eq!(entries(), encoded, "nothing is encoded anew");

    stage.site.write("assets/copy.js", &text(5, 20_000));
    fs::remove_file(stage.site.file("tiny.txt")).unwrap();
    stage.site.write("new.css", &text(1, 3_000));
    stage.write();
    let now = entries();
    assert!(encoded.is_subset(&now), "a file was encoded again");
    assert_eq!(now.len(), encoded.len() + 3, "one new content in three codings");
    let (files, after) = (files(&stage), stage.payloads());
    assert!(files.contains_key("new.css") && !files.contains_key("tiny.txt"));
    assert!(!after.contains_key(&hex_digest(b"tiny")), "an earlier payload is left");
    assert!(before.iter().any(|kept| after.get_key_value(kept.0) == Some(kept)), "all is new");
}

#[test]
fn globs_codings_and_dotfiles_choose_what_is_embedded() {
    let stage = Stage::new();
    let codings = [ContentCoding::GZIP];
    let precompress = stage.precompress().codings(codings).dotfiles(true);
    precompress.include("**/*.js").include(".env").exclude("**/copy.*").write("ui").unwrap();
    let files = files(&stage);
    assert_eq!(files.keys().collect::<Vec<_>>(), [".env", "assets/app.js"]);
    let codings: Vec<_> = files["assets/app.js"].codings.keys().collect();
    assert_eq!(codings, ["gzip"]);
}

#[test]
fn cache_elsewhere_serves_other_builds() {
    let (stage, cache) = (Stage::new(), Site::new());
    stage.precompress().cache(cache.path()).write("ui").unwrap();
    let encoded = entries(cache.path());
    assert!(!encoded.is_empty() && !stage.out.file("ui-cache").exists());
    let other = Site::new();
    stage.precompress().cache(cache.path()).out_dir(other.path()).write("ui").unwrap();
    assert_eq!(entries(cache.path()), encoded);
}

#[test]
fn svgz_stays_as_it_is() {
    let stage = Stage::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(format!("<svg>{}</svg>", " ".repeat(4_000)).as_bytes()).unwrap();
    let svgz = encoder.finish().unwrap();
    stage.site.write("logo.svgz", &svgz);
    stage.write();
    let files = files(&stage);
    assert_eq!(files["logo.svgz"].bytes, svgz);
    assert!(files["logo.svgz"].codings.is_empty());
}

#[track_caller]
fn fails(result: Result<(), Error>, expected: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(format!("{error:?}"), error.to_string(), "Cargo shows an error by `Debug`");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn mistake_is_an_error_of_one_sentence() {
    let stage = Stage::new();
    let at = |directory: &Path| Precompress::new(directory).out_dir(stage.out.path());
    fails(at(&stage.site.file("none")).write("ui"), "there is no directory to embed: ");
    fails(at(&stage.site.file("index.html")).write("ui"), "there is no directory to embed: ");
    fails(stage.precompress().write("../ui"), "\"../ui\" cannot name the code: ");
    fails(stage.precompress().exclude("a[").write("ui"), "a glob is malformed: ");
    fails(stage.precompress().level(ContentCoding::GZIP, 77).write("ui"), "");
    let unknown = ContentCoding::new("x-none").unwrap();
    fails(stage.precompress().codings([unknown]).write("ui"), "there is no built-in encoder");
    stage.out.write("file", b"");
    fails(stage.precompress().out_dir(stage.out.file("file")).write("ui"), "cannot ");
}

#[test]
fn name_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStrExt as _;

    let stage = Stage::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff.js");
    fs::write(stage.site.path().join(name), b"1").unwrap();
    fails(stage.precompress().write("ui"), "the name of the file ");
}
