//! The adoption of bytes that somebody else has encoded.
//!
//! They are copied into an entry, decoded and compared with the resource as an encoder's output is. No
//! reader gets a byte before the end of that: a stale file beside its source is a common mistake, and
//! must abort no body.

use bytes::Bytes;

use super::error::EncodeError;
use super::job::{EncodeLeader, Job, Made};
use super::source_reader::SourceReader;
use crate::cache::{EntryWriter, Key, KeyLock, Kind};
use crate::codec::Proof;
use crate::error::{Error, ErrorKind, Failure};
use crate::http::{CodedFile, Hasher};
use crate::log;
use crate::source::{Content, Found};

impl Job {
    /// Copies, proves and publishes the bytes of `file`. Returns the payload.
    pub(super) fn adopt(
        &self,
        file: &CodedFile,
        key: &Key,
        lock: KeyLock,
        leader: &EncodeLeader,
    ) -> Result<Made, Failure> {
        let source = self.open_coded(file)?;
        let header = self.header(Kind::Representation, key.clone());
        let writer = self.context.cache.create(lock, header, file.len);
        let mut writer = writer.map_err(|error| self.refused(error))?;
        match self.copy(file, &source, &mut writer, leader) {
            Ok(()) => self.publish(writer, key, leader),
            Err(EncodeError::Failure(failure)) => Err(failure),
            Err(EncodeError::Disk(error)) => Err(self.refused(error.into())),
            Err(EncodeError::Encoder(error) | EncodeError::Disproved(error)) => {
                Err(self.refuse_file(file, &error))
            }
        }
    }

    /// Writes the bytes of `file`, and proves that they are those of its digest and decode to the
    /// resource.
    fn copy(
        &self,
        file: &CodedFile,
        source: &SourceReader,
        writer: &mut EntryWriter,
        leader: &EncodeLeader,
    ) -> Result<(), EncodeError> {
        // A site that proves no encode still proves the files of others.
        let mut proof = Ok(Proof::new(self.codec.encoder.decoder(), self.resource.len));
        let mut hasher = Hasher::new();
        let mut pieces = source.pieces(0, file.len);
        while let Some(piece) = pieces.next().map_err(|_| Failure::SourceChanged)? {
            if let Some(why) = self.stopped(leader.progress()) {
                return Err(why.into());
            }
            hasher.update(piece);
            // The digest tells a file that has changed from one that is broken.
            proof = proof.and_then(|mut proof: Proof| proof.write(piece).map(|()| proof));
            if proof.is_ok() {
                writer.write(piece)?;
            }
        }
        if hasher.finish() != file.digest {
            return Err(Failure::SourceChanged.into());
        }
        match proof.and_then(Proof::finish).map_err(EncodeError::Disproved)? {
            Some(digest) if digest == self.digest => Ok(()),
            _ => {
                let message = "it holds another version of the file";
                Err(EncodeError::Disproved(Error::new(ErrorKind::SourceChanged, message)))
            }
        }
    }

    /// Opens a coded file, which may have changed since it was looked up.
    pub(super) fn open_coded(&self, file: &CodedFile) -> Result<SourceReader, Failure> {
        if let Some(bytes) = &file.bytes {
            return Ok(SourceReader::Bytes(bytes.clone()));
        }
        if let Some(bytes) = self.context.memory.get(&(file.digest, None)) {
            return Ok(SourceReader::Bytes(Bytes::clone(&bytes)));
        }
        match self.catalog.open_coded(&file.path) {
            Ok(Found::File(found)) if found.content.len() == file.len => Ok(match found.content {
                Content::Bytes(bytes) => SourceReader::Bytes(bytes),
                Content::File { file, .. } => SourceReader::File(file),
            }),
            _ => Err(Failure::SourceChanged),
        }
    }

    /// Notes that `file` is no representation of the resource, so that this process does not try it
    /// again, and warns of it.
    pub(super) fn refuse_file(&self, file: &CodedFile, error: &Error) -> Failure {
        let key = self.key();
        if !self.context.is_faulty(&key) {
            let (sibling, path) = (&file.path, &self.resource.path);
            log::warn!(%error, %sibling, %path, "a coded file does not decode to its source and is ignored");
        }
        self.context.mark_faulty(key);
        Failure::Encoder
    }
}
