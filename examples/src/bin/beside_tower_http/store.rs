//! A store of the program's own, as a backend of tower-http and as a source of ours.

use std::io::{self, Cursor, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use cachecompress::SourcePath;
use cachecompress::source::{Found, SourceFile};
use cachecompress::{Error, ErrorKind, Source};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::fs::{Backend, File, Metadata};

const TEXT: &str = "This file is in no directory.\n";

fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// A store of one file, `file.txt`. `locked.txt` may not be read, and `broken.txt` cannot be.
#[derive(Clone, Debug)]
pub(crate) struct Shelf;

fn look_up(path: &str) -> io::Result<&'static str> {
    match path {
        "file.txt" => Ok(TEXT),
        "locked.txt" => Err(io::ErrorKind::PermissionDenied.into()),
        "broken.txt" => Err(io::Error::other("the store is broken")),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

impl Source for Shelf {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        if path.is_root() {
            return Ok(Found::Directory);
        }
        match look_up(&path.to_string_lossy()) {
            Ok(text) => Ok(Found::File(SourceFile::from_bytes(text).modified(modified()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::new(ErrorKind::PermissionDenied, "the file is locked").with_cause(error))
            }
            Err(error) => Err(Error::new(ErrorKind::Io, "cannot read").with_cause(error)),
        }
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        Ok(SourcePath::parse(b"file.txt").into_iter().collect())
    }
}

/// The answer of a look at the store.
pub(crate) struct Looked(u64);

impl Metadata for Looked {
    fn is_dir(&self) -> bool {
        false
    }

    fn modified(&self) -> io::Result<SystemTime> {
        Ok(modified())
    }

    fn len(&self) -> u64 {
        self.0
    }
}

/// A file of the store, for tower-http.
pub(crate) struct Opened(Cursor<&'static [u8]>);

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncSeek for Opened {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(cx)
    }
}

impl File for Opened {
    type Metadata = Looked;
    type MetadataFuture<'a> = std::future::Ready<io::Result<Looked>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        std::future::ready(Ok(Looked(self.0.get_ref().len() as u64)))
    }
}

fn look_below(path: &std::path::Path) -> io::Result<&'static str> {
    let path = path.strip_prefix(".").unwrap_or(path);
    look_up(&path.to_string_lossy())
}

impl Backend for Shelf {
    type File = Opened;
    type Metadata = Looked;
    type OpenFuture = std::future::Ready<io::Result<Opened>>;
    type MetadataFuture = std::future::Ready<io::Result<Looked>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        std::future::ready(look_below(&path).map(|text| Opened(Cursor::new(text.as_bytes()))))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        std::future::ready(look_below(&path).map(|text| Looked(text.len() as u64)))
    }
}
