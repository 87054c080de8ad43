//! Deltas: the file that is there is the dictionary of its next version (RFC 9842).

use cachecompress_test::tools::require;
use mbrotli::dictionary::DictionaryBuilder;
use mbrotli::{Compressor, EncoderConfig, Quality};
use zstd_safe::{CCtx, CParameter};

use super::stage::*;
use crate::common::*;

/// The heads of the codings, without the digest of the dictionary.
const DCB: &[u8] = b"\xffDCB";
const DCZ: &[u8] = b"\x5e\x2a\x4d\x18\x20\0\0\0";

fn framed(magic: &[u8], dictionary: &[u8], coded: &[u8]) -> Vec<u8> {
    [magic, &decode::sha256(dictionary), coded].concat()
}

fn dcz(dictionary: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    context.set_parameter(CParameter::WindowLog(23)).unwrap();
    context.ref_prefix(dictionary).unwrap();
    let mut coded = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    context.compress2(&mut coded, bytes).unwrap();
    framed(DCZ, dictionary, &coded)
}

fn dcb(dictionary: &[u8], bytes: &[u8]) -> Vec<u8> {
    let prepared = DictionaryBuilder::new().add_prefix(dictionary).build().unwrap();
    let config = EncoderConfig::default().with_quality(Quality::Q5);
    let coded =
        Compressor::new(config).unwrap().compress_with_dictionary(&prepared, bytes).unwrap();
    framed(DCB, dictionary, &coded)
}

/// A server that has a delta for a client that offers `dictionary`, and else the whole.
fn server(coding: &'static str, delta: Vec<u8>, dictionary: &[u8], whole: &[u8]) -> Origin {
    let offered = byte_sequence(dictionary);
    let digest = format!("sha-256={}", byte_sequence(whole));
    let whole = whole.to_vec();
    Origin::start(move |asked| {
        let has = asked.field("available-dictionary") == Some(&offered);
        let accepts = asked.field("accept-encoding").is_some_and(|field| field.contains(coding));
        match has && accepts {
            _ if asked.is("HEAD") => response("200 OK", &[("repr-digest", &digest)], b""),
            true => {
                response("200 OK", &[("content-encoding", coding), ("etag", "\"delta\"")], &delta)
            }
            false => response("200 OK", &[("repr-digest", &digest)], &whole),
        }
    })
}

#[test]
fn delta_is_decoded_with_the_file_as_its_dictionary() {
    let (old, new) = versions();
    for (coding, delta) in [("dcz", dcz(&old, &new)), ("dcb", dcb(&old, &new))] {
        let len = delta.len();
        assert!(len < new.len() / 20, "{coding}: {len}");
        let origin = server(coding, delta, &old, &new);
        let stage = Stage::with(&old);
        let report = stage.report(&origin.url(), &[]);
        assert!(stage.content() == new, "{coding}");
        assert_eq!(report["coding"], coding);
        assert_eq!(report["received"], len);
        assert_eq!(report["saved"], new.len() - len);
        assert_eq!(report["verified"], "repr-digest");
        let fields = origin.asked()[0].field("accept-encoding").unwrap().to_owned();
        assert_eq!(fields, "dcb, dcz, zstd, br, gzip");
        assert_eq!(stage.names(), ["tool"]);
    }
}

/// libzstd takes a dictionary that begins so for one of its own format, unless it is told that it is raw.
#[test]
fn dictionary_with_the_magic_of_zstd_is_raw() {
    let (old, new) = versions();
    let old = [b"\x37\xa4\x30\xec", &old[..]].concat();
    for (coding, delta) in [("dcz", dcz(&old, &new)), ("dcb", dcb(&old, &new))] {
        let origin = server(coding, delta, &old, &new);
        let stage = Stage::with(&old);
        assert_eq!(stage.report(&origin.url(), &[])["coding"], coding);
        assert!(stage.content() == new);
    }
}

#[test]
fn dictionaries_of_all_lengths_decode() {
    let (_, new) = versions();
    for len in [1, 7, 8, 9, 100_000] {
        let old = &site::random(5, len)[..];
        for (coding, delta) in [("dcz", dcz(old, &new)), ("dcb", dcb(old, &new))] {
            let origin = server(coding, delta, old, &new);
            let stage = Stage::with(old);
            assert_eq!(stage.report(&origin.url(), &[])["coding"], coding, "{len}");
            assert!(stage.content() == new);
        }
    }
    let stage = Stage::with(b"");
    let origin = server("dcz", dcz(b"", &new), b"", &new);
    assert_eq!(stage.report(&origin.url(), &[])["coding"], serde_json::Value::Null);
    assert_eq!(origin.asked()[0].field("available-dictionary"), None, "an empty file is none");
}

/// The window of `--patch-from` is as long as both versions together, beyond 8 MiB.
#[test]
fn patch_of_zstd_itself_is_decoded() {
    let Some(zstd) = require("zstd") else { return };
    let old = site::random(1, 20 << 20);
    let mut new = old.clone();
    new.splice(1000..2000, site::random(2, 5000));
    let stage = Stage::with(&old);
    let path = |name: &str| stage.path().join(name);
    fs::write(path("next"), &new).unwrap();
    let mut patch = std::process::Command::new(zstd);
    patch.arg("--patch-from").arg(stage.file()).arg(path("next")).arg("-o").arg(path("patch"));
    assert!(works(&mut patch));
    let patch = fs::read(path("patch")).unwrap();
    assert!(patch.len() < 100_000, "{}", patch.len());
    fs::remove_file(path("next")).unwrap();
    fs::remove_file(path("patch")).unwrap();
    let origin = server("dcz", framed(DCZ, &old, &patch), &old, &new);
    assert_eq!(stage.report(&origin.url(), &[])["coding"], "dcz");
    assert!(stage.content() == new);
}

#[test]
fn delta_that_cannot_be_used_is_replaced_by_the_whole() {
    let (old, new) = versions();
    let good = dcz(&old, &new);
    let flipped = |delta: &[u8], at: usize| {
        let mut delta = delta.to_vec();
        delta[at] ^= 1;
        delta
    };
    let brotli = dcb(&old, &new);
    for (what, coding, delta) in [
        ("of another dictionary", "dcz", framed(DCZ, b"other", &good[40..])),
        ("of another dictionary", "dcb", framed(DCB, b"other", &brotli[36..])),
        ("without its head", "dcz", good[40..].to_vec()),
        ("without its head", "dcb", brotli[36..].to_vec()),
        ("in the other coding", "dcb", good.clone()),
        ("cut", "dcz", good[..good.len() - 1].to_vec()),
        ("cut", "dcb", brotli[..brotli.len() - 1].to_vec()),
        ("cut in its head", "dcz", good[..30].to_vec()),
        ("empty", "dcb", Vec::new()),
        ("damaged", "dcz", flipped(&good, good.len() / 2)),
        ("damaged", "dcb", flipped(&brotli, brotli.len() / 2)),
        ("with something behind it", "dcz", [&good[..], b"x"].concat()),
        ("with something behind it", "dcb", [&brotli[..], b"x"].concat()),
        ("of other content", "dcz", dcz(&old, &old[1..])),
        ("of other content", "dcb", dcb(&old, &old[1..])),
    ] {
        let origin = server(coding, delta, &old, &new);
        let stage = Stage::with(&old);
        let run = stage.get(&origin.url(), &[]);
        run.assert(0, &["the delta cannot be used: ", "asking for the whole", "updated tool"]);
        assert!(stage.content() == new, "{coding} {what}: {run:?}");
        let asked = origin.asked();
        let last = asked.iter().rfind(|asked| asked.is("GET")).unwrap();
        assert_eq!(last.field("available-dictionary"), None);
        assert_eq!(last.field("accept-encoding"), Some("zstd, br, gzip"));
    }
}

#[test]
fn delta_without_a_dictionary_is_refused() {
    let (old, new) = versions();
    let delta = dcz(&old, &new);
    let origin = Origin::start(move |_| response("200 OK", &[("content-encoding", "dcz")], &delta));
    let stage = Stage::new();
    let run = stage.get(&origin.url(), &[]);
    run.assert_fails(1, &["the server sends a delta, and there is no dictionary"]);
    assert_eq!(stage.names(), [""; 0]);
}

#[test]
fn broken_delta_is_resumed() {
    let old = site::random(1, 1 << 20);
    let new = [&old[..500_000], &site::random(2, 300_000), &old[500_000..]].concat();
    for (coding, delta) in [("dcz", dcz(&old, &new)), ("dcb", dcb(&old, &new))] {
        let (len, half) = (delta.len(), delta.len() / 2);
        let digest = format!("sha-256={}", byte_sequence(&new));
        let origin = Origin::start(move |asked| {
            let fields = [("content-encoding", coding), ("etag", "\"delta\"")];
            let rest = format!("bytes {half}-{}/{len}", len - 1);
            let ranged = [&fields[..], &[("content-range", &*rest)]].concat();
            let whole = response("200 OK", &fields, &delta);
            match asked.field("range") {
                _ if asked.is("HEAD") => response("200 OK", &[("repr-digest", &digest)], b""),
                None => whole[..whole.len() - (len - half)].to_vec(),
                Some(_) => response("206 Partial Content", &ranged, &delta[half..]),
            }
        });
        // Within one run.
        let stage = Stage::with(&old);
        let report = stage.report(&origin.url(), &[]);
        assert_eq!((&report["received"], &report["coding"]), (&len.into(), &coding.into()));
        assert!(stage.content() == new);
        // By the next run.
        let stage = Stage::with(&old);
        stage.get(&origin.url(), &["--retries", "0"]).assert_fails(1, &["broke off"]);
        let report = stage.report(&origin.url(), &[]);
        assert_eq!(report["resumed"], half, "{report}");
        assert!(stage.content() == new);
        // The dictionary is another file by now.
        let stage = Stage::with(&old);
        stage.get(&origin.url(), &["--retries", "0"]).assert_fails(1, &["broke off"]);
        fs::write(stage.file(), &old[1..]).unwrap();
        let before = origin.asked().len();
        let run = stage.get(&origin.url(), &["--retries", "0"]);
        assert!(run.code == Some(1) && stage.content() == old[1..], "{run:?}");
        assert!(origin.asked()[before..].iter().all(|asked| asked.field("range").is_none()));
    }
}
