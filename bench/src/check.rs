//! Checks that a server answers correctly, before its speed is measured.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fs_err::File;

use crate::client::{self, Response};

/// The time in which a server must have a file in the wanted coding.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(180);

/// Requests `path` until it comes in `coding` and from the cache, and compares the body, which it
/// returns, with the file.
pub(crate) fn warm(
    port: u16,
    path: &str,
    coding: &str,
    file: &Path,
) -> anyhow::Result<(Response, Vec<u8>)> {
    let start = Instant::now();
    loop {
        let mut body = Vec::new();
        let response = client::get(port, path, &[("Accept-Encoding", coding)], &mut body)?;
        ensure!(response.status == 200, "{path}: status {}", response.status);
        // Only our server sends this field; it needs a moment for the first response.
        let ready = response.header("cache-status").is_none_or(|status| status.contains("hit"));
        if response.coding() == coding && ready {
            decodes_to(coding, &body, file).with_context(|| path.to_owned())?;
            return Ok((response, body));
        }
        if start.elapsed() > WARM_UP_TIMEOUT {
            bail!("{path}: comes in `{}`, never in `{coding}`", response.coding());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Requests `path` without a coding, and compares the body with the file.
pub(crate) fn identity(port: u16, path: &str, file: &Path) -> anyhow::Result<()> {
    let mut compare = Compare::open(file)?;
    let response = client::get(port, path, &[], &mut compare)?;
    if (response.status, response.coding()) != (200, "identity") {
        bail!("{path}: status {}, coding {}", response.status, response.coding());
    }
    compare.finish().with_context(|| path.to_owned())
}

/// Requests a range of `path`, and compares it with the file's bytes.
pub(crate) fn range(
    port: u16,
    path: &str,
    file: &Path,
    from: u64,
    length: u64,
) -> anyhow::Result<()> {
    let mut body = Vec::new();
    let wanted = format!("bytes={from}-{}", from + length - 1);
    let response = client::get(port, path, &[("Range", &wanted)], &mut body)?;
    ensure!(response.status == 206, "{path}: status {} for a range", response.status);
    let source = fs_err::read(file)?;
    let expected = source.get(from as usize..(from + length) as usize);
    ensure!(expected == Some(&body), "{path}: a range of other bytes");
    Ok(())
}

/// Checks that `body` decodes to exactly the bytes of `file`.
pub(crate) fn decodes_to(coding: &str, body: &[u8], file: &Path) -> anyhow::Result<()> {
    let mut compare = Compare::open(file)?;
    let mut decoder: Box<dyn Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(body)?),
        "br" => Box::new(brotli_decompressor::Decompressor::new(body, 1 << 16)),
        "identity" => Box::new(body),
        other => bail!("the bench has no decoder for `{other}`"),
    };
    io::copy(&mut decoder, &mut compare).context("the body does not decode")?;
    compare.finish()
}

/// A sink that accepts only the bytes of a file.
#[derive(Debug)]
struct Compare {
    file: BufReader<File>,
    buffer: Vec<u8>,
}

impl Compare {
    fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 20, File::open(path)?), buffer: Vec::new() })
    }

    /// Checks that no byte of the file is missing.
    fn finish(mut self) -> anyhow::Result<()> {
        ensure!(self.file.read(&mut [0])? == 0, "the body is shorter than the file");
        Ok(())
    }
}

impl Write for Compare {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.resize(bytes.len(), 0);
        self.file.read_exact(&mut self.buffer)?;
        if self.buffer == bytes {
            return Ok(bytes.len());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "other bytes than the file's"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_to_accepts_the_files_bytes_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs_err::write(&file, b"the file").unwrap();
        decodes_to("identity", b"the file", &file).unwrap();
        for wrong in [&b"the f"[..], b"the file and more", b"the fils"] {
            assert!(decodes_to("identity", wrong, &file).is_err(), "{wrong:?}");
        }
        let encoded = zstd::encode_all(&b"the file"[..], 1).unwrap();
        decodes_to("zstd", &encoded, &file).unwrap();
        assert!(decodes_to("gzip", &encoded, &file).is_err());
    }
}
