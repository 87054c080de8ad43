//! Whether a server answers rightly; only then is it worth while to measure how fast.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::client::{self, Answer};

/// How long a server may take until it has a file in the wanted coding.
const WARM_UP: Duration = Duration::from_secs(180);

/// Asks for `path` until it comes in `coding` and is held ready, and compares the body, which it
/// returns, with the file.
pub(crate) fn warm(port: u16, path: &str, coding: &str, file: &Path) -> Outcome<(Answer, Vec<u8>)> {
    let start = Instant::now();
    loop {
        let mut body = Vec::new();
        let fields = [("Accept-Encoding", coding), ("Connection", "close")];
        let answer = client::get(port, path, &fields, &mut body)?;
        if answer.status != 200 {
            return Err(format!("{path}: status {}", answer.status));
        }
        // Of the servers here only ours says so; it needs a moment for the first answer.
        let ready = answer.field("cache-status").is_none_or(|status| status.contains("hit"));
        if answer.coding() == coding && ready {
            decodes_to(coding, &body, file).map_err(|error| format!("{path}: {error}"))?;
            return Ok((answer, body));
        }
        if start.elapsed() > WARM_UP {
            return Err(format!("{path}: comes in `{}`, never in `{coding}`", answer.coding()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks for `path` without any coding, and compares the body with the file.
pub(crate) fn identity(port: u16, path: &str, file: &Path) -> Outcome<Answer> {
    let mut compare = Compare::open(file)?;
    let answer = client::get(port, path, &[("Connection", "close")], &mut compare)?;
    if (answer.status, answer.coding()) != (200, "identity") {
        return Err(format!("{path}: status {}, coding {}", answer.status, answer.coding()));
    }
    compare.end().map_err(|error| format!("{path}: {error}"))?;
    Ok(answer)
}

/// Asks for a part of `path`, and compares it with the file's.
pub(crate) fn range(port: u16, path: &str, file: &Path, from: u64, length: u64) -> Outcome<()> {
    let mut body = Vec::new();
    let wanted = format!("bytes={from}-{}", from + length - 1);
    let fields = [("Range", wanted.as_str()), ("Connection", "close")];
    let answer = client::get(port, path, &fields, &mut body)?;
    if answer.status != 206 {
        return Err(format!("{path}: status {} for a range", answer.status));
    }
    let source = crate::places::read(file)?;
    let expected = source.get(from as usize..(from + length) as usize);
    if expected == Some(&body) { Ok(()) } else { Err(format!("{path}: a range of other bytes")) }
}

/// Whether `body` decodes to exactly the bytes of `file`.
pub(crate) fn decodes_to(coding: &str, body: &[u8], file: &Path) -> Outcome<()> {
    let mut compare = Compare::open(file)?;
    let mut decoder: Box<dyn Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        "zstd" => Box::new(
            zstd::stream::read::Decoder::new(body).map_err(|error| format!("no zstd: {error}"))?,
        ),
        "identity" => Box::new(body),
        other => return Err(format!("nobody here decodes `{other}`")),
    };
    io::copy(&mut decoder, &mut compare).map_err(|error| format!("does not decode: {error}"))?;
    compare.end()
}

/// Takes what must be the bytes of a file.
#[derive(Debug)]
struct Compare {
    file: BufReader<File>,
    buffer: Vec<u8>,
}

impl Compare {
    fn open(path: &Path) -> Outcome<Self> {
        let file =
            File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        Ok(Self { file: BufReader::with_capacity(1 << 20, file), buffer: Vec::new() })
    }

    /// Whether that was all of the file.
    fn end(mut self) -> Outcome<()> {
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err("the body is shorter than the file".into()),
            Err(error) => Err(error.to_string()),
        }
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
    fn only_the_files_bytes_pass() {
        let file = std::env::temp_dir().join(format!("bench-check-{}", std::process::id()));
        std::fs::write(&file, b"the file").unwrap();
        assert_eq!(decodes_to("identity", b"the file", &file), Ok(()));
        for wrong in [&b"the f"[..], b"the file and more", b"the fils"] {
            assert!(decodes_to("identity", wrong, &file).is_err(), "{wrong:?}");
        }
        let coded = zstd::encode_all(&b"the file"[..], 1).unwrap();
        assert_eq!(decodes_to("zstd", &coded, &file), Ok(()));
        assert!(decodes_to("gzip", &coded, &file).is_err());
        std::fs::remove_file(file).unwrap();
    }
}
