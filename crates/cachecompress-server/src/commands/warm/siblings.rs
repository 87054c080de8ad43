//! The coded files beside a file, and the judgement about them.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use cachecompress::codec::decoder;
use cachecompress::{ContentCoding, SourcePath};

use super::regular_file;
use crate::limits::{SIBLING_EXCESS_BYTES, SIBLING_PIECE_BYTES};

/// The ends of the names of coded files.
const ENDS: [(&str, ContentCoding); 3] =
    [("br", ContentCoding::BROTLI), ("zst", ContentCoding::ZSTD), ("gz", ContentCoding::GZIP)];

/// The relation of a coded file to the file that it is named after.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It decodes to exactly that file.
    Holds,
    /// It decodes to something else.
    Stale,
    /// It does not decode, for this reason.
    Broken(String),
    /// There is no regular file that it could hold.
    Sourceless,
}

/// The codings whose files have a name.
pub(super) fn codings() -> impl Iterator<Item = ContentCoding> {
    ENDS.into_iter().map(|(_, coding)| coding)
}

/// Returns the end of the names of files in `coding`, with its dot; `None` for a coding that has none.
pub(super) fn end_of(coding: &ContentCoding) -> Option<String> {
    let (end, _) = ENDS.iter().find(|(_, known)| known == coding)?;
    Some(format!(".{end}"))
}

/// Returns the path of the file that the name of a coded one means, and its coding.
pub(super) fn source_of(path: &SourcePath) -> Option<(SourcePath, ContentCoding)> {
    let bytes = path.as_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'.')?;
    let (_, coding) = ENDS.iter().find(|(end, _)| bytes[at + 1..] == *end.as_bytes())?;
    let source = SourcePath::parse(&bytes[..at])?;
    // `.br` is the name of a file, and not the end of one.
    let is_beside = source.segments().count() == path.segments().count();
    (is_beside && !bytes[..at].ends_with(b"/")).then(|| (source, coding.clone()))
}

/// Decodes `sibling` and compares it with `source`. Reads both once, in pieces.
///
/// # Errors
///
/// If one of them cannot be read.
pub(super) fn judge(sibling: &Path, coding: &ContentCoding, source: &Path) -> io::Result<Verdict> {
    let Some(mut decoding) = decoder(coding) else {
        return Err(io::Error::other(format!("{coding} cannot be decoded here")));
    };
    let Some(source) = regular_file::open(source)? else { return Ok(Verdict::Sourceless) };
    let len = source.metadata()?.len();
    // Output beyond the source is noticed, but not decoded for hours.
    decoding.limit(len.saturating_add(SIBLING_EXCESS_BYTES));
    let mut comparison = Comparison {
        source: BufReader::new(source),
        left: len,
        is_longer: false,
        differs: Ok(false),
    };
    let mut coded = File::open(sibling)?;
    let mut piece = vec![0; SIBLING_PIECE_BYTES];
    let decoded = loop {
        let read = coded.read(&mut piece)?;
        if read == 0 {
            break decoding.finish(&mut |bytes| comparison.take(bytes));
        }
        if let Err(error) = decoding.write(&piece[..read], &mut |bytes| comparison.take(bytes)) {
            break Err(error);
        }
    };
    let Comparison { left, differs, is_longer, .. } = comparison;
    Ok(match decoded {
        Err(_) if is_longer => Verdict::Stale,
        Err(error) => Verdict::Broken(error.to_string()),
        Ok(()) if differs? || left > 0 => Verdict::Stale,
        Ok(()) => Verdict::Holds,
    })
}

/// A comparison of decoded bytes with those of a file.
struct Comparison {
    source: BufReader<File>,
    /// The bytes of the file that were not compared yet.
    left: u64,
    is_longer: bool,
    differs: io::Result<bool>,
}

impl Comparison {
    fn take(&mut self, bytes: &[u8]) {
        let len = bytes.len() as u64;
        if len > self.left {
            (self.left, self.is_longer, self.differs) = (0, true, Ok(true));
            return;
        }
        self.left -= len;
        if !matches!(self.differs, Ok(false)) {
            return;
        }
        let mut own = vec![0; bytes.len()];
        self.differs = self.source.read_exact(&mut own).map(|()| own != bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn source_of_a_coded_name_is_the_name_without_its_end() {
        let source = |text: &str| {
            let (path, coding) = source_of(&SourcePath::parse(text.as_bytes()).unwrap())?;
            Some(format!("{} {coding}", path.to_string_lossy()))
        };
        assert_eq!(source("js/a.js.br").unwrap(), "js/a.js br");
        assert_eq!(source("LICENSE.zst").unwrap(), "LICENSE zstd");
        assert_eq!(source("a.tar.gz").unwrap(), "a.tar gzip");
        for none in ["a.js", "br", ".br", "js/.gz", "a.br/b"] {
            assert_eq!(source(none), None, "{none}");
        }
    }

    #[test]
    fn judge_tells_a_stale_file_from_a_broken_one() {
        let directory = tempfile::tempdir().unwrap();
        let (source, sibling) = (directory.path().join("a"), directory.path().join("a.gz"));
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let text = b"some text ".repeat(20_000);
        std::fs::write(&source, &text).unwrap();
        let judged = |coded: &[u8]| {
            std::fs::write(&sibling, coded).unwrap();
            judge(&sibling, &ContentCoding::GZIP, &source).unwrap()
        };
        let whole = gzip(&text);
        assert_eq!(judged(&whole), Verdict::Holds);
        for stale in [&text[1..], &text[..text.len() - 1], &[&text[..], b"!"].concat(), b""] {
            assert_eq!(judged(&gzip(stale)), Verdict::Stale);
        }
        let mut torn = whole.clone();
        torn[5000 % whole.len()] ^= 1;
        for broken in [&whole[..whole.len() - 1], &[&whole[..], b"!"].concat(), &torn, b"no gzip"] {
            assert!(matches!(judged(broken), Verdict::Broken(_)), "{:?}", judged(broken));
        }
    }
}
