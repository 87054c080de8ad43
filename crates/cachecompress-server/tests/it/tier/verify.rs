//! `verify --tier`, which finds what is wrong in the store.

use cachecompress_test::damage;

use super::*;

/// Runs `verify` with these arguments. Returns its exit code and its stdout.
fn verify(arguments: &[&std::ffi::OsStr]) -> (Option<i32>, String) {
    let mut verify = command(Path::new(PROGRAM));
    verify.arg("verify").args(arguments);
    let output = cachecompress_test::server::output(&mut verify);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn verify_store(store: &Path, more: &[&str]) -> (Option<i32>, String) {
    let words = more.iter().map(|word| std::ffi::OsStr::new(*word));
    let arguments: Vec<_> =
        ["--tier".as_ref(), store.as_os_str()].into_iter().chain(words).collect();
    verify(&arguments)
}

fn document(store: &Path, more: &[&str]) -> Value {
    let (_, text) = verify_store(store, &[&["--json"], more].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A store with the objects of two files of one length, in all codings.
fn two_files() -> (TempDir, Vec<PathBuf>) {
    let site = Site::with("one.js", &site::text(5, LONG));
    site.write("two.js", &site::text(6, LONG));
    let (store, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut warm = command(Path::new(PROGRAM));
    warm.arg("warm").arg(site.path()).args(["--codings", "br,zstd,gzip,deflate", "--tier"]);
    warm.arg(store.path()).arg("--cache-dir").arg(cache.path());
    let output = cachecompress_test::server::output(&mut warm);
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains("shared: 0 read, 8 stored"), "{summary}");
    let objects = site::files_below(&store.path().join("v1/e"));
    (store, objects)
}

/// The object of these that is not that of another file, and the other file's, both in br.
fn of_coding<'a>(objects: &'a [PathBuf], coding: &str) -> Vec<&'a PathBuf> {
    let has = |object: &&PathBuf| fs::read(object).unwrap()[64..].starts_with(coding.as_bytes());
    objects.iter().filter(has).collect()
}

/// Each kind of damage is put into the store by itself, found, and undone.
#[test]
fn verify_finds_each_damage_and_nothing_else() {
    let (store, objects) = two_files();
    let path = store.path();
    let bytes: u64 = objects.iter().map(|object| fs::metadata(object).unwrap().len()).sum();
    let (code, text) = verify_store(path, &[]);
    assert_eq!(code, Some(0), "{text}");
    let whole = document(path, &[]);
    assert_eq!(whole["entries"], 8);
    assert_eq!(whole["bytes"], bytes);
    assert_eq!(
        (&whole["damaged"], &whole["failed"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );

    let [one, two] = of_coding(&objects, "br")[..] else { panic!("two files") };
    let (good, other) = (fs::read(one).unwrap(), fs::read(two).unwrap());
    let header = damage::header_len(&good);
    let flipped = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    };
    let sealed = |mut bad: Vec<u8>| {
        damage::seal(&mut bad);
        bad
    };
    let foreign_payload = [&good[..header], &other[damage::header_len(&other)..]].concat();
    let mut short_source = good.clone();
    short_source[24..32].copy_from_slice(&(LONG as u64 - 1).to_le_bytes());
    for (bad, words) in [
        (flipped(header + 1000), "has a wrong checksum"),
        (flipped(good.len() - 1), "has a wrong checksum"),
        (flipped(40), "has a damaged header"),
        (good[..good.len() - 1].to_vec(), "has a wrong checksum"),
        (good[..header + 40].to_vec(), "has a wrong checksum"),
        (good[..header + 32].to_vec(), "has an impossible header"),
        (b"0123456789abcdef0123456789abcdef 7".to_vec(), "is no entry"),
        (vec![b'x'; 1000], "is no entry"),
        (Vec::new(), "is no entry"),
        (other.clone(), "belongs to another file"),
        (sealed(foreign_payload), "decodes to other content than its name says"),
        (sealed(short_source), "the coded bytes decode to more than the source"),
    ] {
        fs::write(one, &bad).unwrap();
        let found = document(path, &[]);
        let damaged = found["damaged"].as_array().unwrap();
        assert_eq!((&found["entries"], damaged.len()), (&7.into(), 1), "{words}: {found}");
        let name = damaged[0]["path"].as_str().unwrap();
        assert!(one.ends_with(name) && name.starts_with("v1/e/"), "{found}");
        assert!(damaged[0]["damage"].as_str().unwrap().contains(words), "{words}: {found}");
        let (code, text) = verify_store(path, &[]);
        assert_eq!(code, Some(1), "{text}");
        let line = format!("{name}: {}\n", damaged[0]["damage"].as_str().unwrap());
        assert!(text.starts_with(&line) && text.contains(": 7 whole ("), "{text}");
        fs::write(one, &good).unwrap();
    }
    // A flipped bit in each coding.
    for coding in ["br", "zstd", "gzip", "deflate"] {
        let object = of_coding(&objects, coding)[0];
        let good = fs::read(object).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(object, sealed(bad)).unwrap();
        let found = document(path, &[]);
        assert_eq!(
            (&found["entries"], &found["removed"]),
            (&7.into(), &0.into()),
            "{coding}: {found}"
        );
        fs::write(object, good).unwrap();
    }
    let shard = one.parent().unwrap();
    for name in [
        path.join("v1/e/lease"),
        shard.join("lease"),
        path.join("v1/e/zz").join(one.file_name().unwrap()),
    ] {
        fs::create_dir_all(name.parent().unwrap()).unwrap();
        fs::copy(one, &name).unwrap();
        let found = document(path, &[]);
        assert_eq!(
            (&found["entries"], &found["damaged"][0]["damage"]),
            (&8.into(), &"is no entry".into())
        );
        fs::remove_file(name).unwrap();
    }
    assert_eq!(document(path, &[]), whole);
}

#[test]
fn damaged_object_is_removed_when_that_is_asked_for() {
    let fleet = Fleet::new();
    fleet.fill(&fleet.replica().start());
    let object = fleet.object();
    let mut bytes = fs::read(&object).unwrap();
    bytes[1000] ^= 1;
    fs::write(&object, bytes).unwrap();
    let path = fleet.store.path();
    assert_eq!(verify_store(path, &[]).0, Some(1));
    assert!(object.exists());
    let (code, text) = verify_store(path, &["--remove"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("checksum; removed\n"), "{text}");
    assert!(text.contains(": 0 whole (0 B), 1 damaged, 1 of them removed"), "{text}");
    assert!(!object.exists());
    assert_eq!(verify_store(path, &["--remove"]).0, Some(0));
}

#[test]
fn signature_is_verified_where_keys_are_given() {
    let fleet = Fleet::new();
    let keys = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    };
    let (right, wrong) = (keys("the right key of the fleet"), keys("the wrong key of the fleet"));
    fleet.fill(&fleet.replica().arg("--tier-key-file").arg(right.path()).start());
    let path = fleet.store.path();
    let under = |file: &tempfile::NamedTempFile| {
        verify_store(path, &["--tier-key-file", file.path().to_str().unwrap()])
    };
    assert_eq!((verify_store(path, &[]).0, under(&right).0), (Some(0), Some(0)));
    let (code, text) = under(&wrong);
    assert!(code == Some(1) && text.contains(": is not signed by one of the keys\n"), "{text}");

    let plain = Fleet::new();
    plain.fill(&plain.replica().start());
    let file = right.path().to_str().unwrap();
    let (code, text) = verify_store(plain.store.path(), &["--tier-key-file", file]);
    assert!(code == Some(1) && text.contains(": is not signed\n"), "{text}");
}

#[test]
fn store_of_the_configuration_is_verified_where_none_is_named() {
    let fleet = Fleet::new();
    let cache = tempfile::tempdir().unwrap();
    fleet.fill(&fleet.replica().cache(cache.path()).start());
    let file = fleet.store.path().join("c.toml");
    fs::write(&file, "[tier]\nurl = \".\"\n").unwrap();
    let run = |arguments: &[&str], configured: bool| {
        let mut verify = command(Path::new(PROGRAM));
        verify.arg("verify").arg("--cache-dir").arg(cache.path()).args(arguments);
        if configured {
            verify.arg("--config").arg(&file);
        }
        let output = cachecompress_test::server::output(&mut verify);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let place = format!("verified {}: 1 whole", fleet.store.path().display());
    let (code, text) = run(&["--tier"], true);
    assert!(code == Some(0) && text.contains(&place), "{text}");
    let (code, text) = run(&["--tier", "--json"], true);
    assert!(code == Some(0) && text.contains("\"entries\":1"), "{text}");
    // Without the flag it is the cache.
    let place = format!("verified {}: 1 whole", cache.path().display());
    let (code, text) = run(&[], true);
    assert!(code == Some(0) && text.contains(&place), "{text}");
    let (code, text) = run(&["--tier"], false);
    assert!(code == Some(2) && text.contains("name one: --tier URL"), "{text}");
    let (code, text) = run(&["--remove"], true);
    assert!(code == Some(2) && text.contains("--tier"), "{text}");
    let (code, text) = run(&["--tier", "/nowhere"], false);
    assert!(code == Some(2) && text.contains("cannot use --tier"), "{text}");
}
