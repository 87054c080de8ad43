//! Files whose codings were made when the program was built.
//!
//! The coding `x-pack` has no encoder in the library. So it is here what every coding is in a program that
//! was built without the features of codings.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use cachecompress::codec::{Encoder as _, PIECE};
use cachecompress::explain::Stored;
use cachecompress::fs::MemoryDisk;
use cachecompress::source::{
    Content, Found, Overlay, PrecompressedCoding, PrecompressedFile, Source, SourceFile,
};
use cachecompress::{
    Cache, ContentCoding, Digest, Embedded, Error, ErrorKind, Memory, Outcome, Preference,
    ServeCompressed, SourcePath, WarmOptions,
};
use cachecompress_test::FaultDisk;
use cachecompress_test::pack::Pack;
use cachecompress_test::service::{Answer, LONG, encodes, get, get_as, head, request, run};
use cachecompress_test::site::{hex, random};
use http::StatusCode;

/// A file with its codings; `None` for one that saves too little.
struct Baked {
    path: &'static str,
    bytes: Vec<u8>,
    codings: Vec<(&'static str, Option<Vec<u8>>)>,
    is_utf8: bool,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 19).unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoding = Pack::new().begin(bytes.len() as u64).unwrap();
    bytes.chunks(PIECE).for_each(|piece| encoding.write(piece, &mut out).unwrap());
    encoding.finish(&mut out).unwrap();
    out
}

fn leaked(bytes: &[u8]) -> &'static [u8] {
    Box::leak(bytes.into())
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    *Digest::of(bytes).as_bytes()
}

fn file(baked: &Baked) -> PrecompressedFile {
    let codings = baked.codings.iter().map(|(coding, payload)| match payload {
        Some(payload) => PrecompressedCoding::new(coding, leaked(payload), digest(payload)),
        None => PrecompressedCoding::unprofitable(coding),
    });
    let codings: Vec<_> = codings.collect();
    let bytes = leaked(&baked.bytes);
    PrecompressedFile::new(baked.path, bytes, digest(bytes), Box::leak(codings.into()))
        .utf8(baked.is_utf8)
}

fn source(files: &[Baked]) -> Embedded {
    let files: Vec<_> = files.iter().map(file).collect();
    Embedded::precompressed(Box::leak(files.into()))
}

fn app() -> Vec<u8> {
    hex(40_000, 1)
}

/// A site with a script in three codings, the shortest of which comes last, and files without any.
fn site() -> Vec<Baked> {
    let plain = |path, bytes, codings| Baked { path, bytes, codings, is_utf8: true };
    let refused = || ["x-pack", "gzip", "zstd", "br"].map(|coding| (coding, None)).to_vec();
    let app = app();
    let coded = vec![
        ("gzip", Some(gzip(&app))),
        ("zstd", Some(zstd(&app))),
        ("x-pack", Some(packed(&app))),
    ];
    vec![
        plain("app.js", app, coded),
        plain("index.html", hex(3_000, 2), vec![("gzip", Some(gzip(&hex(3_000, 2))))]),
        plain("tiny.txt", b"tiny".to_vec(), refused()),
        plain("noise.txt", random(3, 9_000), refused()),
        plain("packed.txt", random(4, 9_000), vec![("x-pack", None)]),
        Baked { path: "logo.png", bytes: random(5, 9_000), codings: vec![], is_utf8: false },
    ]
}

fn service() -> ServeCompressed {
    ServeCompressed::builder(source(&site())).patience(Duration::ZERO).build().unwrap()
}

#[track_caller]
fn assert_ahead(answer: &Answer, coding: &str) {
    assert_eq!((answer.status, answer.coding()), (StatusCode::OK, coding), "{answer:?}");
    assert_eq!(answer.cache(), "hit");
    assert_eq!(answer.field("vary"), "Accept-Encoding");
    assert_eq!(answer.field("content-length"), answer.bytes().len().to_string());
    assert!(answer.decoded() == app(), "other bytes");
}

#[test]
fn first_request_gets_each_coding_without_an_encoder() {
    run(async {
        let service = service();
        for coding in ["x-pack", "gzip", "zstd"] {
            assert_ahead(&get_as(&service, "/app.js", coding).await, coding);
            assert_ahead(&get_as(&service, "/app.js", coding).await, coding);
            let head = head(&service, "/app.js", &[("accept-encoding", coding)]).await;
            let got = get_as(&service, "/app.js", coding).await;
            assert_eq!((head.headers, head.body.unwrap().len()), (got.headers, 0));
        }
        let identity = get_as(&service, "/app.js", "identity").await;
        assert!(identity.bytes() == app() && identity.coding().is_empty());
        assert_eq!(encodes(&service, "*"), 0);
        let metrics = service.metrics();
        let hits = metrics.requests.iter().find(|(outcome, _)| *outcome == Outcome::Hit);
        assert_eq!((hits, metrics.entries), (Some(&(Outcome::Hit, 12)), 0));
    });
}

/// A cache that fails gives identity with `detail=disk` for all other files.
#[test]
fn failing_cache_is_not_asked() {
    run(async {
        let disk = FaultDisk::new(MemoryDisk::default());
        disk.fail_from(0, io::ErrorKind::StorageFull);
        let cache = Cache::builder("/cache").disk(Arc::new(disk.clone())).build().unwrap();
        let service = ServeCompressed::builder(source(&site())).cache(cache).build().unwrap();
        let other = get_as(&service, "/app.js", "br").await;
        assert_eq!((other.coding(), other.cache()), ("", "disk"), "the cache fails");
        let calls = disk.calls();
        assert_ahead(&get_as(&service, "/app.js", "gzip").await, "gzip");
        assert_eq!(disk.calls(), calls);
    });
}

#[test]
fn shortest_coding_goes_first_among_those_of_equal_weight() {
    run(async {
        let service = service();
        let (shortest, longer) = (packed(&app()).len(), [gzip(&app()).len(), zstd(&app()).len()]);
        assert!(longer.iter().all(|len| shortest < *len), "{shortest} {longer:?}");
        let all = "br, gzip, x-pack, zstd";
        assert_ahead(&get_as(&service, "/app.js", all).await, "x-pack");
        let weighed = "br, gzip, x-pack;q=0.9, zstd;q=0.1";
        assert_ahead(&get_as(&service, "/app.js", weighed).await, "gzip");
        // `br` has no payload and an encoder, which need not run.
        assert_ahead(&get_as(&service, "/app.js", "br, x-pack;q=0.1").await, "x-pack");
        assert_eq!(encodes(&service, "*"), 0);
    });
}

#[test]
fn preference_may_list_a_coding_that_files_have_and_no_encoder_makes() {
    run(async {
        let list = |names: &[&str]| {
            let codings = names.iter().map(|name| ContentCoding::new(name).unwrap());
            Preference::List(codings.collect())
        };
        let over = |source: Embedded, names: &[&str]| {
            let layers = Overlay::new().layer(Memory::new()).layer(source);
            ServeCompressed::builder(layers).preference(list(names)).build()
        };
        let service = over(source(&site()), &["x-pack", "gzip"]).unwrap();
        assert_ahead(&get_as(&service, "/app.js", "gzip, zstd, x-pack").await, "x-pack");
        let unlisted = get_as(&service, "/app.js", "zstd").await;
        assert_eq!((unlisted.coding(), unlisted.cache()), ("", "identity"));
        let refused = over(source(&site()), &["x-none"]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(over(source(&[]), &["x-pack"]).is_err(), "no file has it");
    });
}

#[test]
fn coding_without_a_payload_is_encoded_as_ever() {
    run(async {
        let service = ServeCompressed::builder(source(&site())).patience(LONG).build().unwrap();
        let first = get_as(&service, "/app.js", "br").await;
        assert_eq!((first.coding(), first.cache()), ("br", "stored"));
        assert!(first.decoded() == app());
        assert_eq!(encodes(&service, "br"), 1);
    });
}

#[test]
fn detail_tells_the_reason_for_identity() {
    run(async {
        let service = service();
        let detail = async |path, accept: &str| {
            let answer = get_as(&service, path, accept).await;
            assert_eq!((answer.status, answer.coding()), (StatusCode::OK, ""), "{answer:?}");
            answer.cache().to_owned()
        };
        for accept in ["x-pack", "gzip", "br, gzip, x-pack"] {
            assert_eq!(detail("/tiny.txt", accept).await, "small", "{accept}");
            assert_eq!(detail("/noise.txt", accept).await, "unprofitable", "{accept}");
            assert_eq!(detail("/logo.png", accept).await, "", "{accept}");
        }
        assert_eq!(detail("/packed.txt", "x-pack").await, "unprofitable");
        assert_eq!(detail("/app.js", "x-other").await, "identity");
        assert_eq!(encodes(&service, "*"), 0);
    });
}

#[test]
fn refusal_of_identity_gets_what_can_be_made_or_406() {
    run(async {
        let service =
            ServeCompressed::builder(source(&site())).patience(Duration::ZERO).build().unwrap();
        let insisting = async |path, coding: &str| {
            let accept = format!("{coding}, identity;q=0");
            get_as(&service, path, &accept).await
        };
        assert_ahead(&insisting("/app.js", "x-pack").await, "x-pack");
        for path in ["/tiny.txt", "/noise.txt", "/packed.txt"] {
            let refused = insisting(path, "x-pack").await;
            assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE, "{path}");
        }
        // An encoder is there for this one.
        let made = insisting("/noise.txt", "gzip").await;
        assert_eq!((made.status, made.coding()), (StatusCode::OK, "gzip"));
        assert!(made.decoded() == random(3, 9_000));
    });
}

#[test]
fn tag_is_of_the_payload_and_answers_304() {
    run(async {
        let (one, mut other) = (service(), site());
        other[0].codings[0].1 = Some(gzip_stored(&app()));
        let other = ServeCompressed::builder(source(&other)).build().unwrap();
        let of = async |service: &ServeCompressed| {
            let answer = get_as(service, "/app.js", "gzip").await;
            assert_ahead(&answer, "gzip");
            answer.field("etag").to_owned()
        };
        let (tag, same, differs) = (of(&one).await, of(&service()).await, of(&other).await);
        assert_eq!(tag, same, "the same payload");
        assert_ne!(tag, differs, "another payload of the same file");
        let start = format!("\"{}-gzip-", &Digest::of(&app()).base64url()[..Digest::TAG_LEN]);
        assert!(tag.starts_with(&start), "{tag}");

        let ask = [("accept-encoding", "gzip, x-pack"), ("if-none-match", &tag)];
        let not_modified = get(&one, "/app.js", &ask).await;
        assert_eq!(not_modified.status, StatusCode::NOT_MODIFIED);
        assert_eq!((not_modified.field("etag"), not_modified.cache()), (&*tag, "hit"));
        // A tag of this content says enough, whichever encoder made it. `If-Match` says more.
        let any =
            get(&one, "/app.js", &[("accept-encoding", "gzip"), ("if-none-match", "*")]).await;
        assert_eq!((any.status, any.field("etag")), (StatusCode::NOT_MODIFIED, &*tag));
        let pinned = |tag| [("accept-encoding", "zstd, gzip"), ("if-match", tag)];
        let same = get(&one, "/app.js", &pinned(&tag)).await;
        assert_ahead(&same, "gzip");
        let gone = get(&one, "/app.js", &pinned(&differs)).await;
        assert_eq!(gone.status, StatusCode::PRECONDITION_FAILED);
    });
}

/// `If-Match` may name the output of an encoder that the program has, too.
#[test]
fn tag_of_an_encoder_is_not_that_of_the_payload() {
    run(async {
        let memory = Memory::new().file("app.js", app());
        let other = ServeCompressed::builder(memory).patience(LONG).build().unwrap();
        let encoded = get_as(&other, "/app.js", "gzip").await;
        let tag = encoded.field("etag");
        let pinned = [("accept-encoding", "gzip"), ("if-match", tag)];
        let same = get(&service(), "/app.js", &pinned).await;
        assert_eq!(
            (same.status, same.field("etag"), same.cache()),
            (StatusCode::OK, tag, "stored")
        );
        assert!(same.bytes() == encoded.bytes());
    });
}

/// Another gzip of the same bytes.
fn gzip_stored(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn range_is_of_the_payload_that_if_range_names() {
    run(async {
        let service = service();
        for coding in ["x-pack", "gzip", "zstd"] {
            let whole = get_as(&service, "/app.js", coding).await;
            let middle = whole.bytes().len() / 2;
            let range = format!("bytes={middle}-");
            let tag = whole.field("etag");
            let fields =
                [("accept-encoding", "gzip, zstd, x-pack"), ("range", &range), ("if-range", tag)];
            let rest = get(&service, "/app.js", &fields).await;
            assert_eq!((rest.status, rest.coding()), (StatusCode::PARTIAL_CONTENT, coding));
            assert_eq!((rest.cache(), rest.field("etag")), ("hit", tag));
            assert!(rest.bytes() == &whole.bytes()[middle..]);
            let fields = [fields[0], ("range", "bytes=9999999-"), fields[2]];
            let beyond = get(&service, "/app.js", &fields).await;
            assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
        }
        let plain = [("accept-encoding", "gzip"), ("range", "bytes=10-19")];
        let part = get(&service, "/app.js", &plain).await;
        assert_eq!((part.coding(), part.bytes()), ("", &app()[10..20]), "a range of identity");
    });
}

#[test]
fn warm_reports_what_is_there_and_encodes_the_rest() {
    run(async {
        let service = service();
        let mut reused = Vec::new();
        let summary = service
            .warm_with(WarmOptions::new(), |progress| {
                if let Some(warmed) = progress.latest.as_ref().filter(|warmed| warmed.reused) {
                    reused.push((warmed.path.to_string(), warmed.coding.to_string()));
                }
            })
            .await
            .unwrap();
        let expected =
            [("app.js", "gzip"), ("app.js", "x-pack"), ("app.js", "zstd"), ("index.html", "gzip")];
        reused.sort();
        assert_eq!(reused, expected.map(|(path, coding)| (path.to_owned(), coding.to_owned())));
        assert_eq!(encodes(&service, "gzip"), 1, "of packed.txt, which nobody has tried it on");
        assert_eq!(encodes(&service, "br"), 3);
        assert_eq!(summary.failed, 0);
        assert!(summary.unprofitable >= 4, "{summary:?}");
    });
}

#[test]
fn explanation_names_payloads_and_agrees_with_the_response() {
    run(async {
        let service = service();
        for (path, accept) in [
            ("/app.js", "gzip, x-pack"),
            ("/app.js", "x-pack"),
            ("/noise.txt", "gzip"),
            ("/tiny.txt", "gzip"),
            ("/packed.txt", "x-pack, identity;q=0"),
        ] {
            let fields = [("accept-encoding", accept)];
            let explained = service.explain(&request("GET", path, &fields)).await;
            let answer = get(&service, path, &fields).await;
            assert_eq!(explained.status, answer.status, "{path} {accept}");
            assert_eq!(explained.headers, answer.headers, "{path} {accept}");
        }
        let explained = service.explain(&request("GET", "/app.js", &[])).await;
        let codings = explained.file.unwrap().codings;
        let stored = |name| {
            let found = codings.iter().find(|of| of.coding.as_str() == name);
            found.map(|of| of.stored)
        };
        let len = packed(&app()).len() as u64;
        assert_eq!(stored("x-pack"), Some(Stored::Precompressed(len)));
        assert_eq!(stored("br"), Some(Stored::Nothing));
        assert_eq!(encodes(&service, "*"), 0);
    });
}

#[test]
fn charset_is_the_one_that_the_build_found() {
    run(async {
        let mut files = site();
        files[1].is_utf8 = false;
        let service = ServeCompressed::builder(source(&files)).build().unwrap();
        let html = get_as(&service, "/index.html", "gzip").await;
        assert_eq!(html.field("content-type"), "text/html", "nobody has looked at the bytes");
        let script = get_as(&service, "/app.js", "gzip").await;
        assert_eq!(script.field("content-type"), "text/javascript; charset=utf-8");
        assert!(source(&files).files_in_memory().is_empty());
    });
}

#[test]
fn digest_is_the_one_that_the_build_found() {
    run(async {
        let file = PrecompressedFile::new("a.txt", b"a", [7; 32], &[]);
        let files = Embedded::precompressed(Box::leak([file].into()));
        let service = ServeCompressed::builder(files).build().unwrap();
        let tag = Digest::from_bytes([7; 32]).base64url();
        let expected = format!("\"{}\"", &tag[..Digest::TAG_LEN]);
        assert_eq!(get(&service, "/a.txt", &[]).await.field("etag"), expected, "it is not hashed");
    });
}

#[test]
fn file_longer_than_a_cache_takes_goes_out_in_its_coding() {
    run(async {
        let service = ServeCompressed::builder(source(&site()))
            .cache(Cache::in_memory(20_000))
            .build()
            .unwrap();
        assert_ahead(&get_as(&service, "/app.js", "x-pack").await, "x-pack");
        let other = get_as(&service, "/app.js", "br").await;
        assert_eq!((other.coding(), other.cache()), ("", "large"));
    });
}

/// A source that fills a template in.
#[derive(Debug)]
struct Filled(Embedded);

impl Source for Filled {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        Ok(match self.0.lookup(path)? {
            Found::File(mut file) if path.as_str() == Some("app.js") => {
                file.content = Content::Bytes(hex(40_000, 9).into());
                file.digest = None;
                Found::File(file)
            }
            found => found,
        })
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.0.paths()
    }
}

#[test]
fn payload_is_not_sent_for_other_bytes() {
    run(async {
        let filled = Filled(source(&site()));
        let service = ServeCompressed::builder(filled).patience(LONG).build().unwrap();
        let answer = get_as(&service, "/app.js", "gzip").await;
        assert_eq!((answer.coding(), answer.cache()), ("gzip", "stored"));
        assert!(answer.decoded() == hex(40_000, 9));
    });
}

#[test]
fn file_that_a_handler_brings_keeps_its_payloads() {
    run(async {
        let (source, service) = (source(&site()), service());
        let Found::File(file) = source.lookup(&SourcePath::root().join("app.js")).unwrap() else {
            panic!("app.js is a file")
        };
        let brought = async |file: SourceFile| {
            let request = request("GET", "/", &[("accept-encoding", "x-pack")]);
            let response = service.serve_source("other.js", file, &request.into_parts().0).await;
            cachecompress_test::service::read(response).await
        };
        assert_ahead(&brought(file).await, "x-pack");
    });
}

#[test]
#[should_panic(expected = "no content coding: \"no token\" of \"app.js\"")]
fn malformed_coding_is_refused() {
    let codings = vec![("no token", None)];
    let _ = source(&[Baked { path: "app.js", bytes: app(), codings, is_utf8: true }]);
}
