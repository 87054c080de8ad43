//! Objects of somebody who may write to the bucket, each under the name of another.

use cachecompress_test::damage;

use crate::common::*;
use crate::stage::*;

/// Serves all files from a new replica, after `forge` has changed the objects in the bucket. Returns the
/// replica.
fn serve_forged(
    files: &Files,
    arguments: &str,
    coding: &str,
    forge: impl Fn(usize, Vec<u8>) -> Vec<u8>,
) -> Option<Server> {
    let store = Stage::shared()?;
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, arguments, coding);
    for number in 0..files.files.len() {
        let key = files.key_of(&bucket, number);
        let forged = forge(number, bucket.read(&key));
        bucket.write(&key, &forged);
    }
    let launch = replica(&files.site, &bucket, &store.endpoint()).args(arguments);
    // Read-only, so that a second try finds what the first found.
    Some(files.fetch_calmly(&launch.args("--tier-mode ro"), coding).0)
}

/// The entry with another payload, as its owner would have written it.
fn with_payload(entry: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = damage::header_len(entry);
    let trailer = &entry[entry.len() - damage::TRAILER..];
    let mut forged = [&entry[..header], payload, trailer].concat();
    let at = forged.len() - damage::TRAILER + 8;
    forged[at..at + 8].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    damage::seal(&mut forged);
    forged
}

fn payload(entry: &[u8]) -> &[u8] {
    &entry[damage::header_len(entry)..entry.len() - damage::TRAILER]
}

#[test]
fn damaged_objects_are_disproved() {
    let files = Files::new(30, 12, LEASED);
    let Some(replica) = serve_forged(&files, SLOW, "br", |number, entry| {
        let mut entry = entry;
        let at = entry.len() * number / 12;
        match number {
            0 => Vec::new(),
            1 => entry[..entry.len() - 1].to_vec(),
            2 => [&entry[..], b"x"].concat(),
            3 => entry[..100].to_vec(),
            // The sums hold, and the payload is another's.
            4..8 => {
                entry[at] ^= 1;
                damage::seal(&mut entry);
                entry
            }
            _ => {
                entry[at] ^= 1;
                entry
            }
        }
    }) else {
        return;
    };
    // The head of a response is sent before the last bytes of an object are known, so only the figures tell.
    assert_eq!(asked(&replica, "hit"), 0);
    assert_eq!(asked(&replica, "disproved") + asked(&replica, "error"), 12);
}

#[test]
fn swapped_objects_are_disproved() {
    let files = Files::new(31, 2, LEASED);
    let Some(store) = Stage::shared() else { return };
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, SLOW, "br");
    let keys = [0, 1].map(|number| files.key_of(&bucket, number));
    let objects = [0, 1].map(|number| bucket.read(&keys[number]));
    bucket.write(&keys[0], &objects[1]);
    // The other one has the right header, and the payload of the first.
    bucket.write(&keys[1], &with_payload(&objects[1], payload(&objects[0])));
    let launch = replica(&files.site, &bucket, &store.endpoint()).args(SLOW);
    let (replica, _) = files.fetch_calmly(&launch.args("--tier-mode ro"), "br");
    assert_eq!(asked(&replica, "disproved"), 2);
}

#[test]
fn bombs_do_not_go_off() {
    let files = Files::new(32, 2, 1 << 20);
    let bomb = zstd_bomb(10 << 30);
    let forge = |_, entry: Vec<u8>| with_payload(&entry, &bomb);
    let Some(replica) = serve_forged(&files, "--level zstd=19", "zstd", forge) else { return };
    assert_eq!(asked(&replica, "disproved"), 2);
    assert!(replica.memory().peak < 400 << 10, "{:?} KiB", replica.memory());
}

/// A zstd frame of so many zeros, in blocks of one repeated byte (RFC 8878 §3.1.1.2).
fn zstd_bomb(length: u64) -> Vec<u8> {
    const BLOCK: u64 = 128 << 10;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    let blocks = length / BLOCK;
    for number in 0..blocks {
        let header = u32::from(number + 1 == blocks) | 1 << 1 | (BLOCK as u32) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// Another encoding of the same file is right, and not the one that the entity tag names. Only a key keeps
/// it out.
#[test]
fn foreign_encoding_is_refused_under_a_key_alone() {
    let files = Files::new(33, 2, LEASED);
    let Some(store) = Stage::shared() else { return };
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    write_key(&key, "a secret of thirty-two bytes or more, in one line\n");
    let [plain, foreign] = ["br=11", "br=10"].map(|level| {
        let bucket = store.create_bucket(&unique());
        files.store_in(&bucket, &format!("--level {level}"), "br");
        bucket
    });
    let forged = [0, 1].map(|number| {
        let entry = plain.read(&files.key_of(&plain, number));
        let other = foreign.read(&files.key_of(&foreign, number));
        assert_ne!(payload(&entry), payload(&other));
        with_payload(&entry, payload(&other))
    });
    let keyed = format!("{SLOW} --tier-key-file {}", key.display());
    for arguments in [SLOW, &keyed] {
        let bucket = store.create_bucket(&unique());
        files.store_in(&bucket, arguments, "br");
        for (number, forged) in forged.iter().enumerate() {
            bucket.write(&files.key_of(&bucket, number), forged);
        }
        let launch = replica(&files.site, &bucket, &store.endpoint()).args(arguments);
        let (replica, answers) = files.fetch_calmly(&launch.args("--tier-mode ro"), "br");
        let is_keyed = arguments != SLOW;
        for (answer, forged) in answers.iter().zip(&forged) {
            assert_eq!(is_from_tier(answer), !is_keyed, "{}", account(&replica));
            assert_eq!(answer.body == payload(forged), !is_keyed);
        }
        assert_eq!(asked(&replica, "disproved"), if is_keyed { 2 } else { 0 });
    }
}

/// Writes a key file that only its user may read.
fn write_key(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn signed_objects_are_taken_with_the_key_alone() {
    let files = Files::new(34, 2, LEASED);
    let Some(store) = Stage::shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let key_file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        write_key(&path, text);
        format!("{SLOW} --tier-key-file {}", path.display())
    };
    let old = "an old secret that has thirty-two bytes or more\n";
    let new = "a new secret that has thirty-two bytes or more, too\n";
    let bucket = store.create_bucket(&unique());
    files.store_in(&bucket, &key_file("old", old), "br");
    let serve = |arguments: &str| {
        let launch = replica(&files.site, &bucket, &store.endpoint()).args(arguments);
        let (_, answers) = files.fetch_calmly(&launch.args("--tier-mode ro"), "br");
        answers.iter().filter(|answer| is_from_tier(answer)).count()
    };
    assert_eq!(serve(&key_file("old", old)), 2);
    assert_eq!(serve(&key_file("both", &format!("{new}{old}"))), 2, "a second key still counts");
    assert_eq!(serve(&key_file("new", new)), 0);
}
