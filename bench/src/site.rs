//! The files that are served. They are made once, and are the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::Connection;
use crate::options::Options;
use crate::{Outcome, check, places, text};

/// Changes whenever other files are made, so that old ones are not taken for them.
const VERSION: &str = "3\n";

/// The site and where it lies.
#[derive(Debug)]
pub(crate) struct Site {
    root: PathBuf,
}

/// A file of the site, under the name by which tables call it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// Its length; for texts that of its gzip, about.
    pub(crate) length: u64,
}

/// Texts, by the length of their gzip.
const TEXTS: [Page; 5] = [
    Page { name: "1.4 KB", path: "/text/1k.txt", length: 1_400 },
    Page { name: "33 KB", path: "/text/33k.txt", length: 33_000 },
    Page { name: "92 KB", path: "/text/92k.txt", length: 92_000 },
    Page { name: "4 MB", path: "/text/4m.txt", length: 4_000_000 },
    Page { name: "60 MB", path: "/text/60m.txt", length: 60_000_000 },
];
/// A font and a film, which nobody compresses again.
pub(crate) const MEDIA: [Page; 2] = [
    Page { name: "92 KB", path: "/media/92k.woff2", length: 92_000 },
    Page { name: "4 MB", path: "/media/4m.mp4", length: 4_000_000 },
];
/// A program for download.
pub(crate) const PROGRAM: Page =
    Page { name: "10 MB program", path: "/program/10m.bin", length: 10_000_000 };
/// A text that is longer than anything else.
const HUGE: Page = Page { name: "2 GB", path: "/text/2g.txt", length: 800_000_000 };
/// Films of any length.
const SIZES: [Page; 8] = [
    Page { name: "1 KB", path: "/sizes/1k.mp4", length: 1_000 },
    Page { name: "10 KB", path: "/sizes/10k.mp4", length: 10_000 },
    Page { name: "100 KB", path: "/sizes/100k.mp4", length: 100_000 },
    Page { name: "1 MB", path: "/sizes/1m.mp4", length: 1_000_000 },
    Page { name: "10 MB", path: "/sizes/10m.mp4", length: 10_000_000 },
    Page { name: "100 MB", path: "/sizes/100m.mp4", length: 100_000_000 },
    Page { name: "1 GB", path: "/sizes/1g.mp4", length: 1_000_000_000 },
    Page { name: "2 GB", path: "/sizes/2g.mp4", length: 2_000_000_000 },
];
/// The paths of the many small files, of their number in thousands and their number.
pub(crate) const FILES: &str = "/files/%03d/%06d.txt";
/// How many at once ask for the small files to be ready.
const VISITORS: u32 = 4;
/// After so long a file has come to rest.
const REST: Duration = Duration::from_millis(2500);

impl Site {
    /// The site that `root` holds, which is emptied if another version of this program made it.
    pub(crate) fn open(root: &Path) -> Outcome<Self> {
        let stamp = root.join(".version");
        if fs::read_to_string(&stamp).unwrap_or_default() != VERSION {
            places::create_empty(root)?;
            places::write(&stamp, VERSION.as_bytes())?;
        }
        Ok(Self { root: root.to_owned() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The file of a path.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The texts of the warm cases.
    pub(crate) fn texts(&self, options: &Options) -> Outcome<Vec<Page>> {
        let (full, quick) = (TEXTS.to_vec(), vec![TEXTS[0], TEXTS[2], TEXTS[3]]);
        let pages = options.extent(full, quick);
        for page in &pages {
            self.make(page, || text::script_of_coded_length(page.length, page.length as usize))?;
        }
        Ok(pages)
    }

    /// The largest text.
    pub(crate) fn largest_text(&self, options: &Options) -> Outcome<Page> {
        self.texts(options)?.pop().ok_or("no text".into())
    }

    /// `text` again and again, until it has 2 GB: no window reaches from one to the next.
    pub(crate) fn huge_text(&self, text: &Page) -> Outcome<Page> {
        let bytes = places::read(&self.file(text.path))?;
        self.make(&HUGE, || bytes.repeat(2_000_000_000_usize.div_ceil(bytes.len())))?;
        Ok(HUGE)
    }

    pub(crate) fn media(&self) -> Outcome<Vec<Page>> {
        for page in &MEDIA {
            self.make(page, || text::noise(page.length, page.length as usize))?;
        }
        Ok(MEDIA.to_vec())
    }

    pub(crate) fn program(&self) -> Outcome<Page> {
        self.make(&PROGRAM, || text::program(5, PROGRAM.length as usize))?;
        Ok(PROGRAM)
    }

    pub(crate) fn sizes(&self, options: &Options) -> Outcome<Vec<Page>> {
        let pages = SIZES[..options.extent(SIZES.len(), 5)].to_vec();
        for page in &pages {
            self.make(page, || text::noise(page.length, page.length as usize))?;
        }
        Ok(pages)
    }

    /// The first `count` of the small files.
    pub(crate) fn small_files(&self, count: u32) -> Outcome<()> {
        let mut made = false;
        for index in 0..count {
            let file = self.file(&small_file(index));
            if !file.exists() {
                let length = 1_000 + (index as usize * 37) % 2_000;
                places::write(&file, &text::script(u64::from(index) + 100, length))?;
                made = true;
            }
        }
        if made {
            std::thread::sleep(REST);
        }
        Ok(())
    }

    /// Puts beside each of the texts and the program what our server makes of them, so that all
    /// servers send the same bytes.
    pub(crate) fn siblings(&self, port: u16, pages: &[Page]) -> Outcome<()> {
        for page in pages {
            let file = self.file(page.path);
            let (_, coded) = check::warm(port, page.path, "gzip", &file)?;
            write_sibling(&file, &coded)?;
        }
        Ok(())
    }

    /// Asks for each of the small files, and with `keep` puts what comes beside it.
    pub(crate) fn visit_small_files(&self, port: u16, count: u32, keep: bool) -> Outcome<()> {
        let visit = |first: u32| {
            let mut connection = Connection::open(port)?;
            for index in (first..count).step_by(VISITORS as usize) {
                let path = small_file(index);
                let coded = ask_for_gzip(&mut connection, &path)?;
                if keep {
                    write_sibling(&self.file(&path), &coded)?;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let visitors: Vec<_> =
                (0..VISITORS).map(|first| scope.spawn(move || visit(first))).collect();
            let mut ends = visitors.into_iter().map(std::thread::ScopedJoinHandle::join);
            ends.try_for_each(|end| end.unwrap_or(Err("a visitor panicked".into())))
        })
    }

    /// Makes a file if it is not there in its full length.
    fn make(&self, page: &Page, bytes: impl FnOnce() -> Vec<u8>) -> Outcome<()> {
        let file = self.file(page.path);
        if file.exists() {
            return Ok(());
        }
        println!("  making {}", page.path);
        // Renamed, so that one that was cut off by a signal is not taken for the whole.
        let unfinished = file.with_extension("unfinished");
        places::write(&unfinished, &bytes())?;
        fs::rename(&unfinished, &file)
            .map_err(|error| format!("cannot make {}: {error}", file.display()))?;
        // Ours takes a file that has just changed for one that may be changing still, and reads it
        // again and again; no visitor meets that.
        std::thread::sleep(REST);
        Ok(())
    }
}

/// The path of a small file.
pub(crate) fn small_file(index: u32) -> String {
    format!("/files/{:03}/{index:06}.txt", index / 1000)
}

/// Asks until it comes as gzip; the first answers may come before the encoder had its turn.
fn ask_for_gzip(connection: &mut Connection, path: &str) -> Outcome<Vec<u8>> {
    for _ in 0..100 {
        let mut body = Vec::new();
        let answer = connection.get(path, &[("Accept-Encoding", "gzip")], &mut body)?;
        if answer.status != 200 {
            return Err(format!("{path}: status {}", answer.status));
        }
        if answer.coding() == "gzip" {
            return Ok(body);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("{path}: never comes as gzip"))
}

/// Writes `file.gz`, if it is not there already.
fn write_sibling(file: &Path, coded: &[u8]) -> Outcome<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".gz");
    let sibling = PathBuf::from(name);
    let same = fs::read(&sibling).is_ok_and(|bytes| bytes == coded);
    if same { Ok(()) } else { places::write(&sibling, coded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_and_the_function_name_the_same_file() {
        assert_eq!(FILES, "/files/%03d/%06d.txt");
        assert_eq!(small_file(99_999), "/files/099/099999.txt");
        assert_eq!(small_file(7), "/files/000/000007.txt");
    }
}
