//! Failures of every disk operation, and power cuts at every moment.
//!
//! Each scenario runs once to count its disk operations. Then it runs again for each operation and
//! each kind of failure. The operation fails alone, or together with all later ones. It also runs
//! for each state that a power cut at that moment may leave.
//!
//! In every run bodies are exact or abort, and the status is right. The next answer is exact, and
//! soon coded again. The index agrees with the disk and keeps to the bounds. Nothing leaks.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the sources of some tests lie on the real disk"
)]

use cachecompress::codec::PIECE;
use cachecompress_test::pack::{Fault, Pack};
use cachecompress_test::site::{hex, random};

use super::trials::{End, Scenario, Step, run_all};

const A: &str = "/a.txt";
const B: &str = "/b.txt";
const C: &str = "/c.txt";

/// Three pieces, the last of them short: long enough to be sampled.
fn large() -> Vec<u8> {
    hex(2 * PIECE + 1_000, 2)
}

#[test]
fn cold_encode_survives_every_failing_call() {
    run_all(&Scenario::new("cold encode", &[Step::Get(A), Step::Get(A)]));
}

#[test]
fn cold_encode_without_identity_survives_every_failing_call() {
    run_all(&Scenario::new("cold, no identity", &[Step::Insist(A), Step::Insist(A)]));
}

#[test]
fn large_encode_with_a_reader_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, large())],
        ..Scenario::new("growing", &[Step::Growing(A), Step::Get(A)])
    });
}

#[test]
fn crowd_survives_every_failing_call() {
    run_all(&Scenario::new("collapse", &[Step::Crowd(A)]));
}

#[test]
fn restart_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, large())],
        before: vec![Step::Get(A)],
        slow: true,
        ..Scenario::new("restart", &[Step::Get(A), Step::Resume(A), Step::Range(A), Step::Plain(A)])
    });
}

#[test]
fn stored_range_survives_every_failing_call() {
    run_all(&Scenario {
        before: vec![Step::Get(A)],
        ..Scenario::new("stored range", &[Step::Resume(A), Step::Range(A), Step::Get(A)])
    });
}

#[test]
fn damaged_entry_survives_every_failing_call() {
    run_all(&Scenario {
        before: vec![Step::Get(A)],
        damaged: true,
        ..Scenario::new("damaged", &[Step::Get(A)])
    });
}

#[test]
fn eviction_by_number_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, hex(3_000, 1)), (B, hex(4_000, 2)), (C, hex(5_000, 3))],
        entries: 2,
        before: vec![Step::Get(A), Step::Get(B)],
        ..Scenario::new("evict by number", &[Step::Get(C), Step::Get(A)])
    });
}

/// Several entries have to go, as room is reserved for the longest possible output.
#[test]
fn eviction_by_size_survives_every_failing_call() {
    const OLD: [&str; 12] =
        ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/10", "/11"];
    let old = OLD.iter().zip(10..).map(|(path, seed)| (*path, hex(PIECE, seed)));
    run_all(&Scenario {
        files: old.chain([(A, hex(PIECE, 1))]).collect(),
        bytes: 530_000,
        entries: 13,
        before: OLD.map(Step::Get).to_vec(),
        ..Scenario::new("evict by size", &[Step::Get(A)])
    });
}

#[test]
fn unprofitable_source_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, random(1, 3_000))],
        end: End::Identity("unprofitable"),
        ..Scenario::new("unprofitable", &[Step::Get(A), Step::Get(A)])
    });
}

#[test]
fn unprofitable_sample_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, random(1, PIECE + 1_000))],
        end: End::Identity("unprofitable"),
        ..Scenario::new("unprofitable sample", &[Step::Get(A)])
    });
}

#[test]
fn broken_encoder_survives_every_failing_call() {
    run_all(&Scenario {
        pack: Pack::broken(Fault::FlipBit, 0),
        end: End::Identity("encoder"),
        ..Scenario::new("broken encoder", &[Step::Get(A), Step::Get(A)])
    });
}

#[test]
fn removed_directory_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, hex(3_000, 1)), (B, hex(4_000, 2))],
        before: vec![Step::Get(A)],
        loses_files: true,
        ..Scenario::new("recover", &[Step::Get(A), Step::Remove, Step::Get(B), Step::Get(A)])
    });
}

#[test]
fn small_source_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, hex(3_000, 1))],
        on_disk: true,
        ..Scenario::new("small source", &[Step::Get(A), Step::Plain(A), Step::Range(A)])
    });
}

#[test]
fn large_source_survives_every_failing_call() {
    run_all(&Scenario {
        files: vec![(A, large())],
        on_disk: true,
        ..Scenario::new("large source", &[Step::Growing(A), Step::Plain(A), Step::Range(A)])
    });
}
