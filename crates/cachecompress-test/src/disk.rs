//! The promises of every [`Disk`], as a suite.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cachecompress::fs::{Disk, DiskFile, FileKind, PRIVATE_PREFIX};

/// Holds `disk` against the promises of [`Disk`] and [`DiskFile`], in new directories beneath
/// `dir`. Roots have their checks in the suite for sources.
///
/// # Panics
///
/// At the first promise that is not kept.
pub fn conformance(disk: &dyn Disk, dir: &Path) {
    let case = |name: &str| {
        let dir = dir.join(name);
        disk.create_private_dir(&dir).unwrap();
        dir
    };
    directories(disk, &case("directories"));
    unnamed_files_are_invisible(disk, &case("unnamed"));
    bytes_are_read_where_they_were_written(disk, &case("bytes"));
    publishing_never_replaces(disk, &case("publish"));
    one_of_many_publishers_wins(disk, &case("publishers"));
    open_files_outlive_their_names(disk, &case("unlinked"));
    fingerprints_tell_files_and_states_apart(disk, &case("fingerprints"));
    reservations_do_not_show(disk, &case("reserve"));
    locks_exclude(disk, &case("locks"));
    locks_announce(disk, &case("announcements"));
    files_in_use_stay(disk, &case("use"));
    readers_follow_a_writer(disk, &case("growing"));
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// The names in `dir`, sorted, without those of unnamed files.
fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    let names = disk.list(dir).unwrap().into_iter().map(|name| name.into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with(PRIVATE_PREFIX)).collect();
    names.sort_unstable();
    names
}

fn contents(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.stat().unwrap().fingerprint.size).unwrap() + 1];
    let mut len = 0;
    loop {
        match file.read_at(&mut bytes[len..], len as u64).unwrap() {
            0 => break,
            read => len += read,
        }
    }
    bytes.truncate(len);
    bytes
}

fn publish(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.create_unnamed(path.parent().unwrap()).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.publish(path).unwrap();
}

fn directories(disk: &dyn Disk, dir: &Path) {
    let deep = dir.join("a/b/c");
    disk.create_private_dir(&deep).unwrap();
    disk.create_private_dir(&deep).unwrap();
    publish(disk, &deep.join("file"), b"x");
    disk.create_private_dir(&dir.join("ab")).unwrap();
    assert_eq!(names(disk, dir), ["a", "ab"]);
    assert_eq!(names(disk, &dir.join("a")), ["b"]);
    assert_eq!(names(disk, &deep), ["file"]);
    assert_eq!(disk.stat(&deep).unwrap().kind, FileKind::Directory);
    assert_eq!(disk.stat(&deep.join("file")).unwrap().kind, FileKind::Regular);
    for path in [deep.clone(), deep.join("file")] {
        assert_eq!(disk.stat_link(&path).unwrap(), disk.stat(&path).unwrap());
    }
    assert!(disk.create_private_dir(&deep.join("file")).is_err());
    assert!(disk.create_private_dir(&deep.join("file/below")).is_err());
    assert!(disk.list(&deep.join("file")).is_err());
    assert!(disk.remove_file(&deep).is_err());
    assert_eq!(kind(disk.stat(&deep.join("file/below"))), Some(ErrorKind::NotADirectory));

    let missing = dir.join("missing");
    assert_eq!(kind(disk.list(&missing)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.stat(&missing)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.stat_link(&missing)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.open(&missing)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.remove_file(&missing)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.remove_tree(&missing)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.create_unnamed(&missing)), Some(ErrorKind::NotFound));

    disk.remove_tree(&dir.join("a")).unwrap();
    assert_eq!(names(disk, dir), ["ab"]);
    assert_eq!(kind(disk.open(&deep.join("file"))), Some(ErrorKind::NotFound));
}

fn unnamed_files_are_invisible(disk: &dyn Disk, dir: &Path) {
    let file = disk.create_unnamed(dir).unwrap();
    file.write_all_at(b"secret", 0).unwrap();
    assert!(names(disk, dir).is_empty());
    drop(file);
    assert!(disk.list(dir).unwrap().is_empty(), "a dropped file has left its private name");
    publish(disk, &dir.join("named"), b"x");
    assert_eq!(disk.list(dir).unwrap(), ["named"], "a published file has left its private name");
}

fn bytes_are_read_where_they_were_written(disk: &dyn Disk, dir: &Path) {
    let file = disk.create_unnamed(dir).unwrap();
    assert_eq!(contents(&*file), b"");
    file.write_all_at(b"hello", 3).unwrap();
    file.write_all_at(b"", 100).unwrap();
    assert_eq!(contents(&*file), b"\0\0\0hello");
    file.write_all_at(b"HE", 3).unwrap();
    let mut buffer = [9; 8];
    assert_eq!(file.read_at(&mut buffer, 4).unwrap(), 4);
    assert_eq!(&buffer, b"Ello\x09\x09\x09\x09");
    assert_eq!(file.read_at(&mut buffer, 8).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
    match file.read_at_nowait(&mut buffer, 3) {
        Ok(len) => assert_eq!(buffer[..len], b"HEllo"[..len]),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    match file.read_at_nowait(&mut buffer, 8) {
        Ok(len) => assert_eq!(len, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    file.set_len(4).unwrap();
    assert_eq!(contents(&*file), b"\0\0\0H");
    file.set_len(6).unwrap();
    assert_eq!(contents(&*file), b"\0\0\0H\0\0");
    file.sync().unwrap();
    file.publish(&dir.join("named")).unwrap();
    assert_eq!(contents(&*disk.open(&dir.join("named")).unwrap()), b"\0\0\0H\0\0");
}

fn publishing_never_replaces(disk: &dyn Disk, dir: &Path) {
    let other = dir.join("other");
    disk.create_private_dir(&other).unwrap();
    let name = other.join("name"); // not where the file was created
    let first = disk.create_unnamed(dir).unwrap();
    first.write_all_at(b"first", 0).unwrap();
    first.publish(&name).unwrap();
    let published = disk.stat(&name).unwrap().fingerprint;
    assert_eq!(published.inode, first.stat().unwrap().fingerprint.inode);

    let second = disk.create_unnamed(dir).unwrap();
    second.write_all_at(b"second", 0).unwrap();
    assert_eq!(kind(second.publish(&name)), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(second.publish(&other)), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(second.publish(&dir.join("gone/name"))), Some(ErrorKind::NotFound));
    assert_eq!(contents(&*disk.open(&name).unwrap()), b"first");
    second.publish(&dir.join("second")).unwrap();
    assert_eq!(kind(second.publish(&dir.join("third"))), Some(ErrorKind::InvalidInput));
    assert_eq!(
        kind(disk.open(&name).unwrap().publish(&dir.join("third"))),
        Some(ErrorKind::InvalidInput)
    );
    drop((first, second));
    assert_eq!(disk.list(&other).unwrap(), ["name"]);
    assert_eq!(names(disk, dir), ["other", "second"]);

    // The cache directory goes away under the writer.
    let doomed = dir.join("doomed");
    disk.create_private_dir(&doomed).unwrap();
    let file = disk.create_unnamed(&doomed).unwrap();
    file.write_all_at(b"kept", 0).unwrap();
    disk.remove_tree(&doomed).unwrap();
    assert_eq!(kind(file.publish(&doomed.join("name"))), Some(ErrorKind::NotFound));
    assert_eq!(contents(&*file), b"kept");
    file.write_all_at(b"!", 4).unwrap();
    assert_eq!(contents(&*file), b"kept!");
}

fn one_of_many_publishers_wins(disk: &dyn Disk, dir: &Path) {
    const PUBLISHERS: usize = 4;
    for round in 0..20 {
        let name = dir.join(round.to_string());
        let start = Barrier::new(PUBLISHERS);
        let won = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for publisher in 0..PUBLISHERS {
                let (name, start, won) = (&name, &start, &won);
                scope.spawn(move || {
                    let file = disk.create_unnamed(dir).unwrap();
                    file.write_all_at(&[b'0' + u8::try_from(publisher).unwrap(); 1000], 0).unwrap();
                    start.wait();
                    match file.publish(name) {
                        Ok(()) => drop(won.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
                    }
                });
            }
        });
        assert_eq!(won.into_inner(), 1);
        let bytes = contents(&*disk.open(&name).unwrap());
        assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
    }
}

fn open_files_outlive_their_names(disk: &dyn Disk, dir: &Path) {
    let name = dir.join("name");
    publish(disk, &name, b"old");
    let old = disk.open(&name).unwrap();
    disk.remove_file(&name).unwrap();
    assert_eq!(kind(disk.open(&name)), Some(ErrorKind::NotFound));
    publish(disk, &name, b"new");
    assert_eq!(contents(&*old), b"old");
    assert_eq!(contents(&*disk.open(&name).unwrap()), b"new");
    disk.remove_tree(dir).unwrap();
    assert_eq!(contents(&*old), b"old");
}

fn fingerprints_tell_files_and_states_apart(disk: &dyn Disk, dir: &Path) {
    let state = |path: &PathBuf| disk.stat(path).unwrap().fingerprint;
    let (a, b) = (dir.join("a"), dir.join("b"));
    let before = state(&dir.to_owned());
    publish(disk, &a, b"same");
    publish(disk, &b, b"same");
    let after = state(&dir.to_owned());
    assert!(after.modified >= before.modified && after.inode == before.inode);
    assert_ne!(state(&a).inode, state(&b).inode);
    assert_eq!(state(&a).device, state(&b).device);
    assert_eq!(state(&a).size, 4);
    assert_eq!(state(&a), state(&a));
    assert_eq!(disk.open(&a).unwrap().stat().unwrap(), disk.stat(&a).unwrap());

    let now = SystemTime::now();
    assert!(!state(&a).rested(Duration::from_secs(3600), now));
    let age = |time: SystemTime| match now.duration_since(time) {
        Ok(age) => age,
        Err(ahead) => ahead.duration(),
    };
    assert!(age(state(&a).modified_time()) < Duration::from_secs(60));

    // Long enough for the coarsest clock that a local file system has.
    let file = disk.create_unnamed(dir).unwrap();
    let written = file.stat().unwrap().fingerprint;
    std::thread::sleep(Duration::from_millis(30));
    file.touch().unwrap();
    let touched = file.stat().unwrap().fingerprint;
    assert!(touched.modified > written.modified && touched.changed > written.changed);
    std::thread::sleep(Duration::from_millis(30));
    file.write_all_at(b"longer", 0).unwrap();
    let longer = file.stat().unwrap().fingerprint;
    assert_eq!((longer.size, longer.inode), (6, touched.inode));
    assert!(longer.changed > touched.changed);
    let listed = state(&dir.to_owned());
    std::thread::sleep(Duration::from_millis(30));
    file.publish(&dir.join("c")).unwrap();
    assert!(state(&dir.to_owned()).modified > listed.modified, "a new name must show");
}

fn reservations_do_not_show(disk: &dyn Disk, dir: &Path) {
    let file = disk.create_unnamed(dir).unwrap();
    file.reserve(0).unwrap();
    file.reserve(1 << 20).unwrap();
    assert_eq!(file.stat().unwrap().fingerprint.size, 0);
    file.write_all_at(b"little", 0).unwrap();
    assert_eq!(contents(&*file), b"little");
    file.reserve(3).unwrap();
    assert_eq!(contents(&*file), b"little");
    file.set_len(6).unwrap();
    assert_eq!(contents(&*file), b"little");
}

fn locks_exclude(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("lock");
    let lock = disk.try_lock(&path).unwrap().expect("the lock is free");
    assert!(disk.try_lock(&path).unwrap().is_none());
    assert!(disk.try_lock(&path).unwrap().is_none(), "the refused one must not have let it go");
    assert!(disk.try_lock(&dir.join("another")).unwrap().is_some());
    assert_eq!(names(disk, dir), ["lock"]);
    drop(lock);
    assert!(names(disk, dir).is_empty(), "the file goes with the lock");
    drop(disk.try_lock(&path).unwrap().expect("the lock is free again"));

    // Left by a process that was killed.
    publish(disk, &path, b"");
    drop(disk.try_lock(&path).unwrap().expect("the lock is free"));
    assert!(names(disk, dir).is_empty());

    // `rm -rf` of the cache under the holder: the next one gets a lock of its own, which the
    // first must not take away.
    let first = disk.try_lock(&path).unwrap().expect("the lock is free");
    disk.remove_file(&path).unwrap();
    let second = disk.try_lock(&path).unwrap().expect("the new file's lock is free");
    drop(first);
    assert_eq!(names(disk, dir), ["lock"]);
    assert!(disk.try_lock(&path).unwrap().is_none());
    drop(second);

    assert_eq!(kind(disk.try_lock(&dir.join("gone/lock"))), Some(ErrorKind::NotFound));
    assert!(disk.try_lock(dir).is_err());
}

fn locks_announce(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("lock");
    let size = || disk.stat(&path).unwrap().fingerprint.size;
    let held = disk.try_lock(&path).unwrap().unwrap();
    assert_eq!(size(), 0);
    for announced in [1 << 40, 7, 0] {
        held.announce(announced).unwrap();
        // Nothing is announced if a size would take room.
        assert!([announced, 0].contains(&size()) && (cfg!(windows) || size() == announced));
    }
    held.announce(5).unwrap();
    drop(held);
    assert_eq!(kind(disk.stat(&path)), Some(ErrorKind::NotFound));
    let _again = disk.try_lock(&path).unwrap().unwrap();
    assert_eq!(size(), 0, "an announcement ends with its lock");
}

fn files_in_use_stay(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("file");
    let writer = disk.create_unnamed(dir).unwrap();
    writer.write_all_at(b"bytes", 0).unwrap();
    writer.publish(&path).unwrap();
    let (one, two) = (disk.open(&path).unwrap(), disk.open(&path).unwrap());
    for user in [writer, one, two] {
        // No file counts as in use on a platform that cannot tell.
        assert!(cfg!(windows) || !disk.remove_unused(&path).unwrap());
        assert!(cfg!(windows) || contents(&*user) == b"bytes");
    }
    if cfg!(not(windows)) {
        assert!(disk.remove_unused(&path).unwrap());
    }
    assert_eq!(kind(disk.open(&path)), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.remove_unused(&path)), Some(ErrorKind::NotFound));
    assert!(disk.remove_unused(dir).is_err(), "a directory");
}

fn readers_follow_a_writer(disk: &dyn Disk, dir: &Path) {
    const PIECE: usize = 64 << 10;
    const LEN: usize = 32 * PIECE;
    let byte = |offset: usize| u8::try_from(offset / 7 % 251).unwrap();
    let file = disk.create_unnamed(dir).unwrap();
    file.reserve(LEN as u64).unwrap();
    let committed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut read = 0;
                let mut buffer = vec![0; 10_000];
                while read < LEN {
                    let there = usize::try_from(committed.load(Ordering::Acquire)).unwrap();
                    let wanted = (there - read).min(buffer.len());
                    let len = file.read_at(&mut buffer[..wanted], read as u64).unwrap();
                    assert!(len > 0 || wanted == 0, "committed bytes can be read");
                    for (i, found) in buffer[..len].iter().enumerate() {
                        assert_eq!(*found, byte(read + i));
                    }
                    read += len;
                }
            });
        }
        for start in (0..LEN).step_by(PIECE) {
            let piece: Vec<u8> = (start..start + PIECE).map(byte).collect();
            file.write_all_at(&piece, start as u64).unwrap();
            committed.store((start + PIECE) as u64, Ordering::Release);
        }
    });
    assert_eq!(file.stat().unwrap().fingerprint.size, LEN as u64);
}
