//! Calls that answer from the kernel's caches, and fail where they would wait for the disk.

pub(super) use os::{is_local, open, open_beneath, read_at, stat, stat_beneath};

#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod os {
    use std::fs::File;
    use std::io::{self, IoSliceMut};
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::Path;

    use rustix::fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstatfs, makedev, openat2,
        statx,
    };
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    use crate::fs::{FileKind, Fingerprint, Stat, Symlinks};

    /// The local file systems: ext, XFS, Btrfs, F2FS, bcachefs, ZFS, tmpfs, overlayfs, EROFS,
    /// SquashFS.
    ///
    /// Nobody but this kernel changes their files, so its caches are true and it need not ask
    /// anybody. Any other is taken for a network's.
    const LOCAL: [u64; 10] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0xf2f5_2010,
        0xca45_1a4e,
        0x2fc1_2fc1,
        0x0102_1994,
        0x794c_7630,
        0xe0f5_e1e2,
        0x7371_7368,
    ];

    /// How the kernel resolves a path on the root's file system.
    fn resolution(symlinks: Symlinks) -> ResolveFlags {
        ResolveFlags::NO_XDEV
            | match symlinks {
                Symlinks::Within => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
                Symlinks::Follow => ResolveFlags::empty(),
                Symlinks::Deny => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            }
    }

    /// `O_PATH` opens no file, so not even a device notices.
    const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

    /// Whether `dir` lies on a file system of this machine.
    pub(in crate::fs::os) fn is_local(dir: &File) -> bool {
        // The number has 32 bits, and some platforms sign it.
        fstatfs(dir).is_ok_and(|found| LOCAL.contains(&(found.f_type as u64 & 0xffff_ffff)))
    }

    /// Opens `path` with the flags of [`plain_file`](super::super::platform::plain_file), if the
    /// kernel has all of the path in its cache.
    pub(in crate::fs::os) fn open(path: &Path) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        cached(CWD, path, flags, ResolveFlags::empty()).map(File::from)
    }

    /// Opens the regular file `path` beneath `dir`, on its file system, if the kernel has it in its
    /// cache.
    pub(in crate::fs::os) fn open_beneath(
        dir: &File,
        path: &Path,
        symlinks: Symlinks,
    ) -> io::Result<File> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        beneath(dir, path, flags, symlinks).map(File::from)
    }

    /// Returns what stands at `path`, if the kernel has all of the path in its cache.
    pub(in crate::fs::os) fn stat(path: &Path) -> io::Result<Stat> {
        look(cached(CWD, path, LOOK, ResolveFlags::empty())?)
    }

    /// Returns what stands at `path` beneath `dir`, on its file system, if the kernel has it in its
    /// cache.
    pub(in crate::fs::os) fn stat_beneath(
        dir: &File,
        path: &Path,
        symlinks: Symlinks,
    ) -> io::Result<Stat> {
        look(beneath(dir, path, LOOK, symlinks)?)
    }

    fn beneath(dir: &File, path: &Path, flags: OFlags, symlinks: Symlinks) -> io::Result<OwnedFd> {
        match cached(dir, path, flags, resolution(symlinks)) {
            // A symlink that is not followed is told by the lookup that may wait.
            Err(error) if symlinks == Symlinks::Deny && is_loop(&error) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            done => done,
        }
    }

    fn is_loop(error: &io::Error) -> bool {
        Errno::from_io_error(error) == Some(Errno::LOOP)
    }

    fn look(there: OwnedFd) -> io::Result<Stat> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = statx(there, "", flags, StatxFlags::BASIC_STATS)?;
        let kind = match FileType::from_raw_mode(found.stx_mode.into()) {
            FileType::RegularFile => FileKind::Regular,
            FileType::Directory => FileKind::Directory,
            _ => FileKind::Other,
        };
        let nanos = |time: rustix::fs::StatxTimestamp| {
            i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
        };
        let fingerprint = Fingerprint {
            device: makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            size: found.stx_size,
            modified: nanos(found.stx_mtime),
            changed: nanos(found.stx_ctime),
        };
        Ok(Stat { kind, fingerprint })
    }

    /// Opens `path` from the kernel's cache of names; `WouldBlock` if it is not in there.
    fn cached(
        dir: impl AsFd,
        path: &Path,
        flags: OFlags,
        how: ResolveFlags,
    ) -> io::Result<OwnedFd> {
        match openat2(dir, path, flags, Mode::empty(), how | ResolveFlags::CACHED) {
            // The path leads out or to another file system (XDEV), the kernel is older than 5.12,
            // or a filter forbids the call.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            done => Ok(done?),
        }
    }

    /// Calls `preadv2` with `RWF_NOWAIT`. A file system that cannot do that counts as a wait.
    pub(in crate::fs::os) fn read_at(
        file: &File,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let wanted = buffer.len();
        let read = preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT);
        match read {
            // Linux 5.9 and 5.10 may return 0 before the end of the file (preadv2(2), BUGS).
            Ok(0) if wanted > 0 && file.metadata()?.len() > offset => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Ok(read) => Ok(read),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
mod os {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use crate::fs::{Stat, Symlinks};

    pub(in crate::fs::os) fn is_local(_: &File) -> bool {
        false
    }

    /// Always a wait, here and below, because the platform cannot tell.
    pub(in crate::fs::os) fn open(_: &Path) -> io::Result<File> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(in crate::fs::os) fn stat(_: &Path) -> io::Result<Stat> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(in crate::fs::os) fn open_beneath(_: &File, _: &Path, _: Symlinks) -> io::Result<File> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(in crate::fs::os) fn stat_beneath(_: &File, _: &Path, _: Symlinks) -> io::Result<Stat> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(in crate::fs::os) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
