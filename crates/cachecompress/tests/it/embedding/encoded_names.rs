//! Files `app.js.br` without an `app.js`, which are JavaScript in `br`.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(clippy::disallowed_methods, reason = "tests set the stage")]

use std::io::Write as _;
use std::time::Duration;

use cachecompress::codec::{Brotli, Encoder as _, PIECE};
use cachecompress::{Builder, ContentCoding, Directory, Memory, ServeCompressed, Siblings, Source};
use cachecompress_test::service::{LONG, encodes, get, get_as, head, run, settled};
use cachecompress_test::site::{Site, hex, random};
use flate2::Compression;
use flate2::write::GzEncoder;

fn builder(source: impl Source) -> Builder {
    ServeCompressed::builder(source).encoded_names(true).patience(LONG).revalidate(Duration::ZERO)
}

fn br(bytes: &[u8]) -> Vec<u8> {
    let mut encoding = Brotli::new(9).unwrap().begin(bytes.len() as u64).unwrap();
    let mut out = Vec::new();
    bytes.chunks(PIECE).for_each(|piece| encoding.write(piece, &mut out).unwrap());
    encoding.finish(&mut out).unwrap();
    out
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 17).unwrap()
}

/// The build of a game for the web, as Unity names its files.
fn files(bytes: &[u8]) -> [(&'static str, Vec<u8>, &'static str, &'static str); 4] {
    [
        ("Build/game.framework.js.br", br(bytes), "br", "text/javascript; charset=utf-8"),
        ("Build/game.wasm.gz", gz(bytes), "gzip", "application/wasm"),
        ("Build/game.data.br", br(bytes), "br", "application/octet-stream"),
        ("Build/game.symbols.json.zst", zst(bytes), "zstd", "application/json"),
    ]
}

#[test]
fn encoded_name_is_the_file_that_it_decodes_to() {
    // In the resource, and not.
    for len in [9_000, 300_000] {
        let bytes = hex(len, 1);
        let files = files(&bytes);
        let site = Site::new();
        let memory = files.iter().fold(Memory::new(), |memory, (name, file, ..)| {
            site.write(name, file);
            memory.file(name, file.clone())
        });
        let directory = builder(Directory::new(site.path()).unwrap());
        for builder in [directory, builder(memory)] {
            let service = builder.build().unwrap();
            run(async {
                for (name, file, coding, media_type) in &files {
                    let decoded = name.rsplit_once('.').unwrap().0;
                    for path in [format!("/{name}"), format!("/{decoded}")] {
                        for accept in [*coding, "deflate", "", coding] {
                            let answer = get_as(&service, &path, accept).await;
                            assert_eq!(answer.coding(), accept, "{path}");
                            assert_eq!(answer.field("content-type"), *media_type, "{path}");
                            assert_eq!(answer.field("vary"), "Accept-Encoding");
                            assert!(answer.decoded() == bytes, "{path} {accept}");
                            assert_eq!(answer.bytes() == file, accept == *coding, "{path}");
                            let tag = answer.field("etag").to_owned();
                            let wish = [("accept-encoding", accept), ("if-none-match", &tag)];
                            let again = get(&service, &path, &wish).await;
                            assert_eq!((again.status.as_u16(), again.field("etag")), (304, &*tag));
                            let head = head(&service, &path, &wish[..1]).await;
                            assert_eq!((head.field("etag"), head.coding()), (&*tag, accept));
                            settled(&service).await;
                        }
                        let part = get(&service, &path, &[("range", "bytes=5-9")]).await;
                        assert_eq!((part.status.as_u16(), part.bytes()), (206, &bytes[5..10]));
                    }
                }
                assert_eq!(encodes(&service, "*"), encodes(&service, "deflate"));
                assert_eq!(get_as(&service, "/Build/other.js", "br").await.status, 404);
            });
        }
    }
}

#[test]
fn encoded_name_means_itself_beside_the_file_that_it_names() {
    let (bytes, file) = (hex(9_000, 2), br(&hex(9_000, 2)));
    let site = Site::with("app.js.br", &file);
    let archive = gz(b"no tar at all");
    site.write("a.tar.gz", &archive);
    site.write("Packages.gz", &archive);
    let on = builder(Directory::new(site.path()).unwrap()).siblings(Siblings::Verified);
    let on = on.build().unwrap();
    let off = builder(Directory::new(site.path()).unwrap()).encoded_names(false).build().unwrap();
    let typed = builder(Directory::new(site.path()).unwrap()).media_type("br", "application/x-br");
    let typed = typed.build().unwrap();
    run(async {
        for service in [&off, &typed] {
            let answer = get_as(service, "/app.js.br", "br").await;
            assert_eq!((answer.coding(), answer.bytes() == file), ("", true));
            assert_eq!(get_as(service, "/app.js", "br").await.status, 404);
        }
        for path in ["/a.tar.gz", "/Packages.gz"] {
            let answer = get_as(&on, path, "gzip").await;
            assert_eq!((answer.coding(), answer.bytes() == archive), ("", true), "{path}");
        }
        assert_eq!(get_as(&on, "/a.tar", "gzip").await.status, 404);

        let ask = async |path| get_as(&on, path, "br").await;
        let answer = ask("/app.js.br").await;
        assert_eq!((answer.coding(), answer.bytes() == file), ("br", true));
        // The file that it names comes and goes.
        site.write("app.js", &bytes);
        let answer = ask("/app.js.br").await;
        assert_eq!((answer.coding(), answer.bytes() == file), ("", true));
        let answer = ask("/app.js").await;
        assert_eq!((answer.coding(), answer.bytes() == file), ("br", true), "as its sibling");
        std::fs::remove_file(site.file("app.js")).unwrap();
        let answer = ask("/app.js.br").await;
        assert_eq!((answer.coding(), answer.bytes() == file), ("br", true));
        // Another build.
        let other = br(&hex(9_000, 3));
        site.replace_by_rename("app.js.br", &other);
        for path in ["/app.js", "/app.js.br"] {
            let answer = ask(path).await;
            assert!(answer.bytes() == other && answer.decoded() == hex(9_000, 3), "{path}");
        }
    });
}

#[test]
fn coded_files_of_one_name_share_their_content() {
    let bytes = hex(9_000, 4);
    let (br, gz) = (br(&bytes), gz(&bytes));
    let files = Memory::new().file("app.js.br", br.clone()).file("app.js.gz", gz.clone());
    let service = builder(files).siblings(Siblings::Verified).build().unwrap();
    run(async {
        for (coding, file) in [("br", &br), ("gzip", &gz)] {
            let answer = get_as(&service, "/app.js", coding).await;
            assert_eq!((answer.coding(), answer.bytes() == file), (coding, true));
            assert!(answer.field("content-type").starts_with("text/javascript"));
        }
        assert_eq!(encodes(&service, "*"), 0);
    });
}

#[test]
fn encoded_name_of_a_file_that_is_not_sound_goes_out_as_it_is() {
    let bytes = hex(9_000, 5);
    let mut cut = br(&bytes);
    cut.pop();
    let twice = [gz(&bytes), gz(&bytes)].concat();
    let files = [("cut.js.br", cut), ("twice.js.gz", twice)];
    let source =
        files.iter().fold(Memory::new(), |memory, (name, file)| memory.file(name, file.clone()));
    let service = builder(source).build().unwrap();
    run(async {
        for (name, file) in &files {
            for coding in ["br", "gzip"] {
                let answer = get_as(&service, &format!("/{name}"), coding).await;
                assert_eq!((answer.coding(), answer.bytes() == file), ("", true), "{name}");
            }
            let decoded = name.rsplit_once('.').unwrap().0;
            assert_eq!(get_as(&service, &format!("/{decoded}"), "br").await.status, 404);
        }
    });
}

/// A file beyond the bounds lost its coding and its type, also for clients that could decode it.
#[test]
fn file_that_is_too_long_to_be_decoded_goes_out_in_its_coding_alone() {
    let mut stored = GzEncoder::new(Vec::new(), Compression::none());
    stored.write_all(&random(8, 33 << 20)).unwrap();
    let stored = stored.finish().unwrap();
    let unpacked = gz(&vec![0; (96 << 20) + 1]);
    let site = Site::new();
    let memory = [("long.js.gz", &stored), ("wide.js.gz", &unpacked)].into_iter().fold(
        Memory::new(),
        |memory, (name, file)| {
            site.write(name, file);
            memory.file(name, file.clone())
        },
    );
    let directory = builder(Directory::new(site.path()).unwrap());
    for builder in [directory, builder(memory)] {
        let service = builder.build().unwrap();
        run(async {
            for (name, file) in [("long.js", &stored), ("wide.js", &unpacked)] {
                let (decoded, own) = (format!("/{name}"), format!("/{name}.gz"));
                for path in [&decoded, &own] {
                    let coded = get_as(&service, path, "br, gzip").await;
                    let shown = (coded.status.as_u16(), coded.coding());
                    assert_eq!(shown, (200, "gzip"), "{path}");
                    assert!(coded.bytes() == file, "{path}");
                    assert_eq!(coded.field("content-type"), "text/javascript", "{path}");
                    assert_eq!(coded.field("vary"), "Accept-Encoding", "{path}");
                    let tag = coded.field("etag").to_owned();
                    let wish = [("accept-encoding", "gzip"), ("if-none-match", &*tag)];
                    let again = get(&service, path, &wish).await;
                    assert_eq!((again.status.as_u16(), again.field("etag")), (304, &*tag));
                    let wish = [("accept-encoding", "gzip"), ("range", "bytes=5-9")];
                    let part = get(&service, path, &wish).await;
                    assert_eq!((part.status.as_u16(), part.coding()), (206, "gzip"));
                    assert_eq!((part.field("etag"), part.bytes()), (&*tag, &file[5..10]));
                    let head = head(&service, path, &wish[..1]).await;
                    assert_eq!((head.field("etag"), head.coding()), (&*tag, "gzip"));
                    for accept in ["br", "identity", "", "gzip;q=0"] {
                        let answer = get_as(&service, path, accept).await;
                        assert_eq!(answer.field("vary"), "Accept-Encoding", "{path} {accept}");
                        if path == &decoded {
                            assert_eq!(answer.status, 406, "{path} {accept}");
                            continue;
                        }
                        assert_eq!((answer.status.as_u16(), answer.coding()), (200, ""));
                        assert_eq!(answer.field("content-type"), "application/gzip", "{accept}");
                        assert!(answer.bytes() == file, "{path} {accept}");
                        assert_ne!(answer.field("etag"), tag, "{path} {accept}");
                        let wish = [("accept-encoding", accept), ("if-none-match", &*tag)];
                        assert_eq!(get(&service, path, &wish).await.status, 200, "{accept}");
                    }
                }
            }
            assert_eq!(encodes(&service, "*"), 0);
        });
    }
}

/// A path led to a file that no request is to reach.
#[test]
fn excluded_file_is_reached_by_no_other_name() {
    let files = Memory::new()
        .file("app.js.br", br(&hex(9_000, 7)))
        .file("long.js.br", vec![0; (32 << 20) + 1])
        .file("a.txt.gz", gz(b"text"));
    let service = builder(files).exclude("*.br").build().unwrap();
    run(async {
        for path in ["/app.js", "/app.js.br", "/long.js", "/long.js.br"] {
            assert_eq!(get_as(&service, path, "br").await.status, 404, "{path}");
        }
        assert_eq!(get_as(&service, "/a.txt", "br").await.status, 200);
    });
}

#[test]
fn warming_adopts_files_of_encoded_names() {
    let bytes = hex(9_000, 6);
    let service = builder(Memory::new().file("app.js.br", br(&bytes))).build().unwrap();
    run(async {
        let options = cachecompress::WarmOptions::new();
        let options = options.codings([ContentCoding::BROTLI, ContentCoding::GZIP]);
        let summary = service.warm_with(options, |_| ()).await.unwrap();
        assert_eq!((summary.stored, encodes(&service, "br"), encodes(&service, "gzip")), (2, 0, 1));
        assert!(get_as(&service, "/app.js.br", "br").await.bytes() == br(&bytes));
    });
}
