//! Files `.br`, `.zst` and `.gz` beside a file, which are its representations if they decode to it.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(clippy::disallowed_methods, reason = "tests set the stage")]

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cachecompress::codec::{Brotli, Encoder, PIECE, Zstd};
use cachecompress::source::Found;
use cachecompress::{
    Builder, Cache, ContentCoding, Directory, Error, Memory, Overlay, ServeCompressed, Siblings,
    Source, SourcePath, Symlinks, WarmOptions,
};
use cachecompress_test::gate::Gate;
use cachecompress_test::made::MadeFile;
use cachecompress_test::service::{LONG, encodes, get, get_as, head, open, read, run, settled};
use cachecompress_test::site::{Site, hex};
use flate2::GzBuilder;

/// The codings and the ends of their files.
const CODED: [(&str, &str); 3] = [("br", "br"), ("zstd", "zst"), ("gzip", "gz")];

fn builder(source: impl Source) -> Builder {
    ServeCompressed::builder(source)
        .siblings(Siblings::Verified)
        .patience(LONG)
        .revalidate(Duration::ZERO)
}

/// Encodes at levels that no service here has.
fn coded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let by = |encoder: &dyn Encoder| {
        let (mut encoding, mut out) = (encoder.begin(bytes.len() as u64).unwrap(), Vec::new());
        bytes.chunks(PIECE).for_each(|piece| encoding.write(piece, &mut out).unwrap());
        encoding.finish(&mut out).unwrap();
        out
    };
    match coding {
        "br" => by(&Brotli::new(9).unwrap()),
        "zstd" => by(&Zstd::new(17).unwrap()),
        _ => {
            // As `gzip FILE` does, with the name and the time.
            let builder = GzBuilder::new().filename("app.js").mtime(1_700_000_000);
            let mut encoder = builder.write(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// `/app.js` with all three beside it.
fn site(bytes: &[u8]) -> Site {
    let site = Site::with("app.js", bytes);
    for (coding, end) in CODED {
        site.write(&format!("app.js.{end}"), &coded(coding, bytes));
    }
    site
}

fn memory(bytes: &[u8]) -> Memory {
    CODED.iter().fold(Memory::new().file("app.js", bytes.to_vec()), |memory, (coding, end)| {
        memory.file(format!("app.js.{end}"), coded(coding, bytes))
    })
}

#[test]
fn sibling_is_sent_byte_for_byte_and_nothing_is_encoded() {
    // One piece and some, and more than is kept in memory.
    for len in [9_000, 3 * PIECE, 700_000] {
        let bytes = hex(len, 1);
        let site = site(&bytes);
        let files = CODED.map(|(coding, end)| (coding, end, coded(coding, &bytes)));
        let directory = builder(Directory::new(site.path()).unwrap());
        for builder in [directory, builder(memory(&bytes)), builder(memory(&bytes)).prove(false)] {
            let service = builder.build().unwrap();
            run(async {
                for (coding, end, own) in &files {
                    let (coding, own) = (*coding, own.as_slice());
                    let mut tags = Vec::new();
                    for _ in 0..3 {
                        let answer = get_as(&service, "/app.js", coding).await;
                        assert_eq!(answer.coding(), coding);
                        assert!(answer.bytes() == own, "{coding} {len}");
                        assert!(answer.decoded() == bytes, "{coding} {len}");
                        assert!(answer.field("content-type").starts_with("text/javascript"));
                        assert_eq!(answer.field("vary"), "Accept-Encoding");
                        tags.push(answer.field("etag").to_owned());
                        settled(&service).await;
                    }
                    let last = get_as(&service, "/app.js", coding).await;
                    assert_eq!(last.cache(), "hit", "{coding} {len}");
                    let headed = head(&service, "/app.js", &[("accept-encoding", coding)]).await;
                    tags.push(headed.field("etag").to_owned());
                    tags.dedup();
                    assert_eq!(tags.len(), 1, "{tags:?}");
                    let path = format!("/app.js.{end}");
                    let itself = get_as(&service, &path, coding).await;
                    assert_eq!(itself.coding(), "");
                    assert!(itself.bytes() == own);
                }
                assert_eq!(encodes(&service, "*"), 0);
                let plain = get_as(&service, "/app.js", "").await;
                assert!(plain.bytes() == bytes && plain.coding().is_empty());
            });
        }
    }
}

/// All kinds of files that are no representation of `bytes` in a coding which browsers read.
fn bad(bytes: &[u8]) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut files = Vec::new();
    for (coding, end) in CODED {
        let good = coded(coding, bytes);
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let mut other = bytes.to_vec();
        other[7] ^= 1;
        files.extend([
            (coding, end, coded(coding, b"stale")),
            (coding, end, coded(coding, &other)),
            (coding, end, coded(coding, &[bytes, b"x"].concat())),
            (coding, end, coded(coding, &bytes[1..])),
            (coding, end, good[..good.len() - 1].to_vec()),
            (coding, end, [&*good, b"\0"].concat()),
            (coding, end, [&*good, &*good].concat()),
            (coding, end, flipped),
            (coding, end, Vec::new()),
            (coding, end, b"<!doctype html>".to_vec()),
        ]);
    }
    // Two members are one file for gzip, and the first one for browsers.
    let (one, other) = bytes.split_at(100);
    files.push(("gzip", "gz", [coded("gzip", one), coded("gzip", other)].concat()));
    let bomb = vec![0; 64 << 20];
    files.push(("gzip", "gz", coded("gzip", &bomb)));
    files
}

#[test]
fn stale_or_broken_sibling_is_ignored_and_no_body_aborts() {
    let bytes = hex(3 * PIECE, 2);
    run(async {
        for (index, (coding, end, file)) in bad(&bytes).into_iter().enumerate() {
            let files = Memory::new().file("app.js", bytes.clone());
            for prove in [true, false] {
                let files = files.clone().file(format!("app.js.{end}"), file.clone());
                let service = builder(files).prove(prove).build().unwrap();
                for _ in 0..2 {
                    let answer = get_as(&service, "/app.js", coding).await;
                    assert_eq!(answer.coding(), coding, "{index}");
                    assert!(answer.bytes() != file && answer.decoded() == bytes, "{index}");
                    settled(&service).await;
                }
                assert_eq!(get_as(&service, "/app.js", coding).await.cache(), "hit", "{index}");
                assert_eq!(encodes(&service, "*"), 1, "{index}");
                let itself = get_as(&service, &format!("/app.js.{end}"), coding).await;
                assert!(itself.bytes() == file, "{index}");
            }
        }
    });
}

/// A 91 KB file was sent that declared a window of 128 MB.
#[test]
fn zstd_with_a_larger_window_than_browsers_take_is_ignored() {
    let bytes = hex(9 << 20, 3);
    let mut encoder = zstd_with_window(27);
    encoder.write_all(&bytes).unwrap();
    let large = encoder.finish().unwrap();
    let mut encoder = zstd_with_window(23);
    encoder.write_all(&bytes).unwrap();
    let fits = encoder.finish().unwrap();
    run(async {
        for (file, is_sent) in [(large, false), (fits, true)] {
            let files =
                Memory::new().file("app.js", bytes.clone()).file("app.js.zst", file.clone());
            let service = builder(files).build().unwrap();
            let answer = get_as(&service, "/app.js", "zstd").await;
            assert_eq!((answer.coding(), answer.bytes() == file), ("zstd", is_sent));
            assert!(answer.decoded() == bytes);
        }
    });
}

fn zstd_with_window(log: u32) -> zstd::Encoder<'static, Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(log).unwrap();
    encoder
}

/// Build tools have encoders and settings of their own.
#[test]
fn sibling_by_any_encoder_that_browsers_read_is_sent() {
    use zstd::zstd_safe::CParameter as P;

    // Runs, noise and text, so that there are blocks of every kind.
    let noise = hex(40_000, 20);
    let noise = noise.chunks(2).filter_map(|two| {
        let text = std::str::from_utf8(two).ok()?;
        u8::from_str_radix(text, 16).ok()
    });
    let mut bytes = vec![b'a'; 300_000];
    bytes.extend(noise);
    bytes.extend(hex(300_000, 21));
    let mut files = Vec::new();
    for level in [-50, -1, 1, 5, 12, 19, 22] {
        for flags in [
            &[][..],
            &[P::ChecksumFlag(true)],
            &[P::ContentSizeFlag(false), P::WindowLog(10)],
            &[P::EnableLongDistanceMatching(true), P::WindowLog(23)],
        ] {
            let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
            flags.iter().for_each(|flag| encoder.set_parameter(*flag).unwrap());
            let pledged = !flags.contains(&P::ContentSizeFlag(false));
            encoder.set_pledged_src_size(pledged.then_some(bytes.len() as u64)).unwrap();
            encoder.write_all(&bytes).unwrap();
            files.push(("zstd", "zst", encoder.finish().unwrap()));
        }
    }
    for level in 0..=11 {
        let mut out = Vec::new();
        let mut encoding = Brotli::new(level).unwrap().begin(bytes.len() as u64).unwrap();
        bytes.chunks(PIECE).for_each(|piece| encoding.write(piece, &mut out).unwrap());
        encoding.finish(&mut out).unwrap();
        files.push(("br", "br", out));
    }
    for level in 1..=9 {
        let builder = GzBuilder::new().comment("by a tool").extra([0; 500]).operating_system(3);
        let mut encoder = builder.write(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(&bytes).unwrap();
        files.push(("gzip", "gz", encoder.finish().unwrap()));
    }
    run(async {
        for (index, (coding, end, file)) in files.iter().enumerate() {
            let source = Memory::new().file("app.js", bytes.clone());
            let source = source.file(format!("app.js.{end}"), file.clone());
            let service = builder(source).build().unwrap();
            let answer = get_as(&service, "/app.js", coding).await;
            assert!(answer.bytes() == file, "{coding} {index}");
            assert!(answer.decoded() == bytes, "{coding} {index}");
        }
    });
}

/// A source that notes the paths of lookups.
#[derive(Debug)]
struct Noted(Memory, Mutex<Vec<String>>);

impl Source for Noted {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        self.1.lock().unwrap().push(path.to_string_lossy().into_owned());
        self.0.lookup(path)
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.0.paths()
    }
}

#[test]
fn only_the_sibling_of_the_negotiated_coding_is_looked_for() {
    let files = Memory::new().file("app.js", hex(9_000, 4)).file("a.png", hex(9_000, 5));
    let source = Arc::new(Noted(files.file("tiny.js", "1"), Mutex::default()));
    let service = |siblings| {
        let codings = [ContentCoding::BROTLI, ContentCoding::GZIP];
        let preference = cachecompress::Preference::List(codings.into());
        let builder = builder(Arc::clone(&source)).preference(preference);
        builder.siblings(siblings).exclude("private/**").build().unwrap()
    };
    let (on, off) = (service(Siblings::Verified), service(Siblings::Off));
    run(async {
        let noted = async |service: &ServeCompressed, path: &str, fields: &[(&str, &str)]| {
            source.1.lock().unwrap().clear();
            let _ = get(service, path, fields).await;
            let mut noted = std::mem::take(&mut *source.1.lock().unwrap());
            noted.retain(|noted| *noted != path[1..]);
            noted.sort();
            noted.dedup();
            noted.join(" ")
        };
        let accept = |value| [("accept-encoding", value)];
        assert_eq!(noted(&on, "/app.js", &accept("gzip, br, zstd")).await, "app.js.br");
        assert_eq!(noted(&on, "/app.js", &accept("gzip, zstd")).await, "app.js.gz");
        for value in ["", "zstd", "deflate", "br;q=0"] {
            assert_eq!(noted(&on, "/app.js", &accept(value)).await, "", "{value}");
        }
        assert_eq!(noted(&on, "/app.js", &[]).await, "");
        assert_eq!(noted(&on, "/a.png", &accept("br")).await, "", "its type is never encoded");
        assert_eq!(noted(&on, "/tiny.js", &accept("br")).await, "", "it is too short");
        let part = [("accept-encoding", "br"), ("range", "bytes=1-5")];
        assert_eq!(noted(&on, "/app.js", &part).await, "", "a range is one of identity");
        assert_eq!(noted(&off, "/app.js", &accept("gzip, br")).await, "");
    });
}

#[test]
fn absence_and_presence_of_a_sibling_hold_for_revalidate() {
    let source = Memory::new().file("app.js", hex(9_000, 6));
    for source in [source.clone(), source.file("app.js.br", coded("br", &hex(9_000, 6)))] {
        let source = Arc::new(Noted(source, Mutex::default()));
        let service = builder(Arc::clone(&source)).revalidate(LONG).build().unwrap();
        run(async {
            for _ in 0..5 {
                assert_eq!(get_as(&service, "/app.js", "br").await.coding(), "br");
                assert_eq!(get_as(&service, "/app.js", "br, identity;q=0.5").await.coding(), "br");
            }
        });
        let mut noted = source.1.lock().unwrap().clone();
        noted.sort();
        assert_eq!(noted, ["app.js", "app.js.br"]);
    }
}

#[test]
fn sibling_that_comes_changes_or_goes_is_noticed() {
    let bytes = hex(9_000, 7);
    let site = Site::with("app.js", &bytes);
    let service = builder(Directory::new(site.path()).unwrap()).build().unwrap();
    run(async {
        let ask = async || {
            let answer = get_as(&service, "/app.js", "br").await;
            assert!(answer.decoded() == bytes);
            settled(&service).await;
            (answer.bytes().to_vec(), answer.field("etag").to_owned())
        };
        let (_, own) = ask().await;
        let first = coded("br", &bytes);
        site.write("app.js.br", &first);
        let (body, one) = ask().await;
        assert!(body == first && one != own);
        // Another encoder's bytes have another tag.
        let mut second = Vec::new();
        let mut encoding = Brotli::new(2).unwrap().begin(9_000).unwrap();
        encoding.write(&bytes, &mut second).unwrap();
        encoding.finish(&mut second).unwrap();
        site.replace_by_rename("app.js.br", &second);
        let (body, other) = ask().await;
        assert!(body == second && other != one && other != own);
        site.replace_in_place("app.js.br", &coded("br", b"stale"));
        assert_eq!(ask().await.1, own);
        site.replace_in_place("app.js.br", &first);
        assert_eq!(ask().await, (first, one));
        std::fs::remove_file(site.file("app.js.br")).unwrap();
        assert_eq!(ask().await.1, own);
        std::fs::create_dir(site.file("app.js.br")).unwrap();
        assert_eq!(ask().await.1, own);
        assert_eq!(encodes(&service, "*"), 1);
    });
}

#[test]
fn sibling_of_the_last_version_is_stale_at_once() {
    let (old, new) = (hex(3 * PIECE, 8), hex(3 * PIECE, 9));
    let site = site(&old);
    let service = builder(Directory::new(site.path()).unwrap()).build().unwrap();
    run(async {
        for (coding, _) in CODED {
            assert!(get_as(&service, "/app.js", coding).await.bytes() == coded(coding, &old));
        }
        site.replace_by_rename("app.js", &new);
        for (coding, _) in CODED {
            for _ in 0..2 {
                let answer = get_as(&service, "/app.js", coding).await;
                assert_eq!(answer.coding(), coding);
                assert!(answer.decoded() == new, "{coding}");
            }
        }
        // The build ends.
        for (coding, end) in CODED {
            site.replace_by_rename(&format!("app.js.{end}"), &coded(coding, &new));
            assert!(get_as(&service, "/app.js", coding).await.bytes() == coded(coding, &new));
        }
    });
}

#[test]
fn adopted_tag_is_the_same_after_a_restart_and_on_every_replica() {
    let bytes = hex(3 * PIECE, 10);
    let (site, replica) = (site(&bytes), memory(&bytes));
    let cache = tempfile::tempdir().unwrap();
    let cache = |name: &str| Cache::builder(cache.path().join(name)).build().unwrap();
    let mut tags = Vec::new();
    run(async {
        let start = |cache| builder(Directory::new(site.path()).unwrap()).cache(cache);
        for cached in ["stored", "hit"] {
            let service = start(cache("one")).build().unwrap();
            let answer = get_as(&service, "/app.js", "br").await;
            assert_eq!(answer.cache(), cached);
            assert!(answer.bytes() == coded("br", &bytes));
            tags.push(answer.field("etag").to_owned());
            settled(&service).await;
        }
        // The id does not hang on the encoders of a replica.
        let other = builder(replica).cache(cache("other")).level(ContentCoding::BROTLI, 1);
        let answer = get_as(&other.build().unwrap(), "/app.js", "br").await;
        tags.push(answer.field("etag").to_owned());
    });
    tags.dedup();
    assert_eq!(tags.len(), 1, "{tags:?}");
}

#[test]
fn condition_with_the_adopted_tag_or_our_own_holds() {
    let bytes = hex(3 * PIECE, 11);
    let off = builder(memory(&bytes)).siblings(Siblings::Off).build().unwrap();
    run(async {
        let own = get_as(&off, "/app.js", "br").await.field("etag").to_owned();
        let adopted = {
            let service = builder(memory(&bytes)).build().unwrap();
            get_as(&service, "/app.js", "br").await.field("etag").to_owned()
        };
        assert_ne!(own, adopted);
        let service = || builder(memory(&bytes)).build().unwrap();
        for tag in [&own, &adopted] {
            let wish = [("accept-encoding", "gzip, br"), ("if-none-match", &**tag)];
            let answer = get(&service(), "/app.js", &wish).await;
            assert_eq!((answer.status.as_u16(), answer.field("etag")), (304, &**tag));
            // Each names its own bytes, on a service that knows neither.
            let wish = [("accept-encoding", "gzip, br"), ("if-match", &**tag)];
            let answer = get(&service(), "/app.js", &wish).await;
            assert_eq!((answer.status.as_u16(), answer.field("etag")), (200, &**tag));
            assert_eq!(answer.bytes() == coded("br", &bytes), *tag == adopted);
            assert!(answer.decoded() == bytes);
        }
        let service = service();
        let file = coded("br", &bytes);
        let whole = get_as(&service, "/app.js", "br").await;
        assert!(whole.bytes() == file);
        settled(&service).await;
        let range =
            |tag| [("accept-encoding", "br"), ("range", "bytes=100-199"), ("if-range", tag)];
        let part = get(&service, "/app.js", &range(&adopted)).await;
        assert_eq!((part.status.as_u16(), part.field("etag")), (206, &*adopted));
        assert_eq!(part.bytes(), &file[100..200]);
        // Our own representation is not stored, so the range does not count.
        let answer = get(&service, "/app.js", &range(&own)).await;
        assert_eq!((answer.status.as_u16(), answer.field("etag")), (200, &*adopted));
        let plain = get(&service, "/app.js", &range("")[..2]).await;
        assert_eq!((plain.status.as_u16(), plain.coding()), (206, ""));
        assert_eq!(plain.bytes(), &bytes[100..200]);
    });
}

#[test]
fn range_of_our_own_representation_outlasts_the_arrival_of_a_sibling() {
    let bytes = hex(3 * PIECE, 12);
    let site = Site::with("app.js", &bytes);
    let service = builder(Directory::new(site.path()).unwrap()).build().unwrap();
    run(async {
        let whole = get_as(&service, "/app.js", "br").await;
        settled(&service).await;
        site.write("app.js.br", &coded("br", &bytes));
        let tag = whole.field("etag");
        let wish = [("accept-encoding", "br"), ("range", "bytes=100-199"), ("if-range", tag)];
        let part = get(&service, "/app.js", &wish).await;
        assert_eq!((part.status.as_u16(), part.field("etag")), (206, tag));
        assert_eq!(part.bytes(), &whole.bytes()[100..200]);
    });
}

#[test]
fn concurrent_requests_share_one_adoption() {
    let bytes = hex(300_000, 13);
    let service = builder(memory(&bytes)).build().unwrap();
    let file = coded("gzip", &bytes);
    run(async {
        let ask = || {
            let service = service.clone();
            tokio::spawn(async move { get_as(&service, "/app.js", "gzip").await })
        };
        let mut stored = 0;
        for asked in (0..50).map(|_| ask()).collect::<Vec<_>>() {
            let answer = asked.await.unwrap();
            assert!(answer.bytes() == file);
            stored += usize::from(answer.cache() == "stored");
        }
        assert_eq!(stored, 1);
        settled(&service).await;
        assert_eq!(service.metrics().entries, 1);
    });
}

/// Bytes of a sibling that was replaced while it was copied would stand under the other one's tag.
#[test]
fn sibling_that_is_replaced_while_it_is_served_mixes_nothing() {
    let bytes = hex(1 << 20, 14);
    let files = [9, 3].map(|level| {
        let builder = GzBuilder::new().filename("app.js");
        let mut encoder = builder.write(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    });
    let site = Site::with("app.js", &bytes);
    site.write("app.js.gz", &files[0]);
    let service = builder(Directory::new(site.path()).unwrap()).memory_cache(0).build().unwrap();
    run(async {
        let mut by_tag = std::collections::HashMap::<String, Vec<u8>>::new();
        for round in 0..40 {
            let file = &files[round % 2];
            let asked: Vec<_> = (0..4)
                .map(|_| {
                    let service = service.clone();
                    tokio::spawn(async move {
                        let response =
                            open(&service, "/app.js", &[("accept-encoding", "gzip")]).await;
                        read(response).await
                    })
                })
                .collect();
            if round % 3 == 0 {
                site.replace_in_place("app.js.gz", file);
            } else {
                site.replace_by_rename("app.js.gz", file);
            }
            for asked in asked {
                let answer = asked.await.unwrap();
                assert!(answer.decoded() == bytes, "{:?}", answer.headers);
                let known = by_tag
                    .entry(answer.field("etag").to_owned())
                    .or_insert_with(|| answer.bytes().to_vec());
                assert!(known == answer.bytes(), "two bodies of one tag");
            }
        }
    });
}

/// A directory in which a file is replaced right before the second lookup of its path.
#[derive(Debug)]
struct Replaced {
    directory: Directory,
    site: Site,
    by: Vec<u8>,
    lookups: Mutex<usize>,
}

impl Source for Replaced {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        if path.as_str() == Some("app.js.gz") {
            let mut lookups = self.lookups.lock().unwrap();
            *lookups += 1;
            if *lookups == 2 {
                self.site.replace_by_rename("app.js.gz", &self.by);
            }
        }
        self.directory.lookup(path)
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.directory.paths()
    }
}

/// The id was made of the first file's bytes, and those of the second were copied.
#[test]
fn sibling_that_is_replaced_before_it_is_copied_gets_no_tag_of_another() {
    let bytes = hex(3 * PIECE, 22);
    let at = |time| {
        let mut encoder =
            GzBuilder::new().mtime(time).write(Vec::new(), flate2::Compression::best());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    };
    let (first, second) = (at(1), at(2));
    assert!(first != second && first.len() == second.len());
    let site = Site::with("app.js", &bytes);
    site.write("app.js.gz", &first);
    let directory = Directory::new(site.path()).unwrap();
    let replaced = Replaced { directory, site, by: second.clone(), lookups: Mutex::new(0) };
    let service = builder(replaced).memory_cache(0).build().unwrap();
    let files = Memory::new().file("app.js", bytes.clone()).file("app.js.gz", second.clone());
    let other = builder(files).build().unwrap();
    run(async {
        let expected = get_as(&other, "/app.js", "gzip").await;
        let answer = get_as(&service, "/app.js", "gzip").await;
        assert!(answer.decoded() == bytes);
        // A file that has just changed may be passed over until it has rested.
        let has_its_tag = answer.field("etag") == expected.field("etag");
        assert_eq!(answer.bytes() == second, has_its_tag);
    });
}

#[cfg(unix)]
#[test]
fn sibling_obeys_the_rules_of_its_source() {
    let bytes = hex(9_000, 15);
    let outside = Site::with("app.js.br", &coded("br", &bytes));
    let site = Site::with("app.js", &bytes);
    site.write("private/app.js", &bytes);
    site.write("private/app.js.br", &coded("br", &bytes));
    site.write("real.js.br", &coded("br", &bytes));
    std::os::unix::fs::symlink(outside.file("app.js.br"), site.file("app.js.br")).unwrap();
    site.write("in.js", &bytes);
    std::os::unix::fs::symlink("real.js.br", site.file("in.js.br")).unwrap();
    let directory = || Directory::new(site.path()).unwrap();
    let sent = async |source: Directory, path: &str| {
        let service = builder(source).exclude("private/*.br").build().unwrap();
        let answer = get_as(&service, path, "br").await;
        assert!(answer.decoded() == bytes, "{path}");
        answer.bytes() == coded("br", &bytes)
    };
    run(async {
        assert!(!sent(directory(), "/app.js").await, "it leads out of the root");
        assert!(sent(directory().symlinks(Symlinks::Follow), "/app.js").await);
        assert!(sent(directory(), "/in.js").await);
        assert!(!sent(directory().symlinks(Symlinks::Deny), "/in.js").await);
        assert!(!sent(directory(), "/private/app.js").await, "it is excluded");
    });
}

#[test]
fn sibling_may_lie_in_another_layer() {
    let bytes = hex(9_000, 16);
    let upper = Memory::new().file("app.js.br", coded("br", &bytes));
    let source = Overlay::new().layer(upper).layer(Memory::new().file("app.js", bytes.clone()));
    let service = builder(source).build().unwrap();
    run(async {
        assert!(get_as(&service, "/app.js", "br").await.bytes() == coded("br", &bytes));
    });
}

#[test]
fn warming_adopts_siblings() {
    let bytes = hex(9_000, 17);
    let files = Memory::new()
        .file("app.js", bytes.clone())
        .file("app.js.br", coded("br", &bytes))
        .file("app.js.gz", coded("gzip", b"stale"));
    let service = builder(files).build().unwrap();
    run(async {
        let options = WarmOptions::new().codings([ContentCoding::BROTLI, ContentCoding::GZIP]);
        let summary = service.warm_with(options, |_| ()).await.unwrap();
        assert_eq!((summary.stored, summary.failed), (2, 0));
        assert_eq!((encodes(&service, "br"), encodes(&service, "gzip")), (0, 1));
        for coding in ["br", "gzip"] {
            let answer = get_as(&service, "/app.js", coding).await;
            assert_eq!((answer.coding(), answer.cache()), (coding, "hit"));
        }
    });
}

/// A file that is not shorter is no better than identity, but the encoder may save more.
#[test]
fn sibling_that_is_not_shorter_gives_way_to_our_own_encode() {
    let bytes = hex(9_000, 18);
    let mut encoder = GzBuilder::new().write(Vec::new(), flate2::Compression::none());
    encoder.write_all(&bytes).unwrap();
    let stored = encoder.finish().unwrap();
    let files = Memory::new().file("app.js", bytes.clone()).file("app.js.gz", stored.clone());
    let service = builder(files).build().unwrap();
    run(async {
        for accept in ["gzip", "gzip, identity;q=0"] {
            for _ in 0..2 {
                let answer = get_as(&service, "/app.js", accept).await;
                assert!(answer.decoded() == bytes && answer.bytes() != stored, "{accept}");
                assert_eq!(answer.coding(), "gzip");
                settled(&service).await;
            }
        }
    });
}

/// A source with a file, and a longer one beside it that cannot be read before the gate is open.
#[derive(Debug)]
struct LongerBeside(Arc<Gate>);

impl Source for LongerBeside {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        Ok(match &*path.to_string_lossy() {
            "app.js" => Memory::new().file("app.js", hex(9_000, 19)).lookup(path)?,
            "app.js.br" => {
                let file = MadeFile::new(hex(9 << 20, 20)).held(Some(Arc::clone(&self.0)));
                Found::File(Arc::new(file).source())
            }
            _ => Found::Nothing,
        })
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(Vec::new())
    }
}

/// A file of any length was hashed before its length was compared.
#[test]
fn sibling_that_is_not_shorter_is_not_waited_for() {
    let gate = Gate::new();
    let service = builder(LongerBeside(Arc::clone(&gate))).build().unwrap();
    run(async {
        let answer = get_as(&service, "/app.js", "br").await;
        assert!(answer.coding() == "br" && answer.decoded() == hex(9_000, 19));
    });
    gate.open_wide();
}

/// A file was ignored that saved 2 %, although whoever made it had decided that it goes out.
#[test]
fn sibling_that_saves_little_is_sent() {
    // Noise, and a run that is a fiftieth of it.
    let noise = hex(100_000, 21);
    let noise = noise.chunks(2).filter_map(|two| {
        let text = std::str::from_utf8(two).ok()?;
        u8::from_str_radix(text, 16).ok()
    });
    let bytes: Vec<u8> = noise.chain([b'a'; 1_000]).collect();
    let files = memory(&bytes);
    let service = builder(files).build().unwrap();
    run(async {
        for (coding, _) in CODED {
            let own = coded(coding, &bytes);
            assert!(own.len() < bytes.len() && own.len() > bytes.len() - bytes.len() / 20);
            for _ in 0..3 {
                let answer = get_as(&service, "/app.js", coding).await;
                assert_eq!(answer.coding(), coding);
                assert!(answer.bytes() == own, "{coding}");
                settled(&service).await;
            }
            assert_eq!(get_as(&service, "/app.js", coding).await.cache(), "hit", "{coding}");
        }
        assert_eq!(encodes(&service, "*"), 0);
    });
}
