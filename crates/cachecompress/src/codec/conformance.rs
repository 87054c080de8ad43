//! The conformance tests of encoders and decoders, run for each of the built-in ones.

use super::id::encoder_id;
use super::proof::Proof;
use super::testing::{binary, decode, encode, random, text, zeros};
use super::traits::Encoder;
use crate::error::{Error, ErrorKind};
use crate::http::Digest;
use crate::limits::PIECE;

/// A decoder of another implementation than the encoder's and the decoder's.
type Independent = fn(&[u8]) -> Vec<u8>;

/// A generator of sources of a given length.
type Kind = fn(usize) -> Vec<u8>;

const KINDS: [(&str, Kind); 4] =
    [("text", text), ("binary", binary), ("random", random), ("zeros", zeros)];

fn conforms<E: Encoder>(
    new: impl Fn() -> Result<E, Error>,
    independent: Independent,
) -> Result<(), Error> {
    let encoder: &dyn Encoder = &new()?;
    round_trips(encoder, independent)?;
    is_a_pure_function(encoder)?;
    forgets_what_it_encoded(&new)?;
    rejects_damage(encoder)?;
    checks_its_feed(encoder)?;
    stops_bombs(encoder)
}

/// Tests round trips at every length at which a piece, a window or a block begins or ends.
fn round_trips(encoder: &dyn Encoder, independent: Independent) -> Result<(), Error> {
    for (name, kind) in KINDS {
        let largest = kind(3 << 20);
        for len in [0, 1, 255, 256, 65_535, 65_536, 65_537, 200_000, 3 << 20] {
            let source = &largest[..len];
            let coded = encode(encoder, source)?;
            let bound = len + len / 256 + 64 * 1024;
            assert!(coded.len() <= bound, "{encoder:?}, {len} bytes of {name}");
            let mut proof = Proof::new(encoder.decoder(), len as u64);
            for coded in coded.chunks(PIECE) {
                proof.write(coded)?;
            }
            let digest = proof.finish()?;
            assert_eq!(digest, Some(Digest::of(source)), "{encoder:?}, {len} bytes of {name}");
            assert!(independent(&coded) == source, "{encoder:?}, {len} bytes of {name}");
            for cut in [1, 7, 1000] {
                if coded.len() / cut > 100_000 {
                    continue;
                }
                let decoded = decode(encoder, &coded, cut)?;
                assert!(decoded == source, "{encoder:?}, {len} bytes of {name}, cut at {cut}");
            }
        }
    }
    Ok(())
}

/// Tests that the same source gives the same bytes: from a context that encoded another source,
/// from one that was given up half-way, and whatever room the output has.
fn is_a_pure_function(encoder: &dyn Encoder) -> Result<(), Error> {
    let source = binary((1 << 20) + 300_000);
    let first = encode(encoder, &source)?;
    encode(encoder, &text(70_000))?;
    let mut given_up = encoder.begin(500_000)?;
    given_up.write(&random(PIECE), &mut Vec::new())?;
    drop(given_up);
    assert!(encode(encoder, &source)? == first, "{encoder:?} from a used context");

    let mut all = Vec::new();
    let mut encoding = encoder.begin(source.len() as u64)?;
    let other = encoder.begin(source.len() as u64)?;
    for (index, piece) in source.chunks(PIECE).enumerate() {
        let mut out = Vec::with_capacity(index * 1000);
        encoding.write(piece, &mut out)?;
        all.append(&mut out);
    }
    encoding.finish(&mut all)?;
    drop(other);
    assert!(all == first, "{encoder:?} into another buffer, from a fresh context");
    Ok(())
}

/// Tests that a context's earlier sources do not show. Contexts are reset, not cleared.
fn forgets_what_it_encoded<E: Encoder>(new: impl Fn() -> Result<E, Error>) -> Result<(), Error> {
    let used = new()?;
    let (text, random) = (text(300_000), random(300_000));
    for round in 0..60 {
        let (at, len) = (round * 1117, round * round * 37);
        let source = [&random[at..][..len / 3], &text[at..][..len], &random[..len / 2]].concat();
        let coded = encode(&used, &source)?;
        assert!(coded == encode(&new()?, &source)?, "{used:?}, round {round}");
    }
    Ok(())
}

/// Tests that truncated, continued and changed output is an error, or another digest with the
/// formats that have no checksum. A few bits mean nothing, so the source comes out.
fn rejects_damage(encoder: &dyn Encoder) -> Result<(), Error> {
    let source = text(5_000);
    let coded = encode(encoder, &source)?;
    for len in 0..coded.len() {
        let broken = decode(encoder, &coded[..len], PIECE);
        assert!(broken.is_err(), "{encoder:?}, truncated to {len} of {}", coded.len());
    }
    for cut in [1, PIECE] {
        let mut trailing = coded.clone();
        trailing.push(0);
        assert!(decode(encoder, &trailing, cut).is_err(), "{encoder:?} with one more byte");
        trailing.truncate(coded.len());
        trailing.extend_from_slice(&coded);
        assert!(decode(encoder, &trailing, cut).is_err(), "{encoder:?} twice");
    }
    let checksummed = encoder.settings().encoder != "mbrotli";
    let digest = Digest::of(&source);
    let mut idle = 0;
    for at in 0..coded.len() {
        let mut flipped = coded.clone();
        flipped[at] ^= 1 << (at % 8);
        let mut proof = Proof::new(encoder.decoder(), source.len() as u64);
        match proof.write(&flipped).and_then(|()| proof.finish()) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Encoder),
            Ok(proven) if proven == Some(digest) => idle += 1,
            Ok(_) => assert!(!checksummed, "{encoder:?}, byte {at}: wrong, and no error"),
        }
    }
    assert!(idle < 8, "{encoder:?}: {idle} bits mean nothing");
    Ok(())
}

/// Tests that a source of another length, or in other pieces, is an error.
fn checks_its_feed(encoder: &dyn Encoder) -> Result<(), Error> {
    let source = text(100_000);
    let mut out = Vec::new();

    let short = encoder.begin(100_001)?;
    assert!(short.finish(&mut out).is_err(), "{encoder:?} fed nothing");
    let mut short = encoder.begin(100_001)?;
    for piece in source.chunks(PIECE) {
        short.write(piece, &mut out)?;
    }
    assert!(short.finish(&mut out).is_err(), "{encoder:?} fed too little");

    let mut long = encoder.begin(99_999)?;
    long.write(&source[..PIECE], &mut out)?;
    assert!(long.write(&source[PIECE..], &mut out).is_err(), "{encoder:?} fed too much");

    let mut odd = encoder.begin(100_000)?;
    odd.write(&source[..1000], &mut out)?;
    assert!(odd.write(&source[1000..2000], &mut out).is_err(), "{encoder:?} fed crumbs");
    Ok(())
}

/// Tests that a decoder stops soon after its limit.
fn stops_bombs(encoder: &dyn Encoder) -> Result<(), Error> {
    let coded = encode(encoder, &zeros(24 << 20))?;
    let mut decoding = encoder.decoder().expect("built-in encoders have a decoder");
    decoding.limit(1000);
    let mut decoded = 0;
    assert!(decoding.write(&coded, &mut |bytes| decoded += bytes.len()).is_err());
    assert!(decoded < 1 << 20, "{encoder:?} went on to {decoded}");
    assert!(Proof::new(encoder.decoder(), 1000).write(&coded).is_err());
    Ok(())
}

/// Tests small round trips at every level, and that each level has its own id.
fn levels<E: Encoder>(
    levels: std::ops::RangeInclusive<i32>,
    new: fn(i32) -> Result<E, Error>,
    independent: Independent,
) -> Result<(), Error> {
    let mut ids = std::collections::BTreeSet::new();
    let source = [text(40_000), binary(50_000), random(10_000)].concat();
    for level in levels.clone() {
        let encoder = new(level)?;
        let coded = encode(&encoder, &source)?;
        assert!(decode(&encoder, &coded, PIECE)? == source, "{encoder:?}");
        assert!(independent(&coded) == source, "{encoder:?}");
        let id = encoder_id(&encoder)?;
        assert_eq!(encoder_id(&new(level)?)?, id, "{encoder:?}");
        assert!(ids.insert(id), "{encoder:?} shares its id");
    }
    for level in [levels.start() - 1, levels.end() + 1] {
        let error = new(level).map(|encoder| format!("{encoder:?}"));
        assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Config), "level {level}");
    }
    Ok(())
}

/// Digests an encoder's output for some sources at all its levels.
#[cfg(any(feature = "brotli", feature = "gzip"))]
fn outputs<E: Encoder>(
    levels: std::ops::RangeInclusive<i32>,
    default: i32,
    new: fn(i32) -> Result<E, Error>,
) -> Result<String, Error> {
    let mut hasher = crate::http::Hasher::new();
    let small = [text(90_000), random(20_000), zeros(40_000), text(30_000)].concat();
    for level in levels {
        hasher.update(&encode(&new(level)?, &small)?);
    }
    let large = [text(1_500_000), random(500_000), zeros(500_000), text(500_000)].concat();
    hasher.update(&encode(&new(default)?, &large)?);
    Ok(hasher.finish().hex())
}

/// The advice when a digest of [`outputs`] has changed.
#[cfg(any(feature = "brotli", feature = "gzip"))]
const CHANGED: &str = "the output of an encoder without a run-time version has changed: raise \
                       its REVISION, so that its id changes too, and put the new digest here";

#[cfg(feature = "brotli")]
mod brotli {
    use super::*;
    use crate::codec::brotli::Brotli;

    fn by_mbrotli(coded: &[u8]) -> Vec<u8> {
        mbrotli::Decompressor::new(mbrotli::DecoderConfig::default())
            .expect("settings")
            .decompress(coded)
            .expect("brotli")
    }

    #[test]
    fn br_conforms() -> Result<(), Error> {
        conforms(|| Brotli::new(Brotli::DEFAULT_LEVEL), by_mbrotli)
    }

    /// These two levels have an encoder of their own, which emits after every piece.
    #[test]
    fn br_conforms_at_the_fastest_levels() -> Result<(), Error> {
        conforms(|| Brotli::new(0), by_mbrotli)?;
        conforms(|| Brotli::new(1), by_mbrotli)
    }

    #[test]
    fn br_output_changes_only_with_its_revision() -> Result<(), Error> {
        let digest = outputs(0..=11, Brotli::DEFAULT_LEVEL, Brotli::new)?;
        assert_eq!(
            digest, "6d81df860cfbbf6672c16324455d41403020adddf7b695147a74320bb67a4cd0",
            "{CHANGED}"
        );
        Ok(())
    }

    #[test]
    fn br_round_trips_at_every_level() -> Result<(), Error> {
        levels(0..=11, Brotli::new, by_mbrotli)
    }
}

#[cfg(feature = "gzip")]
mod gzip {
    use std::io::Read as _;

    use super::*;
    use crate::codec::deflate::Deflate;
    use crate::codec::gzip::Gzip;
    use crate::codec::libdeflate::Libdeflate;

    fn gzip_by_flate2(coded: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(coded).read_to_end(&mut decoded).expect("gzip");
        decoded
    }

    fn zlib_by_flate2(coded: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        flate2::read::ZlibDecoder::new(coded).read_to_end(&mut decoded).expect("zlib");
        decoded
    }

    #[test]
    fn gzip_conforms() -> Result<(), Error> {
        conforms(|| Gzip::new(Gzip::DEFAULT_LEVEL), gzip_by_flate2)
    }

    #[test]
    fn deflate_conforms() -> Result<(), Error> {
        conforms(|| Deflate::new(Deflate::DEFAULT_LEVEL), zlib_by_flate2)
    }

    #[test]
    fn deflate_output_changes_only_with_its_revision() -> Result<(), Error> {
        let digest = outputs(1..=9, Deflate::DEFAULT_LEVEL, Deflate::new)?;
        assert_eq!(
            digest, "c5bb70611940cff14dc084156f3f68d3c346c9a2ec8fceca47fae69e532736a4",
            "{CHANGED}"
        );
        Ok(())
    }

    #[test]
    fn libdeflate_conforms() -> Result<(), Error> {
        conforms(Libdeflate::gzip, gzip_by_flate2)?;
        conforms(Libdeflate::deflate, zlib_by_flate2)
    }

    #[test]
    fn libdeflate_output_changes_only_with_its_revision() -> Result<(), Error> {
        let digest = outputs(0..=0, 0, |_| Libdeflate::deflate())?;
        assert_eq!(
            digest, "4020803bafb848238ea0c3e13bb66daba8bea0893b9e3314a8b3c70c7abbc46f",
            "{CHANGED}"
        );
        Ok(())
    }

    #[test]
    fn gzip_round_trips_at_every_level() -> Result<(), Error> {
        levels(1..=9, Gzip::new, gzip_by_flate2)
    }

    #[test]
    fn deflate_round_trips_at_every_level() -> Result<(), Error> {
        levels(1..=9, Deflate::new, zlib_by_flate2)
    }
}

#[cfg(feature = "zstd")]
mod zstd {
    use super::*;
    use crate::codec::zstd::Zstd;

    fn by_libzstd(coded: &[u8]) -> Vec<u8> {
        let len = zstd_safe::get_frame_content_size(coded).ok().flatten().expect("a size");
        let mut decoded = vec![0; len as usize];
        let written = zstd_safe::decompress(&mut decoded[..], coded).expect("zstd");
        assert_eq!(written as u64, len);
        decoded
    }

    #[test]
    fn zstd_conforms() -> Result<(), Error> {
        conforms(|| Zstd::new(Zstd::DEFAULT_LEVEL), by_libzstd)
    }

    #[test]
    fn zstd_round_trips_at_every_level() -> Result<(), Error> {
        levels(1..=22, Zstd::new, by_libzstd)
    }
}

/// A custom encoder with a fault that no checksum finds: it encodes another source.
#[cfg(feature = "gzip")]
mod broken {
    use super::*;
    use crate::codec::gzip::Gzip;
    use crate::codec::traits::{Decoding, Encoding, Settings};

    #[derive(Clone, Copy, Debug)]
    enum Fault {
        ChangesAByte,
        LosesTheEnd,
        RepeatsTheEnd,
        Forgets,
    }

    #[derive(Debug)]
    struct Broken(Fault, Gzip);

    impl Encoder for Broken {
        fn settings(&self) -> Settings {
            self.1.settings()
        }

        fn begin(&self, _: u64) -> Result<Box<dyn Encoding>, Error> {
            Ok(Box::new(Gathered(self.0, Vec::new())))
        }

        fn decoder(&self) -> Option<Box<dyn Decoding>> {
            self.1.decoder()
        }
    }

    struct Gathered(Fault, Vec<u8>);

    impl Encoding for Gathered {
        fn write(&mut self, piece: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
            self.1.extend_from_slice(piece);
            Ok(())
        }

        fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
            let Self(fault, mut source) = *self;
            match fault {
                Fault::ChangesAByte => source[100_000] ^= 1,
                Fault::LosesTheEnd => source.truncate(128_000),
                Fault::RepeatsTheEnd => source.extend_from_within(150_000..),
                Fault::Forgets => {}
            }
            out.extend(encode(&Gzip::new(6)?, &source)?);
            if let Fault::Forgets = fault {
                out.truncate(out.len() - 5);
            }
            Ok(())
        }
    }

    #[test]
    fn proof_finds_every_fault_of_an_encoder() -> Result<(), Error> {
        let source = text(200_000);
        for fault in [Fault::ChangesAByte, Fault::LosesTheEnd, Fault::RepeatsTheEnd, Fault::Forgets]
        {
            let encoder = Broken(fault, Gzip::new(6)?);
            let coded = encode(&encoder, &source)?;
            let mut proof = Proof::new(encoder.decoder(), source.len() as u64);
            let proven = proof.write(&coded).and_then(|()| proof.finish());
            assert_ne!(proven.ok().flatten(), Some(Digest::of(&source)), "{fault:?}");
        }
        Ok(())
    }
}
