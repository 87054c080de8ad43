//! Every disk keeps the promises of `Disk`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "tests set the stage")]

use std::path::Path;

use cachecompress::fs::{Disk, MemoryDisk, RealDisk};
use cachecompress_test::disk::conformance;
use cachecompress_test::wait::PATIENCE;
use cachecompress_test::{FaultDisk, PowerDisk};

#[test]
fn real_disk_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conformance(&RealDisk, dir.path());
}

/// `/dev/shm` is usually another file system than `/tmp`.
#[cfg(target_os = "linux")]
#[test]
fn real_disk_conforms_in_shared_memory() {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(dir) => conformance(&RealDisk, dir.path()),
        Err(error) => eprintln!("SKIPPED: no /dev/shm: {error}"),
    }
}

#[test]
fn memory_disk_conforms() {
    conformance(&MemoryDisk::new(), Path::new("/cache"));
    conformance(&MemoryDisk::new(), Path::new("relative/./cache"));
}

#[test]
fn fault_disk_without_faults_conforms() {
    conformance(&FaultDisk::new(MemoryDisk::new()), Path::new("/"));
}

#[test]
fn power_disk_without_cuts_conforms() {
    conformance(&PowerDisk::new(), Path::new("/cache"));
}

#[test]
fn memory_disk_holds_no_sources() {
    let refused = MemoryDisk::new().open_root(Path::new("/")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
}

/// CVE-2021-24032: a file must not be readable by others while it is written.
#[cfg(unix)]
#[test]
fn files_and_directories_are_their_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let below = dir.path().join("a/b");
    RealDisk.create_private_dir(&below).unwrap();
    assert_eq!((mode(&below), mode(&dir.path().join("a"))), (0o700, 0o700));

    let file = RealDisk.create_unnamed(&below).unwrap();
    for private in below.read_dir().unwrap() {
        assert_eq!(mode(&private.unwrap().path()), 0o600);
    }
    file.publish(&below.join("file")).unwrap();
    assert_eq!(mode(&below.join("file")), 0o600);
    let _lock = RealDisk.try_lock(&below.join("lock")).unwrap().unwrap();
    assert_eq!(mode(&below.join("lock")), 0o600);
}

/// A dead writer leaves nothing on platforms with unnamed files.
#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[test]
fn unnamed_file_has_no_name_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let _file = RealDisk.create_unnamed(dir.path()).unwrap();
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
#[test]
fn fresh_bytes_are_read_without_a_wait() {
    let dir = tempfile::tempdir().unwrap();
    let file = RealDisk.create_unnamed(dir.path()).unwrap();
    file.write_all_at(b"warm", 0).unwrap();
    assert_eq!(file.read_at_nowait(&mut [0; 8], 0).unwrap(), 4);
}

/// CVE-2024-42367: a symlink that stands where a file is expected leads out of the directory.
/// And a FIFO there once would have held the thread that opened it until a writer came.
#[cfg(unix)]
#[test]
fn symlinks_are_not_opened_and_fifos_not_waited_for() {
    use cachecompress::fs::FileKind;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("file"), "outside").unwrap();
    std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
    std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
    for link in ["link", "dangling"] {
        assert!(RealDisk.try_lock(&path(link)).is_err(), "{link}");
        let error = RealDisk.open(&path(link)).unwrap_err();
        assert_ne!(error.kind(), std::io::ErrorKind::NotFound, "{link}");
        assert_eq!(RealDisk.stat_link(&path(link)).unwrap().kind, FileKind::Other);
        RealDisk.remove_file(&path(link)).unwrap();
    }
    assert_eq!(std::fs::read(path("file")).unwrap(), b"outside");
    assert!(!path("nowhere").exists(), "a lock was created outside of its directory");

    let fifo = path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(RealDisk.open(&fifo).and_then(|file| file.stat())));
    let opened = wait.recv_timeout(PATIENCE).expect("the open hangs");
    assert_eq!(opened.unwrap().kind, FileKind::Other);
}

#[cfg(unix)]
#[test]
fn remove_tree_follows_no_symlinks() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
    std::fs::create_dir(&tree).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "").unwrap();
    std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
    RealDisk.remove_tree(&tree).unwrap();
    assert!(outside.join("file").exists() && !tree.exists());
}
