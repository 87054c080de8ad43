//! Objects of a shared store that are not what they should be reach no client.

#![cfg(all(feature = "tier", feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test writes objects as an enemy would"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cachecompress::codec::{Decoding, Encoder, Encoding, Settings};
use cachecompress::tier::TierBuilder;
use cachecompress::{Cache, Directory, Error, ErrorKind, Memory, ServeCompressed, TierOutcome};
use cachecompress_test::damage::{self, TRAILER, header_len};
use cachecompress_test::pack::{Pack, coding, unpack};
use cachecompress_test::service::{LONG, encodes, get, run, settled};
use cachecompress_test::site::{Site, hex};
use tempfile::TempDir;

use crate::fixture::replica::{LEASED, Replica, stored_in, tier_in};
use crate::fixture::stored::PACK;

/// The digits that a test's file has.
const SEED: u64 = 41;

/// A store with the object of one file, and that object.
async fn store_with_object(tier: impl FnOnce(TierBuilder) -> TierBuilder) -> (TempDir, Vec<u8>) {
    let store = tempfile::tempdir().unwrap();
    let source = hex(LEASED, SEED);
    let one = Replica::with(&Pack::new(), &source, tier(tier_in(store.path()))).await;
    assert_eq!(one.get().await.cache(), "stored");
    one.has_stored(1).await;
    let object = std::fs::read(&stored_in(store.path())[0]).unwrap();
    (store, object)
}

fn put(store: &Path, object: &[u8]) {
    std::fs::write(&stored_in(store)[0], object).unwrap();
}

/// Another entry of the same key, with right checksums.
fn with_payload(object: &[u8], payload: &[u8]) -> Vec<u8> {
    let head = header_len(object);
    let mut other = object[..head].to_vec();
    other.extend_from_slice(payload);
    let mut trailer = object[object.len() - TRAILER..].to_vec();
    trailer[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    other.extend_from_slice(&trailer);
    damage::seal(&mut other);
    other
}

/// An encoding of `content` by another encoder: records of plain bytes.
fn raw(content: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    for piece in content.chunks(60_000) {
        coded.push(0);
        coded.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        coded.extend_from_slice(piece);
    }
    coded.extend_from_slice(&[3, 0, 0, 0, 0]);
    coded
}

/// Sends a request to a new replica, whose answer must be whole and right. Returns whether it took the
/// object.
async fn takes(store: &Path, tier: impl FnOnce(TierBuilder) -> TierBuilder, name: &str) -> bool {
    takes_object(store, tier, name, false).await
}

/// As [`takes`]. An object that another encoder made `is_foreign`: its answer may be aborted, and the next
/// one must be right.
async fn takes_object(
    store: &Path,
    tier: impl FnOnce(TierBuilder) -> TierBuilder,
    name: &str,
    is_foreign: bool,
) -> bool {
    let source = hex(LEASED, SEED);
    let replica = Replica::with(&Pack::new(), &source, tier(tier_in(store))).await;
    let answer = replica.get().await;
    settled(&replica.service).await;
    if let Err(error) = &answer.body {
        // No bytes can follow those of another encoder that the client has already.
        assert!(is_foreign, "{name}: {error}");
        assert_eq!(replica.requests(TierOutcome::Disproved), 1, "{name}");
        let again = replica.get().await;
        assert!((again.cache(), again.decoded() == source) == ("stored", true), "{name}");
        return false;
    }
    assert!(answer.decoded() == source, "{name}");
    let is_taken = encodes(&replica.service, "*") == 0;
    assert_eq!(replica.requests(TierOutcome::Disproved), u64::from(!is_taken), "{name}");
    // The first bytes of an object may be good.
    assert!(answer.cache() == "tier" || !is_taken, "{name}");
    // The object that the replica stores in its place is good.
    if !is_taken {
        replica.has_stored(1).await;
    }
    let again = replica.get().await;
    assert!((again.cache(), again.decoded() == source) == ("hit", true), "{name}");
    is_taken
}

#[test]
fn damaged_object_is_replaced_by_an_encode() {
    run(async {
        let (store, good) = store_with_object(|tier| tier).await;
        let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
        for at in
            [0, 12, 40, 100, header_len(&good) + 9, good.len() / 2, good.len() - 40, good.len() - 5]
        {
            let mut object = good.clone();
            object[at] ^= 4;
            damaged.push((format!("bit at {at}"), object));
        }
        for len in [0, 1, 100, good.len() / 2, good.len() - 1] {
            damaged.push((format!("{len} bytes"), good[..len].to_vec()));
        }
        damaged.push(("a byte more".into(), [&good[..], b"x"].concat()));
        for (name, object) in damaged {
            put(store.path(), &object);
            assert!(!takes(store.path(), |tier| tier, &name).await, "{name}");
        }
        assert!(takes(store.path(), |tier| tier, "the object in its place").await);
    });
}

/// Whoever writes to the store knows the format, and seals what he writes.
#[test]
fn object_of_other_content_is_replaced_by_an_encode() {
    run(async {
        let (store, good) = store_with_object(|tier| tier).await;
        let source = hex(LEASED, SEED);
        let mut last = source.clone();
        *last.last_mut().unwrap() ^= 1;
        let mut middle = source.clone();
        middle[LEASED / 2] ^= 1;
        let longer = [&source[..], b"and more"].concat();
        let bomb = raw(&vec![b'a'; 8 * LEASED]);
        let others = [
            ("other content", raw(&hex(LEASED, SEED + 1))),
            ("other last byte", raw(&last)),
            ("other byte in the middle", raw(&middle)),
            ("more content", raw(&longer)),
            ("less content", raw(&source[..LEASED - 1])),
            ("no content", raw(b"")),
            ("a bomb", bomb),
        ];
        for (name, payload) in others {
            put(store.path(), &with_payload(&good, &payload));
            assert!(!takes_object(store.path(), |tier| tier, name, true).await, "{name}");
        }
    });
}

#[test]
fn object_of_ten_gigabytes_is_not_read() {
    run(async {
        let (store, _) = store_with_object(|tier| tier).await;
        let file = std::fs::File::create(&stored_in(store.path())[0]).unwrap();
        file.set_len(10 << 30).unwrap();
        assert!(!takes(store.path(), |tier| tier, "10 GB").await);
    });
}

#[test]
fn object_of_another_file_is_replaced_by_an_encode() {
    run(async {
        let (store, _) = store_with_object(|tier| tier).await;
        let (other, swapped) = {
            let store = tempfile::tempdir().unwrap();
            let one = Replica::new(&Pack::new(), &hex(LEASED, SEED + 7), store.path()).await;
            assert_eq!(one.get().await.cache(), "stored");
            one.has_stored(1).await;
            let object = std::fs::read(&stored_in(store.path())[0]).unwrap();
            (store, object)
        };
        put(store.path(), &swapped);
        assert!(!takes(store.path(), |tier| tier, "the object of another file").await);
        drop(other);
    });
}

/// Its decoded bytes are right, so it harms nobody who takes all of it. Its bytes are not those that the
/// entity tag stands for on other replicas.
#[test]
fn foreign_encoding_of_the_same_content_is_refused_under_a_key_only() {
    run(async {
        let (store, good) = store_with_object(|tier| tier).await;
        let source = hex(LEASED, SEED);
        let foreign = with_payload(&good, &raw(&source[..]));
        // It saves nothing, but it is shorter than what is reserved for an honest encode.
        put(store.path(), &foreign);
        let packed = with_payload(&good, &two_halves(&good));
        put(store.path(), &packed);
        assert!(takes(store.path(), |tier| tier, "without a key").await);
        put(store.path(), &packed);
        assert!(!takes(store.path(), |tier| tier.key("0123456789abcdef"), "with a key").await);
    });
}

/// An encoding of the same content in which the first record stands twice, once as padding.
fn two_halves(object: &[u8]) -> Vec<u8> {
    let payload = &object[header_len(object)..object.len() - TRAILER];
    let mut foreign = vec![2, 4, 0, 0, 0, b'n', b'o', b'n', b'e'];
    foreign.extend_from_slice(payload);
    assert!(unpack(&foreign) == hex(LEASED, SEED));
    foreign
}

#[test]
fn object_is_taken_if_one_of_the_keys_has_signed_it() {
    const OLD: &str = "the old key, 0123456789";
    const NEW: &str = "the new key, 0123456789";
    run(async {
        let (store, signed) = store_with_object(|tier| tier.key(OLD)).await;
        assert!(takes(store.path(), |tier| tier.key(OLD), "the same key").await);
        assert!(takes(store.path(), |tier| tier.key(NEW).key(OLD), "the second key").await);
        assert!(takes(store.path(), |tier| tier, "no key").await);
        assert!(!takes(store.path(), |tier| tier.key(NEW), "another key").await);
        // It was replaced by one that the new key has signed.
        assert!(takes(store.path(), |tier| tier.key(NEW), "the new key").await);
        assert!(!takes(store.path(), |tier| tier.key(OLD), "the old key").await);

        put(store.path(), &signed);
        for at in [3, 9, 20, 60, signed.len() / 2, signed.len() - 1] {
            let mut object = signed.clone();
            object[at] ^= 1;
            put(store.path(), &object);
            let name = format!("bit at {at}");
            assert!(!takes(store.path(), |tier| tier.key(OLD), &name).await, "{name}");
        }
        for len in [7, 16, 30, signed.len() - 1] {
            put(store.path(), &signed[..len]);
            let name = format!("{len} bytes");
            assert!(!takes(store.path(), |tier| tier.key(OLD), &name).await, "{name}");
        }
    });
}

/// An encoder that cannot decode its output: nothing that comes in could be proven.
#[derive(Debug)]
struct Unproven(Pack);

impl Encoder for Unproven {
    fn settings(&self) -> Settings {
        self.0.settings()
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        self.0.begin(source_len)
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        None
    }
}

#[test]
fn object_that_cannot_be_decoded_is_not_asked_for() {
    run(async {
        let (store, good) = store_with_object(|tier| tier).await;
        put(store.path(), &with_payload(&good, &raw(&hex(LEASED, SEED + 1))));
        let tier = tier_in(store.path()).build().unwrap();
        assert!(tier.ready(Duration::from_secs(20)).await);
        let source = hex(LEASED, SEED);
        let service = ServeCompressed::builder(Memory::new().file("a.txt", source.clone()))
            .encoder(coding(), Arc::new(Unproven(Pack::new())))
            .patience(LONG)
            .tier(tier.clone())
            .build()
            .unwrap();
        let answer = get(&service, "/a.txt", &[PACK]).await;
        assert!(answer.decoded() == source);
        assert_eq!((answer.cache(), tier.metrics().read_bytes), ("stored", 0));
    });
}

/// Who proves no encode still proves what comes in, also behind an encode that began during the hash.
#[test]
fn object_is_proven_by_a_service_that_proves_no_encode() {
    run(async {
        let (store, good) = store_with_object(|tier| tier).await;
        put(store.path(), &with_payload(&good, &raw(&hex(LEASED, SEED + 1))));
        let tier = tier_in(store.path()).build().unwrap();
        assert!(tier.ready(Duration::from_secs(20)).await);
        let source = hex(LEASED, SEED);
        let directory = Site::with("a.txt", &source);
        let service = ServeCompressed::builder(Directory::new(directory.path()).unwrap())
            .encoder(coding(), Arc::new(Pack::new()))
            .cache(Cache::in_memory(256 << 20))
            .prove(false)
            .patience(LONG)
            .tier(tier.clone())
            .build()
            .unwrap();
        let answer = get(&service, "/a.txt", &[PACK]).await;
        assert!(answer.body.is_err() || answer.decoded() == source, "{:?}", answer.headers);
        let again = get(&service, "/a.txt", &[PACK]).await;
        assert!(again.decoded() == source);
    });
}

#[test]
fn key_file_has_a_key_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    let build = |text: &str| {
        std::fs::write(&file, text).unwrap();
        tier_in(directory.path()).key_file(&file).build()
    };
    assert!(build("# the key of the fleet\n\n 0123456789abcdef \n").is_ok());
    for (text, sentence) in [
        ("", "there is no key in the key file"),
        ("# none\n\n", "there is no key in the key file"),
        ("0123456789abcdef\nshort\n", "a key of fewer than 16 characters stands in the key file"),
    ] {
        let error = build(text).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().starts_with(sentence), "{error}");
    }
    let missing = tier_in(directory.path()).key_file(directory.path().join("none")).build();
    let error = missing.expect_err("it is refused");
    assert!(error.to_string().starts_with("the key file cannot be read: "), "{error}");
}
