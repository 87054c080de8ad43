//! Reading only what needs no wait for the disk.

pub(super) use os::read_at;

#[cfg(all(target_os = "linux", not(cachecompress_portable)))]
mod os {
    use std::fs::File;
    use std::io::{self, IoSliceMut};

    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    /// `preadv2` with `RWF_NOWAIT`; what a file system cannot do is taken for a wait.
    pub(in super::super) fn read_at(
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

    /// It cannot be told, so it is always a wait.
    pub(in super::super) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
