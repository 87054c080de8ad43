//! The site that both serve: the one of the examples, and files that are hard to serve.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cachecompress::{Memory, ServeCompressed};
use cachecompress_examples::StartError;
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// The examples' own site.
const SITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/site");

/// Text that is long enough to be compressed.
const LINE: &str = "Both serve this line, and the comparison reads it from both.\n";

/// The files beside those of [`SITE`].
const FILES: [(&str, &str); 26] = [
    (".env", "SECRET=1\n"),
    (".git/config", "[core]\n"),
    (".well-known/security.txt", "Contact: mailto:security@example.org\n"),
    ("100%.txt", LINE),
    ("LICENSE", LINE),
    ("UPPER.CSS", LINE),
    ("about.html", "<!doctype html><title>About</title>\n"),
    ("bare/file.txt", LINE),
    ("data.xml", "<data/>\n"),
    ("empty.txt", ""),
    ("feed.atom", "<feed/>\n"),
    ("file.unknown-type", LINE),
    ("font.woff2", "wOF2"),
    ("grüße.txt", LINE),
    ("module.mjs", "export {};\n"),
    ("name with space.txt", LINE),
    ("notes.md", "# Notes\n"),
    ("robots.txt", LINE),
    ("script.js.map", "{}\n"),
    ("site.webmanifest", "{}\n"),
    ("stale.css", "body { color: navy }\n"),
    ("tomorrow.txt", LINE),
    ("two words/index.html", "<!doctype html><title>Two words</title>\n"),
    ("types.ts", "export type A = string;\n"),
    ("upload.csv", "a,b\n"),
    ("view.jsx", "export {};\n"),
];

/// Every file's date, in seconds. The requests name it.
const DATE: Duration = Duration::from_secs(1_700_000_000);

/// Directories to serve, made for one run.
///
/// - `dist` is the site. It is beside a file that is not of the site.
/// - `redeployed` is the site after a redeploy. Its files are of a later date, but for
///   `robots.txt`, which has other bytes and the same length and date.
/// - `siblings` has encoded siblings, one of them of an older file.
pub(crate) struct Site {
    root: TempDir,
}

impl Site {
    /// Writes the directories.
    pub(crate) async fn create() -> Result<Self, StartError> {
        let site = Self { root: TempDir::with_prefix("beside-")? };
        site.write("outside.txt", b"This file is not of the site.\n")?;
        for directory in ["dist", "redeployed"] {
            copy(Path::new(SITE), &site.path(directory))?;
            for (name, text) in FILES {
                let text = text.repeat(if text == LINE { 30 } else { 1 });
                site.write(&format!("{directory}/{name}"), text.as_bytes())?;
            }
        }
        #[cfg(unix)]
        site.link()?;
        site.write_siblings().await?;
        date(site.root(), SystemTime::UNIX_EPOCH + DATE)?;
        site.date("dist/tomorrow.txt", Duration::from_secs(4_000_000_000))?;
        site.date("redeployed/style.css", DATE * 101 / 100)?;
        site.write("redeployed/robots.txt", LINE.to_uppercase().repeat(30).as_bytes())?;
        site.date("redeployed/robots.txt", DATE)?;
        Ok(site)
    }

    /// The directory above `dist`.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)
    }

    fn date(&self, name: &str, since_epoch: Duration) -> io::Result<()> {
        set_modified(&self.path(name), SystemTime::UNIX_EPOCH + since_epoch)
    }

    async fn write_siblings(&self) -> Result<(), StartError> {
        let style = fs::read(self.path("dist/style.css"))?;
        let codings = [("br", "br"), ("zstd", "zst"), ("gzip", "gz"), ("deflate", "zz")];
        for (coding, extension) in codings {
            let sibling = encode(&style, coding).await?;
            self.write(&format!("siblings/style.css.{extension}"), &sibling)?;
        }
        self.write("siblings/style.css", &style)?;
        let old = encode("body { color: maroon }\n".repeat(20).as_bytes(), "gzip").await?;
        self.write("siblings/stale.css.gz", &old)?;
        self.write("siblings/stale.css", "body { color: navy }\n".repeat(20).as_bytes())?;
        for name in ["robots.txt", "pixels.png"] {
            self.write(&format!("siblings/{name}"), &fs::read(self.path("dist").join(name))?)?;
        }
        Ok(())
    }

    #[cfg(unix)]
    fn link(&self) -> io::Result<()> {
        let link = |target: &Path, name: &str| {
            std::os::unix::fs::symlink(target, self.path("dist").join(name))
        };
        link(Path::new("style.css"), "link.css")?;
        link(Path::new("../outside.txt"), "outside.txt")?;
        link(&self.path("dist/style.css"), "absolute.css")
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

/// Dates all files below `directory`.
fn date(directory: &Path, time: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            date(&entry.path(), time)?;
        } else if kind.is_file() {
            set_modified(&entry.path(), time)?;
        }
    }
    Ok(())
}

fn set_modified(path: &Path, time: SystemTime) -> io::Result<()> {
    fs::File::options().write(true).open(path)?.set_modified(time)
}

/// Encodes bytes as a build step would.
async fn encode(bytes: &[u8], coding: &str) -> Result<Vec<u8>, StartError> {
    let source = Memory::new().file("file.css", bytes.to_vec());
    let service = ServeCompressed::builder(source).patience(Duration::from_secs(60)).build()?;
    let request = http::Request::get("/file.css").header("accept-encoding", coding).body(())?;
    let Ok(response) = service.oneshot(request).await;
    if response.headers().get("content-encoding").is_none_or(|sent| sent != coding) {
        return Err(format!("nothing was encoded in {coding}").into());
    }
    Ok(response.into_body().collect().await?.to_bytes().to_vec())
}
