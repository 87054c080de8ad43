//! The cache's directory is removed, made again, or replaced before every single call that an
//! encode makes to the disk. No unfinished file gets a name, and every response is exact.

#![cfg(all(unix, feature = "brotli", feature = "gzip", feature = "zstd"))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests do to the directory what operators and other processes do"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cachecompress::codec::PIECE;
use cachecompress::fs::RealDisk;
use cachecompress::{Cache, Memory, ServeCompressed};
use cachecompress_test::FaultDisk;
use cachecompress_test::cache_dir::{is_presence, is_whole, locks};
use cachecompress_test::service::{LONG, get, run, settled};
use cachecompress_test::site::{files_below, hex};

const CODING: [(&str, &str); 1] = [("accept-encoding", "gzip")];

/// A change to the directory at the worst moment.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Nothing,
    Remove,
    /// Another process removes the directory and makes it again.
    Recreate,
    /// The directory is moved away. Open files go on there.
    Move,
    /// A directory that another process has filled takes its place, with entries of the same names.
    Replace,
    /// The directories in it go, which are made when they are first needed.
    RemoveEntries,
    RemoveLocks,
}

impl Disturbance {
    fn strike(self, cache: &Path, another: &Path) {
        let away = cache.with_extension("away");
        match self {
            Self::Nothing => {}
            Self::Remove => drop(fs::remove_dir_all(cache)),
            Self::Recreate => {
                let _ = fs::remove_dir_all(cache);
                fs::create_dir_all(cache.join("v1/entries")).unwrap();
                fs::create_dir_all(cache.join("v1/locks")).unwrap();
            }
            Self::Move => drop(fs::rename(cache, &away)),
            Self::Replace => {
                let _ = fs::rename(cache, &away);
                fs::rename(another, cache).unwrap();
            }
            Self::RemoveEntries => drop(fs::remove_dir_all(cache.join("v1/entries"))),
            Self::RemoveLocks => drop(fs::remove_dir_all(cache.join("v1/locks"))),
        }
    }
}

fn files() -> [(&'static str, Vec<u8>); 2] {
    [("a.txt", hex(PIECE + 5, 1)), ("b.txt", hex(4_000, 2))]
}

fn service(cache: &Cache) -> ServeCompressed {
    let memory =
        files().into_iter().fold(Memory::new(), |memory, (path, bytes)| memory.file(path, bytes));
    ServeCompressed::builder(memory).cache(cache.clone()).patience(LONG).build().unwrap()
}

/// Asks for both files, and asserts that every answer is exact and ends well.
async fn ask(service: &ServeCompressed, turns: usize, when: &str) {
    for _ in 0..turns {
        for (path, source) in files() {
            let answer = get(service, &format!("/{path}"), &CODING).await;
            assert!(answer.status == 200 && answer.decoded() == source, "{when}");
            settled(service).await;
        }
    }
}

/// Asserts that every file with a name is whole, and that another process believes all of it.
async fn assert_in_order(root: &Path, when: &str) {
    for file in files_below(root) {
        let name = file.file_name().unwrap().to_str().unwrap();
        // A copy of the directory may have files with private names, which `gc` removes.
        let copied =
            cfg!(cachecompress_portable) && name.starts_with(cachecompress::fs::PRIVATE_PREFIX);
        let known = name == "CACHEDIR.TAG" || name.len() == 81 || is_presence(&file) || copied;
        assert!(known, "{when}: {} is litter", file.display());
    }
    let cache = Cache::builder(root).build().unwrap();
    ask(&service(&cache), 1, when).await;
    assert_eq!(cache.stats().damaged, 0, "{when}: an unfinished file had a name");
    let held = locks(root).len();
    assert_eq!(held, 0, "{when}: a lock was left");
}

/// The entries anywhere below `directory` that are not whole, as far as their frame tells.
fn unfinished(directory: &Path) -> Vec<PathBuf> {
    let mut files = files_below(directory);
    files.retain(|path| {
        let is_entry =
            path.parent().and_then(Path::parent).is_some_and(|dir| dir.ends_with("entries"));
        // A private name is no entry's. A file that vanishes meanwhile has no name any more.
        let is_private = |name: &str| name.starts_with(cachecompress::fs::PRIVATE_PREFIX);
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_private) {
            return false;
        }
        let Some(bytes) = fs::read(path).ok().filter(|_| is_entry) else { return false };
        !is_whole(&bytes)
    });
    files
}

/// Runs the scenario with a disturbance before the call number `at`. Returns the number of the
/// cache's calls.
async fn run_disturbed(disturbance: Disturbance, at: u64) -> u64 {
    let when = format!("{disturbance:?} before call {at}");
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("cache");
    let another = directory.path().join("another");
    if matches!(disturbance, Disturbance::Replace) {
        ask(&service(&Cache::builder(&another).build().unwrap()), 1, "another").await;
    }
    let calls = Arc::new(AtomicU64::new(0));
    let named: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
    let disk = FaultDisk::watched(RealDisk, {
        let (root, calls, named) = (root.clone(), Arc::clone(&calls), Arc::clone(&named));
        let everything = directory.path().to_owned();
        move |_| {
            // The check covers every place to which the directory may have been moved.
            named.lock().unwrap().extend(unfinished(&everything));
            if calls.fetch_add(1, Ordering::SeqCst) == at {
                disturbance.strike(&root, &another);
            }
        }
    });
    let cache = Cache::builder(&root).disk(Arc::new(disk)).build().unwrap();
    let service = service(&cache);
    ask(&service, 2, &when).await;
    assert_eq!(cache.stats().damaged, 0, "{when}");
    drop(service);
    let named = std::mem::take(&mut *named.lock().unwrap());
    assert!(named.is_empty(), "{when}: unfinished files had names: {named:?}");
    // The lock of an encode was moved away with the directory.
    assert_in_order(&root, &when).await;
    let _ = fs::remove_dir_all(root.join("v1/locks"));
    calls.load(Ordering::SeqCst)
}

/// Strikes before each call in turn, also before those that make the directories again.
fn strike_before_every_call(disturbance: Disturbance) {
    run(async {
        let calls = run_disturbed(Disturbance::Nothing, 0).await;
        let mut at = 0;
        while at < run_disturbed(disturbance, at).await {
            at += 1;
        }
        println!("{disturbance:?}: {at} cases, {calls} calls undisturbed");
        // Another thread reads the directory at the start, and is done sooner or later.
        assert!(at >= calls / 2, "{at} of {calls} calls");
    });
}

#[test]
fn removed_directory_harms_no_answer_before_any_call() {
    strike_before_every_call(Disturbance::Remove);
}

#[test]
fn recreated_directory_harms_no_answer_before_any_call() {
    strike_before_every_call(Disturbance::Recreate);
}

#[test]
fn moved_directory_harms_no_answer_before_any_call() {
    strike_before_every_call(Disturbance::Move);
}

#[test]
fn replaced_directory_harms_no_answer_before_any_call() {
    strike_before_every_call(Disturbance::Replace);
}

#[test]
fn removed_entries_harm_no_answer_before_any_call() {
    strike_before_every_call(Disturbance::RemoveEntries);
}

#[test]
fn removed_locks_harm_no_answer_before_any_call() {
    strike_before_every_call(Disturbance::RemoveLocks);
}
