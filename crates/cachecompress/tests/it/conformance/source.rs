//! Every source keeps the promises of `Source`, and a directory some of its own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests set the stage")]

use std::fs;
use std::ops::Deref;
use std::path::Path;

use cachecompress::Digest;
use cachecompress::source::{
    Directory, Embedded, Memory, Overlay, PrecompressedFile, Source, SourceFile,
};
use cachecompress_test::source::{
    self, Site, conformance, expect_file, expect_nothing, hides_dotfiles,
};
use tempfile::TempDir;

fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A source over a temporary directory, which is removed with it.
#[derive(Debug)]
struct Temporary(Directory, TempDir);

impl Source for Temporary {
    fn lookup(
        &self,
        path: &cachecompress::SourcePath,
    ) -> Result<cachecompress::source::Found, cachecompress::Error> {
        self.0.lookup(path)
    }

    fn lookup_nowait(
        &self,
        path: &cachecompress::SourcePath,
    ) -> Option<cachecompress::source::Found> {
        self.0.lookup_nowait(path)
    }

    fn paths(&self) -> Result<Vec<cachecompress::SourcePath>, cachecompress::Error> {
        self.0.paths()
    }
}

impl Deref for Temporary {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.1.path()
    }
}

fn directory(site: &Site) -> Temporary {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in site {
        write(dir.path(), path, bytes);
    }
    Temporary(Directory::new(dir.path()).unwrap(), dir)
}

fn embedded(site: &Site) -> Embedded {
    let leak = |bytes: &[u8]| -> &'static [u8] { Box::leak(bytes.into()) };
    let leak_name = |name: &str| -> &'static str { Box::leak(name.into()) };
    let files: Vec<_> = site.iter().map(|(path, bytes)| (leak_name(path), leak(bytes))).collect();
    Embedded::new(Box::leak(files.into()))
}

fn memory(site: &[(String, Vec<u8>)]) -> Memory {
    site.iter().fold(Memory::new(), |memory, (path, bytes)| memory.file(path, bytes.clone()))
}

/// An overlay of two halves of the files. Some of the lower half are hidden by the upper one.
fn overlay(site: &Site) -> Overlay {
    let (above, below) = site.split_at(site.len() / 2);
    let stale = above.iter().map(|(path, _)| (path.clone(), b"stale".to_vec()));
    let below: Vec<_> = below.iter().cloned().chain(stale).collect();
    Overlay::new().layer(memory(above)).layer(Memory::new()).layer(memory(&below))
}

#[test]
fn sources_in_memory_list_what_they_have_there() {
    let site = [("a/b.html", "b"), ("c.txt", ""), (".hidden", "h")];
    let site: Site = site.map(|(path, bytes)| (path.to_owned(), bytes.into())).into();
    let listed = |source: &dyn Source| {
        let mut paths: Vec<_> = source
            .files_in_memory()
            .into_iter()
            .map(|(path, _)| path.to_string_lossy().into_owned())
            .collect();
        paths.sort();
        paths.dedup();
        paths.join(" ")
    };
    assert_eq!(listed(&memory(&site)), ".hidden a/b.html c.txt");
    assert_eq!(listed(&embedded(&site)), "a/b.html c.txt");
    assert_eq!(listed(&embedded(&site).dotfiles(true)), ".hidden a/b.html c.txt");
    assert_eq!(listed(&std::sync::Arc::new(overlay(&site))), ".hidden a/b.html c.txt");
    assert_eq!(listed(&directory(&site)), "");
}

#[test]
fn directory_conforms() {
    conformance(directory);
    hides_dotfiles(directory);
}

#[test]
fn embedded_files_conform() {
    conformance(embedded);
    hides_dotfiles(embedded);
}

fn precompressed(site: &Site) -> Embedded {
    let leak = |bytes: &[u8]| -> &'static [u8] { Box::leak(bytes.into()) };
    let files = site.iter().map(|(path, bytes)| {
        let path: &'static str = Box::leak(path.as_str().into());
        PrecompressedFile::new(path, leak(bytes), *Digest::of(bytes).as_bytes(), &[])
    });
    Embedded::precompressed(Box::leak(files.collect()))
}

#[test]
fn precompressed_files_conform() {
    conformance(precompressed);
    hides_dotfiles(precompressed);
}

#[test]
fn memory_conforms() {
    conformance(|site| memory(site));
}

#[test]
fn overlay_conforms() {
    conformance(overlay);
    conformance(|site| Overlay::new().layer(directory(site)));
    assert!(Overlay::new().paths().unwrap().is_empty());
}

#[test]
fn dotfiles_are_served_on_demand() {
    let site = vec![(".env/.xy".to_owned(), b"x".to_vec()), ("a/.bc".to_owned(), b"b".to_vec())];
    let dir = directory(&site);
    let open = Directory::new(&*dir).unwrap().dotfiles(true);
    source::check(&open, &site);
    source::check(&embedded(&site).dotfiles(true), &site);
    source::check(&memory(&site), &site);
}

/// The files of tests/site without the hidden ones.
#[cfg(any(feature = "rust-embed", feature = "include-dir"))]
fn compiled_in() -> Site {
    let names =
        [".well-known/security.txt", "css/two words.css", "deep/er/empty.txt", "index.html"];
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site");
    names.map(|name| (name.to_owned(), fs::read(site.join(name)).unwrap())).to_vec()
}

#[cfg(feature = "include-dir")]
#[test]
fn include_dir_conforms() {
    static SITE: include_dir::Dir<'static> =
        include_dir::include_dir!("$CARGO_MANIFEST_DIR/tests/site");
    source::check(&Embedded::include_dir(&SITE), &compiled_in());
}

#[cfg(feature = "rust-embed")]
mod with_rust_embed {
    use std::borrow::Cow;
    use std::time::{Duration, UNIX_EPOCH};

    use cachecompress::source::Found;
    use rust_embed::{Embed, EmbeddedFile};

    use super::*;

    #[derive(Embed)]
    #[folder = "tests/site"]
    struct Derived;

    /// rust-embed reads the directory in a debug build, and not in a release build.
    #[test]
    fn rust_embed_conforms() {
        source::check(&Embedded::rust_embed::<Derived>(), &compiled_in());
    }

    #[derive(Embed)]
    #[folder = "tests/site"]
    #[metadata_only = true]
    struct WithoutBytes;

    /// With `metadata_only`, rust-embed's hash is not that of the (empty) bytes that it gives.
    #[test]
    fn rust_embed_digests_the_bytes_that_it_returns() {
        let site: Site = compiled_in().into_iter().map(|(path, _)| (path, Vec::new())).collect();
        source::check(&Embedded::rust_embed::<WithoutBytes>(), &site);
    }

    /// An embedded file whose bytes change between two calls, as in a debug build.
    struct Changing;

    impl Embed for Changing {
        fn get(path: &str) -> Option<EmbeddedFile> {
            use std::sync::atomic::{AtomicUsize, Ordering};
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            let text = CALLS.fetch_add(1, Ordering::SeqCst).to_string();
            let mut file = Derived::get("index.html")?;
            let hash = cachecompress::Digest::of(text.as_bytes());
            file.metadata = rust_embed::Metadata::__rust_embed_new(*hash.as_bytes(), Some(0), None);
            file.data = Cow::Owned(text.into_bytes());
            (path == "count").then_some(file)
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            std::iter::once("count".into())
        }
    }

    /// Two embedded files, of which rust-embed knows the time of one.
    struct Dated;

    /// The time of the file `dated`, in seconds since 1970.
    const DATE: u64 = 784_111_777;

    impl Embed for Dated {
        fn get(path: &str) -> Option<EmbeddedFile> {
            let hash = *cachecompress::Digest::of(b"bytes").as_bytes();
            let time = (path == "dated").then_some(DATE);
            let metadata = rust_embed::Metadata::__rust_embed_new(hash, time, None);
            let known = Self::iter().any(|name| name == path);
            known.then_some(EmbeddedFile { data: Cow::Borrowed(b"bytes"), metadata })
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            ["dated", "undated"].into_iter().map(Cow::from)
        }
    }

    #[test]
    fn embedded_file_has_the_time_that_rust_embed_knows() {
        let source = Embedded::rust_embed::<Dated>();
        for (path, seconds) in [("dated", Some(DATE)), ("undated", None)] {
            let Found::File(file) = source::lookup(&source, path) else { panic!() };
            let time = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(file.modified, time, "{path}");
        }
    }

    #[test]
    fn changing_bytes_come_with_their_own_digest() {
        let source = Embedded::rust_embed::<Changing>();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let Found::File(file) = source::lookup(&source, "count") else { panic!() };
            let bytes = source::read(&file);
            assert_eq!(file.digest.unwrap(), cachecompress::Digest::of(&bytes));
            assert_eq!(file.modified, None, "0 stands for no time");
            assert!(seen.insert(bytes));
        }
    }
}

#[test]
fn memory_returns_the_metadata_of_its_files() {
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let file =
        SourceFile::from_bytes("{}").media_type("application/json").entity_tag("v1").modified(time);
    let memory = Memory::new().file("api", "replaced").file("api", file);
    let cachecompress::source::Found::File(found) = source::lookup(&memory, "api") else {
        panic!()
    };
    assert_eq!(source::read(&found), b"{}");
    assert_eq!(found.media_type.as_deref(), Some("application/json"));
    assert_eq!(found.entity_tag.as_deref(), Some("v1"));
    assert_eq!(found.modified, Some(time));
    assert!(found.digest.is_some());
}

/// GHSA-8v2v-wjwg-vx6r: a missing root must not end in the working directory being served.
#[test]
fn unservable_root_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "file", "x");
    for name in ["missing", "file", "file/below", ""] {
        let path = if name.is_empty() { Path::new("").to_owned() } else { dir.path().join(name) };
        let error = Directory::new(&path).unwrap_err();
        let expected = match name {
            "missing" => cachecompress::ErrorKind::NotFound,
            _ => cachecompress::ErrorKind::Io,
        };
        assert!(name.is_empty() || error.kind() == expected, "{error}");
        assert_eq!(error.path(), Some(&*path));
        let text = error.to_string();
        assert!(text.starts_with("cannot open the directory ") && !text.contains('\n'), "{text}");
    }
}

#[test]
fn directory_returns_an_error_when_the_disk_fails() {
    use cachecompress::fs::RealDisk;
    use cachecompress_test::{FaultDisk, Op};
    use std::io::ErrorKind;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/b", "x");
    let disk = FaultDisk::new(RealDisk);
    let source = Directory::with_disk(std::sync::Arc::new(disk.clone()), dir.path()).unwrap();
    let path = cachecompress::SourcePath::parse(b"a/b").unwrap();
    let kind = |kind| std::io::Error::from(kind);

    for broken in [ErrorKind::PermissionDenied, ErrorKind::Other, ErrorKind::OutOfMemory] {
        disk.fail_op(Op::RootOpen, broken);
        let error = source.lookup(&path).unwrap_err();
        let expected = match broken {
            ErrorKind::PermissionDenied => cachecompress::ErrorKind::PermissionDenied,
            _ => cachecompress::ErrorKind::Io,
        };
        assert_eq!(error.kind(), expected);
        assert_eq!(error.path(), Some(&*dir.path().join("a/b")), "{error}");
    }
    for gone in [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::InvalidFilename] {
        disk.fail_op(Op::RootOpen, gone);
        expect_nothing(&source, "a/b");
    }
    disk.fail_op(Op::RootList, ErrorKind::Other);
    assert!(source.paths().is_err());
    // An unreadable subdirectory is left out. An unreadable root is an error.
    disk.fail(move |_, op| (op == Op::RootOpen).then(|| kind(ErrorKind::PermissionDenied)));
    assert!(source.paths().unwrap().is_empty());
    disk.fail_op(Op::RootList, ErrorKind::PermissionDenied);
    assert!(source.paths().is_err());
    // A root whose path cannot be looked at any more stays open.
    disk.fail(move |_, op| (op == Op::Stat).then(|| kind(ErrorKind::Other)));
    expect_file(&source, "a/b", b"x");
    disk.fail(move |_, op| (op == Op::OpenRoot).then(|| kind(ErrorKind::Other)));
    expect_file(&source, "a/b", b"x");
}

/// The file system has to be a local one, as it is on all machines that run the tests.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[test]
fn cached_directory_entry_is_found_without_a_wait() {
    use cachecompress::source::{Content, Found};

    // `/tmp` may be a file system in memory, which does not cache missing names.
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = parent.path().join("dist");
    write(&root, "dir/a.txt", "x");
    std::os::unix::fs::symlink("a.txt", root.join("dir/link")).unwrap();
    let source = Directory::new(&root).unwrap();
    let now = |path: &str| {
        let path = cachecompress::SourcePath::parse(path.as_bytes()).unwrap();
        source.lookup_nowait(&path)
    };
    let size = |path: &str| match now(path) {
        Some(Found::File(SourceFile { content: Content::File { fingerprint, .. }, .. })) => {
            fingerprint.size
        }
        found => panic!("{path} is {found:?}"),
    };
    for path in ["dir/a.txt", "dir/link"] {
        expect_file(&source, path, b"x");
        assert_eq!(size(path), 1);
    }
    for path in ["missing", "dir/missing", ".hidden"] {
        expect_nothing(&source, path);
        assert!(matches!(now(path), Some(Found::Nothing)), "{path}");
    }
    write(&root, "dir/a.txt", "longer");
    assert_eq!(size("dir/a.txt"), 6);
    fs::remove_file(root.join("dir/a.txt")).unwrap();
    for path in ["dir/a.txt", "dir/link"] {
        expect_nothing(&source, path);
        assert!(matches!(now(path), Some(Found::Nothing)), "{path}");
    }
    // The source tells nothing without a wait about a root that it has not open.
    write(&parent.path().join("new"), "dir/missing", "found");
    fs::rename(&root, parent.path().join("old")).unwrap();
    assert!(now("dir/missing").is_none());
    fs::rename(parent.path().join("new"), &root).unwrap();
    assert!(now("dir/missing").is_none());
    expect_file(&source, "dir/missing", b"found");
    assert_eq!(size("dir/missing"), 5);
}

#[test]
fn directory_sees_a_root_that_was_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("dist");
    write(&root, "index.html", "old");
    write(&root, "old.js", "old");
    let source = Directory::new(&root).unwrap();
    expect_file(&source, "index.html", b"old");
    fs::remove_dir_all(&root).unwrap();
    expect_nothing(&source, "index.html");
    assert!(source.paths().unwrap().is_empty());
    write(&root, "index.html", "new");
    expect_file(&source, "index.html", b"new");
    expect_nothing(&source, "old.js");
    assert_eq!(source.paths().unwrap().len(), 1);
    // A root that was moved away serves until there is a new one.
    fs::rename(&root, parent.path().join("kept")).unwrap();
    expect_file(&source, "index.html", b"new");
    write(&root, "index.html", "newest");
    expect_file(&source, "index.html", b"newest");
    // A file in the place of the root is no new root.
    fs::rename(&root, parent.path().join("kept too")).unwrap();
    fs::write(&root, "no directory").unwrap();
    expect_file(&source, "index.html", b"newest");
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, Instant};

    use cachecompress::SourcePath;
    use cachecompress::source::Found;
    use cachecompress_test::wait::PATIENCE;

    use super::*;

    fn paths(source: &dyn Source) -> Vec<String> {
        let paths = source.paths().unwrap();
        paths.iter().map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn symlinks_lead_inside_the_root_and_never_out() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("root");
        write(&root, "dir/file.txt", "inside");
        write(parent.path(), "secret.txt", "secret");
        write(parent.path(), "root-sibling/secret.txt", "secret"); // CVE-2025-58751
        let links: [(&str, &Path); 12] = [
            ("file", Path::new("dir/file.txt")),
            ("there", Path::new("dir")),
            ("dir/up", Path::new("../dir/file.txt")),
            ("chain", Path::new("file")),
            ("roundabout", Path::new("dir/../dir/./file.txt")),
            ("out", Path::new("../secret.txt")),
            ("out-dir", Path::new("..")),
            ("sibling", Path::new("../root-sibling")),
            ("out-and-in", Path::new("../root/dir/file.txt")),
            ("absolute", &parent.path().join("secret.txt")),
            ("absolute-inside", &root.join("dir/file.txt")),
            ("slash", Path::new("/")),
        ];
        for (name, target) in links {
            symlink(target, root.join(name)).unwrap();
        }
        let source = Directory::new(&root).unwrap();
        let by_the_outside = ["absolute-inside", "out-and-in"];
        for inside in ["file", "there/file.txt", "dir/up", "chain", "roundabout"] {
            expect_file(&source, inside, b"inside");
        }
        for inside in by_the_outside {
            expect_file(&source, inside, b"inside");
        }
        for outside in [
            "out",
            "out-dir",
            "out-dir/secret.txt",
            "out-dir/root/dir/file.txt",
            "sibling",
            "sibling/secret.txt",
            "absolute",
            "slash",
            "slash/etc/passwd",
        ] {
            expect_nothing(&source, outside);
        }
        assert!(matches!(source::lookup(&source, "there"), Found::Directory));
        let [first, last] = by_the_outside;
        let all = [first, "chain", "dir/file.txt", "dir/up", "file", last, "roundabout"];
        assert_eq!(paths(&source), all);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn magic_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/proc/self/root", dir.path().join("magic")).unwrap();
        symlink("/proc/self/fd/0", dir.path().join("stdin")).unwrap();
        let source = Directory::new(dir.path()).unwrap();
        for path in ["magic", "magic/etc/passwd", "stdin"] {
            expect_nothing(&source, path);
        }
        // Magic links lead nowhere with `/proc` itself as the root, too.
        let source = Directory::new("/proc/self").unwrap();
        for path in ["root", "root/etc/passwd", "cwd", "cwd/Cargo.toml", "exe", "fd/0"] {
            expect_nothing(&source, path);
        }
    }

    #[test]
    fn fifos_sockets_and_devices_are_not_found_and_block_no_lookup() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        write(dir.path(), "file", "x");
        let source = Directory::new(dir.path()).unwrap();
        let start = Instant::now();
        expect_nothing(&source, "fifo");
        expect_nothing(&source, "socket");
        expect_nothing(&source, "fifo/below");
        assert_eq!(paths(&source), ["file"]);
        swap_with_a_fifo_during_lookups(&source, dir.path());
        assert!(start.elapsed() < PATIENCE);
        if cfg!(target_os = "linux") {
            let source = Directory::new("/dev").unwrap();
            for device in ["null", "zero", "tty"] {
                expect_nothing(&source, device);
            }
        }
    }

    /// Swaps a file for a FIFO again and again, to hit the moment between stat and open.
    fn swap_with_a_fifo_during_lookups(source: &Directory, dir: &Path) {
        use std::sync::atomic::{AtomicBool, Ordering};
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (done, swap) = (AtomicBool::new(false), dir.join("swap"));
        std::thread::scope(|scope| {
            let _stop = Stop(&done);
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for name in ["file", "fifo"] {
                        fs::hard_link(dir.join(name), &swap).unwrap();
                        fs::rename(&swap, dir.join("both")).unwrap();
                    }
                }
            });
            for _ in 0..2000 {
                let path = SourcePath::parse(b"both").unwrap();
                if let Found::File(found) = source.lookup(&path).unwrap() {
                    assert_eq!(found.content.len(), 1, "an empty one is the FIFO");
                }
            }
        });
    }

    #[test]
    fn symlinks_in_a_circle_end() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a/b/file", "x");
        for (target, name) in
            [("self", "self"), ("pong", "ping"), ("ping", "pong"), ("gone", "dangling")]
        {
            symlink(target, dir.path().join(name)).unwrap();
        }
        symlink("..", dir.path().join("a/b/parent")).unwrap();
        symlink("../..", dir.path().join("a/b/root")).unwrap();
        symlink("a/b", dir.path().join("z")).unwrap();
        let source = Directory::new(dir.path()).unwrap();
        for path in ["self", "self/x", "ping", "pong/x", "dangling"] {
            expect_nothing(&source, path);
        }
        expect_file(&source, "a/b/parent/b/root/a/b/file", b"x");
        expect_file(&source, "z/file", b"x");
        assert_eq!(paths(&source), ["a/b/file"]);
    }

    #[test]
    fn walk_does_not_descend_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let deep = vec!["d"; 80].join("/");
        write(dir.path(), &format!("{deep}/deep"), "x");
        write(dir.path(), "d/d/shallow", "x");
        let source = Directory::new(dir.path()).unwrap();
        expect_file(&source, &format!("{deep}/deep"), b"x");
        assert_eq!(paths(&source), ["d/d/shallow"]);
    }

    #[test]
    fn directory_sees_a_symlinked_root_turn() {
        let parent = tempfile::tempdir().unwrap();
        for release in ["1", "2"] {
            write(parent.path(), &format!("releases/{release}/index.html"), release);
        }
        let current = parent.path().join("current");
        symlink("releases/1", &current).unwrap();
        let source = Directory::new(&current).unwrap();
        let Found::File(before) = source::lookup(&source, "index.html") else { panic!() };
        symlink("releases/2", parent.path().join("next")).unwrap();
        fs::rename(parent.path().join("next"), &current).unwrap();
        expect_file(&source, "index.html", b"2");
        assert_eq!(source::read(&before), b"1", "an open file stays what it was");
    }

    #[test]
    fn name_need_not_be_utf_8() {
        let dir = tempfile::tempdir().unwrap();
        let name = b"caf\xE9.txt";
        if fs::write(dir.path().join(OsStr::from_bytes(name)), "x").is_err() {
            eprintln!("SKIPPED: this file system allows UTF-8 names only");
            return;
        }
        write(dir.path(), "back\\slash", "no source path");
        let source = Directory::new(dir.path()).unwrap();
        let path = SourcePath::parse(name).unwrap();
        assert!(matches!(source.lookup(&path).unwrap(), Found::File(_)));
        assert_eq!(source.paths().unwrap(), [path]);
    }

    #[test]
    fn unreadable_file_is_an_error_and_not_missing() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "forbidden", "x");
        let forbidden = dir.path().join("forbidden");
        fs::set_permissions(&forbidden, fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read(&forbidden).is_ok() {
            eprintln!("SKIPPED: root may read everything; a failing disk stands in elsewhere");
            return;
        }
        let source = Directory::new(dir.path()).unwrap();
        let path = SourcePath::parse(b"forbidden").unwrap();
        assert_eq!(source.lookup(&path).unwrap_err().kind(), cachecompress::ErrorKind::Io);
    }

    /// Installs that preserve the mtime leave stale copies behind. The change time differs.
    #[test]
    fn fingerprint_shows_a_change_that_keeps_size_and_mtime() {
        use cachecompress::source::Content;
        let dir = directory(&vec![("a".to_owned(), b"old".to_vec())]);
        let fingerprint = || match source::lookup(&dir, "a") {
            Found::File(SourceFile { content: Content::File { fingerprint, .. }, .. }) => {
                fingerprint
            }
            found => panic!("{found:?}"),
        };
        let before = fingerprint();
        std::thread::sleep(Duration::from_millis(30));
        let file = fs::File::options().write(true).open(dir.join("a")).unwrap();
        std::io::Write::write_all(&mut &file, b"new").unwrap();
        file.set_modified(before.modified_time()).unwrap();
        let after = fingerprint();
        assert_eq!(
            (before.size, before.inode, before.modified),
            (after.size, after.inode, after.modified)
        );
        assert_ne!(before, after);
    }
}
