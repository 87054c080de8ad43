//! A cache directory beneath the served one, which is never served.

#![cfg(all(unix, feature = "gzip"))]
#![allow(clippy::disallowed_methods, reason = "the tests look for entries as a client would guess")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cachecompress::source::Overlay;
use cachecompress::{Cache, Directory, Memory, ServeCompressed, Source, Symlinks};
use cachecompress_test::service::{LONG, get, get_as, run, settled};
use tempfile::TempDir;

/// A root with a file, and with ways to the cache that shall lie in it.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("dir")).unwrap();
    std::fs::write(root.path().join("a.txt"), "a line\n".repeat(1000)).unwrap();
    symlink("cache", root.path().join("link")).unwrap();
    symlink(root.path().join("cache"), root.path().join("dir/absolute")).unwrap();
    symlink(root.path(), root.path().join("self")).unwrap();
    root
}

fn files_beneath(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_beneath(&path) } else { vec![path] }).collect()
}

async fn assert_hidden(service: &ServeCompressed, cache: &Path) {
    assert_eq!(get_as(service, "/a.txt", "gzip").await.coding(), "gzip");
    settled(service).await;
    let files = files_beneath(cache);
    assert!(files.len() >= 2, "the tag and an entry: {files:?}");
    let below = files.iter().map(|file| file.strip_prefix(cache).unwrap().to_str().unwrap());
    for below in below.chain(["", "v1", "v1/entries"]) {
        for way in ["cache", "link", "dir/absolute", "self/cache", "self/self/link", "dir/../cache"]
        {
            let target = format!("/{way}/{below}");
            assert_eq!(get(service, &target, &[]).await.status, 404, "{target}");
        }
    }
}

#[test]
fn cache_beneath_the_root_is_hidden_whatever_leads_to_it() {
    run(async {
        for symlinks in [Symlinks::Within, Symlinks::Follow] {
            for in_overlay in [false, true] {
                let root = root();
                // A relative way to the same place.
                let named = root.path().join("dir/../cache");
                let cache = Cache::builder(&named).build().unwrap();
                let directory = Directory::new(root.path()).unwrap().symlinks(symlinks);
                let source: Arc<dyn Source> = match in_overlay {
                    true => Arc::new(Overlay::new().layer(Memory::new()).layer(directory)),
                    false => Arc::new(directory),
                };
                let listed = Arc::clone(&source);
                let service =
                    ServeCompressed::builder(source).cache(cache).patience(LONG).build().unwrap();
                assert_hidden(&service, &root.path().join("cache")).await;
                let listed: Vec<_> = listed.paths().unwrap();
                assert_eq!(listed, ["a.txt".parse().unwrap()], "it is not warmed either");
            }
        }
    });
}

#[test]
fn cache_beside_the_root_hides_nothing() {
    run(async {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(outer.path().join("root/cache")).unwrap();
        std::fs::write(outer.path().join("root/cache/b.txt"), "b").unwrap();
        let cache = Cache::builder(outer.path().join("root-cache")).build().unwrap();
        let directory = Directory::new(outer.path().join("root")).unwrap();
        let service = ServeCompressed::builder(directory).cache(cache).build().unwrap();
        assert_eq!(get(&service, "/cache/b.txt", &[]).await.bytes(), *b"b");
    });
}

#[test]
fn cache_beneath_the_root_of_a_second_service_is_hidden_there() {
    run(async {
        let (first, second) = (tempfile::tempdir().unwrap(), root());
        std::fs::write(first.path().join("b.txt"), "b").unwrap();
        let cache = Cache::builder(second.path().join("cache")).build().unwrap();
        let first = Directory::new(first.path()).unwrap();
        let first = ServeCompressed::builder(first).cache(cache).patience(LONG).build().unwrap();
        let directory = Directory::new(second.path()).unwrap();
        let service = ServeCompressed::builder(directory).share(&first).patience(LONG);
        assert_hidden(&service.build().unwrap(), &second.path().join("cache")).await;
    });
}
