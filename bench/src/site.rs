//! The served files. They are made once, and are the same on every machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;

use crate::client::Client;
use crate::options::Options;
use crate::{check, files, text};

/// The version of the files, which changes when other ones are made.
const VERSION: &str = "3\n";

#[derive(Debug)]
pub(crate) struct Site {
    root: PathBuf,
}

/// A file of the site, with its name in tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asset {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// The length; for texts the approximate length of the gzip.
    pub(crate) length: u64,
}

/// Texts, by the length of their gzip.
const TEXTS: [Asset; 5] = [
    Asset { name: "1.4 KB", path: "/text/1k.txt", length: 1_400 },
    Asset { name: "33 KB", path: "/text/33k.txt", length: 33_000 },
    Asset { name: "92 KB", path: "/text/92k.txt", length: 92_000 },
    Asset { name: "4 MB", path: "/text/4m.txt", length: 4_000_000 },
    Asset { name: "60 MB", path: "/text/60m.txt", length: 60_000_000 },
];
/// A font, which is never compressed.
const FONT: Asset = Asset { name: "92 KB", path: "/media/92k.woff2", length: 92_000 };
/// A film, which is never compressed.
const FILM: Asset = Asset { name: "4 MB", path: "/media/4m.mp4", length: 4_000_000 };
/// A program for download.
pub(crate) const PROGRAM: Asset =
    Asset { name: "10 MB program", path: "/program/10m.bin", length: 10_000_000 };
/// The longest text.
const HUGE: Asset = Asset { name: "2 GB", path: "/text/2g.txt", length: 800_000_000 };
/// Films of any length.
const SIZES: [Asset; 8] = [
    Asset { name: "1 KB", path: "/sizes/1k.mp4", length: 1_000 },
    Asset { name: "10 KB", path: "/sizes/10k.mp4", length: 10_000 },
    Asset { name: "100 KB", path: "/sizes/100k.mp4", length: 100_000 },
    Asset { name: "1 MB", path: "/sizes/1m.mp4", length: 1_000_000 },
    Asset { name: "10 MB", path: "/sizes/10m.mp4", length: 10_000_000 },
    Asset { name: "100 MB", path: "/sizes/100m.mp4", length: 100_000_000 },
    Asset { name: "1 GB", path: "/sizes/1g.mp4", length: 1_000_000_000 },
    Asset { name: "2 GB", path: "/sizes/2g.mp4", length: 2_000_000_000 },
];
/// The pattern of the small files' paths, for the thousands of an index and the index.
pub(crate) const SMALL_FILE_PATTERN: &str = "/files/%03d/%06d.txt";
/// The clients that request the small files at once.
const CLIENTS: u32 = 4;
/// The age from which our server takes a file for unchanging.
const SETTLED_AFTER: Duration = Duration::from_millis(2500);

impl Site {
    /// The site in `root`, which is emptied if it has files of another version.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        let stamp = root.join(".version");
        if fs::read_to_string(&stamp).unwrap_or_default() != VERSION {
            files::create_empty(root)?;
            files::write(&stamp, VERSION)?;
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
    pub(crate) fn texts(&self, options: &Options) -> anyhow::Result<Vec<Asset>> {
        let (full, quick) = (TEXTS.to_vec(), vec![TEXTS[0], TEXTS[2], TEXTS[3]]);
        let assets = options.scope(full, quick);
        for asset in &assets {
            self.make(asset, || {
                text::script_of_encoded_length(asset.length, asset.length as usize)
            })?;
        }
        Ok(assets)
    }

    /// The largest text.
    pub(crate) fn largest_text(&self, options: &Options) -> anyhow::Result<Asset> {
        self.texts(options)?.pop().context("no text")
    }

    /// `text` repeated up to 2 GB; no encoder's window reaches from one copy to the next.
    pub(crate) fn huge_text(&self, text: &Asset) -> anyhow::Result<Asset> {
        let bytes = fs::read(self.file(text.path))?;
        self.make(&HUGE, || bytes.repeat(2_000_000_000_usize.div_ceil(bytes.len())))?;
        Ok(HUGE)
    }

    pub(crate) fn media(&self) -> anyhow::Result<[Asset; 2]> {
        for asset in &[FONT, FILM] {
            self.make(asset, || text::noise(asset.length, asset.length as usize))?;
        }
        Ok([FONT, FILM])
    }

    pub(crate) fn program(&self) -> anyhow::Result<Asset> {
        self.make(&PROGRAM, || text::program(5, PROGRAM.length as usize))?;
        Ok(PROGRAM)
    }

    pub(crate) fn sizes(&self, options: &Options) -> anyhow::Result<Vec<Asset>> {
        let assets = SIZES[..options.scope(SIZES.len(), 5)].to_vec();
        for asset in &assets {
            self.make(asset, || text::noise(asset.length, asset.length as usize))?;
        }
        Ok(assets)
    }

    /// Makes the first `count` of the small files.
    pub(crate) fn small_files(&self, count: u32) -> anyhow::Result<()> {
        let mut made = false;
        for index in 0..count {
            let file = self.file(&small_file(index));
            if !file.exists() {
                let length = 1_000 + (index as usize * 37) % 2_000;
                files::write(&file, text::script(u64::from(index) + 100, length))?;
                made = true;
            }
        }
        if made {
            std::thread::sleep(SETTLED_AFTER);
        }
        Ok(())
    }

    /// Precompresses `assets` with our server's encodings, so that all servers send the same bytes.
    pub(crate) fn precompress(&self, port: u16, assets: &[Asset]) -> anyhow::Result<()> {
        for asset in assets {
            let file = self.file(asset.path);
            let (_, encoded) = check::warm(port, asset.path, "gzip", &file)?;
            write_precompressed(&file, &encoded)?;
        }
        Ok(())
    }

    /// Requests each of the small files as gzip, and with `keep` stores the bodies as precompressed
    /// files.
    pub(crate) fn warm_small_files(&self, port: u16, count: u32, keep: bool) -> anyhow::Result<()> {
        let warm = |first: u32| {
            let client = Client::new(port);
            for index in (first..count).step_by(CLIENTS as usize) {
                let path = small_file(index);
                let encoded = get_gzip(&client, &path)?;
                if keep {
                    write_precompressed(&self.file(&path), &encoded)?;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|first| scope.spawn(move || warm(first))).collect();
            let mut ends = clients.into_iter().map(std::thread::ScopedJoinHandle::join);
            ends.try_for_each(|end| end.unwrap_or_else(|_| bail!("a client panicked")))
        })
    }

    /// Makes a file, if it is missing.
    fn make(&self, asset: &Asset, bytes: impl FnOnce() -> Vec<u8>) -> anyhow::Result<()> {
        let file = self.file(asset.path);
        if file.exists() {
            return Ok(());
        }
        println!("  making {}", asset.path);
        // The rename makes the file appear complete or not at all.
        let unfinished = file.with_extension("unfinished");
        files::write(&unfinished, bytes())?;
        fs::rename(&unfinished, &file)?;
        // Our server reads a file again and again while its last change is recent.
        std::thread::sleep(SETTLED_AFTER);
        Ok(())
    }
}

/// The path of a small file.
pub(crate) fn small_file(index: u32) -> String {
    format!("/files/{:03}/{index:06}.txt", index / 1000)
}

/// Requests `path` until it comes as gzip. The first responses may precede the encoder.
fn get_gzip(client: &Client, path: &str) -> anyhow::Result<Vec<u8>> {
    for _ in 0..100 {
        let mut body = Vec::new();
        let response = client.get(path, &[("Accept-Encoding", "gzip")], &mut body)?;
        ensure!(response.status == 200, "{path}: status {}", response.status);
        if response.coding() == "gzip" {
            return Ok(body);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("{path}: never comes as gzip")
}

/// Writes `encoded` as `FILE.gz`, unless that file has these bytes.
fn write_precompressed(file: &Path, encoded: &[u8]) -> anyhow::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".gz");
    let precompressed = PathBuf::from(name);
    if !fs::read(&precompressed).is_ok_and(|bytes| bytes == encoded) {
        files::write(&precompressed, encoded)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_file_follows_the_pattern() {
        assert_eq!(SMALL_FILE_PATTERN, "/files/%03d/%06d.txt");
        assert_eq!(small_file(99_999), "/files/099/099999.txt");
        assert_eq!(small_file(7), "/files/000/000007.txt");
    }
}
