//! Files whose names say that they are coded, and which are what they decode to.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::hash::let_tick_pass;
use crate::codec::decode_file;
use crate::concurrency::sync::{Mutex, lock};
use crate::error::{Error, ErrorKind};
use crate::fs::{Fingerprint, read_full};
use crate::http::{
    CODED_EXTENSIONS, CodedFile, ContentCoding, Digest, MediaTypes, SourcePath, decoded_path,
    has_coded_siblings,
};
use crate::limits::{
    DECODED_AT_ONCE, ENCODED_DECODED, ENCODED_FILE, ENCODED_KEPT, FILE_REST, PAYLOAD_OVERHEAD,
    SVGZ_DECODED, SVGZ_FILE, SVGZ_KEPT, USUAL_PAYLOAD,
};
use crate::log;
use crate::source::{Content, DecodedFrom, Found, Source, SourceFile};

/// A source in which some coded files are what they decode to. The file's own bytes are then its
/// representation in its coding.
///
/// - A `.svgz` file is the SVG that its gzip holds.
/// - If names are encoded, a file `app.js.br` is JavaScript unless there is an `app.js`, and `/app.js`
///   leads to it too.
/// - A file that is too long, decodes to too much or is damaged stays what it is. So does one to which
///   the source or the site gives a media type.
pub(super) struct EncodedSource {
    source: Arc<dyn Source>,
    types: Arc<MediaTypes>,
    names_are_encoded: bool,
    /// The number of the catalog among those that share `decoded`.
    number: u64,
    decoded: Arc<DecodedFiles>,
}

/// The files that the catalogs of one context have decoded, and the places of those that they decode.
///
/// One file of a device is decoded at a time, and [`DECODED_AT_ONCE`] in all, which bounds the memory
/// whatever the number of catalogs.
pub(super) struct DecodedFiles {
    /// Of catalogs whose names are encoded.
    encoded: KeptFiles,
    /// Of the other ones.
    svgs: KeptFiles,
    /// By device: one that hangs holds up those that share its lock, and not all.
    decoding: [Mutex<()>; DECODED_AT_ONCE],
}

/// Results by the number of a catalog and the coded file's path.
type KeptFiles = Cache<(u64, SourcePath), Arc<Kept>, ByLength>;

/// The meaning of a coded file's name.
enum Meaning {
    Svg,
    /// The file of this path, in this coding.
    Path(SourcePath, ContentCoding),
}

/// The result for a file of one state.
struct Kept {
    state: State,
    /// `None` for a file that stays what it is.
    decoded: Option<Decoded>,
}

#[derive(Clone)]
struct Decoded {
    bytes: Bytes,
    digest: Digest,
    from: DecodedFrom,
}

/// The state of a file that names its bytes.
enum State {
    /// The very buffer, which stays where it is while it is held here.
    Bytes(Bytes),
    Rested(Fingerprint),
}

#[derive(Clone)]
struct ByLength;

impl Weighter<(u64, SourcePath), Arc<Kept>> for ByLength {
    fn weight(&self, _: &(u64, SourcePath), kept: &Arc<Kept>) -> u64 {
        kept.decoded.as_ref().map_or(0, |decoded| decoded.bytes.len() as u64) + PAYLOAD_OVERHEAD
    }
}

impl DecodedFiles {
    pub(super) fn new() -> Self {
        Self {
            encoded: kept_files(ENCODED_KEPT),
            svgs: kept_files(SVGZ_KEPT),
            decoding: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// The number of files of which anything is kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.encoded.len() + self.svgs.len()
    }
}

/// Makes room for results of so many bytes.
fn kept_files(room: u64) -> KeptFiles {
    let items = usize::try_from(room / USUAL_PAYLOAD).unwrap_or(usize::MAX);
    // One shard, which has room for the longest.
    let options = OptionsBuilder::new()
        .estimated_items_capacity(items)
        .weight_capacity(room)
        .shards(1)
        .build();
    match options {
        Ok(options) => {
            let hasher = DefaultHashBuilder::default();
            Cache::with_options(options, ByLength, hasher, DefaultLifecycle::default())
        }
        Err(_) => Cache::with_weighter(items, room, ByLength),
    }
}

impl EncodedSource {
    /// Wraps the source of the catalog `number`.
    pub(super) fn new(
        source: Arc<dyn Source>,
        types: Arc<MediaTypes>,
        names_are_encoded: bool,
        (number, decoded): (u64, Arc<DecodedFiles>),
    ) -> Self {
        Self { source, types, names_are_encoded, number, decoded }
    }

    fn kept(&self) -> &KeptFiles {
        if self.names_are_encoded { &self.decoded.encoded } else { &self.decoded.svgs }
    }

    /// The source with all files as they are.
    pub(super) fn undecoded(&self) -> &dyn Source {
        &*self.source
    }

    /// Whether `file` is an SVG to be decoded, by its name and length.
    pub(super) fn is_svgz(&self, path: &SourcePath, file: &SourceFile) -> bool {
        let has_end = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("svgz"));
        let is_short = file.content.len() <= SVGZ_FILE;
        let is_svg = self.types.own(path).is_none_or(|own| own == "image/svg+xml");
        has_end && is_short && file.media_type.is_none() && is_svg
    }

    /// Returns the meaning of the name of `file`, if it is to be decoded.
    fn meaning_of(&self, path: &SourcePath, file: &SourceFile) -> Option<Meaning> {
        if self.is_svgz(path, file) {
            return Some(Meaning::Svg);
        }
        if !self.names_are_encoded || file.media_type.is_some() || self.types.own(path).is_some() {
            return None;
        }
        decoded_path(path).map(|(path, coding)| Meaning::Path(path, coding))
    }

    /// Returns the SVG that a `.svgz` file holds, or `file` itself. Blocks on the disk.
    pub(super) fn decode_svgz(&self, path: &SourcePath, file: SourceFile) -> SourceFile {
        match self.is_svgz(path, &file) {
            true => self.decode(path, file, &Meaning::Svg, true),
            false => file,
        }
    }

    /// Returns what `file` decodes to, or `file` itself. One that is `brought` is not in the source.
    fn decode(
        &self,
        path: &SourcePath,
        file: SourceFile,
        meaning: &Meaning,
        brought: bool,
    ) -> SourceFile {
        if let Some(known) = self.known(path, &file) {
            return known;
        }
        let state = State::of(&file);
        let decoded = {
            let _one_at_a_time = lock(self.lock_of(&file));
            // Another path to the file may have had it decoded meanwhile.
            if let Some(known) = self.known(path, &file) {
                return known;
            }
            match unpack(path, &file, meaning, brought) {
                Ok(decoded) => Some(decoded),
                // A failure passes, unlike damage, so nothing is kept of it.
                Err(Undecoded::Unread) => return file,
                Err(Undecoded::Unsound(error)) => {
                    if matches!(meaning, Meaning::Path(..)) {
                        log::warn!(%error, %path, "a coded file goes out as it is");
                    }
                    None
                }
            }
        };
        let result = content_of(decoded.as_ref(), &file);
        if let Some(state) = state {
            let kept = Arc::new(Kept { state, decoded });
            self.kept().insert((self.number, path.clone()), kept);
        }
        result
    }

    fn lock_of(&self, file: &SourceFile) -> &Mutex<()> {
        let device = file.content.fingerprint().map_or(0, |fingerprint| fingerprint.device);
        &self.decoded.decoding[(device % DECODED_AT_ONCE as u64) as usize]
    }

    /// Returns what is known of `file` from an earlier decoding.
    fn known(&self, path: &SourcePath, file: &SourceFile) -> Option<SourceFile> {
        let key = (self.number, path.clone());
        let kept = self.kept().get(&key).filter(|kept| kept.state.is_of(file))?;
        Some(content_of(kept.decoded.as_ref(), file))
    }

    /// Finds the coded file that `path`, which leads to none, means.
    fn lookup_coded(&self, path: &SourcePath) -> Result<Found, Error> {
        for (extension, coding) in CODED_EXTENSIONS {
            let coded = path.with_extension_added(extension);
            let Found::File(file) = self.source.lookup(&coded)? else { continue };
            if self.meaning_of(&coded, &file).is_some() {
                let meaning = Meaning::Path(path.clone(), coding);
                let file = self.decode(&coded, file, &meaning, false);
                if file.decoded.is_some() {
                    return Ok(Found::File(file));
                }
            }
        }
        Ok(Found::Nothing)
    }

    /// As [`lookup_coded`](Self::lookup_coded), but only without a wait.
    fn lookup_coded_nowait(&self, path: &SourcePath) -> Option<Found> {
        for (extension, _) in CODED_EXTENSIONS {
            let coded = path.with_extension_added(extension);
            if let Found::File(file) = self.source.lookup_nowait(&coded)?
                && self.meaning_of(&coded, &file).is_some()
            {
                let known = self.known(&coded, &file)?;
                if known.decoded.is_some() {
                    return Some(Found::File(known));
                }
            }
        }
        Some(Found::Nothing)
    }
}

impl Source for EncodedSource {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        let file = match self.source.lookup(path)? {
            Found::File(file) => file,
            Found::Nothing if self.names_are_encoded && has_coded_siblings(path) => {
                return self.lookup_coded(path);
            }
            found => return Ok(found),
        };
        Ok(Found::File(match self.meaning_of(path, &file) {
            None => file,
            Some(Meaning::Path(decoded, _))
                if matches!(self.source.lookup(&decoded)?, Found::File(_)) =>
            {
                file
            }
            Some(meaning) => self.decode(path, file, &meaning, false),
        }))
    }

    fn lookup_nowait(&self, path: &SourcePath) -> Option<Found> {
        let file = match self.source.lookup_nowait(path)? {
            Found::File(file) => file,
            Found::Nothing if self.names_are_encoded && has_coded_siblings(path) => {
                return self.lookup_coded_nowait(path);
            }
            found => return Some(found),
        };
        match self.meaning_of(path, &file) {
            None => Some(Found::File(file)),
            Some(Meaning::Path(decoded, _))
                if matches!(self.source.lookup_nowait(&decoded)?, Found::File(_)) =>
            {
                Some(Found::File(file))
            }
            Some(_) => self.known(path, &file).map(Found::File),
        }
    }

    fn names(&self, directory: &SourcePath, most: usize) -> Option<Vec<Box<[u8]>>> {
        self.source.names(directory, most)
    }

    fn files_in_memory(&self) -> Vec<(SourcePath, Bytes)> {
        self.source.files_in_memory()
    }

    fn paths(&self) -> Result<Vec<SourcePath>, Error> {
        self.source.paths()
    }
}

impl fmt::Debug for EncodedSource {
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

/// Describes what was `decoded` as the content of `file`; without it, that is `file` itself.
fn content_of(decoded: Option<&Decoded>, file: &SourceFile) -> SourceFile {
    let Some(Decoded { bytes, digest, from }) = decoded else { return file.clone() };
    let mut content = SourceFile::from_bytes(bytes.clone()).digest(*digest);
    if from.name.is_none() {
        content = content.media_type("image/svg+xml");
    }
    content.decoded = Some(from.clone());
    content.modified = file.modified;
    content.entity_tag.clone_from(&file.entity_tag);
    content
}

/// The reason for which a file was not decoded.
enum Undecoded {
    Unread,
    Unsound(Error),
}

/// Reads and decodes `file`. Without the feature of its coding there is no decoder.
fn unpack(
    path: &SourcePath,
    file: &SourceFile,
    meaning: &Meaning,
    brought: bool,
) -> Result<Decoded, Undecoded> {
    let too_long = || Error::new(ErrorKind::Encoder, "it is longer than 32 MiB");
    if file.content.len() > ENCODED_FILE {
        return Err(Undecoded::Unsound(too_long()));
    }
    let coded = read(file).ok_or(Undecoded::Unread)?;
    let (coding, decoded, name) = match meaning {
        Meaning::Svg => (ContentCoding::GZIP, unpack_svg(&coded), None),
        Meaning::Path(name, coding) => {
            (coding.clone(), decode_file(coding, &coded, ENCODED_DECODED), Some(name.clone()))
        }
    };
    let bytes = Bytes::from(decoded.map_err(Undecoded::Unsound)?);
    let is_in_memory = brought || matches!(file.content, Content::Bytes(_));
    let file = CodedFile {
        path: path.clone(),
        coding,
        digest: Digest::of(&coded),
        len: coded.len() as u64,
        bytes: is_in_memory.then_some(coded),
    };
    let from = DecodedFrom { file: Arc::new(file), name };
    Ok(Decoded { digest: Digest::of(&bytes), bytes, from })
}

/// Reads `file` as a whole; `None` if that fails, or the file changes meanwhile.
fn read(file: &SourceFile) -> Option<Bytes> {
    let len = usize::try_from(file.content.len()).ok()?;
    match &file.content {
        Content::Bytes(bytes) => Some(bytes.clone()),
        Content::File { file, fingerprint } => {
            let now = SystemTime::now();
            // A change beside the read would not show.
            if fingerprint.is_coarse() && !fingerprint.names_bytes(now) {
                return None;
            }
            let_tick_pass(*fingerprint, now);
            let mut bytes = vec![0; len];
            let whole = read_full(&**file, &mut bytes, 0).is_ok_and(|read| read == len);
            let same = file.stat().is_ok_and(|stat| stat.fingerprint == *fingerprint);
            (whole && same).then(|| bytes.into())
        }
    }
}

/// Decodes an SVG, whose gzip may have several members.
fn unpack_svg(gzip: &[u8]) -> Result<Vec<u8>, Error> {
    #[cfg(feature = "gzip")]
    return crate::codec::unpack_gzip(gzip, SVGZ_DECODED);
    #[cfg(not(feature = "gzip"))]
    return decode_file(&ContentCoding::GZIP, gzip, SVGZ_DECODED);
}
