//! Round trips of both codings, with decoders that share no code with the encoders, and with C's.

use super::super::proof::Proof;
use super::super::testing::{binary, decode, encode, random, text};
use super::*;
use crate::error::ErrorKind;
use crate::http::Digest;
use crate::limits::PIECE;

const MIB: usize = 1 << 20;

/// Another version of `source`: some bytes are changed, some are gone, and some are new.
fn changed(source: &[u8]) -> Vec<u8> {
    let mut other = Vec::with_capacity(source.len() + 64);
    for (index, part) in source.chunks(10_007).enumerate() {
        match index % 7 {
            3 => other.extend_from_slice(&part[part.len() / 3..]),
            5 => other.extend_from_slice(format!("<new part={index}>").as_bytes()),
            _ => other.extend_from_slice(part),
        }
    }
    other
}

fn codecs(dictionary: &[u8], source_len: usize) -> Vec<Codec> {
    let dictionary = Arc::new(Dictionary::of(dictionary));
    DeltaCodecs::new().unwrap().codecs(&dictionary, source_len as u64)
}

/// Decodes as a client does, by libzstd or by `mbrotli`.
fn decode_elsewhere(
    coding: &ContentCoding,
    coded: &[u8],
    dictionary: &[u8],
    len: usize,
) -> Vec<u8> {
    let digest = Digest::of(dictionary);
    if *coding == ContentCoding::DCZ {
        assert_eq!(coded[..8], [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0]);
        assert_eq!(coded[8..40], *digest.as_bytes());
        let mut context = zstd_safe::DCtx::create();
        let most = longest_content(dictionary.len() as u64).next_power_of_two().ilog2();
        context.set_parameter(zstd_safe::DParameter::WindowLogMax(most)).unwrap();
        context.ref_prefix(dictionary).unwrap();
        let mut decoded = vec![0; len + 1];
        // The whole of it: a plain decoder skips the frame that holds the digest.
        let written = context.decompress(&mut decoded[..], &coded[40..]).unwrap();
        decoded.truncate(written);
        return decoded;
    }
    assert_eq!(coded[..4], *b"\xffDCB");
    assert_eq!(coded[4..36], *digest.as_bytes());
    let mut decompressor = mbrotli::Decompressor::new(mbrotli::DecoderConfig::default()).unwrap();
    if dictionary.is_empty() {
        return decompressor.decompress(&coded[36..]).unwrap();
    }
    let raw = mbrotli::dictionary::DictionaryAttachment::Raw(dictionary);
    let limits = mbrotli::dictionary::DecodeDictionaryLimits::default();
    let attached = mbrotli::dictionary::DecodeDictionary::new(&[raw], limits).unwrap();
    decompressor.decompress_with_dictionary(&attached, &coded[36..]).unwrap()
}

/// Encodes by both codings and decodes by two decoders each; returns the lengths of the results.
fn round_trip(dictionary: &[u8], source: &[u8]) -> Vec<(ContentCoding, usize)> {
    let of = |codec: Codec| {
        let what = format!("{}: {} after {}", codec.coding, source.len(), dictionary.len());
        let coded = encode(&*codec.encoder, source).expect(&what);
        let mut proof = Proof::new(codec.encoder.decoder(), source.len() as u64);
        for coded in coded.chunks(PIECE) {
            proof.write(coded).expect(&what);
        }
        assert_eq!(proof.finish().expect(&what), Some(Digest::of(source)), "{what}");
        let decoded = decode_elsewhere(&codec.coding, &coded, dictionary, source.len());
        assert!(decoded == source, "{what}");
        (codec.coding, coded.len())
    };
    codecs(dictionary, source.len()).into_iter().map(of).collect()
}

#[test]
fn delta_of_another_version_round_trips_and_is_short() {
    for kind in [text, binary] {
        let dictionary = kind(700_000);
        let source = changed(&dictionary);
        for (coding, len) in round_trip(&dictionary, &source) {
            assert!(len < 20_000, "{coding}: {len}");
        }
    }
}

#[test]
fn delta_round_trips_with_a_dictionary_of_hardly_any_bytes() {
    let source = text(20_000);
    for len in [0, 1, 7, 8, 9] {
        round_trip(&source[..len], &source);
        round_trip(&source[..len], b"");
        round_trip(&source[..len], b"a");
    }
}

/// RFC 9842 §5: up to 8 MiB of content for any dictionary up to 6.4 MiB, then a quarter more than it.
#[test]
fn delta_round_trips_at_the_edges_of_8_mib() {
    let version = binary(8 * MIB + 1);
    for len in [8 * MIB - 1, 8 * MIB, 8 * MIB + 1] {
        let dictionary = &version[..len];
        let source = changed(dictionary);
        let found = round_trip(dictionary, &source);
        assert!(found.iter().all(|(_, coded)| *coded < len / 20), "{len}: {found:?}");
    }
}

#[test]
fn dcz_ends_at_a_quarter_more_than_its_dictionary() {
    let dictionary = binary(7 * MIB);
    let most = 7 * MIB / 4 * 5;
    let source = [changed(&dictionary), binary(4 * MIB)].concat();
    for len in [most - 1, most, most + 1] {
        let found = round_trip(&dictionary, &source[..len]);
        let has_dcz = found.iter().any(|(coding, _)| *coding == ContentCoding::DCZ);
        assert_eq!(has_dcz, len <= most, "{len}");
    }
    // An encoder that is asked all the same refuses.
    let encoder = Dcz::new(Arc::new(Dictionary::of(&dictionary)));
    assert_eq!(
        encoder.begin(most as u64 + 1).err().map(|error| error.kind()),
        Some(ErrorKind::Encoder)
    );
}

/// These are the first bytes of dictionaries that zstd has trained. A file may begin with them, too.
#[test]
fn dictionary_with_the_magic_number_of_trained_ones_is_raw_content() {
    let mut dictionary = [&[0x37, 0xa4, 0x30, 0xec][..], &text(50_000)].concat();
    for len in [4, 5, 8, dictionary.len()] {
        dictionary.truncate(len.max(4));
        let source = [&dictionary[..], b"more"].concat();
        round_trip(&dictionary[..len], &source);
        dictionary = [&[0x37, 0xa4, 0x30, 0xec][..], &text(50_000)].concat();
    }
    let (_, shortest) = round_trip(&dictionary, &dictionary)[0].clone();
    assert!(shortest < 100, "{shortest}");
}

#[test]
fn delta_of_the_dictionary_itself_is_nearly_nothing() {
    for (kind, len) in [(text as fn(usize) -> Vec<u8>, 300_000), (binary, 3 * MIB), (random, MIB)] {
        let dictionary = kind(len);
        for (coding, len) in round_trip(&dictionary, &dictionary) {
            assert!(len < 1000, "{coding}: {len}");
        }
    }
}

/// The stream names its dictionary, so a decoder that has another one stops at the header. Behind another
/// header, it decodes to other bytes or not at all.
#[test]
fn delta_is_refused_with_another_dictionary_of_the_same_length() {
    let dictionary = text(300_000);
    let other = binary(300_000);
    let source = changed(&dictionary);
    for (codec, wrong) in codecs(&dictionary, source.len()).iter().zip(codecs(&other, source.len()))
    {
        let mut coded = encode(&*codec.encoder, &source).unwrap();
        let error = decode(&*wrong.encoder, &coded, PIECE).err();
        assert!(error.is_some_and(|error| error.to_string().contains("another dictionary")));
        let header = if codec.coding == ContentCoding::DCB { 4 } else { 8 };
        coded[header..header + 32].copy_from_slice(Digest::of(&other).as_bytes());
        let mut proof = Proof::new(wrong.encoder.decoder(), source.len() as u64);
        let proven = proof.write(&coded).and_then(|()| proof.finish());
        assert_ne!(proven.ok().flatten(), Some(Digest::of(&source)), "{}", codec.coding);
    }
}

#[test]
fn truncated_or_continued_delta_is_refused() {
    let dictionary = text(30_000);
    let source = changed(&dictionary);
    for codec in codecs(&dictionary, source.len()) {
        let coded = encode(&*codec.encoder, &source).unwrap();
        for len in 0..coded.len() {
            let broken = decode(&*codec.encoder, &coded[..len], PIECE);
            assert!(broken.is_err(), "{}: {len} of {}", codec.coding, coded.len());
        }
        for cut in [1, 7, PIECE] {
            assert!(decode(&*codec.encoder, &coded, cut).unwrap() == source, "cut at {cut}");
            let more = [&coded[..], b"\0"].concat();
            assert!(decode(&*codec.encoder, &more, cut).is_err(), "{}", codec.coding);
        }
    }
}

#[test]
fn same_source_and_dictionary_give_the_same_bytes() {
    let dictionary = binary(2 * MIB + 77);
    let source = changed(&dictionary);
    for (first, second) in
        codecs(&dictionary, source.len()).iter().zip(codecs(&dictionary.clone(), source.len()))
    {
        let coded = encode(&*first.encoder, &source).unwrap();
        assert!(encode(&*first.encoder, &source).unwrap() == coded, "{}", first.coding);
        assert!(encode(&*second.encoder, &source).unwrap() == coded, "{}", first.coding);
        assert_eq!(first.id(1), second.id(1));
    }
}

#[test]
fn id_names_the_encoder_and_the_dictionary() {
    let ids = |dictionary: &[u8]| -> Vec<_> {
        codecs(dictionary, 1).iter().map(|codec| codec.id(1)).collect()
    };
    let (one, other) = (ids(b"one"), ids(b"other"));
    assert_eq!(one, ids(b"one"));
    assert!(one.iter().all(|id| !other.contains(id)));
    assert_ne!(one[0], one[1]);
}

/// `mbrotli` tells no version at run time, so a digest of its output stands for it.
#[test]
fn dcb_output_changes_only_with_its_revision() {
    let dictionary = [text(90_000), binary(60_000)].concat();
    let source = changed(&dictionary);
    let encoder = Dcb::new(Arc::new(Dictionary::of(&dictionary)));
    let digest = Digest::of(&encode(&encoder, &source).unwrap());
    assert_eq!(
        digest.hex(),
        "8058f07f4be7f44e5546e6e2d52d9308cccc82129f8a466905d3e15b2fcdaf27",
        "raise REVISION of dcb, and put the new digest here"
    );
}

#[test]
fn shorter_sources_have_dcb_first_and_longer_ones_dcz() {
    let names = |dictionary: u64, source| {
        let dictionary = Dictionary::new(Digest::of(b""), dictionary, || Ok(b""[..].into()));
        let codecs = DeltaCodecs::new().unwrap().codecs(&Arc::new(dictionary), source);
        codecs.iter().map(|codec| codec.coding.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(1 << 20, 2 << 20), "dcb dcz");
    assert_eq!(names(1 << 20, (2 << 20) + 1), "dcz dcb");
    assert_eq!(names(1 << 20, 8 << 20), "dcz dcb");
    assert_eq!(names(1 << 20, (8 << 20) + 1), "dcb");
}
