//! Deltas from one version of a file to the next (RFC 9842).

#![cfg(all(feature = "brotli", feature = "zstd"))]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cachecompress::codec::{Decoding, Encoder, Encoding, Settings};
use cachecompress::{Builder, Cache, Deltas, Digest, Error, Memory, ServeCompressed, Shutdown};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{Answer, LONG, get, head, read, request, run, send, settled};
use cachecompress_test::site::hex;
use http::HeaderValue;
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use mbrotli::dictionary::{DecodeDictionary, DecodeDictionaryLimits, DictionaryAttachment};

const HOST: (&str, &str) = ("host", "localhost");
const ALL: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd, dcb, dcz");
const PLAIN: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");

const ONE: &str = "/assets/app-8e2f3d1c.js";
const TWO: &str = "/assets/app-1b9a70f2.js";
const THREE: &str = "/assets/app-5c77e0d4.js";

/// Returns a version of the script.
fn version(number: u64) -> Vec<u8> {
    let mut script = hex(60_000, 1);
    script.splice(10_000..10_100, hex(250, 100 + number));
    script.splice(40_000..40_020, hex(30, 200 + number));
    script
}

/// A deploy: a service of its own over the same cache.
fn builder(cache: &Cache, files: &[(&str, &[u8])]) -> Builder {
    let memory = files.iter().fold(Memory::new(), |memory, (path, bytes)| {
        memory.file(path.trim_start_matches('/'), bytes.to_vec())
    });
    ServeCompressed::builder(memory)
        .cache(cache.clone())
        .patience(LONG)
        .immutable_paths("assets/**")
        .deltas(Deltas::Auto)
}

fn deploy(cache: &Cache, files: &[(&str, &[u8])]) -> ServeCompressed {
    builder(cache, files).build().unwrap()
}

/// The value of `Available-Dictionary` for `bytes`.
fn offer(bytes: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(Digest::of(bytes).as_bytes()))
}

/// Decodes as a client with `dictionary` does.
fn decoded(answer: &Answer, dictionary: &[u8]) -> Vec<u8> {
    let coded = answer.bytes();
    match answer.coding() {
        "dcb" => {
            assert_eq!(coded[..4], *b"\xffDCB");
            assert_eq!(coded[4..36], *Digest::of(dictionary).as_bytes());
            let raw = [DictionaryAttachment::Raw(dictionary)];
            let attached = DecodeDictionary::new(&raw, DecodeDictionaryLimits::default()).unwrap();
            let mut decompressor =
                mbrotli::Decompressor::new(mbrotli::DecoderConfig::default()).unwrap();
            decompressor.decompress_with_dictionary(&attached, &coded[36..]).unwrap()
        }
        "dcz" => {
            assert_eq!(coded[8..40], *Digest::of(dictionary).as_bytes());
            let mut context = zstd::zstd_safe::DCtx::create();
            context.ref_prefix(dictionary).unwrap();
            let mut out = vec![0; 1 << 20];
            let len = context.decompress(&mut out[..], &coded[40..]).unwrap();
            out.truncate(len);
            out
        }
        _ => answer.decoded(),
    }
}

/// A cache whose first deploy has sent the first version.
async fn after_first_deploy() -> Cache {
    let cache = Cache::in_memory(16 << 20);
    let first = deploy(&cache, &[(ONE, &version(1))]);
    let answer = get(&first, ONE, &[HOST, ALL]).await;
    assert_eq!((answer.coding(), answer.decoded()), ("br", version(1)));
    assert_eq!(answer.field("use-as-dictionary"), "match=\"/assets/app-*.js\"");
    settled(&first).await;
    cache
}

#[test]
fn client_with_an_earlier_version_gets_the_difference() {
    run(async {
        let cache = after_first_deploy().await;
        let second = deploy(&cache, &[(TWO, &version(2))]);
        let dictionary = offer(&version(1));
        let fields = [HOST, ALL, ("available-dictionary", &*dictionary)];
        let answer = get(&second, TWO, &fields).await;
        assert_eq!((answer.coding(), answer.cache()), ("dcb", "stored"));
        assert!(decoded(&answer, &version(1)) == version(2));
        assert!(answer.bytes().len() < 2_000, "{}", answer.bytes().len());
        assert_eq!(answer.field("use-as-dictionary"), "match=\"/assets/app-*.js\"");
        let tag = answer.field("etag").to_owned();
        assert!(tag.contains("-dcb-"), "{tag}");

        settled(&second).await;
        let again = get(&second, TWO, &fields).await;
        assert_eq!((again.coding(), again.cache()), ("dcb", "hit"));
        assert_eq!((again.bytes(), again.field("etag")), (answer.bytes(), &*tag));

        let zstd = [HOST, ("accept-encoding", "dcz"), fields[2]];
        let answer = get(&second, TWO, &zstd).await;
        assert_eq!(answer.coding(), "dcz");
        assert!(decoded(&answer, &version(1)) == version(2));

        // The tag names this content, also to a client that has another dictionary by now.
        for fields in
            [&[HOST, ALL, ("if-none-match", &*tag)][..], &[fields[1], ("if-none-match", &tag)]]
        {
            let unchanged = get(&second, TWO, fields).await;
            assert_eq!((unchanged.status.as_u16(), unchanged.field("etag")), (304, &*tag));
        }
    });
}

/// The second version was sent as a delta alone, so its content is there by way of the first.
#[test]
fn third_version_is_a_delta_of_the_second_which_is_stored_as_a_delta() {
    run(async {
        let cache = after_first_deploy().await;
        let second = deploy(&cache, &[(TWO, &version(2))]);
        let one = offer(&version(1));
        let answer = get(&second, TWO, &[HOST, ALL, ("available-dictionary", &one)]).await;
        assert_eq!(answer.coding(), "dcb");
        settled(&second).await;
        let third = deploy(&cache, &[(THREE, &version(3))]);
        for (earlier, bytes) in [(offer(&version(2)), version(2)), (one, version(1))] {
            let fields = [HOST, ALL, ("available-dictionary", &*earlier)];
            let answer = get(&third, THREE, &fields).await;
            assert_eq!(answer.coding(), "dcb");
            assert!(decoded(&answer, &bytes) == version(3));
        }
    });
}

#[test]
fn request_that_may_have_no_delta_gets_a_plain_coding() {
    run(async {
        let cache = after_first_deploy().await;
        let files = [(TWO, &*version(2)), ("/assets/other-1b9a70f2.js", &version(2))];
        let second = deploy(&cache, &files);
        let offered = offer(&version(1));
        let dictionary = ("available-dictionary", &*offered);
        let cross = ("sec-fetch-site", "cross-site");
        let bare = offered.trim_matches(':');
        let unknown = offer(b"invented");
        for fields in [
            &[HOST, ALL][..],
            &[HOST, PLAIN, dictionary],
            &[HOST, ("accept-encoding", "br, *"), dictionary],
            &[HOST, ("accept-encoding", "br, dcb;q=0"), dictionary],
            &[("host", "example.com"), ALL, dictionary],
            &[ALL, dictionary],
            &[HOST, ALL, dictionary, dictionary],
            &[HOST, ALL, ("available-dictionary", bare)],
            &[HOST, ALL, ("available-dictionary", &unknown)],
            &[HOST, ALL, dictionary, cross, ("sec-fetch-mode", "no-cors")],
            &[
                HOST,
                ALL,
                dictionary,
                cross,
                ("sec-fetch-mode", "cors"),
                ("origin", "https://a.example"),
            ],
        ] {
            let answer = get(&second, TWO, fields).await;
            assert_eq!(answer.coding(), "br", "{fields:?}");
            assert!(answer.decoded() == version(2));
        }
        let other = get(&second, "/assets/other-1b9a70f2.js", &[HOST, ALL, dictionary]).await;
        assert_eq!(other.coding(), "br", "the dictionary is for another pattern");
        let fields = [HOST, ALL, dictionary, cross, ("sec-fetch-mode", "navigate")];
        assert_eq!(get(&second, TWO, &fields).await.coding(), "dcb");
    });
}

#[test]
fn other_origin_gets_a_delta_of_what_it_may_read() {
    run(async {
        let cache = after_first_deploy().await;
        let offered = offer(&version(1));
        let fields = |origin| {
            [
                HOST,
                ALL,
                ("available-dictionary", &*offered),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "cors"),
                ("origin", origin),
            ]
        };
        for (allowed, a, b) in [("*", "dcb", "dcb"), ("https://a.example", "dcb", "br")] {
            let allowed = HeaderValue::from_static(allowed);
            let shared = builder(&cache, &[(TWO, &version(2))])
                .header("**", ACCESS_CONTROL_ALLOW_ORIGIN, allowed)
                .build()
                .unwrap();
            // Twice, in case that the first response is remembered for the other origin.
            for _ in 0..2 {
                assert_eq!(get(&shared, TWO, &fields("https://a.example")).await.coding(), a);
                assert_eq!(get(&shared, TWO, &fields("https://b.example")).await.coding(), b);
                settled(&shared).await;
            }
        }
    });
}

#[test]
fn tls_or_the_word_of_the_embedder_makes_a_secure_context() {
    run(async {
        let cache = after_first_deploy().await;
        let offered = offer(&version(1));
        let fields = [("host", "example.com"), ALL, ("available-dictionary", &*offered)];
        let files = [(TWO, &*version(2))];
        let tls = deploy(&cache, &files).over_tls(true);
        assert_eq!(get(&tls, TWO, &fields).await.coding(), "dcb");
        settled(&tls).await;
        let plain = tls.clone().over_tls(false);
        assert_eq!(
            get(&plain, TWO, &fields).await.coding(),
            "br",
            "the response of TLS is no answer"
        );
        let assumed = builder(&cache, &files).deltas(Deltas::AssumeHttps).build().unwrap();
        assert_eq!(get(&assumed, TWO, &fields).await.coding(), "dcb");
        let off = builder(&cache, &files).deltas(Deltas::Off).build().unwrap();
        let answer = get(&off, TWO, &fields).await;
        assert_eq!((answer.coding(), answer.field("vary")), ("br", "Accept-Encoding"));
        assert_eq!(answer.field("use-as-dictionary"), "");
    });
}

/// A response that is remembered for a client with a dictionary is no answer to others.
#[test]
fn remembered_responses_differ_by_dictionary() {
    run(async {
        let cache = after_first_deploy().await;
        let second = deploy(&cache, &[(TWO, &version(2))]);
        let (known, unknown) = (offer(&version(1)), offer(b"invented"));
        for _ in 0..3 {
            for (offered, coding) in [(&*known, "dcb"), ("", "br"), (&*unknown, "br")] {
                let fields = [HOST, ALL, ("available-dictionary", offered)];
                let fields = if offered.is_empty() { &fields[..2] } else { &fields };
                let answer = get(&second, TWO, fields).await;
                assert_eq!(answer.coding(), coding);
                assert!(decoded(&answer, &version(1)) == version(2));
                settled(&second).await;
            }
        }
    });
}

#[test]
fn every_answer_that_a_dictionary_may_change_varies_by_it() {
    run(async {
        let cache = after_first_deploy().await;
        let second = deploy(&cache, &[(TWO, &version(2)), ("/assets/plain.js", &version(2))]);
        let tag = get(&second, TWO, &[HOST, ALL]).await.field("etag").to_owned();
        for (status, fields) in [
            (200, &[HOST, ALL][..]),
            (200, &[HOST]),
            (206, &[HOST, ("range", "bytes=0-9")]),
            (304, &[HOST, ALL, ("if-none-match", &*tag)]),
            (406, &[HOST, ("accept-encoding", "identity;q=0, unknown")]),
            (416, &[HOST, ("range", "bytes=999999-")]),
        ] {
            let answer = get(&second, TWO, fields).await;
            assert_eq!(answer.status.as_u16(), status, "{fields:?}");
            assert_eq!(answer.field("vary"), "Accept-Encoding, Available-Dictionary", "{status}");
            let announced = !answer.field("use-as-dictionary").is_empty();
            assert_eq!(announced, status == 200, "{status}");
        }
        let answer = head(&second, TWO, &[HOST, ALL]).await;
        assert_eq!(answer.field("vary"), "Accept-Encoding, Available-Dictionary");
        assert!(!answer.field("use-as-dictionary").is_empty());
        let plain = get(&second, "/assets/plain.js", &[HOST, ALL]).await;
        assert_eq!(
            (plain.field("vary"), plain.field("use-as-dictionary")),
            ("Accept-Encoding", "")
        );
    });
}

#[test]
fn dictionary_is_announced_only_where_clients_keep_it() {
    run(async {
        let cache = Cache::in_memory(1 << 20);
        let short = vec![b'a'; 4095];
        let long = vec![b'a'; 4096];
        let files = [
            ("/assets/short-8e2f3d1c.js", &*short),
            ("/assets/long-8e2f3d1c.js", &*long),
            ("/elsewhere/long-8e2f3d1c.js", &long),
            ("/assets/long.js", &long),
        ];
        let service = deploy(&cache, &files);
        for (path, announced) in [
            ("/assets/short-8e2f3d1c.js", false),
            ("/assets/long-8e2f3d1c.js", true),
            ("/elsewhere/long-8e2f3d1c.js", false),
            ("/assets/long.js", false),
        ] {
            let answer = get(&service, path, &[HOST, ALL]).await;
            assert_eq!(!answer.field("use-as-dictionary").is_empty(), announced, "{path}");
        }
    });
}

#[test]
fn site_does_not_know_the_dictionaries_of_another_site() {
    run(async {
        let cache = Cache::in_memory(16 << 20);
        let site = |name: &str, path, bytes: &[u8]| {
            builder(&cache, &[(path, bytes)]).site_name(name).build().unwrap()
        };
        let shop = site("shop", ONE, &version(1));
        assert_eq!(get(&shop, ONE, &[HOST, ALL]).await.coding(), "br");
        settled(&shop).await;
        let offered = offer(&version(1));
        let fields = [HOST, ALL, ("available-dictionary", &*offered)];
        let blog = site("blog", TWO, &version(2));
        assert_eq!(get(&blog, TWO, &fields).await.coding(), "br");
        let shop = site("shop", TWO, &version(2));
        assert_eq!(get(&shop, TWO, &fields).await.coding(), "dcb");
    });
}

#[test]
fn version_that_is_stored_nowhere_leads_to_a_plain_coding() {
    run(async {
        let cache = Cache::in_memory(16 << 20);
        let first = deploy(&cache, &[(ONE, &version(1))]);
        // Identity is not stored, and the memory is the first service's own.
        assert_eq!(get(&first, ONE, &[HOST]).await.coding(), "");
        let second = deploy(&cache, &[(TWO, &version(2))]);
        let offered = offer(&version(1));
        let fields = [HOST, ALL, ("available-dictionary", &*offered)];
        for _ in 0..2 {
            let answer = get(&second, TWO, &fields).await;
            assert_eq!((answer.coding(), answer.decoded()), ("br", version(2)));
            settled(&second).await;
        }
        let only = [HOST, ("accept-encoding", "dcb, identity"), fields[2]];
        let answer = get(&second, TWO, &only).await;
        assert_eq!((answer.coding(), answer.decoded()), ("", version(2)));
    });
}

/// The next deploy is a new process, most often.
#[test]
fn dictionary_is_known_after_a_restart() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let open = || Cache::builder(&root).build().unwrap();
        let first = deploy(&open(), &[(ONE, &version(1))]);
        assert_eq!(get(&first, ONE, &[HOST, ALL]).await.coding(), "br");
        settled(&first).await;
        first.shutdown(Shutdown::Finish).await;
        drop(first);

        let second = deploy(&open(), &[(TWO, &version(2))]);
        let offered = offer(&version(1));
        let answer = get(&second, TWO, &[HOST, ALL, ("available-dictionary", &offered)]).await;
        assert_eq!(answer.coding(), "dcb");
        assert!(decoded(&answer, &version(1)) == version(2));
    });
}

/// `x-pack`, whose decoder a gate holds. So a dictionary that is stored in it is not read in time.
#[derive(Debug)]
struct SlowToRead(Pack, Arc<Gate>);

impl Encoder for SlowToRead {
    fn settings(&self) -> Settings {
        self.0.settings()
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        self.0.begin(source_len)
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        self.1.pass();
        self.0.decoder()
    }
}

/// The first client after a deploy got the file as it is, because its delta was late and nothing else was
/// begun.
#[test]
fn plain_coding_is_begun_when_the_dictionary_is_not_read_in_time() {
    run(async {
        let cache = Cache::in_memory(16 << 20);
        let pack = |builder: Builder, encoder: Arc<dyn Encoder>| {
            builder.encoder(coding(), encoder).prove(false).patience(Duration::from_secs(2))
        };
        let fields = [HOST, ("accept-encoding", "x-pack, dcb")];
        let first = builder(&cache, &[(ONE, &version(1))]);
        let first = pack(first, Arc::new(Pack::new())).build().unwrap();
        assert_eq!(get(&first, ONE, &fields).await.coding(), "x-pack");
        settled(&first).await;
        let gate = Gate::new();
        let second = builder(&cache, &[(TWO, &version(2))]);
        let slow = SlowToRead(Pack::new(), Arc::clone(&gate));
        let second = pack(second, Arc::new(slow)).build().unwrap();
        let offered = offer(&version(1));
        let fields = [fields[0], fields[1], ("available-dictionary", &*offered)];
        assert_eq!(get(&second, TWO, &fields).await.coding(), "x-pack");
        assert_eq!(gate.arrived(), 1);
        gate.open_wide();
        settled(&second).await;
        let answer = get(&second, TWO, &fields).await;
        assert_eq!((answer.coding(), answer.cache()), ("dcb", "hit"));
    });
}

#[test]
fn download_of_a_delta_is_resumed_with_the_same_dictionary() {
    run(async {
        let cache = after_first_deploy().await;
        let second = deploy(&cache, &[(TWO, &version(2))]);
        let offered = offer(&version(1));
        let fields = [HOST, ALL, ("available-dictionary", &*offered)];
        let whole = get(&second, TWO, &fields).await;
        settled(&second).await;
        let tag = whole.field("etag").to_owned();
        let range = [("if-range", &*tag), ("range", "bytes=100-")];
        let rest = get(&second, TWO, &[&fields[..], &range].concat()).await;
        assert_eq!((rest.status.as_u16(), rest.field("etag")), (206, &*tag));
        assert_eq!(rest.bytes(), &whole.bytes()[100..]);
        // Without the dictionary the client could not go on.
        let other = get(&second, TWO, &[&fields[..2], &range].concat()).await;
        assert_eq!((other.status.as_u16(), other.coding()), (200, "br"));
    });
}

#[test]
fn delta_is_made_once_for_all_who_ask_at_once() {
    run(async {
        let cache = after_first_deploy().await;
        let second = deploy(&cache, &[(TWO, &version(2))]);
        let offered = offer(&version(1));
        let fields = [HOST, ALL, ("available-dictionary", &*offered)];
        let ask = || async { read(send(&second, request("GET", TWO, &fields)).await).await };
        let answers = tokio::join!(ask(), ask(), ask(), ask());
        let answers = [answers.0, answers.1, answers.2, answers.3];
        let stored = answers.iter().filter(|answer| answer.cache() == "stored").count();
        assert_eq!(stored, 1);
        for answer in &answers {
            assert_eq!((answer.coding(), answer.bytes()), ("dcb", answers[0].bytes()));
        }
        assert!(decoded(&answers[0], &version(1)) == version(2));
    });
}
