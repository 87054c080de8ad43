//! Files of `.svgz`, which are the SVG that they hold.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::concurrency::sync::{Mutex, lock};
use crate::error::Error;
use crate::fs::{Fingerprint, read_full};
use crate::http::{MediaTypes, SourcePath};
use crate::limits::{
    FILE_REST, PAYLOAD_OVERHEAD, SVGZ_AT_ONCE, SVGZ_DECODED, SVGZ_FILE, SVGZ_KEPT, USUAL_PAYLOAD,
};
use crate::source::{Content, Found, Source, SourceFile};

/// A source in which a `.svgz` file is the SVG that its gzip holds. Its codings are made of that, as
/// those of any file.
///
/// - A file that is longer than [`SVGZ_FILE`], decodes to more than [`SVGZ_DECODED`] or is damaged
///   stays what it is. So does one to which the source or the site gives another media type than SVG's.
/// - One file of a device is decoded at a time, and [`SVGZ_AT_ONCE`] in all, which bounds the memory.
pub(super) struct SvgzSource {
    source: Arc<dyn Source>,
    types: Arc<MediaTypes>,
    kept: Cache<SourcePath, Arc<Decoded>, ByLength>,
    /// By device: one that hangs holds up those that share its lock, and not all.
    decoding: [Mutex<()>; SVGZ_AT_ONCE],
}

/// The result for a file of one state.
struct Decoded {
    state: State,
    /// `None` for a file that stays what it is.
    svg: Option<Bytes>,
}

/// The state of a file that names its bytes.
enum State {
    /// The very buffer, which stays where it is while it is held here.
    Bytes(Bytes),
    Rested(Fingerprint),
}

#[derive(Clone)]
struct ByLength;

impl Weighter<SourcePath, Arc<Decoded>> for ByLength {
    fn weight(&self, _: &SourcePath, decoded: &Arc<Decoded>) -> u64 {
        decoded.svg.as_ref().map_or(0, |svg| svg.len() as u64) + PAYLOAD_OVERHEAD
    }
}

impl SvgzSource {
    pub(super) fn new(source: Arc<dyn Source>, types: Arc<MediaTypes>) -> Self {
        let items = usize::try_from(SVGZ_KEPT / USUAL_PAYLOAD).unwrap_or(usize::MAX);
        let kept = Cache::with_weighter(items, SVGZ_KEPT, ByLength);
        let decoding = std::array::from_fn(|_| Mutex::new(()));
        Self { source, types, kept, decoding }
    }

    /// Whether `file` is to be decoded, by its name and length.
    pub(super) fn is_svgz(&self, path: &SourcePath, file: &SourceFile) -> bool {
        let has_end = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("svgz"));
        let is_short = file.content.len() <= SVGZ_FILE;
        let is_svg = self.types.own(path).is_none_or(|own| own == "image/svg+xml");
        has_end && is_short && file.media_type.is_none() && is_svg
    }

    /// Returns the SVG that `file` holds, or `file` itself. Blocks on the disk.
    pub(super) fn decode(&self, path: &SourcePath, file: SourceFile) -> SourceFile {
        if !self.is_svgz(path, &file) {
            return file;
        }
        if let Some(known) = self.known(path, &file) {
            return known;
        }
        let state = State::of(&file);
        let svg = {
            let _one_at_a_time = lock(self.lock_of(&file));
            // A failure passes, unlike damage, so nothing is kept of it.
            let Some(bytes) = read(&file) else { return file };
            unpack(&bytes)
        };
        let result = svg_of(svg.clone(), &file);
        if let Some(state) = state {
            self.kept.insert(path.clone(), Arc::new(Decoded { state, svg }));
        }
        result
    }

    fn lock_of(&self, file: &SourceFile) -> &Mutex<()> {
        let device = file.content.fingerprint().map_or(0, |fingerprint| fingerprint.device);
        &self.decoding[(device % SVGZ_AT_ONCE as u64) as usize]
    }

    /// Returns what is known of `file` from an earlier decoding.
    fn known(&self, path: &SourcePath, file: &SourceFile) -> Option<SourceFile> {
        let kept = self.kept.get(path).filter(|kept| kept.state.is_of(file))?;
        Some(svg_of(kept.svg.clone(), file))
    }
}

impl Source for SvgzSource {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        Ok(match self.source.lookup(path)? {
            Found::File(file) => Found::File(self.decode(path, file)),
            found => found,
        })
    }

    fn lookup_nowait(&self, path: &SourcePath) -> Option<Found> {
        match self.source.lookup_nowait(path)? {
            Found::File(file) if self.is_svgz(path, &file) => {
                self.known(path, &file).map(Found::File)
            }
            found => Some(found),
        }
    }

    fn names(&self, directory: &SourcePath, most: usize) -> Option<Vec<Box<[u8]>>> {
        self.source.names(directory, most)
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.source.paths()
    }
}

impl fmt::Debug for SvgzSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl State {
    /// Returns the state of `file`, if that names its bytes.
    fn of(file: &SourceFile) -> Option<Self> {
        match &file.content {
            Content::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Content::File { fingerprint, .. } => {
                let rested = fingerprint.rested(FILE_REST, SystemTime::now());
                rested.then_some(Self::Rested(*fingerprint))
            }
        }
    }

    fn is_of(&self, file: &SourceFile) -> bool {
        match (self, &file.content) {
            (Self::Bytes(then), Content::Bytes(now)) => {
                then.as_ptr() == now.as_ptr() && then.len() == now.len()
            }
            (Self::Rested(then), Content::File { fingerprint, .. }) => then == fingerprint,
            _ => false,
        }
    }
}

/// Describes `svg` as the content of `file`; without one, that is `file` itself.
fn svg_of(svg: Option<Bytes>, file: &SourceFile) -> SourceFile {
    let Some(svg) = svg else { return file.clone() };
    let mut decoded = SourceFile::from_bytes(svg).media_type("image/svg+xml");
    decoded.modified = file.modified;
    decoded.entity_tag.clone_from(&file.entity_tag);
    decoded
}

/// Reads `file` as a whole; `None` if that fails, or the file changes meanwhile.
fn read(file: &SourceFile) -> Option<Bytes> {
    let len = usize::try_from(file.content.len()).ok()?;
    match &file.content {
        Content::Bytes(bytes) => Some(bytes.clone()),
        Content::File { file, fingerprint } => {
            let mut bytes = vec![0; len];
            let whole = read_full(&**file, &mut bytes, 0).is_ok_and(|read| read == len);
            let same = file.stat().is_ok_and(|stat| stat.fingerprint == *fingerprint);
            (whole && same).then(|| bytes.into())
        }
    }
}

/// Without the feature `gzip` there is no decoder.
fn unpack(gzip: &[u8]) -> Option<Bytes> {
    #[cfg(feature = "gzip")]
    return crate::codec::unpack_gzip(gzip, SVGZ_DECODED).ok().map(Bytes::from);
    #[cfg(not(feature = "gzip"))]
    return {
        let _ = (gzip, SVGZ_DECODED);
        None
    };
}
