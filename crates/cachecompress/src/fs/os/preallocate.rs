//! Room on the disk before the first byte.

pub(super) use os::reserve;

#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod os {
    use std::fs::File;
    use std::io;

    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    /// `fallocate` that keeps the size. (Not `posix_fallocate`, which writes zeros where the
    /// file system cannot.)
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

    /// Nothing: a write finds out.
    pub(in crate::fs::os) fn reserve(_: &File, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux", not(cachecompress_portable)))]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    /// The reservation must not outlive the encode, or a cache of small entries fills the disk.
    #[test]
    fn room_is_taken_at_once_and_given_back_by_the_final_length() {
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
