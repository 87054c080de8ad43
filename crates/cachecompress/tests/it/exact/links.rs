//! Symlinks in a directory, which are followed as the directory's setting says.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "the tests fill a directory as an operator would")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cachecompress::source::{Content, Found};
use cachecompress::{Directory, ServeCompressed, Source, SourcePath, Symlinks};
use cachecompress_test::service::{get, run};
use tempfile::TempDir;

const SECRET: &str = "the secret beside the root";

/// A root with symlinks of all kinds, and a secret beside it.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        let root = tree.root();
        std::fs::create_dir_all(root.join("dir/deep")).unwrap();
        std::fs::create_dir(tree.0.path().join("outside")).unwrap();
        for (name, text) in [
            ("root/a.txt", "a"),
            ("root/dir/b.txt", "b"),
            ("root/.env", "dotfile"),
            ("secret.txt", SECRET),
            ("outside/c.txt", SECRET),
        ] {
            std::fs::write(tree.0.path().join(name), text).unwrap();
        }
        for (name, target) in [
            ("absolute.txt", root.join("a.txt")),
            ("absolute", root.join("dir")),
            ("self", root.clone()),
            ("dot", ".".into()),
            ("roundabout.txt", "../root/a.txt".into()),
            ("chain.txt", root.join("roundabout.txt")),
            ("dir/deep/up", root.join("absolute")),
            ("relative.txt", "a.txt".into()),
            ("dotfile.txt", ".env".into()),
            ("absolute-dotfile.txt", root.join(".env")),
            ("secret.txt", "../secret.txt".into()),
            ("absolute-secret.txt", tree.0.path().join("secret.txt")),
            ("outside", tree.0.path().join("outside")),
            ("outer", "..".into()),
            ("dangling", root.join("nothing")),
            ("loop", root.join("loop")),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        tree
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }
}

/// Returns the text to which `path` leads.
fn text(source: &Directory, path: &str) -> Option<String> {
    let path = SourcePath::parse(path.as_bytes()).unwrap();
    let nowait = source.lookup_nowait(&path);
    let found = source.lookup(&path).unwrap();
    if let Some(nowait) = nowait {
        let kind = std::mem::discriminant;
        assert_eq!(kind(&nowait), kind(&found), "{path}: both lookups agree");
    }
    let Found::File(file) = found else { return None };
    let Content::File { file, .. } = file.content else { panic!("no file: {path}") };
    let mut buffer = [0; 64];
    let read = file.read_at(&mut buffer, 0).unwrap();
    Some(String::from_utf8(buffer[..read].to_vec()).unwrap())
}

const INSIDE: [(&str, &str); 12] = [
    ("absolute.txt", "a"),
    ("roundabout.txt", "a"),
    ("chain.txt", "a"),
    ("absolute/b.txt", "b"),
    ("absolute/deep/up/b.txt", "b"),
    ("dir/deep/up/deep/up/b.txt", "b"),
    ("self/a.txt", "a"),
    ("self/self/dot/self/absolute.txt", "a"),
    ("dot/dot/a.txt", "a"),
    ("relative.txt", "a"),
    // The path of a request is judged, as by other servers.
    ("dotfile.txt", "dotfile"),
    ("absolute-dotfile.txt", "dotfile"),
];
const OUTSIDE: [&str; 5] =
    ["secret.txt", "absolute-secret.txt", "outside/c.txt", "outer/secret.txt", "self/secret.txt"];

#[test]
fn symlinks_within_reach_what_lies_in_the_root_and_nothing_else() {
    let tree = Tree::new();
    symlink(tree.root(), tree.0.path().join("current")).unwrap();
    symlink("root", tree.0.path().join("relative")).unwrap();
    for name in ["root", "current", "relative"] {
        let source = Directory::new(tree.0.path().join(name)).unwrap();
        for (path, expected) in INSIDE {
            assert_eq!(text(&source, path).as_deref(), Some(expected), "{name}/{path}");
        }
        for path in OUTSIDE {
            assert_eq!(text(&source, path), None, "{name}/{path}");
        }
        // A path that goes out and comes back has a symlink whose target lies outside.
        for path in
            ["outer/root/a.txt", "dangling", "loop", "self/loop/x", "absolute/none", "self/.env"]
        {
            assert_eq!(text(&source, path), None, "{name}/{path}");
        }
        let paths = source.paths().unwrap();
        let named: Vec<_> = paths.iter().filter_map(SourcePath::as_str).collect();
        assert!(named.contains(&"absolute.txt") && !named.contains(&"secret.txt"), "{named:?}");
        let listed = named.iter().filter(|path| path.ends_with("b.txt")).count();
        assert_eq!(listed, 1, "a directory is listed once: {named:?}");
    }
}

#[test]
fn symlinks_follow_leaves_the_root() {
    let tree = Tree::new();
    let source = Directory::new(tree.root()).unwrap().symlinks(Symlinks::Follow);
    for (path, expected) in INSIDE {
        assert_eq!(text(&source, path).as_deref(), Some(expected), "{path}");
    }
    for path in OUTSIDE {
        assert_eq!(text(&source, path).as_deref(), Some(SECRET), "{path}");
    }
    for path in ["dangling", "loop", "a.txt/b", "none", ".env", "self/.env"] {
        assert_eq!(text(&source, path), None, "{path}");
    }
    let paths = source.paths().unwrap();
    assert!(paths.iter().any(|path| path.as_str() == Some("secret.txt")), "{paths:?}");
    std::fs::remove_file(tree.root().join("a.txt")).unwrap();
    assert_eq!(text(&source, "absolute.txt"), None);
}

#[test]
fn symlinks_deny_follows_none_but_the_root() {
    let tree = Tree::new();
    let link = tree.0.path().join("current");
    symlink(tree.root(), &link).unwrap();
    let source = Directory::new(link).unwrap().symlinks(Symlinks::Deny);
    for (path, _) in INSIDE {
        assert_eq!(text(&source, path), None, "{path}");
    }
    for path in OUTSIDE {
        assert_eq!(text(&source, path), None, "{path}");
    }
    assert_eq!(text(&source, "a.txt").as_deref(), Some("a"));
    assert_eq!(text(&source, "dir/b.txt").as_deref(), Some("b"));
    let deep = SourcePath::parse(b"dir/deep").unwrap();
    assert!(matches!(source.lookup(&deep), Ok(Found::Directory)));
    let paths = source.paths().unwrap();
    let named: Vec<_> = paths.iter().filter_map(SourcePath::as_str).collect();
    assert_eq!(named, ["a.txt", "dir/b.txt"]);
}

/// Replaces `name` in the root by a symlink to `target`, at once.
fn relink(root: &Path, name: &str, target: &Path) {
    let new = root.join("new-link");
    symlink(target, &new).unwrap();
    std::fs::rename(new, root.join(name)).unwrap();
}

#[test]
fn no_race_leaves_the_root() {
    let tree = Tree::new();
    let (root, outside) = (tree.root(), tree.0.path().join("outside"));
    std::fs::write(root.join("dir/c.txt"), "inside").unwrap();
    // A directory that gives way to a symlink, and symlinks that flip.
    std::fs::create_dir_all(root.join("swapped")).unwrap();
    std::fs::write(root.join("swapped/c.txt"), "inside").unwrap();
    symlink(root.join("swapped"), root.join("through")).unwrap();
    for (name, target) in [("flip", "dir"), ("flip-file", "dir/c.txt")] {
        symlink(root.join(target), root.join(name)).unwrap();
    }
    let done = AtomicBool::new(false);
    let inside = AtomicUsize::new(0);
    let sources = [Symlinks::Within, Symlinks::Deny]
        .map(|symlinks| Directory::new(&root).unwrap().symlinks(symlinks));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                relink(&root, "flip", &outside);
                relink(&root, "flip-file", &outside.join("c.txt"));
                std::fs::rename(root.join("swapped"), root.join("away")).unwrap();
                symlink(&outside, root.join("swapped")).unwrap();
                relink(&root, "flip", &root.join("dir"));
                relink(&root, "flip-file", Path::new("../root/dir/c.txt"));
                std::fs::remove_file(root.join("swapped")).unwrap();
                std::fs::rename(root.join("away"), root.join("swapped")).unwrap();
            }
        });
        let lookers: Vec<_> = sources
            .iter()
            .map(|source| {
                scope.spawn(|| {
                    for _ in 0..4000 {
                        for path in ["flip/c.txt", "flip-file", "swapped/c.txt", "through/c.txt"] {
                            let path = SourcePath::parse(path.as_bytes()).unwrap();
                            let looked = [source.lookup(&path).ok(), source.lookup_nowait(&path)];
                            for found in looked.into_iter().flatten() {
                                let Found::File(file) = found else { continue };
                                let Content::File { file, .. } = file.content else { continue };
                                let mut buffer = [0; 64];
                                let read = file.read_at(&mut buffer, 0).unwrap();
                                assert_eq!(&buffer[..read], b"inside", "{path}");
                                inside.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = lookers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    assert!(inside.load(Ordering::Relaxed) > 1000, "the symlinks were followed");
}

#[test]
fn file_behind_an_absolute_symlink_shares_tag_and_entry_with_its_target() {
    let tree = Tree::new();
    std::fs::write(tree.root().join("a.txt"), "a line of text\n".repeat(200)).unwrap();
    run(async {
        let site = ServeCompressed::new(tree.root()).unwrap();
        let plain = get(&site, "/a.txt", &[]).await;
        for path in ["/absolute.txt", "/self/self/a.txt", "/dot/./dot/a.txt", "/chain.txt"] {
            let linked = get(&site, path, &[]).await;
            assert_eq!(linked.status, 200, "{path}");
            assert_eq!(linked.field("etag"), plain.field("etag"), "{path}");
        }
        assert_eq!(get(&site, "/secret.txt", &[]).await.status, 404);
    });
}
