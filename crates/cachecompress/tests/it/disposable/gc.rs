//! `gc` and `verify`: the litter, the files that they must leave, and the programs beside them.

#![cfg(all(unix, feature = "brotli", feature = "gzip"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators, disks and other processes do"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cachecompress::cache::{CacheFiles, Care, Damage, GcSummary, Litter, VerifySummary};
use cachecompress::codec::PIECE;
use cachecompress::fs::{PRIVATE_PREFIX, RealDisk};
use cachecompress::{Cache, ErrorKind, Memory, ServeCompressed};
use cachecompress_test::gate::Gate;
use cachecompress_test::pack::{Pack, coding};
use cachecompress_test::service::{LONG, get_as, open, read, run, settled};
use cachecompress_test::site::hex;
use cachecompress_test::wait::until;
use cachecompress_test::{FaultDisk, Op};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A cache with `count` entries in a directory of its own.
async fn populated(count: u64) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("cache");
    let files = (0..count).map(|n| (format!("{n}.txt"), hex(3_000, n)));
    let source = files.fold(Memory::new(), |memory, (path, bytes)| memory.file(path, bytes));
    let cache = Cache::builder(&root).build().unwrap();
    let service = ServeCompressed::builder(source).cache(cache).patience(LONG).build().unwrap();
    for n in 0..count {
        let answer = get_as(&service, &format!("/{n}.txt"), "gzip").await;
        assert_eq!(answer.cache(), "stored");
        settled(&service).await;
    }
    assert_eq!(entries(&root).len() as u64, count);
    drop(service);
    // A thread of the service may be the last to have the cache open, and holds its presence.
    until(|| list(&root.join("v1/locks")).is_empty()).await;
    (directory, root)
}

fn list(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).map_or(Vec::new(), |list| list.map(|e| e.unwrap().path()).collect())
}

/// The files in the directories of entries, in order.
fn entries(root: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = list(&root.join("v1/entries")).iter().flat_map(|dir| list(dir)).collect();
    all.sort_unstable();
    all
}

/// Every path below `root`, and the first bytes of regular files. One of the files has a terabyte.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        let mut bytes = Vec::new();
        if kind.is_file() {
            let file = fs::File::open(&path).unwrap();
            file.take(1 << 20).read_to_end(&mut bytes).unwrap();
        }
        if kind.is_dir() {
            left.extend(list(&path));
        }
        all.insert(path, bytes);
    }
    all
}

fn verify(files: &CacheFiles) -> (VerifySummary, Vec<(PathBuf, Damage)>) {
    let mut told = Vec::new();
    let summary = files.verify(|care| {
        if let Care::Damaged { path, damage } = care {
            told.push((path.to_owned(), damage));
        }
        ControlFlow::Continue(())
    });
    (summary.unwrap(), told)
}

fn gc(files: &CacheFiles, dry_run: bool) -> (GcSummary, BTreeMap<PathBuf, Litter>) {
    let mut told = BTreeMap::new();
    let summary = files.gc(dry_run, |care| {
        if let Care::Removed { path, litter } = care {
            assert!(told.insert(path.to_owned(), litter).is_none(), "told twice of {path:?}");
        }
        ControlFlow::Continue(())
    });
    (summary.unwrap(), told)
}

fn fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn age(path: &Path, age: Duration) {
    fs::File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

/// A cache's directory with every kind of litter, and files of others beside it.
#[test]
fn gc_removes_litter_and_nothing_else() {
    let (directory, root) = run(populated(12));
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    let all = entries(&root);
    let shard = all[0].parent().unwrap().to_owned();
    let mut goes: BTreeMap<PathBuf, Litter> = BTreeMap::new();
    let (entries_dir, locks) = (root.join("v1/entries"), root.join("v1/locks"));

    // Litter under the names of entries.
    let damage = |path: &Path, litter| (path.to_owned(), Litter::Damaged(litter));
    fs::write(&all[0], "").unwrap();
    goes.extend([damage(&all[0], Damage::Length)]);
    for (path, make) in [
        (&all[1], &(|path: &Path| symlink(outside.join("precious"), path).unwrap()) as &dyn Fn(_)),
        (&all[2], &|path: &Path| fifo(path)),
        (&all[3], &|path: &Path| fs::create_dir(path).unwrap()),
        (&all[4], &|path: &Path| {
            fs::create_dir(path).unwrap();
            symlink(&outside, path.join("link")).unwrap();
        }),
        // A symlink to a good entry is no entry.
        (&all[5], &|path: &Path| {
            fs::copy(&all[6], outside.join("good")).unwrap();
            symlink(outside.join("good"), path).unwrap();
        }),
    ] {
        fs::remove_file(path).unwrap();
        make(path.as_path());
        goes.extend([damage(path, Damage::FileKind)]);
    }
    fs::copy(&all[6], &all[7]).unwrap();
    goes.extend([damage(&all[7], Damage::Key)]);
    // A hole of a terabyte between a good head and nothing.
    fs::OpenOptions::new().write(true).open(&all[8]).unwrap().set_len(1 << 40).unwrap();
    goes.extend([damage(&all[8], Damage::Length)]);

    // Litter beside entries.
    for name in ["foreign", ".hidden", "UPPER", "a\nb", ".unnamed-0123456789abcdef"] {
        fs::write(shard.join(name), name).unwrap();
        let private = name.starts_with(PRIVATE_PREFIX);
        let litter = if private { Litter::Unfinished } else { Litter::Foreign };
        goes.insert(shard.join(name), litter);
    }
    symlink(&outside, shard.join("link")).unwrap();
    goes.insert(shard.join("link"), Litter::Foreign);
    // A good entry in a directory where it is never looked up.
    let misplaced = entries_dir.join("00").join(all[9].file_name().unwrap());
    fs::create_dir_all(misplaced.parent().unwrap()).unwrap();
    fs::copy(&all[9], &misplaced).unwrap();
    goes.insert(misplaced, Litter::Foreign);
    symlink(&outside, entries_dir.join("zz")).unwrap();
    goes.insert(entries_dir.join("zz"), Litter::Foreign);
    fs::create_dir(shard.join("unknown directory")).unwrap();

    // Locks of dead writers and of a live one, and names that cannot be locked.
    let name = |at: usize| all[at].file_name().unwrap();
    fs::write(locks.join(name(0)), "").unwrap();
    fs::write(locks.join("evict"), "").unwrap();
    goes.insert(locks.join(name(0)), Litter::Lock);
    goes.insert(locks.join("evict"), Litter::Lock);
    symlink(outside.join("nowhere"), locks.join(name(1))).unwrap();
    goes.insert(locks.join(name(1)), Litter::Foreign);
    fs::create_dir(locks.join(name(2))).unwrap();
    goes.insert(locks.join(name(2)), Litter::Foreign);

    // Other formats, and directories that only resemble them.
    for old in ["v0", "v2/entries/ab", "v17/entries/00", "v17/locks", "vv/entries", "v2x/entries"] {
        fs::create_dir_all(root.join(old)).unwrap();
    }
    fs::write(root.join("v2/entries/ab/anything"), "x").unwrap();
    goes.insert(root.join("v2"), Litter::OldFormat);
    goes.insert(root.join("v17"), Litter::OldFormat);
    for project in ["v3/entries/ab", "v3/src", "v4/entries/main"] {
        fs::create_dir_all(root.join(project)).unwrap();
    }
    symlink(root.join("v17"), root.join("v5")).unwrap();
    // The operator's own files.
    fs::write(root.join("notes.txt"), "mine").unwrap();
    fs::write(root.join(".unnamed-0000000000000000"), "young").unwrap();
    fs::write(root.join(".unnamed-0000000000000001"), "old").unwrap();
    age(&root.join(".unnamed-0000000000000001"), 2 * DAY);
    goes.insert(root.join(".unnamed-0000000000000001"), Litter::Unfinished);

    let files = CacheFiles::new(&root);
    let before = snapshot(directory.path());
    let damaged = goes.values().filter(|litter| matches!(litter, Litter::Damaged(_))).count();
    let (verified, told) = verify(&files);
    assert_eq!((verified.entries, verified.damaged), (4, damaged as u64));
    for (path, damage) in told {
        assert_eq!(goes.get(&path), Some(&Litter::Damaged(damage)));
    }
    // A dry run takes no locks, so it cannot find all litter. It touches nothing.
    let (_, would) = gc(&files, true);
    assert!(would.iter().all(|(path, litter)| goes.get(path) == Some(litter)), "{would:#?}");
    let missing: Vec<_> = goes.iter().filter(|(path, _)| !would.contains_key(*path)).collect();
    let only_with_locks = |litter: &Litter| matches!(litter, Litter::Lock | Litter::Unfinished);
    assert!(missing.iter().all(|(_, litter)| only_with_locks(litter)), "{missing:#?}");
    assert_eq!(snapshot(directory.path()), before);

    let (summary, removed) = gc(&files, false);
    assert_eq!(removed, goes);
    assert_eq!(summary.damaged, damaged as u64);
    assert_eq!(summary.damaged + summary.orphaned + summary.old_formats, goes.len() as u64);
    assert_eq!((summary.entries, summary.failed, summary.stopped), (4, 0, false));
    let mut left = before;
    left.retain(|path, _| !goes.keys().any(|gone| path.starts_with(gone)));
    assert_eq!(snapshot(directory.path()), left);
    assert!(gc(&files, false).1.is_empty(), "twice is once");
    assert_eq!(verify(&files).0.damaged, 0);
}

/// An operator may point `--cache-dir` at a home directory.
#[test]
fn foreign_directory_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let refused = |path: &Path| {
        let files = CacheFiles::new(path);
        let go_on = |_: Care<'_>| ControlFlow::Continue(());
        for error in [files.verify(go_on).unwrap_err(), files.gc(false, go_on).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Config);
            assert_eq!(error.path(), Some(path));
        }
    };
    refused(&home.join("missing"));
    refused(home);
    // A foreign project has our names by chance, under a foreign tag.
    for path in ["v1/entries/ab", "v1/src", "v2/entries/ab"] {
        fs::create_dir_all(home.join(path)).unwrap();
    }
    fs::write(home.join("v1/entries/ab/thesis"), "x").unwrap();
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This is cargo's.\n";
    fs::write(home.join("CACHEDIR.TAG"), tag).unwrap();
    let before = snapshot(home);
    refused(home);
    assert_eq!(snapshot(home), before);
    // Our tag behind a symlink is not ours.
    let (_other, root) = run(populated(1));
    fs::remove_file(home.join("CACHEDIR.TAG")).unwrap();
    symlink(root.join("CACHEDIR.TAG"), home.join("CACHEDIR.TAG")).unwrap();
    refused(home);
    // A cache whose tag was lost is known by its form.
    fs::remove_file(root.join("CACHEDIR.TAG")).unwrap();
    assert_eq!(verify(&CacheFiles::new(&root)).0.entries, 1);
    // The root may be a symlink. The format's directory may not.
    let link = home.join("link");
    symlink(&root, &link).unwrap();
    assert_eq!(verify(&CacheFiles::new(&link)).0.entries, 1);
    fs::rename(root.join("v1"), root.join("moved")).unwrap();
    symlink(root.join("moved"), root.join("v1")).unwrap();
    refused(&root);
}

/// A writer on a file system without unnamed files has a private name while it writes. If a file of
/// a running encode went, the source would be encoded again.
#[test]
fn gc_takes_nothing_from_an_encode_that_runs() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let source = hex(4 * PIECE, 1);
        let gate = Gate::new();
        let cache = Cache::builder(&root).build().unwrap();
        let service = ServeCompressed::builder(Memory::new().file("a.txt", source.clone()))
            .encoder(coding(), Arc::new(Pack::gated(&gate)))
            .cache(cache.clone())
            .patience(LONG)
            .build()
            .unwrap();
        gate.open(2);
        let growing = open(&service, "/a.txt", &[("accept-encoding", "x-pack")]).await;
        until(|| gate.arrived() == 3).await;
        let locks = list(&root.join("v1/locks"));
        assert_eq!(cachecompress_test::cache_dir::locks(&root).len(), 1);
        let shards = list(&root.join("v1/entries"));
        let young = shards[0].join(format!("{PRIVATE_PREFIX}0123456789abcdef"));
        let old = shards[0].join(format!("{PRIVATE_PREFIX}fedcba9876543210"));
        for path in [&young, &old] {
            fs::write(path, "written by another process").unwrap();
        }
        age(&old, 2 * DAY);
        let (_, removed) = gc(&cache.files(), false);
        assert_eq!(removed.keys().collect::<Vec<_>>(), [&old]);
        assert_eq!(list(&root.join("v1/locks")), locks, "the lock is held");
        gate.open_wide();
        assert!(read(growing).await.decoded() == source);
        settled(&service).await;
        // Now no encode holds the file.
        let (_, removed) = gc(&cache.files(), false);
        assert_eq!(removed.keys().collect::<Vec<_>>(), [&young]);
        assert_eq!(get_as(&service, "/a.txt", "x-pack").await.cache(), "hit");
        assert_eq!(verify(&cache.files()).0.entries, 1);
    });
}

/// A server may replace a damaged entry between its check and its removal. A removal by name would
/// take the good entry, which would then be made a third time.
#[test]
fn gc_keeps_an_entry_that_was_replaced_meanwhile() {
    let (directory, root) = run(populated(1));
    let path = entries(&root).pop().unwrap();
    let good = fs::read(&path).unwrap();
    let beside = directory.path().join("beside");
    fs::write(&beside, &good).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "damaged").unwrap();
    let disk = FaultDisk::new(RealDisk);
    let name = path.clone();
    // gc takes the lock between check and removal.
    disk.fail(move |_, op| {
        if op == Op::TryLock {
            fs::rename(&beside, &name).unwrap();
        }
        None::<std::io::Error>
    });
    let files = CacheFiles::new(&root).disk(Arc::new(disk));
    let (summary, removed) = gc(&files, false);
    assert!(removed.is_empty() && summary.damaged == 0, "{removed:?}");
    assert_eq!(fs::read(&path).unwrap(), good);
}

/// The holder of the key's lock is about to replace the entry, and does it.
#[test]
fn damaged_entry_is_left_to_the_holder_of_its_lock() {
    use cachecompress::fs::Disk as _;
    let (_directory, root) = run(populated(1));
    let path = entries(&root).pop().unwrap();
    fs::write(&path, "damaged").unwrap();
    let lock = root.join("v1/locks").join(path.file_name().unwrap());
    let held = RealDisk.try_lock(&lock).unwrap().unwrap();
    assert!(gc(&CacheFiles::new(&root), false).1.is_empty());
    assert!(path.exists() && lock.exists());
    drop(held);
    assert_eq!(gc(&CacheFiles::new(&root), false).1.len(), 1);
}

/// `rm -rf` at any call, and a disk that fails at any call, end in a summary or in an error. A
/// whole entry is never taken for damaged, nor removed.
#[test]
fn gc_survives_a_directory_that_vanishes_or_fails_at_any_moment() {
    let mut cases = 0;
    let (directory, populated) = run(populated(2));
    let good = snapshot(&populated);
    for gone in [true, false] {
        for call in 0.. {
            // A late call of an earlier case reaches no other one.
            let root = directory.path().join(format!("copy {gone} {call}"));
            for (path, bytes) in good.iter().filter(|(path, _)| path.is_file()) {
                let copy = root.join(path.strip_prefix(&populated).unwrap());
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::write(copy, bytes).unwrap();
            }
            fs::create_dir_all(root.join("v1/locks")).unwrap();
            let all = entries(&root);
            fs::write(&all[0], "damaged").unwrap();
            fs::write(root.join("v1/locks/evict"), "").unwrap();
            let (disk, target) = (FaultDisk::new(RealDisk), root.clone());
            disk.fail(move |number, _| {
                if number == call && gone {
                    // Another thread may remove a file of the directory, or make one, meanwhile.
                    while let Err(error) = fs::remove_dir_all(&target) {
                        let kind = error.kind();
                        let is_raced = [io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty];
                        assert!(is_raced.contains(&kind), "{error}");
                        if !target.exists() {
                            break;
                        }
                    }
                    return None;
                }
                (number == call).then(|| std::io::Error::other("an error of the disk"))
            });
            let files = CacheFiles::new(&root).disk(Arc::new(disk.clone()));
            let go_on = |_: Care<'_>| ControlFlow::Continue(());
            let verified = files.verify(go_on);
            let collected = files.gc(false, go_on);
            if let Ok(summary) = verified {
                assert!(summary.damaged <= 1, "{summary:?} at {call}");
                assert!(!gone || summary.failed == 0, "{summary:?} at {call}: gone is no error");
            }
            if let Ok(summary) = collected {
                assert!(summary.damaged <= 1, "{summary:?} at {call}");
                assert!(!gone || summary.failed == 0, "{summary:?} at {call}: gone is no error");
            }
            assert!(gone || all[1].exists(), "at {call}: a good entry was removed");
            cases += 1;
            let _ = fs::remove_dir_all(&root);
            if disk.calls() < call {
                break;
            }
        }
    }
    println!("{cases} moments");
}

#[test]
fn gc_and_verify_end_when_the_callback_says_so() {
    let (_directory, root) = run(populated(3));
    let files = CacheFiles::new(&root);
    let mut steps = 0;
    files
        .verify(|_| {
            steps += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(steps >= 6, "each entry and each directory is told of");
    for end in 1..=steps {
        let mut step = 0;
        let mut watch = |_: Care<'_>| {
            step += 1;
            if step == end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let summary = files.verify(&mut watch).unwrap();
        assert!(summary.stopped && summary.entries <= 3, "{summary:?}");
        assert_eq!(step, end, "it went on after the end");
    }
}

/// Another user's file among the entries (the program once ran as root) kept its key uncompressed
/// for ever: every request met "permission denied".
#[test]
fn entry_that_may_not_be_read_is_replaced() {
    use std::io::ErrorKind::PermissionDenied;
    run(async {
        let (_directory, root) = populated(1).await;
        let disk = FaultDisk::new(RealDisk);
        disk.fail_op(Op::Open, PermissionDenied);
        let files = CacheFiles::new(&root).disk(Arc::new(disk.clone()));
        // The tag cannot be read either, so the form of the directory decides.
        let (_, told) = verify(&files);
        assert_eq!(
            told.iter().map(|(_, damage)| *damage).collect::<Vec<_>>(),
            [Damage::Unreadable]
        );
        let cache = Cache::builder(&root).disk(Arc::new(disk)).build().unwrap();
        let source = Memory::new().file("0.txt", hex(3_000, 0));
        let service = ServeCompressed::builder(source).cache(cache.clone()).patience(LONG);
        let answer = get_as(&service.build().unwrap(), "/0.txt", "gzip").await;
        assert_eq!(answer.cache(), "stored");
        assert_eq!(cache.stats().damaged, 1);
    });
}

#[test]
fn unused_format_is_removed_after_a_week() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let make = |format: &str, ages: [Duration; 2]| {
            let shard = root.join(format).join("entries/ab");
            fs::create_dir_all(&shard).unwrap();
            for (at, how_old) in ages.into_iter().enumerate() {
                fs::write(shard.join(at.to_string()), "entry").unwrap();
                age(&shard.join(at.to_string()), how_old);
            }
            for path in [&shard, &root.join(format).join("entries"), &root.join(format)] {
                age(path, 30 * DAY);
            }
        };
        make("v0", [8 * DAY, 9 * DAY]);
        make("v2", [30 * DAY, 6 * DAY]);
        make("v3", [30 * DAY, 30 * DAY]);
        // A directory with other files is no cache.
        fs::create_dir(root.join("v3/src")).unwrap();
        age(&root.join("v3"), 30 * DAY);
        let _cache = Cache::builder(&root).build().unwrap();
        until(|| !root.join("v0").exists()).await;
        assert!(root.join("v2/entries/ab/1").exists(), "used six days ago");
        assert!(root.join("v3/src").exists());
    });
}
