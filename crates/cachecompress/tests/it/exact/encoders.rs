//! Encoders of applications: good ones, and ones that are broken in every way.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]

use std::sync::Arc;

use cachecompress::codec::PIECE;
use cachecompress::{Cache, ContentCoding, ErrorKind, Memory, Preference, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Fault, Pack, coding};
use cachecompress_test::service::{LONG, encodes, get, get_as, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;

const CACHE: u64 = 64 << 20;

/// The place of an encoder under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A coding of its own.
    Own,
    /// The place of a built-in one.
    BuiltIn,
}

impl Place {
    fn coding(self) -> ContentCoding {
        if self == Self::Own { coding() } else { ContentCoding::GZIP }
    }
}

fn service(
    pack: &Pack,
    place: Place,
    source: &[u8],
    cache: &Cache,
    prove: bool,
) -> ServeCompressed {
    ServeCompressed::builder(Memory::new().file("a.txt", source.to_vec()))
        .encoder(place.coding(), Arc::new(pack.clone()))
        .cache(cache.clone())
        .patience(LONG)
        .prove(prove)
        .build()
        .unwrap()
}

/// Holds one broken encoder against the promises.
async fn judge(pack: Pack, place: Place, prove: bool, source: &[u8]) {
    let what = format!("{:?} at {} in place {place:?}, prove {prove}", pack.fault, pack.at);
    let coding = place.coding();
    let cache = Cache::in_memory(CACHE);
    let service = service(&pack, place, source, &cache, prove);
    let first = get_as(&service, "/a.txt", coding.as_str()).await;
    match &first.body {
        // A body that ended well was never in that coding.
        Ok(_) => {
            assert_eq!((first.coding(), first.cache()), ("", "encoder"), "{what}");
            assert!(first.bytes() == source, "{what}");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Aborted, "{what}"),
    }
    settled(&service).await;
    for _ in 0..2 {
        let next = get_as(&service, "/a.txt", coding.as_str()).await;
        assert!(next.body.is_ok(), "{what}: no request aborts twice");
        assert_eq!((next.coding(), next.cache()), ("", "encoder"), "{what}");
        assert!(next.bytes() == source, "{what}");
    }
    assert_eq!(encodes(&service, coding.as_str()), 1, "{what}: it gets no second chance");
    let other = get_as(&service, "/a.txt", &format!("{coding}, br;q=0.5")).await;
    assert_eq!(other.coding(), "br", "{what}: another coding is as good as before");
    assert!(other.decoded() == source, "{what}");
    // The verdict outlives the service.
    let begun = pack.begun();
    let restarted = self::service(&pack, place, source, &cache, prove);
    let after = get_as(&restarted, "/a.txt", coding.as_str()).await;
    // An encoder that gave up before a byte was read may have been out of memory, and another
    // process may try it again. An encoder with wrong output, or that broke a body, is never tried
    // again.
    let gave_up = first.body.is_ok()
        && matches!(pack.fault, Fault::ErrorAtBegin | Fault::Error | Fault::ErrorAtEnd);
    match &after.body {
        // The proof on another thread may have been faster, so that this body is the first to
        // abort.
        Err(error) => assert!(gave_up && error.kind() == ErrorKind::Aborted, "{what}: {error}"),
        Ok(_) => assert_eq!((after.coding(), after.cache()), ("", "encoder"), "{what}"),
    }
    // One try begins at most two encodings, of a sample and of the source. If the proof on another
    // thread was fast enough to let a byte out, the failure is confirmed by as many.
    let allowed = begun..=begun + 4 * usize::from(gave_up);
    assert!(allowed.contains(&pack.begun()), "{what}: {} after a restart", pack.begun());
}

/// A source of less than a piece, and one of five pieces, the last of them short.
fn sources() -> [(Vec<u8>, u64); 3] {
    let long = hex(4 * PIECE + 1000, 2);
    [(hex(10_000, 1), 0), (long.clone(), 1), (long, 4)]
}

/// A source of a length at which the proof has a thread of its own.
fn large() -> (Vec<u8>, u64) {
    (hex(40 * PIECE + 1000, 3), 20)
}

async fn judge_all(fault: Fault, decoder: bool, prove: bool) {
    for place in [Place::Own, Place::BuiltIn] {
        for (source, at) in sources().into_iter().chain([large()]) {
            judge(Pack { decoder, ..Pack::broken(fault, at) }, place, prove, &source).await;
        }
    }
}

#[test]
fn encoder_that_drops_a_byte_is_at_fault() {
    run(judge_all(Fault::DropByte, true, true));
}

#[test]
fn encoder_that_flips_a_bit_is_at_fault() {
    run(judge_all(Fault::FlipBit, true, true));
}

#[test]
fn encoder_that_never_ends_its_output_is_at_fault() {
    run(judge_all(Fault::NoEnd, true, true));
}

#[test]
fn encoder_that_fails_is_at_fault_with_and_without_a_proof() {
    run(async {
        judge_all(Fault::Error, true, true).await;
        judge_all(Fault::Error, false, true).await;
        judge_all(Fault::Error, true, false).await;
    });
}

#[test]
fn encoder_that_fails_at_the_end_is_at_fault() {
    run(async {
        judge_all(Fault::ErrorAtEnd, true, true).await;
        judge_all(Fault::ErrorAtEnd, false, true).await;
        judge_all(Fault::ErrorAtEnd, true, false).await;
    });
}

#[test]
fn encoder_that_cannot_begin_is_at_fault() {
    run(async {
        judge_all(Fault::ErrorAtBegin, true, true).await;
        judge_all(Fault::ErrorAtBegin, false, false).await;
    });
}

/// Memory that an encoder needs may be there a moment later.
#[test]
fn busy_encoder_gets_another_chance() {
    let source = hex(3 * PIECE, 4);
    for fault in [Fault::BusyAtBegin, Fault::Busy] {
        let pack = Pack::broken(fault, 0);
        let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), true);
        run(async {
            let first = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!((first.coding(), first.cache()), ("", "encoder"), "{fault:?}");
            assert!(first.bytes() == source);
            settled(&service).await;
            pack.recover();
            let next = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!(next.coding(), "x-pack", "{fault:?}");
            assert!(next.decoded() == source);
        });
    }
}

/// The lack of memory for the whole encode may last for ever.
#[test]
fn encoder_busy_half_way_aborts_no_second_request() {
    // The proof of a source this short runs on the same thread.
    let source = hex(14 * PIECE, 4);
    let cache = Cache::in_memory(CACHE);
    let gate = Gate::new();
    let pack = Pack { gate: Some(Arc::clone(&gate)), ..Pack::broken(Fault::Busy, 10) };
    let service = service(&pack, Place::Own, &source, &cache, true);
    run(async {
        let asked = tokio::spawn({
            let service = service.clone();
            async move { get_as(&service, "/a.txt", "x-pack").await }
        });
        gate.open(10);
        until(|| gate.arrived() == 11).await;
        gate.open_wide();
        let first = asked.await.unwrap();
        assert_eq!(first.coding(), "x-pack");
        assert_eq!(first.body.unwrap_err().kind(), ErrorKind::Aborted);
        settled(&service).await;
        for _ in 0..2 {
            let next = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!((next.coding(), next.cache()), ("", "encoder"));
        }
        pack.recover();
        let restarted = self::service(&pack, Place::Own, &source, &cache, true);
        assert_eq!(get_as(&restarted, "/a.txt", "x-pack").await.coding(), "x-pack");
    });
}

#[test]
fn encoder_without_output_before_its_end_serves() {
    run(async {
        for (decoder, source) in [(true, hex(5 * PIECE, 4)), (false, hex(1000, 5))] {
            let pack = Pack { late: true, decoder, ..Pack::new() };
            let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), true);
            let first = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!((first.coding(), first.cache()), ("x-pack", "stored"));
            assert!(first.headers.contains_key("content-length"), "all of it is there by then");
            assert!(first.decoded() == source);
            let second = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!(second.cache(), "hit");
            assert_eq!(second.bytes(), first.bytes());
        }
    });
}

#[test]
fn custom_encoder_is_negotiated_tagged_cached_and_proven() {
    run(async {
        let source = hex(3 * PIECE + 7, 6);
        for (decoder, prove) in [(true, true), (true, false), (false, true)] {
            let pack = Pack { decoder, ..Pack::new() };
            let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), prove);
            let fields = [("accept-encoding", "br, gzip, X-Pack")];
            let first = get(&service, "/a.txt", &fields).await;
            assert_eq!((first.coding(), first.cache()), ("x-pack", "stored"), "preferred");
            assert!(first.decoded() == source);
            let tag = first.field("etag").to_owned();
            assert!(tag.contains("-x-pack-"), "{tag}");
            settled(&service).await;
            let second = get(&service, "/a.txt", &fields).await;
            assert_eq!((second.cache(), second.field("etag")), ("hit", tag.as_str()));
            assert_eq!(second.bytes(), first.bytes());
            assert_eq!(encodes(&service, "x-pack"), 1);
            let fields = [fields[0], ("if-none-match", tag.as_str())];
            let unchanged = get(&service, "/a.txt", &fields).await;
            assert_eq!((unchanged.status.as_u16(), unchanged.field("etag")), (304, tag.as_str()));
            let refused = [("accept-encoding", "gzip"), ("if-none-match", tag.as_str())];
            let changed = get(&service, "/a.txt", &refused).await;
            assert_eq!(changed.status, 200, "a tag in a coding that is not taken is no match");
        }
    });
}

#[test]
fn setting_changes_the_tag_and_the_entry() {
    run(async {
        let source = hex(20_000, 7);
        let cache = Cache::in_memory(CACHE);
        let one = service(&Pack::new(), Place::Own, &source, &cache, true);
        let first = get_as(&one, "/a.txt", "x-pack").await;
        let other = Pack { level: 2, ..Pack::new() };
        let two = service(&other, Place::Own, &source, &cache, true);
        let second = get_as(&two, "/a.txt", "x-pack").await;
        assert_ne!(first.field("etag"), second.field("etag"));
        assert_eq!(encodes(&two, "x-pack"), 1);
        // The content is the same, so the old tag is as good as the new one.
        let fields = [("accept-encoding", "x-pack"), ("if-none-match", first.field("etag"))];
        let unchanged = get(&two, "/a.txt", &fields).await;
        assert_eq!(
            (unchanged.status.as_u16(), unchanged.field("etag")),
            (304, first.field("etag"))
        );
    });
}

#[test]
fn encoder_keeps_the_place_of_its_registration() {
    run(async {
        let source = hex(20_000, 8);
        let pack: Arc<Pack> = Arc::new(Pack::new());
        let builder =
            || ServeCompressed::builder(Memory::new().file("a.txt", source.clone())).patience(LONG);
        let before = builder().encoder_before(ContentCoding::GZIP, coding(), pack.clone());
        let before = before.build().unwrap();
        assert_eq!(get_as(&before, "/a.txt", "gzip, x-pack").await.coding(), "x-pack");
        assert_eq!(get_as(&before, "/a.txt", "gzip, x-pack, br").await.coding(), "br");
        let listed = builder().encoder(coding(), pack);
        let listed = listed.preference(Preference::List(vec![ContentCoding::GZIP, coding()]));
        let listed = listed.build().unwrap();
        assert_eq!(get_as(&listed, "/a.txt", "gzip, x-pack").await.coding(), "gzip");
        assert_eq!(get_as(&listed, "/a.txt", "br, x-pack").await.coding(), "x-pack");
        assert_eq!(get_as(&listed, "/a.txt", "br").await.coding(), "", "br is not offered");
    });
}

/// Other requests have joined a broken encode. None waits for ever, and none gets wrong bytes.
#[test]
fn followers_of_a_broken_encode_are_woken_with_an_error() {
    run(async {
        for fault in [Fault::FlipBit, Fault::Error, Fault::Panic, Fault::PanicAtEnd] {
            let source = hex(6 * PIECE, 9);
            let gate = Gate::new();
            let pack = Pack { gate: Some(Arc::clone(&gate)), ..Pack::broken(fault, 3) };
            let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), true);
            gate.open(2);
            let fields = [("accept-encoding", "x-pack")];
            let leader = open(&service, "/a.txt", &fields).await;
            let mut followers = Vec::new();
            for _ in 0..5 {
                followers.push(open(&service, "/a.txt", &fields).await);
            }
            gate.open_wide();
            for response in followers.into_iter().chain([leader]) {
                assert_eq!(response.headers()["content-encoding"], "x-pack");
                assert!(!response.headers().contains_key("content-length"));
                let answer = read(response).await;
                assert_eq!(answer.body.unwrap_err().kind(), ErrorKind::Aborted, "{fault:?}");
            }
            settled(&service).await;
            gate.open_wide();
            get_as(&service, "/a.txt", "x-pack").await.is_exact_or_aborted(&source);
        }
    });
}

/// The last 256 bytes stay back until the proof has passed. No client takes a body that fails the
/// proof for a whole one.
#[test]
fn last_bytes_are_withheld_until_the_proof() {
    run(async {
        let source = hex(3 * PIECE, 10);
        // Without the gate the encode might fail before the first byte is sent.
        let gate = Gate::new();
        let pack = Pack { gate: Some(Arc::clone(&gate)), ..Pack::broken(Fault::FlipBit, 0) };
        let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), true);
        gate.open(2);
        let response = open(&service, "/a.txt", &[("accept-encoding", "x-pack")]).await;
        gate.open_wide();
        let mut body = response.into_body();
        let mut came = 0;
        loop {
            use http_body_util::BodyExt as _;
            match body.frame().await {
                Some(Ok(frame)) => came += frame.data_ref().unwrap().len(),
                Some(Err(_)) => break,
                None => panic!("a disproved body must not end well"),
            }
        }
        let whole = 3 * (5 + PIECE / 2) + 5;
        assert!(came <= whole - 256, "{came} of {whole} bytes came out unproven");
    });
}

#[test]
fn broken_replacement_of_a_built_in_leaves_others_alone() {
    run(async {
        let source = hex(10_000, 11);
        let pack = Pack::broken(Fault::DropByte, 0);
        let service = service(&pack, Place::BuiltIn, &source, &Cache::in_memory(CACHE), true);
        get_as(&service, "/a.txt", "gzip, deflate").await.is_exact_or_aborted(&source);
        settled(&service).await;
        let fields = [("accept-encoding", "gzip;q=1, deflate;q=0.5")];
        let next = get(&service, "/a.txt", &fields).await;
        assert_eq!(next.coding(), "deflate");
        assert!(next.decoded() == source);
    });
}

/// Without a decoder, or with the proof switched off, the source's bytes are still checked. The
/// encoder's output is believed.
#[test]
fn encoder_is_believed_without_a_proof() {
    run(async {
        for (decoder, prove) in [(false, true), (true, false)] {
            let source = hex(10_000, 12);
            let pack = Pack { decoder, ..Pack::broken(Fault::FlipBit, 0) };
            let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), prove);
            let answer = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!(answer.coding(), "x-pack");
            assert_ne!(answer.decoded(), source, "the test's own encoder is broken");
        }
    });
}

#[test]
fn request_reads_no_second_encode_when_the_proof_fails() {
    run(async {
        // The preferred one of two codings is broken from its first byte. The request that finds
        // out gets the other one at once.
        let source = hex(2 * PIECE, 14);
        let pack = Pack::broken(Fault::Error, 0);
        let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), true);
        let answer = get_as(&service, "/a.txt", "x-pack, gzip").await;
        assert!(answer.decoded() == source);
        assert_eq!(answer.coding(), "gzip");
        until(|| encodes(&service, "*") == 2).await;
    });
}

#[test]
fn encoder_that_panics_is_at_fault_with_and_without_a_proof() {
    run(async {
        judge_all(Fault::Panic, true, true).await;
        judge_all(Fault::Panic, false, false).await;
    });
}

#[test]
fn encoder_that_panics_at_the_end_is_at_fault() {
    run(judge_all(Fault::PanicAtEnd, true, true));
}

/// The sample of a source, which is encoded before the source, runs through the same encoder.
#[test]
fn encoder_that_fails_on_the_sample_costs_the_coding_only() {
    run(async {
        let source = hex(4 * PIECE, 3);
        let pack = Pack { in_sample: true, ..Pack::broken(Fault::Error, 0) };
        let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), true);
        for _ in 0..2 {
            let answer = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!(answer.status, 200);
            assert_eq!((answer.coding(), answer.cache()), ("", "encoder"));
            assert!(answer.bytes() == source);
        }
        assert_eq!(pack.begun(), 1, "a verdict keeps it from another try");
    });
}

#[test]
fn encoder_that_panics_on_the_sample_costs_the_coding_only() {
    run(async {
        let source = hex(4 * PIECE, 3);
        let pack = Pack { in_sample: true, ..Pack::broken(Fault::Panic, 0) };
        let service = service(&pack, Place::Own, &source, &Cache::in_memory(CACHE), true);
        for _ in 0..2 {
            let answer = get_as(&service, "/a.txt", "x-pack").await;
            assert_eq!((answer.coding(), answer.cache()), ("", "encoder"));
            assert!(answer.bytes() == source);
            settled(&service).await;
        }
        assert_eq!(pack.begun(), 2, "it may try once more, alone, and then a verdict keeps it");
    });
}

/// Holds an encoder with right but far too long output against the promises. The output of the
/// source's first bytes may have been sent already.
async fn judge_bloated(source: &[u8], at: u64) {
    for decoder in [true, false] {
        let pack = Pack { decoder, ..Pack::broken(Fault::Tenfold, at) };
        let service = service(&pack, Place::Own, source, &Cache::in_memory(CACHE), true);
        get_as(&service, "/a.txt", "x-pack").await.is_exact_or_aborted(source);
        settled(&service).await;
        for _ in 0..2 {
            let next = get_as(&service, "/a.txt", "x-pack").await;
            assert!(next.body.is_ok(), "no request aborts twice");
            assert_eq!(next.coding(), "");
            assert!(next.bytes() == source);
        }
        assert_eq!(encodes(&service, "x-pack"), 1, "a verdict keeps it from another try");
    }
}

#[test]
fn encoder_that_bloats_a_small_source_is_not_tried_again() {
    run(judge_bloated(&hex(10_000, 1), 0));
}

#[test]
fn encoder_that_bloats_from_the_start_is_not_tried_again() {
    run(judge_bloated(&hex(5 * PIECE, 2), 0));
}

#[test]
fn encoder_that_bloats_late_aborts_no_request_twice() {
    run(judge_bloated(&hex(5 * PIECE, 2), 3));
}

#[test]
fn level_keeps_the_replacement_of_a_built_in() {
    let pack = Arc::new(Pack::new());
    let built = ServeCompressed::builder(Memory::new().file("a.txt", hex(9_000, 13)))
        .encoder(ContentCoding::GZIP, pack.clone())
        .level(ContentCoding::GZIP, 9)
        .patience(LONG)
        .build();
    let Ok(service) = built else { return };
    run(async {
        get_as(&service, "/a.txt", "gzip").await;
        settled(&service).await;
        assert_eq!(pack.begun(), 1, "the encoder that was registered is not the one in use");
    });
}

#[test]
fn encoder_that_fails_at_build_is_named() {
    #[derive(Debug)]
    struct Never;

    impl cachecompress::codec::Encoder for Never {
        fn settings(&self) -> cachecompress::codec::Settings {
            cachecompress::codec::Encoder::settings(&Pack::new())
        }

        fn begin(
            &self,
            _: u64,
        ) -> Result<Box<dyn cachecompress::codec::Encoding>, cachecompress::Error> {
            Err(cachecompress::codec::Gzip::new(99).unwrap_err())
        }

        fn decoder(&self) -> Option<Box<dyn cachecompress::codec::Decoding>> {
            None
        }
    }

    let built = ServeCompressed::builder(Memory::new()).encoder(coding(), Arc::new(Never)).build();
    let message = built.unwrap_err().to_string();
    assert!(message.contains("x-pack"), "which encoder? {message}");
}
