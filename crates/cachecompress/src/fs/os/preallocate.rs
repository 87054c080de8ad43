//! Reserves room on the disk before the first byte is written.

pub(super) use os::reserve;

#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod os {
    use std::fs::File;
    use std::io;

    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    /// Calls `fallocate`, which keeps the size. `posix_fallocate` would write zeros on a file system
    /// that cannot reserve.
    pub(in crate::fs::os) fn reserve(file: &File, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(()); // EINVAL otherwise
        }
        loop {
            match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", not(cachecompress_portable))))]
mod os {
    use std::fs::File;
    use std::io;

    /// Does nothing: a later write meets the full disk.
    pub(in crate::fs::os) fn reserve(_: &File, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux", not(cachecompress_portable)))]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    /// A reservation that outlives the encode would let a cache of small entries fill the disk.
    #[test]
    fn reservation_takes_room_at_once_and_ends_with_the_final_length() {
        let file = tempfile::tempfile().unwrap();
        let blocks = || file.metadata().unwrap().blocks();
        super::reserve(&file, 1 << 20).unwrap();
        if blocks() == 0 {
            return; // this file system cannot reserve
        }
        assert!(blocks() >= 2048, "{} blocks", blocks());
        assert_eq!(file.metadata().unwrap().len(), 0);
        crate::fs::os::platform::write_all_at(&file, &[7; 5000], 0).unwrap();
        file.set_len(5000).unwrap();
        assert!(blocks() <= 64, "{} blocks", blocks());
        super::reserve(&file, 0).unwrap();
        assert!(super::reserve(&file, 1 << 60).is_err());
    }
}
