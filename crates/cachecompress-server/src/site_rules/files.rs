//! The files of rules at the root of a site.

use std::io;

use cachecompress::source::{Content, Found, Source, SourceFile};
use cachecompress::{ErrorKind, SourcePath};

use super::redirects_file;
use crate::limits::SITE_RULES_BYTES;

/// The name of the file with header rules.
pub(crate) const HEADERS: &str = "_headers";

/// The contents of the files of rules of a site, each `None` if there is no such file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleFiles {
    pub(crate) headers: Option<String>,
    pub(crate) redirects: Option<String>,
}

impl RuleFiles {
    /// Whether a file that is in `others` is not here.
    pub(super) fn lack_one_of(&self, others: &Self) -> bool {
        (others.headers.is_some() && self.headers.is_none())
            || (others.redirects.is_some() && self.redirects.is_none())
    }

    /// Reads the files at the root of `source`. It blocks on the disk.
    ///
    /// # Errors
    ///
    /// A sentence that names the file: it cannot be read, is too long, or is no UTF-8.
    pub(crate) fn read(source: &dyn Source) -> Result<Self, String> {
        Ok(Self { headers: read(source, HEADERS)?, redirects: read(source, redirects_file::NAME)? })
    }
}

fn read(source: &dyn Source, name: &str) -> Result<Option<String>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot read {name}: {error}");
    let path = SourcePath::root().join(name);
    let file = match source.lookup(&path) {
        Ok(Found::File(file)) => file,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let len = file.content.len();
    if len > SITE_RULES_BYTES {
        let most = SITE_RULES_BYTES >> 20;
        return Err(format!("{name} has {len} bytes; a file of rules has {most} MiB at most"));
    }
    let bytes = contents(file).map_err(|error| unreadable(&error))?;
    let no_text = |_| format!("{name} is no UTF-8");
    String::from_utf8(bytes).map(Some).map_err(no_text)
}

fn contents(file: SourceFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.content.len()).unwrap_or_default();
    match file.content {
        Content::Bytes(bytes) => Ok(bytes.to_vec()),
        Content::File { file, .. } => {
            let (mut bytes, mut filled) = (vec![0; len], 0);
            while filled < len {
                match file.read_at(&mut bytes[filled..], filled as u64)? {
                    0 => break,
                    read => filled += read,
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use cachecompress::Memory;

    use super::*;

    #[test]
    fn files_of_rules_are_read_at_the_root() {
        let none = Memory::new().file("docs/_redirects", "/a /b");
        assert_eq!(RuleFiles::read(&none), Ok(RuleFiles::default()));
        let some = Memory::new().file("_redirects", "/a /b").file("_headers", "/a");
        let read = RuleFiles { headers: Some("/a".into()), redirects: Some("/a /b".into()) };
        assert_eq!(RuleFiles::read(&some), Ok(read));
        let wrong = Memory::new().file("_redirects", &b"/\xff /b"[..]);
        assert_eq!(RuleFiles::read(&wrong), Err("_redirects is no UTF-8".into()));
        let long = Memory::new().file("_redirects", vec![b'#'; (4 << 20) + 1]);
        let error = RuleFiles::read(&long).unwrap_err();
        assert!(error.starts_with("_redirects has 4194305 bytes"), "{error}");
    }
}
