//! Decoders that share nothing with the library's own proof, and digests to hold them against.
//!
//! Every decoder here refuses a body that breaks off and a body with bytes after its end. Both are
//! signs of a mixed or truncated representation.

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;

use crate::tools::require;

/// The largest window that a zstd frame may declare, RFC 9659.
pub const ZSTD_WINDOW_LIMIT: u64 = 8 << 20;

/// Every coding that the program speaks.
pub const CODINGS: [&str; 4] = ["br", "zstd", "gzip", "deflate"];

/// Decodes a whole body.
///
/// # Errors
///
/// If the body is not exactly one encoded representation, or a zstd frame wants more than 8 MiB of
/// window.
pub fn decode(coding: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    let rest = match coding {
        "identity" => {
            decoded.extend_from_slice(body);
            0
        }
        "gzip" => {
            let mut decoder = flate2::bufread::GzDecoder::new(body);
            decoder.read_to_end(&mut decoded)?;
            decoder.into_inner().len()
        }
        "deflate" => {
            // RFC 9110 §8.4.1.2: the zlib format, not raw deflate.
            let mut decoder = flate2::bufread::ZlibDecoder::new(body);
            decoder.read_to_end(&mut decoded)?;
            decoder.into_inner().len()
        }
        "br" => brotli(body, &[], &mut decoded)?,
        "zstd" => {
            let window = zstd_window(body)?;
            if window > ZSTD_WINDOW_LIMIT {
                return Err(invalid(format!("the frame declares a window of {window} bytes")));
            }
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?.single_frame();
            decoder.window_log_max(23)?;
            decoder.read_to_end(&mut decoded)?;
            decoder.finish().len()
        }
        other => return Err(invalid(format!("no decoder for {other:?}"))),
    };
    if rest > 0 {
        return Err(invalid(format!("{rest} bytes after the end of the {coding} body")));
    }
    Ok(decoded)
}

/// Decodes a whole body in `dcb` or `dcz` (RFC 9842), as a client that has `dictionary`.
///
/// # Panics
///
/// If the body is not exactly one such representation, for that dictionary.
#[must_use]
#[track_caller]
pub fn decode_delta(coding: &str, body: &[u8], dictionary: &[u8]) -> Vec<u8> {
    let magic: &[u8] = match coding {
        "dcb" => b"\xffDCB",
        "dcz" => &[0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0],
        other => panic!("{other:?} is no coding with a dictionary"),
    };
    let rest = body.strip_prefix(magic).expect("the magic number");
    let digest = sha2::Sha256::digest(dictionary);
    let stream = rest.strip_prefix(&*digest).expect("the dictionary's digest");
    let mut decoded = Vec::new();
    if coding == "dcb" {
        let behind = brotli(stream, dictionary, &mut decoded).expect("a brotli stream");
        assert_eq!(behind, 0, "bytes after the end");
        return decoded;
    }
    let len = zstd::zstd_safe::get_frame_content_size(stream).expect("a frame").expect("a size");
    let mut context = zstd::zstd_safe::DCtx::create();
    context.ref_prefix(dictionary).expect("a dictionary");
    decoded.resize(usize::try_from(len).expect("a length"), 0);
    let written = context.decompress(&mut decoded[..], stream).expect("a zstd frame");
    assert_eq!(written as u64, len);
    decoded
}

/// Returns the number of bytes behind the end of the brotli stream, which refers to `dictionary` unless
/// that is empty.
fn brotli(body: &[u8], dictionary: &[u8], decoded: &mut Vec<u8>) -> io::Result<usize> {
    use brotli_decompressor::{
        BrotliDecompressStreamWithDictionary, BrotliResult, BrotliState, StandardAlloc,
    };
    let new = StandardAlloc::default;
    let mut state = BrotliState::new(new(), new(), new());
    if !dictionary.is_empty() {
        state.attach_external_dictionary(dictionary.len());
    }
    let mut piece = vec![0; 64 * 1024];
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    loop {
        let (mut room, mut filled) = (piece.len(), 0);
        let result = BrotliDecompressStreamWithDictionary(
            &mut left,
            &mut at,
            body,
            &mut room,
            &mut filled,
            &mut piece,
            &mut total,
            dictionary,
            &mut state,
        );
        decoded.extend_from_slice(&piece[..filled]);
        match result {
            BrotliResult::ResultSuccess => return Ok(left),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput => {
                return Err(invalid(format!("the brotli stream breaks off at {at}")));
            }
            BrotliResult::ResultFailure => {
                return Err(invalid(format!("a bad brotli stream, at {at}")));
            }
        }
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The window that a zstd frame's header declares, read by hand from RFC 8878 §3.1.1.1.
///
/// # Errors
///
/// If `frame` does not begin with a whole frame header.
pub fn zstd_window(frame: &[u8]) -> io::Result<u64> {
    let short = || invalid("no whole zstd frame header".into());
    if frame.get(..4) != Some(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(invalid("no zstd magic number".into()));
    }
    let descriptor = *frame.get(4).ok_or_else(short)?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = *frame.get(5).ok_or_else(short)?;
        let base = 1u64 << (10 + (window >> 3));
        return Ok(base + base / 8 * u64::from(window & 7));
    }
    // A single segment needs a window as large as its content.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let bytes = frame.get(5 + dictionary..5 + dictionary + length).ok_or_else(short)?;
    let mut wide = [0; 8];
    wide[..length].copy_from_slice(bytes);
    let size = u64::from_le_bytes(wide);
    Ok(if length == 2 { size + 256 } else { size })
}

/// Whether a zstd frame carries a checksum, RFC 8878 §3.1.1.1.1.
#[must_use]
pub fn zstd_has_checksum(frame: &[u8]) -> bool {
    frame.get(4).is_some_and(|descriptor| descriptor & 4 != 0)
}

/// Decodes with the coding's own command line program. Returns `None` if it is not installed.
///
/// # Panics
///
/// If the program refuses the body, or if `CI=true` and there is no such program.
#[must_use]
pub fn decode_by_program(coding: &str, body: &[u8]) -> Option<Vec<u8>> {
    let program = match coding {
        "gzip" => require("gzip"),
        "br" => require("brotli"),
        "zstd" => require("zstd"),
        other => panic!("no program for {other:?}"),
    }?;
    let mut child = Command::new(&program)
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe was asked for");
    let body = body.to_vec();
    let feeder = std::thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output().expect("the program ends");
    let fed = feeder.join().expect("the feeder ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{coding}: the program refuses the body: {complaint}");
    fed.expect("the program reads all of the body");
    Some(output.stdout)
}

/// Reports on stderr that a check did not run, also when the test runner captures output.
///
/// # Panics
///
/// If `CI=true`, because a skip is a failure there.
pub fn skipped(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "would skip: {why}");
    // The test harness captures `eprintln!`.
    let _ = writeln!(io::stderr(), "\nSKIPPED {why}");
}

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// The 22 characters by which an entity tag names these bytes.
#[must_use]
pub fn tag_digest(bytes: &[u8]) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(sha256(bytes));
    text.truncate(22);
    text
}

/// The identity representation's whole entity tag.
#[must_use]
pub fn identity_tag(bytes: &[u8]) -> String {
    format!("\"{}\"", tag_digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site;

    fn encode(coding: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let level = flate2::Compression::default();
        let mut out = Vec::new();
        match coding {
            "gzip" => flate2::bufread::GzEncoder::new(bytes, level).read_to_end(&mut out),
            "deflate" => flate2::bufread::ZlibEncoder::new(bytes, level).read_to_end(&mut out),
            "zstd" => zstd::stream::copy_encode(bytes, &mut out, 3).map(|()| 0),
            _ => return None,
        }
        .expect("memory does not fail");
        Some(out)
    }

    #[test]
    fn decode_refuses_cut_and_lengthened_bodies() {
        let source = site::text(1, 300_000);
        for coding in ["gzip", "deflate", "zstd"] {
            let body = encode(coding, &source).expect("an encoder");
            assert_eq!(decode(coding, &body).expect("whole"), source, "{coding}");
            assert!(decode(coding, &body[..body.len() - 1]).is_err(), "{coding}, cut");
            assert!(decode(coding, &body[..body.len() / 2]).is_err(), "{coding}, halved");
            let longer = [&body[..], b"x"].concat();
            assert!(decode(coding, &longer).is_err(), "{coding}, one byte more");
        }
    }

    #[test]
    fn brotli_refuses_a_cut_body_and_bytes_after_the_end() {
        // "hello hello hello", by google/brotli's command line program.
        let body = [0x1f, 0x10, 0x00, 0x00, 0x24, 0x40, 0x6a, 0x10, 0x64, 0xea, 0xf0, 0x9c, 0x1e];
        assert_eq!(decode("br", &body).expect("whole"), b"hello hello hello");
        assert!(decode("br", &body[..body.len() - 1]).is_err());
        assert!(decode("br", &[&body[..], b"x"].concat()).is_err());
        assert!(decode("br", b"").is_err());
    }

    #[test]
    fn window_is_read_as_rfc_8878_says() {
        let header = |descriptor: u8, rest: &[u8]| {
            [&[0x28, 0xb5, 0x2f, 0xfd, descriptor][..], rest].concat()
        };
        assert_eq!(zstd_window(&header(0, &[13 << 3])).expect("whole"), 8 << 20);
        assert_eq!(zstd_window(&header(0, &[(13 << 3) | 1])).expect("whole"), 9 << 20);
        assert_eq!(zstd_window(&header(0x20, &[200])).expect("whole"), 200);
        assert_eq!(zstd_window(&header(0x60, &[0, 1])).expect("whole"), 512);
        assert_eq!(zstd_window(&header(0xa0, &[0, 0, 0, 1])).expect("whole"), 1 << 24);
        assert!(zstd_window(&header(0, &[])).is_err());
    }

    #[test]
    fn tags_name_the_sha_256_of_the_bytes() {
        assert_eq!(tag_digest(b""), "47DEQpj8HBSa-_TImW-5JC");
    }
}
