//! Media types by name and by bytes.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cachecompress::source::{Found, SourceFile};
use cachecompress::{
    Builder, Directory, Embedded, Error, Memory, Overlay, ServeCompressed, Source, SourcePath,
};
use cachecompress_test::made::MadeFile;
use cachecompress_test::service::{LONG, encodes, get, get_as, head, read, request, run};
use cachecompress_test::site::Site;
use flate2::write::GzEncoder;
use http::HeaderValue;

use crate::fixture::site::GZIP;

/// Names, bytes, and the type of both.
const FILES: &[(&str, &[u8], &str)] = &[
    ("a.html", b"<p>gr\xc3\xbcn</p>", "text/html; charset=utf-8"),
    ("latin.xml", b"<?xml version='1.0' encoding='ISO-8859-1'?><a>gr\xfcn</a>", "text/xml"),
    ("shift.html", b"<meta charset=shift_jis><p>\x93\xfa\x96\x7b</p>", "text/html"),
    ("mail.txt", b"\x1b$BF|K\\8l\x1b(B", "text/plain"),
    ("a.json", b"\"gr\xfcn\"", "application/json"),
    ("LICENSE", b"MIT License\n", "text/plain; charset=utf-8"),
    ("empty", b"", "text/plain; charset=utf-8"),
    ("program", b"\x7fELF\x02\x01\x01\0", "application/octet-stream"),
    ("colours", b"\x1b[31mred", "application/octet-stream"),
    (".well-known/apple-app-site-association", b"{}", "application/json"),
    ("song.m4a", b"", "audio/mp4"),
];

fn builder(source: impl Source) -> Builder {
    ServeCompressed::builder(source).patience(LONG)
}

async fn content_type(service: &ServeCompressed, path: &str) -> String {
    let path = format!("/{path}");
    let cold = get(service, &path, &[]).await;
    assert_eq!(cold.status, 200, "{path}");
    let told = cold.field("content-type").to_owned();
    for answer in [get(service, &path, &GZIP).await, head(service, &path, &[]).await] {
        assert_eq!(answer.field("content-type"), told, "{path}");
    }
    if !cold.bytes().is_empty() {
        let part = get(service, &path, &[("range", "bytes=0-0")]).await;
        assert_eq!((part.status.as_u16(), part.field("content-type")), (206, &*told), "{path}");
    }
    told
}

#[test]
fn type_follows_name_and_bytes_in_every_source() {
    const EMBEDDED: &[(&str, &[u8])] = &[
        (FILES[0].0, FILES[0].1),
        (FILES[1].0, FILES[1].1),
        (FILES[2].0, FILES[2].1),
        (FILES[3].0, FILES[3].1),
        (FILES[4].0, FILES[4].1),
        (FILES[5].0, FILES[5].1),
        (FILES[6].0, FILES[6].1),
        (FILES[7].0, FILES[7].1),
        (FILES[8].0, FILES[8].1),
        (FILES[9].0, FILES[9].1),
        (FILES[10].0, FILES[10].1),
    ];
    let site = Site::new();
    let mut memory = Memory::new();
    for (name, bytes, _) in FILES {
        site.write(name, bytes);
        memory = memory.file(name, *bytes);
    }
    let overlay = Overlay::new().layer(Directory::new(site.path()).unwrap());
    run(async {
        for service in [
            builder(Directory::new(site.path()).unwrap()).build().unwrap(),
            builder(memory).build().unwrap(),
            builder(Embedded::new(EMBEDDED)).build().unwrap(),
            builder(overlay).build().unwrap(),
        ] {
            for (name, _, expected) in FILES {
                assert_eq!(content_type(&service, name).await, *expected, "{name}");
            }
        }
    });
}

#[test]
fn type_of_brought_bytes_follows_the_bytes() {
    run(async {
        let service = builder(Memory::new()).build().unwrap();
        let long = "gr\u{fc}n ".repeat(100_000);
        for (name, bytes, expected) in [
            ("a.csv", &b"gr\xfcn"[..], "text/csv"),
            ("a.csv", long.as_bytes(), "text/csv; charset=utf-8"),
            ("README", long.as_bytes(), "text/plain; charset=utf-8"),
        ] {
            let (parts, ()) = request("GET", "/x", &[]).into_parts();
            let file = SourceFile::from_bytes(bytes.to_vec());
            let answer = read(service.serve_source(name, file, &parts).await).await;
            assert_eq!(answer.field("content-type"), expected, "{name}");
        }
    });
}

#[test]
fn edited_file_changes_its_charset() {
    let site = Site::with("a.html", "gr\u{fc}n".as_bytes());
    let directory = Directory::new(site.path()).unwrap();
    let service = builder(directory).revalidate(Duration::ZERO).build().unwrap();
    run(async {
        assert_eq!(content_type(&service, "a.html").await, "text/html; charset=utf-8");
        site.write("a.html", b"gr\xfcn and longer");
        assert_eq!(content_type(&service, "a.html").await, "text/html");
    });
}

#[test]
fn own_type_overrides_and_decides_what_is_compressed() {
    let text = "gr\u{fc}n ".repeat(1000);
    let files = Memory::new()
        .file("a.usdz", text.clone())
        .file("a.png", text.clone())
        .file("a.txt", text.clone())
        .file("LICENSE", text.clone())
        .file("own.txt", SourceFile::from_bytes(text).media_type("text/x-own"));
    let service = builder(files)
        .media_type(".usdz", "model/x")
        .media_type("png", HeaderValue::from_static("text/x-png"))
        .media_type("txt", "text/plain")
        .media_type("license", "application/zip")
        .build()
        .unwrap();
    run(async {
        for (path, expected, coding) in [
            ("/a.usdz", "model/x", "gzip"),
            ("/a.png", "text/x-png", "gzip"),
            ("/a.txt", "text/plain", "gzip"),
            ("/LICENSE", "application/zip", ""),
            ("/own.txt", "text/x-own", "gzip"),
        ] {
            let answer = get(&service, path, &GZIP).await;
            assert_eq!((answer.field("content-type"), answer.coding()), (expected, coding));
        }
    });
    for (name, value) in [("", "a/b"), ("a/b", "a/b"), ("a", "text"), ("a", "text/pl ain")] {
        let error = builder(Memory::new()).media_type(name, value).build().unwrap_err();
        assert_eq!(error.kind(), cachecompress::ErrorKind::Config, "{name}={value}");
    }
    assert!(builder(Memory::new()).media_type("a", "a/b\n").build().is_err());
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn svgz_is_the_svg_that_it_holds() {
    let svg = format!("<svg xmlns='http://www.w3.org/2000/svg'>{}</svg>", "<g/>".repeat(50_000));
    let file = gzipped(svg.as_bytes());
    let site = Site::with("a.svgz", &file);
    let memory = Memory::new().file("a.svgz", file.clone());
    run(async {
        for service in [
            builder(Directory::new(site.path()).unwrap()).build().unwrap(),
            builder(memory).build().unwrap(),
        ] {
            for coding in ["", "gzip", "br", "zstd", "gzip"] {
                let answer = get_as(&service, "/a.svgz", coding).await;
                assert_eq!(
                    (answer.field("content-type"), answer.coding()),
                    ("image/svg+xml", coding)
                );
                assert!(answer.decoded() == svg.as_bytes(), "{coding}");
                assert_eq!(answer.bytes() == file, coding == "gzip", "the gzip is the file's own");
                let tag = answer.field("etag").to_owned();
                let wish = [("accept-encoding", coding), ("if-none-match", &tag)];
                let again = get(&service, "/a.svgz", &wish).await;
                assert_eq!((again.status.as_u16(), again.field("etag")), (304, &*tag));
                let head = head(&service, "/a.svgz", &wish[..1]).await;
                assert_eq!((head.field("etag"), head.coding()), (&*tag, coding));
            }
            let part = get(&service, "/a.svgz", &[("range", "bytes=5-9")]).await;
            assert_eq!((part.status.as_u16(), part.bytes()), (206, b"xmlns".as_slice()));
            let (parts, ()) = request("GET", "/x", &GZIP).into_parts();
            let brought = SourceFile::from_bytes(file.clone());
            let answer = read(service.serve_source("b.SVGZ", brought, &parts).await).await;
            assert_eq!((answer.field("content-type"), answer.coding()), ("image/svg+xml", "gzip"));
            assert!(answer.decoded() == svg.as_bytes());
            assert!(answer.bytes() == file);
            assert_eq!(encodes(&service, "gzip"), 0);
        }
        let named = builder(Directory::new(site.path()).unwrap()).media_type("svgz", "image/x");
        let answer = get(&named.build().unwrap(), "/a.svgz", &[]).await;
        assert_eq!((answer.field("content-type"), answer.bytes()), ("image/x", &*file));
        // Operators of Apache and nginx name this type, and mean the decoded file.
        let named = builder(Directory::new(site.path()).unwrap());
        let named = named.media_type("svgz", "image/svg+xml").build().unwrap();
        let answer = get_as(&named, "/a.svgz", "gzip").await;
        assert_eq!((answer.field("content-type"), answer.coding()), ("image/svg+xml", "gzip"));
        assert!(answer.decoded() == svg.as_bytes());
    });
}

#[test]
fn svgz_that_is_damaged_or_a_bomb_goes_out_as_it_is() {
    let mut damaged = gzipped(b"<svg/>");
    damaged.pop();
    let site = Site::new();
    let bomb = gzipped(&vec![0; (16 << 20) + 1]);
    let files = [("empty.svgz", vec![]), ("plain.svgz", b"<svg/>".to_vec()), ("cut.svgz", damaged)];
    let files = files.into_iter().chain([("bomb.svgz", bomb)]).collect::<Vec<_>>();
    for (name, bytes) in &files {
        site.write(name, bytes);
    }
    let directory = Directory::new(site.path()).unwrap();
    let service = builder(directory).revalidate(Duration::ZERO).build().unwrap();
    run(async {
        for (name, bytes) in &files {
            for _ in 0..2 {
                let answer = get(&service, &format!("/{name}"), &GZIP).await;
                assert_eq!((answer.status.as_u16(), answer.coding()), (200, ""), "{name}");
                assert_eq!(answer.field("content-type"), "application/gzip", "{name}");
                assert!(answer.bytes() == bytes, "{name}");
            }
        }
        // A file that is mended is decoded, and one that is edited is the new SVG.
        for text in ["<svg>one</svg>", "<svg>two</svg>"] {
            site.write("cut.svgz", &gzipped(text.as_bytes()));
            let answer = get(&service, "/cut.svgz", &[]).await;
            assert_eq!(answer.field("content-type"), "image/svg+xml");
            assert_eq!(answer.bytes(), text.as_bytes());
        }
    });
}

/// A drawing of which one read fails.
#[derive(Debug)]
struct Drawing(Arc<MadeFile>);

impl Source for Drawing {
    fn lookup(&self, _: &SourcePath) -> Result<Found, Error> {
        Ok(Found::File(self.0.source()))
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

/// It was taken for damaged until it changed.
#[test]
fn svgz_that_could_not_be_read_once_is_decoded_at_the_next_look() {
    let file = Arc::new(MadeFile::new(gzipped(b"<svg/>")));
    file.break_once();
    let service = builder(Drawing(file)).revalidate(Duration::ZERO).build().unwrap();
    run(async {
        let _ = get(&service, "/a.svgz", &[]).await;
        let answer = get(&service, "/a.svgz", &[]).await;
        assert_eq!(
            (answer.field("content-type"), answer.bytes()),
            ("image/svg+xml", &b"<svg/>"[..])
        );
    });
}

/// The table of differences in `docs/types.md` has our types in its second column.
#[test]
#[allow(clippy::disallowed_methods, reason = "a page of the docs is no file of a cache")]
fn types_are_those_of_the_table_in_the_docs() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/types.md");
    let page = std::fs::read_to_string(page).unwrap();
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows: Vec<(String, String)> = page
        .lines()
        .filter(|line| line.starts_with("| `."))
        .map(|line| line.split('|').skip(1).map(cell).collect::<Vec<_>>())
        .map(|cells| (cells[0].clone(), cells[1].clone()))
        .collect();
    assert!(rows.len() > 80, "the table is somewhere else");
    let files = rows.iter().fold(Memory::new(), |files, (extension, _)| {
        files.file(format!("x{extension}"), "plain text")
    });
    let service = builder(files).build().unwrap();
    run(async {
        for (extension, expected) in rows {
            let answer = get(&service, &format!("/x{extension}"), &[]).await;
            let told = answer.field("content-type");
            assert_eq!(
                told.strip_suffix("; charset=utf-8").unwrap_or(told),
                expected,
                "{extension}"
            );
        }
    });
}
