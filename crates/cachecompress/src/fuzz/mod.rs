//! The entry points of the fuzzers in `fuzz/`. They are not part of the library.
//!
//! Each function takes any bytes. It panics if a parser panics, or disagrees with its model. Every
//! `cargo test` tries the inputs that are kept in `fuzz/corpus`.

mod entry;
mod http;
mod request;

pub use self::http::{accept_encoding, path, preconditions, range};
pub use entry::entry;
pub use request::request;

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "the corpus lies in files")]

    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    use super::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 6] = [
        ("accept_encoding", accept_encoding),
        ("entry", entry),
        ("path", path),
        ("preconditions", preconditions),
        ("range", range),
        ("request", request),
    ];

    fn fuzz_dir() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
    }

    /// Reads the kept inputs of `target`, with the names of their files.
    fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(fuzz_dir().join("corpus").join(target)).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        };
        paths.into_iter().map(read).collect()
    }

    #[test]
    fn kept_inputs_pass() {
        for (name, target) in TARGETS {
            let kept = corpus(name);
            assert!(kept.len() >= 5, "{name} has {} inputs", kept.len());
            for (path, input) in &kept {
                println!("{}", path.display());
                target(input);
            }
            println!("{name}: {} inputs", kept.len());
        }
    }

    #[test]
    fn target_has_its_file() {
        for (name, _) in TARGETS {
            let path = fuzz_dir().join("fuzz_targets").join(name).with_extension("rs");
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(&format!("cachecompress::fuzz::{name}(")), "{text}");
        }
        let files = std::fs::read_dir(fuzz_dir().join("fuzz_targets")).unwrap();
        assert_eq!(files.count(), TARGETS.len(), "a target's corpus is not replayed here");
    }

    /// Generates any bytes, and kept inputs with a few bytes changed, dropped or put in.
    fn input(kept: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
        let edit = (any::<prop::sample::Index>(), 0..4_u8, any::<u8>());
        let edited = (prop::sample::select(kept), prop::collection::vec(edit, 0..6));
        let edited = edited.prop_map(|(mut bytes, edits)| {
            for (at, kind, byte) in edits {
                let at = at.index(bytes.len() + 1);
                match kind {
                    0 => bytes.insert(at, byte),
                    1 => bytes.truncate(at),
                    _ if at == bytes.len() => {}
                    2 => drop(bytes.remove(at)),
                    _ => bytes[at] = byte,
                }
            }
            bytes
        });
        prop_oneof![prop::collection::vec(any::<u8>(), 0..300), edited]
    }

    #[track_caller]
    fn holds_for_any_input(name: &str) {
        let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
        let kept = corpus(name).into_iter().map(|(_, input)| input).collect();
        let config = ProptestConfig {
            cases: 2000,
            // A finding is kept in the corpus, where fuzzers see it too.
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        proptest!(config, |(input in input(kept))| target(&input));
    }

    #[test]
    fn accept_encoding_agrees_with_its_model() {
        holds_for_any_input("accept_encoding");
    }

    #[test]
    fn entries_are_whole_or_refused() {
        holds_for_any_input("entry");
    }

    #[test]
    fn paths_stay_beneath_their_root() {
        holds_for_any_input("path");
    }

    #[test]
    fn preconditions_agree_with_their_model() {
        holds_for_any_input("preconditions");
    }

    #[test]
    fn ranges_agree_with_their_model() {
        holds_for_any_input("range");
    }

    #[test]
    fn requests_agree_with_their_model() {
        holds_for_any_input("request");
    }
}
