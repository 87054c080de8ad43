//! The files that are written to `OUT_DIR`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cachecompress::Digest;

use crate::encode::EncodedFile;
use crate::error::Error;

/// The places of the code and of the payloads that it embeds.
pub(crate) struct Output {
    code: PathBuf,
    payloads: PathBuf,
}

impl Output {
    pub(crate) fn new(out_dir: &Path, name: &str) -> Result<Self, Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err(Error::new(format!(
                "{name:?} cannot name the code: take letters, digits, `_` and `-`"
            )));
        }
        Ok(Self { code: out_dir.join(format!("{name}.rs")), payloads: out_dir.join(name) })
    }

    /// Writes the payloads, each content once, and the code. Removes payloads that an earlier build left.
    pub(crate) fn write(
        &self,
        files: &[EncodedFile],
        code: impl FnOnce(&[EncodedFile]) -> String,
    ) -> Result<(), Error> {
        fs::create_dir_all(&self.payloads)
            .map_err(|error| Error::of_path("cannot make the directory", &self.payloads, error))?;
        let mut names = BTreeSet::new();
        for bytes in files.iter().flat_map(EncodedFile::contents) {
            let name = payload_name(&Digest::of(bytes));
            if names.insert(name.clone()) {
                put(&self.payloads.join(name), bytes)?;
            }
        }
        let listed = fs::read_dir(&self.payloads)
            .map_err(|error| Error::of_path("cannot read the directory", &self.payloads, error))?;
        for left in listed.flatten() {
            if !left.file_name().to_str().is_some_and(|name| names.contains(name)) {
                let path = left.path();
                fs::remove_file(&path)
                    .map_err(|error| Error::of_path("cannot remove the file", &path, error))?;
            }
        }
        put(&self.code, code(files).as_bytes())
    }
}

impl EncodedFile {
    /// The bytes of the file and of its payloads.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &[u8]> {
        let payloads = self.codings.iter().filter_map(|coding| coding.payload.as_deref());
        std::iter::once(&self.bytes[..]).chain(payloads)
    }
}

/// The name of the file that holds the bytes of this digest.
pub(crate) fn payload_name(digest: &Digest) -> String {
    digest.hex()
}

/// Writes a file, unless it has these bytes.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|error| Error::of_path("cannot write the file", path, error))
}
