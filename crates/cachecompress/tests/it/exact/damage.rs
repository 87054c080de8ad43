//! Damage to the bytes of an entry is found out and never sent.

#![cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators, disks and other processes do"
)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cachecompress::cache::{CacheFiles, Care};
use cachecompress::fs::{Disk, MemoryDisk};
use cachecompress::{Cache, Memory, ServeCompressed};
use cachecompress_test::cache_dir::entries_on;
use cachecompress_test::damage::{self, Damaged};
use cachecompress_test::service::{LONG, get_as, run, settled};
use cachecompress_test::site::{hex, random};

const ROOT: &str = "/cache";

/// An entry on a disk in memory, and the request that it answers.
#[derive(Clone)]
struct Kept {
    path: PathBuf,
    good: Vec<u8>,
    target: &'static str,
    coding: &'static str,
}

/// A service whose cache keeps no entry open, so that each request reads the disk.
struct Fixture {
    disk: MemoryDisk,
    cache: Cache,
    service: ServeCompressed,
    sources: Vec<(&'static str, Vec<u8>)>,
    kept: Vec<Kept>,
}

fn read(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.stat().unwrap().fingerprint.size).unwrap()];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn put(disk: &MemoryDisk, path: &Path, bytes: &[u8]) {
    let _ = disk.remove_file(path);
    let file = disk.create_unnamed(path.parent().unwrap()).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.publish(path).unwrap();
}

fn paths(disk: &MemoryDisk) -> Vec<PathBuf> {
    entries_on(disk, Path::new(ROOT))
}

impl Fixture {
    /// One entry for each coding, of a small and a larger source, and a verdict of each kind.
    async fn new() -> Self {
        let sources = vec![
            ("small.txt", hex(1_500, 1)),
            ("larger.txt", hex(24_000, 2)),
            ("noise.bin", random(3, 3_000)),
            ("fault.txt", hex(1_100, 4)),
        ];
        let memory = sources
            .iter()
            .fold(Memory::new(), |memory, (path, bytes)| memory.file(*path, bytes.clone()));
        let disk = MemoryDisk::new();
        let cache = Cache::builder(ROOT).disk(Arc::new(disk.clone())).open_entries(0);
        let cache = cache.build().unwrap();
        let service =
            ServeCompressed::builder(memory).cache(cache.clone()).patience(LONG).build().unwrap();
        let mut fixture = Self { disk, cache, service, sources, kept: Vec::new() };
        let asked = [
            ("/small.txt", "br"),
            ("/small.txt", "gzip"),
            ("/small.txt", "zstd"),
            ("/small.txt", "deflate"),
            ("/larger.txt", "br"),
            ("/noise.bin", "zstd"),
            ("/fault.txt", "br"),
        ];
        for (target, coding) in asked {
            let before = paths(&fixture.disk);
            fixture.ask(target, coding, "populating").await;
            let new = paths(&fixture.disk).into_iter().find(|path| !before.contains(path));
            let path = new.unwrap();
            let mut good = read(&fixture.disk, &path);
            if target == "/fault.txt" {
                good = damage::without_payload(&good, 3);
                put(&fixture.disk, &path, &good);
            }
            fixture.kept.push(Kept { path, good, target, coding });
        }
        assert_eq!(fixture.kept[5].good[10], 2, "noise is not worth it");
        assert_eq!(fixture.damaged(), 0);
        fixture
    }

    /// Asserts an exact answer. Returns its coding.
    async fn ask(&self, target: &str, coding: &str, what: &str) -> String {
        let answer = get_as(&self.service, target, coding).await;
        let (_, source) = self.sources.iter().find(|(path, _)| target[1..] == **path).unwrap();
        assert_eq!(answer.status.as_u16(), 200, "{what}");
        assert!(answer.decoded() == *source, "{target} in {coding}, {what}: a wrong byte");
        settled(&self.service).await;
        answer.coding().to_owned()
    }

    /// The number of damaged entries that `verify` finds.
    fn damaged(&self) -> u64 {
        let files = self.cache.files();
        let mut told = 0;
        let summary = files.verify(|care| {
            told += u64::from(matches!(care, Care::Damaged { .. }));
            ControlFlow::Continue(())
        });
        let summary = summary.unwrap();
        assert_eq!((summary.damaged, summary.failed, summary.stopped), (told, 0, false));
        told
    }
}

fn all(entry: &[u8], other: &[u8], flips: usize) -> impl Iterator<Item = Damaged> {
    damage::plain(entry, other, flips).into_iter().chain(damage::fields(entry))
}

/// The damage covers every byte of every entry, every length and every field.
#[test]
fn verify_finds_every_damage_to_every_entry() {
    let fixture = run(Fixture::new());
    let (mut cases, mut passed) = (0, 0);
    for (index, kept) in fixture.kept.iter().enumerate() {
        let other = &fixture.kept[(index + 1) % fixture.kept.len()].good;
        // Each entry is alone in a cache, so that nothing else is read each time.
        let disk = MemoryDisk::new();
        disk.create_private_dir(kept.path.parent().unwrap()).unwrap();
        let files = CacheFiles::new(ROOT).disk(Arc::new(disk.clone()));
        let found = |bytes: &[u8]| {
            put(&disk, &kept.path, bytes);
            let summary = files.verify(|_| ControlFlow::Continue(())).unwrap();
            assert_eq!(summary.entries + summary.damaged, 1);
            summary.damaged == 1
        };
        assert!(!found(&kept.good));
        for Damaged { name, bytes, may_pass } in all(&kept.good, other, 2_000) {
            let found = found(&bytes);
            assert!(found || may_pass, "{} in {}: {name}", kept.target, kept.coding);
            cases += 1;
            passed += u32::from(!found);
        }
    }
    println!("{cases} damaged entries; {passed} of them say the same of the same payload");
}

/// Damage that passes changes no response. Other damage is counted, and the entry is removed and
/// made again with the same bytes, but for the time of creation.
#[test]
fn damaged_entry_is_counted_replaced_and_never_sent() {
    run(async {
        let fixture = Fixture::new().await;
        let (mut cases, mut counted) = (0, 0);
        for (index, kept) in fixture.kept.iter().enumerate() {
            let other = &fixture.kept[(index + 1) % fixture.kept.len()].good;
            let some = all(&kept.good, other, 12).enumerate();
            // The other test has all damages, so this one takes a part, more of those that may
            // pass.
            let some = some.filter(|(n, damaged)| n % if damaged.may_pass { 11 } else { 23 } == 0);
            for (_, Damaged { name, bytes, may_pass }) in some {
                put(&fixture.disk, &kept.path, &bytes);
                let found = fixture.damaged();
                assert!(found == 1 || may_pass, "{name}");
                let before = fixture.cache.stats().damaged;
                let coding = fixture.ask(kept.target, kept.coding, &name).await;
                if kept.good[10] == 1 {
                    assert_eq!(coding, kept.coding, "{name}: what passes changes nothing");
                }
                assert_eq!(fixture.cache.stats().damaged - before, found, "{name}");
                assert_eq!(fixture.damaged(), 0, "{name}: it is still there");
                if found == 1 && kept.good[10] == 1 {
                    let again = read(&fixture.disk, &kept.path);
                    let header = damage::header_len(&again);
                    assert!(again[header..again.len() - 16] == kept.good[header..again.len() - 16]);
                }
                put(&fixture.disk, &kept.path, &kept.good);
                fixture.ask(kept.target, kept.coding, "healed").await;
                cases += 1;
                counted += found;
            }
        }
        println!("{cases} damaged entries were asked for, {counted} of them replaced");
    });
}
