//! Files that hold the bytes of another one in a content coding.

use bytes::Bytes;

use super::{ContentCoding, Digest, SourcePath};

/// A file of the source whose bytes may be the representation of a resource in a coding.
#[derive(Clone, Debug)]
pub(crate) struct CodedFile {
    pub(crate) path: SourcePath,
    pub(crate) coding: ContentCoding,
    /// The digest of the coded bytes, of which the id is made: the same id means the same bytes.
    pub(crate) digest: Digest,
    /// The length of the coded bytes.
    pub(crate) len: u64,
    /// The coded bytes, if they are in memory.
    pub(crate) bytes: Option<Bytes>,
}

/// A file that goes out in its coding alone, as the representation of what it would decode to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InCoding {
    /// The path of the file itself.
    pub(crate) path: SourcePath,
    pub(crate) coding: ContentCoding,
    /// The path that its name means.
    pub(crate) name: SourcePath,
    /// Whether it may be decoded a moment later.
    pub(crate) is_passing: bool,
}

/// The ends of the names of coded files, the smallest files first. `deflate` has none of its own.
pub(crate) const CODED_EXTENSIONS: [(&str, ContentCoding); 3] =
    [("br", ContentCoding::BROTLI), ("zst", ContentCoding::ZSTD), ("gz", ContentCoding::GZIP)];

impl CodedFile {
    /// Whether the coded bytes are fewer than the `source_len` bytes that they stand for. Others are no
    /// better than these, and are not used.
    pub(crate) fn is_shorter_than(&self, source_len: u64) -> bool {
        self.len < source_len
    }

    /// Whether both are the same file with the same bytes.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.digest == other.digest && self.coding == other.coding && self.path == other.path
    }
}

/// Returns the path of the file in `coding` beside `path`; `None` for a coding without such files.
pub(crate) fn sibling_path(path: &SourcePath, coding: &ContentCoding) -> Option<SourcePath> {
    let (extension, _) = CODED_EXTENSIONS.iter().find(|(_, known)| known == coding)?;
    Some(path.with_extension_added(extension))
}

/// Returns the path of the file that the name of a coded one means, and its coding: `app.js` for
/// `app.js.br`.
///
/// `None` for any other name, for one without a second extension, and for `.tar.gz` and the like: an
/// archive is kept as it is.
pub(crate) fn decoded_path(path: &SourcePath) -> Option<(SourcePath, ContentCoding)> {
    let extension = path.extension()?;
    let known = |(known, _): &&(&str, ContentCoding)| extension.eq_ignore_ascii_case(known);
    let (_, coding) = CODED_EXTENSIONS.iter().find(known)?;
    let decoded = path.without_extension()?;
    has_coded_siblings(&decoded).then(|| (decoded, coding.clone()))
}

/// Whether `path` may be meant by the name of a coded file.
pub(crate) fn has_coded_siblings(path: &SourcePath) -> bool {
    let is_coded = |extension: &str| {
        CODED_EXTENSIONS.iter().any(|(known, _)| extension.eq_ignore_ascii_case(known))
    };
    path.extension()
        .is_some_and(|extension| !extension.eq_ignore_ascii_case("tar") && !is_coded(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_coded_file_has_a_second_extension_that_is_no_archives() {
        let decoded = |path: &str| {
            let path = SourcePath::parse(path.as_bytes()).unwrap();
            decoded_path(&path).map(|(path, coding)| format!("{path:?} {coding}"))
        };
        assert_eq!(decoded("Build/x.data.br").unwrap(), "\"Build/x.data\" br");
        assert_eq!(decoded("x.framework.js.GZ").unwrap(), "\"x.framework.js\" gzip");
        assert_eq!(decoded("a.wasm.zst").unwrap(), "\"a.wasm\" zstd");
        for other in [
            "a.js",
            "Packages.gz",
            "a.tar.gz",
            "a.TAR.zst",
            ".js.br",
            "a..br",
            "a.js.br.gz",
            "gz",
            "d.js/br",
        ] {
            assert_eq!(decoded(other), None, "{other}");
        }
    }
}
