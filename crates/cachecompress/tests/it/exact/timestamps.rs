//! File systems and clocks whose times say less than they seem to.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the test overwrites a file as another process does"
)]

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use cachecompress::fs::{DiskFile, Fingerprint, Stat};
use cachecompress::source::{Content, Found, SourceFile};
use cachecompress::{Directory, Error, ServeCompressed, Source, SourcePath};
use cachecompress_test::made::MadeFile;
use cachecompress_test::service::{LONG, get, head, run};
use cachecompress_test::site::Site;

use crate::fixture::edited::{Edited, always_looks};

const SECOND: i128 = 1_000_000_000;

/// A directory on a file system that counts times in whole seconds, as ext4 with inodes of 128 bytes.
#[derive(Debug)]
struct InSeconds(Directory);

impl Source for InSeconds {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        Ok(match self.0.lookup(path)? {
            Found::File(SourceFile { content: Content::File { file, fingerprint }, .. }) => {
                let fingerprint = in_seconds(fingerprint);
                Found::File(SourceFile::from_disk_file(Arc::new(File(file)), fingerprint))
            }
            found => found,
        })
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.0.paths()
    }
}

#[derive(Debug)]
struct File(Arc<dyn DiskFile>);

impl DiskFile for File {
    fn stat(&self) -> io::Result<Stat> {
        let stat = self.0.stat()?;
        Ok(Stat { fingerprint: in_seconds(stat.fingerprint), ..stat })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

fn in_seconds(fingerprint: Fingerprint) -> Fingerprint {
    let whole = |time: i128| time - time.rem_euclid(SECOND);
    let (modified, changed) = (whole(fingerprint.modified), whole(fingerprint.changed));
    Fingerprint { modified, changed, ..fingerprint }
}

/// The rule of 20 ms trusted the times of every file system. In 157 of 916 responses a file that was
/// being overwritten ended well, half old and half new, under a strong tag.
#[test]
fn mixture_never_gets_a_tag_when_times_are_in_seconds() {
    for len in [200_000, 300_000] {
        let site = Site::with("a.txt", &vec![b'a'; len]);
        let source = InSeconds(Directory::new(site.path()).unwrap());
        let (ended, path) = (Arc::new(AtomicBool::new(false)), site.file("a.txt"));
        let writer = std::thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let file = std::fs::File::options().write(true).open(path).unwrap();
                for round in 0_u8.. {
                    for at in (0..len).step_by(len / 10) {
                        let piece = vec![b'a' + round % 26; len / 10];
                        file.write_all_at(&piece, at as u64).unwrap();
                        std::thread::sleep(Duration::from_millis(5));
                        if ended.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                }
            }
        });
        run(async {
            let builder = ServeCompressed::builder(source).patience(LONG);
            let service = builder.revalidate(Duration::ZERO).build().unwrap();
            for _ in 0..200 {
                let answer = get(&service, "/a.txt", &[]).await;
                let Ok(bytes) = &answer.body else { continue };
                let is_mixed = bytes.iter().any(|byte| *byte != bytes[0]);
                assert!(!is_mixed || answer.field("etag").is_empty(), "{:?}", answer.headers);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        ended.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }
}

/// A file from before the clock was set back, or of a server whose clock is ahead, was hashed again
/// at every look until the clock had passed its time.
#[test]
fn file_from_the_future_is_hashed_until_it_has_rested_by_our_own_clock() {
    for odd in [1, 0] {
        run(async move {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let future = (i128::from(now.as_secs()) + 3600) * SECOND + odd;
            let file = Arc::new(MadeFile::repeated(b'a', 300_000).changed(future));
            let source = Edited::new(Some(file.source()));
            source.lookups.open_wide();
            let service = always_looks(&source);
            let begun = std::time::Instant::now();
            let mut last = (Duration::ZERO, 0);
            // Once it has rested for four looks in a row, it is not hashed any more.
            let mut unread = 0;
            while unread < 4 {
                let answer = head(&service, "/a.txt", &[]).await;
                assert_eq!(answer.status, 200);
                let read = file.bytes_read();
                unread =
                    if read == last.1 && !answer.field("etag").is_empty() { unread + 1 } else { 0 };
                last = (begun.elapsed(), read);
                assert!(last.0 < cachecompress_test::wait::PATIENCE, "it is still hashed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(last.0 > Duration::from_secs(2), "no time of the file vouches for it");
        });
    }
}
