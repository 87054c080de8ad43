//! The explanation of a response, held against the response itself.

#![cfg(all(unix, feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test looks for changes of the cache's directory"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cachecompress::explain::{Explanation, Route, Stored};
use cachecompress::{
    Cache, ContentCoding, Digest, Directory, HeaderRule, Redirect, ServeCompressed, Siblings,
};
use cachecompress_test::service::{Answer, LONG, encodes, get, request, run, settled};
use cachecompress_test::site::{Site, files_below, hex, random};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

const CODINGS: [&str; 7] = [
    "",
    "gzip",
    "br, zstd, gzip",
    "gzip;q=0.5, zstd",
    "identity",
    "gzip, identity;q=0",
    "x-no, *;q=0",
];

/// The paths with the ways that they go.
const PATHS: [(&str, Route); 19] = [
    ("/text.txt", Route::File),
    ("/text.txt?query", Route::File),
    ("/logo.png", Route::File),
    ("/tiny.txt", Route::File),
    ("/huge.txt", Route::File),
    ("/app.3f9c2b1a.js", Route::File),
    ("/docs/", Route::File),
    ("/docs", Route::Spelling),
    ("/old", Route::Rule),
    ("/text.txt/../lib.css", Route::File),
    ("/drafts/a.txt", Route::Excluded),
    ("/.secret.css", Route::Nowhere),
    ("/missing.js", Route::Nowhere),
    ("/outside.txt", Route::Nowhere),
    ("/%zz", Route::Malformed),
    ("/some/page", Route::Application),
    // No encoder makes these shorter, with a sample and without.
    ("/noise.txt", Route::File),
    ("/hiss.txt", Route::File),
    // The file beside it is another one's.
    ("/stale.css", Route::File),
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn site(outside: &Path) -> Site {
    let site = Site::new();
    for (path, bytes) in [
        ("text.txt", hex(5_000, 1)),
        ("logo.png", random(2, 9_000)),
        ("tiny.txt", b"tiny".to_vec()),
        ("huge.txt", hex(600_000, 3)),
        ("app.3f9c2b1a.js", hex(70_000, 4)),
        ("docs/index.html", hex(3_000, 5)),
        ("index.html", hex(3_500, 6)),
        ("404.html", hex(2_000, 7)),
        ("lib.css", hex(8_000, 8)),
        ("lib.css.gz", gzip(&hex(8_000, 8))),
        ("stale.css", hex(8_000, 9)),
        ("stale.css.gz", gzip(&hex(7_000, 9))),
        ("noise.txt", random(10, 90_000)),
        ("hiss.txt", random(14, 9_000)),
        (".secret.css", hex(3_000, 11)),
        ("drafts/a.txt", hex(3_000, 12)),
    ] {
        site.write(path, &bytes);
    }
    fs::write(outside.join("out.txt"), hex(3_000, 13)).unwrap();
    symlink(outside.join("out.txt"), site.path().join("outside.txt")).unwrap();
    site
}

fn service(site: &Site, cache: &Path, read_only: bool) -> ServeCompressed {
    let cache = Cache::builder(cache).max_bytes(1 << 20).read_only(read_only).build().unwrap();
    ServeCompressed::builder(Directory::new(site.path()).unwrap())
        .cache(cache)
        .siblings(Siblings::Verified)
        .exclude("drafts/**")
        .immutable(true)
        .nearest_not_found(true)
        .spa(true)
        .default_cache_control(http::HeaderValue::from_static("no-cache"))
        .header_rule(HeaderRule::new("/*.js").set("x-frame-options", "DENY").always(true))
        .header_rule(HeaderRule::new("/docs/*").unset("x-content-type-options"))
        .redirect(Redirect::new("/old", "/text.txt"))
        .original_length(true)
        .patience(LONG)
        .build()
        .unwrap()
}

/// A request for a page, as a browser makes it.
fn fields(coding: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields = vec![("accept", "text/html")];
    if !coding.is_empty() {
        fields.push(("accept-encoding", coding));
    }
    fields
}

async fn explain(service: &ServeCompressed, path: &str, coding: &'static str) -> Explanation {
    service.explain(&request("GET", path, &fields(coding))).await
}

/// Holds the explanation against the response. The length of a new encode is not foreseen.
#[track_caller]
fn assert_agrees(explained: &Explanation, answer: &Answer, of: &str) {
    assert_eq!(explained.status, answer.status, "{of}");
    let (mut foreseen, mut sent) = (explained.headers.clone(), answer.headers.clone());
    if answer.cache() == "stored" {
        assert!(foreseen.remove("content-length").is_none());
        sent.remove("content-length");
    }
    let sorted = |headers: &http::HeaderMap| -> BTreeMap<String, Vec<u8>> {
        let lines = headers.iter();
        lines.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
    };
    assert_eq!(sorted(&foreseen), sorted(&sent), "{of}");
    let served = answer.served.as_ref().and_then(|served| served.cache_status);
    assert_eq!(explained.cache_status, served, "{of}");
}

/// The names in a directory, with lengths and times.
fn snapshot(directory: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let look = |path: PathBuf| {
        let found = fs::metadata(&path).unwrap();
        (path, found.len(), found.modified().unwrap())
    };
    let mut all: Vec<_> = files_below(directory).into_iter().map(look).collect();
    all.sort();
    all
}

#[test]
fn explanation_is_the_response_before_and_after_every_encode() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("cache");
        let site = site(directory.path());
        let onlooker = service(&site, &cache, true);
        // Nothing is there yet.
        assert_eq!(
            explain(&onlooker, "/text.txt", "gzip").await.headers["content-encoding"],
            "gzip"
        );
        assert!(!cache.exists(), "to look at a cache creates none");
        let service = service(&site, &cache, false);
        for (path, route) in PATHS {
            for coding in CODINGS {
                let of = format!("{path} as {coding:?}");
                for _ in ["first", "second"] {
                    let before = snapshot(&cache);
                    let explained = explain(&onlooker, path, coding).await;
                    assert_eq!(snapshot(&cache), before, "{of}: the onlooker left something");
                    assert_eq!(explained.route, route, "{of}");
                    let by_itself = explain(&service, path, coding).await;
                    settled(&service).await;
                    let answer = get(&service, path, &fields(coding)).await;
                    settled(&service).await;
                    assert_agrees(&explained, &answer, &of);
                    assert_agrees(&by_itself, &answer, &of);
                }
            }
        }
        assert_eq!(encodes(&onlooker, "*"), 0);
    });
}

#[test]
fn explanation_names_the_reasons() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("cache");
        let site = site(directory.path());
        let service = service(&site, &cache, false);
        let stored = async |path: &str, coding| {
            let file = explain(&service, path, coding).await.file.unwrap();
            let stored = |known: &ContentCoding| {
                let of = file.codings.iter().find(|explained| explained.coding == *known);
                of.map(|explained| (explained.is_accepted, explained.stored))
            };
            (stored(&ContentCoding::BROTLI), stored(&ContentCoding::GZIP))
        };
        let nothing = (Some((false, Stored::Nothing)), Some((true, Stored::Nothing)));
        assert_eq!(stored("/text.txt", "gzip").await, nothing);
        let sent = get(&service, "/text.txt", &fields("gzip")).await;
        let length = sent.bytes().len() as u64;
        settled(&service).await;
        let known = Some((true, Stored::Representation(length)));
        assert_eq!(stored("/text.txt", "gzip").await, (Some((false, Stored::Nothing)), known));

        get(&service, "/noise.txt", &fields("gzip")).await;
        settled(&service).await;
        assert_eq!(stored("/noise.txt", "gzip").await.1, Some((true, Stored::Unprofitable)));
        assert_eq!(stored("/logo.png", "gzip").await, (None, None), "nothing is on offer");
        let file = async |path: &str| explain(&service, path, "gzip").await.file.unwrap();
        let (logo, tiny, huge) =
            (file("/logo.png").await, file("/tiny.txt").await, file("/huge.txt").await);
        assert!(!logo.is_compressible && tiny.is_compressible && huge.is_compressible);
        assert!(tiny.is_small && !huge.is_small && huge.exceeds_cache && !tiny.exceeds_cache);
        let app = file("/app.3f9c2b1a.js").await;
        assert!(app.is_named_by_content && !huge.is_named_by_content);
        assert_eq!(app.digest, Some(Digest::of(&hex(70_000, 4))));
        assert_eq!((app.len, app.path.as_str()), (70_000, Some("app.3f9c2b1a.js")));
        assert_eq!(app.media_type, "text/javascript; charset=utf-8");
        assert!(app.accepts_identity);
        let siblings =
            file("/lib.css").await.codings.into_iter().filter_map(|coding| coding.sibling);
        assert_eq!(siblings.collect::<Vec<_>>(), ["lib.css.gz".parse().unwrap()]);
        assert!(explain(&service, "/missing.js", "gzip").await.file.is_none(), "a page is no file");

        // A damaged entry is one that will be made again.
        let entry = files_below(&cache)
            .into_iter()
            .find(|path| path.to_string_lossy().contains(&Digest::of(&hex(5_000, 1)).hex()));
        let entry = entry.unwrap();
        let mut bytes = fs::read(&entry).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&entry, bytes).unwrap();
        assert_eq!(stored("/text.txt", "gzip").await.1, Some((true, Stored::Damaged)));
        assert!(entry.exists());
    });
}

#[test]
fn digests_are_those_of_the_files_that_a_glob_names() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let site = site(directory.path());
        site.write("a b.txt", b"spaced");
        let service = service(&site, &directory.path().join("cache"), true);
        let found = async |glob: &str| {
            let found = service.digests(&[glob]).await.unwrap();
            let paths = service.matching(&[glob]).await.unwrap();
            assert!(found.iter().map(|(path, _)| path).eq(&paths), "{glob}: {paths:?}");
            for (path, digest) in &found {
                let bytes = fs::read(site.path().join(path.as_str().unwrap())).unwrap();
                assert_eq!(*digest, Digest::of(&bytes), "{path}");
            }
            found.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("/text.txt").await, "text.txt");
        assert_eq!(found("/docs/").await, "docs/index.html");
        assert_eq!(found("/docs").await, "docs/index.html");
        assert_eq!(found("/").await, "index.html");
        assert_eq!(found("/*.css").await, "lib.css stale.css");
        assert_eq!(found("/**/*.html").await, "404.html docs/index.html index.html");
        assert_eq!(found("/a%20b*").await, "a b.txt");
        assert_eq!(found("/a%20b.txt").await, "a b.txt");
        for nowhere in
            ["/drafts/a.txt", "/drafts/*", "/.secret.css", "/outside.txt", "/missing*", "/x"]
        {
            assert_eq!(found(nowhere).await, "", "{nowhere}");
        }
        for wrong in ["/%zz", "/%zz*", "/a//*", "/[", "//"] {
            let _ = service.digests(&[wrong]).await;
        }
        for wrong in ["/[", "/%zz", "/%zz*", "/a{b"] {
            let refused =
                service.matching(&["/text.txt", wrong]).await.map_err(|error| error.kind());
            assert_eq!(refused, Err(cachecompress::ErrorKind::Config), "{wrong}");
        }
        let found = service.matching(&["/lib.cs?", "/docs/", "/docs", "lib.css"]).await.unwrap();
        assert_eq!(found, ["docs/index.html".parse().unwrap(), "lib.css".parse().unwrap()]);
    });
}
