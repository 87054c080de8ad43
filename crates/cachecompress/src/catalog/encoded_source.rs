//! Files whose names say that they are coded, and which are what they decode to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::hash::let_tick_pass;
use super::live_files::{FileKey, LiveFiles};
use super::load_error::LoadError;
use crate::codec::{decode_file, has_decoder, is_too_long};
use crate::error::{Error, ErrorKind};
use crate::fs::{Fingerprint, read_full};
use crate::http::{
    CODED_EXTENSIONS, CodedFile, ContentCoding, Digest, InCoding, MediaTypes, SourcePath,
    decoded_path, has_coded_siblings,
};
use crate::limits::{
    DECODED_AT_ONCE, DECODING_PAUSE, ENCODED_DECODED, ENCODED_FILE, ENCODED_KEPT, ENCODED_LIVE,
    FILE_REST, PAYLOAD_OVERHEAD, SOURCE_PATIENCE, SVGZ_DECODED, SVGZ_FILE, SVGZ_KEPT, SVGZ_LIVE,
    USUAL_PAYLOAD,
};
use crate::log;
use crate::source::{Content, DecodedFrom, Found, Source, SourceFile};

/// A source in which some coded files are what they decode to. The file's own bytes are then its
/// representation in its coding.
///
/// - A `.svgz` file is the SVG that its gzip holds.
/// - If names are encoded, a file `app.js.br` is JavaScript unless there is an `app.js`, and `/app.js`
///   leads to it too.
/// - A file that is too long or decodes to too much goes out in its coding, and so does one for which there
///   is no room now. An SVG stays what it is.
/// - A file that is damaged stays what it is. So does one to which the source or the site gives a media
///   type.
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
    encoded: Room,
    /// Of the other ones.
    svgs: Room,
    /// Whether a file is being decoded, by device: one that hangs holds up those that share its place,
    /// and not all.
    decoding: [AtomicBool; DECODED_AT_ONCE],
}

struct Room {
    kept: Cache<FileKey, Arc<Kept>, ByLength>,
    /// Also those that are not kept any more and still go out.
    live: LiveFiles<About>,
}

/// The place of a file that is being decoded.
struct Place<'a>(&'a AtomicBool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The meaning of a coded file's name.
enum Meaning {
    Svg,
    /// The file of this path, in this coding.
    Path(SourcePath, ContentCoding),
}

/// The result for a file of one state.
struct Kept {
    state: State,
    result: Outcome,
}

/// The end of an attempt to decode a file.
enum Outcome {
    Decoded(Decoded),
    /// The file is too long, and goes out in its coding.
    InCoding(Arc<InCoding>),
    /// The file stays what it is.
    AsIs,
}

struct Decoded {
    bytes: Bytes,
    digest: Digest,
    from: Arc<DecodedFrom>,
}

/// The origin of decoded bytes.
struct About {
    /// `None` if nothing names the bytes of the coded file. They are not found then.
    state: Option<State>,
    digest: Digest,
    from: Arc<DecodedFrom>,
}

/// The state of a file that names its bytes.
#[derive(Clone)]
enum State {
    /// The very buffer, which stays where it is while it is held here.
    Bytes(Bytes),
    Rested(Fingerprint),
}

#[derive(Clone)]
struct ByLength;

impl Weighter<FileKey, Arc<Kept>> for ByLength {
    fn weight(&self, _: &FileKey, kept: &Arc<Kept>) -> u64 {
        let len = match &kept.result {
            Outcome::Decoded(decoded) => decoded.bytes.len() as u64,
            Outcome::InCoding(_) | Outcome::AsIs => 0,
        };
        len + PAYLOAD_OVERHEAD
    }
}

impl DecodedFiles {
    pub(super) fn new() -> Self {
        Self {
            encoded: Room::new(ENCODED_KEPT, ENCODED_LIVE),
            svgs: Room::new(SVGZ_KEPT, SVGZ_LIVE),
            decoding: std::array::from_fn(|_| AtomicBool::new(false)),
        }
    }

    /// The number of files of which anything is kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.encoded.kept.len() + self.svgs.kept.len()
    }
}

impl Room {
    /// Makes room for so many bytes that are kept, and so many that live.
    fn new(room: u64, live: u64) -> Self {
        let items = usize::try_from(room / USUAL_PAYLOAD).unwrap_or(usize::MAX);
        // One shard, which has room for the longest.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(room)
            .shards(1)
            .build();
        let kept = match options {
            Ok(options) => {
                let hasher = DefaultHashBuilder::default();
                Cache::with_options(options, ByLength, hasher, DefaultLifecycle::default())
            }
            Err(_) => Cache::with_weighter(items, room, ByLength),
        };
        Self { kept, live: LiveFiles::new(live) }
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

    fn room(&self) -> &Room {
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

    /// Returns the SVG that a `.svgz` file holds, or `file` itself. Blocks on the disk, and until there
    /// is a place to decode it.
    pub(super) fn decode_svgz(
        &self,
        path: &SourcePath,
        file: SourceFile,
    ) -> Result<SourceFile, Error> {
        if !self.is_svgz(path, &file) {
            return Ok(file);
        }
        let deadline = Instant::now() + SOURCE_PATIENCE;
        loop {
            match self.decode(path, file.clone(), &Meaning::Svg, true) {
                Err(LoadError::Decodes) if Instant::now() < deadline => {
                    std::thread::sleep(DECODING_PAUSE);
                }
                decoded => return decoded.map_err(LoadError::into_error),
            }
        }
    }

    /// Returns what `file` decodes to, or `file` itself. One that is `brought` is not in the source.
    ///
    /// # Errors
    ///
    /// [`LoadError::Decodes`] while another file of its device is decoded: a thread that waited for it
    /// would be missed by other lookups. For an SVG an error of the kind `Busy` while too many decoded
    /// bytes live.
    fn decode(
        &self,
        path: &SourcePath,
        file: SourceFile,
        meaning: &Meaning,
        brought: bool,
    ) -> Result<SourceFile, LoadError> {
        if let Some(known) = self.known(path, &file) {
            return Ok(known);
        }
        let (room, key, state) = (self.room(), (self.number, path.clone()), State::of(&file));
        let result = {
            let _place = self.place(&file).ok_or(LoadError::Decodes)?;
            // Another path to the file may have had it decoded meanwhile.
            if let Some(known) = self.known(path, &file) {
                return Ok(known);
            }
            if !room.live.has_room() {
                let Some(in_coding) = meaning.in_coding(path, true) else {
                    let message = "decoded files that still go out take all of their memory";
                    return Err(Error::new(ErrorKind::Busy, message).into());
                };
                return Ok(content_of(&Outcome::InCoding(in_coding), &file));
            }
            match unpack(path, &file, meaning, brought) {
                Ok(Unpacked { bytes, digest, from }) => {
                    let about = About { state: state.clone(), digest, from };
                    let live = room.live.add(key.clone(), bytes, about);
                    let from = live.about().from.clone();
                    Outcome::Decoded(Decoded { bytes: live.bytes(), digest, from })
                }
                // A failure passes, unlike damage, so nothing is kept of it.
                Err(Undecoded::Unread) => return Ok(file),
                Err(Undecoded::TooLong(error)) => match meaning.in_coding(path, false) {
                    Some(in_coding) => {
                        log::warn!(%error, %path, "a coded file goes out in its coding alone");
                        Outcome::InCoding(in_coding)
                    }
                    None => Outcome::AsIs,
                },
                Err(Undecoded::Unsound(error)) => {
                    if matches!(meaning, Meaning::Path(..)) {
                        log::warn!(%error, %path, "a coded file goes out as it is");
                    }
                    Outcome::AsIs
                }
            }
        };
        let content = content_of(&result, &file);
        if let Some(state) = state {
            room.kept.insert(key, Arc::new(Kept { state, result }));
        }
        Ok(content)
    }

    /// Takes the place for a file of the device; `None` if another file has it.
    fn place(&self, file: &SourceFile) -> Option<Place<'_>> {
        let device = file.content.fingerprint().map_or(0, |fingerprint| fingerprint.device);
        let place = &self.decoded.decoding[(device % DECODED_AT_ONCE as u64) as usize];
        (!place.swap(true, Ordering::Acquire)).then(|| Place(place))
    }

    /// Returns what is known of `file` from an earlier decoding.
    fn known(&self, path: &SourcePath, file: &SourceFile) -> Option<SourceFile> {
        let (room, key) = (self.room(), (self.number, path.clone()));
        if let Some(kept) = room.kept.get(&key).filter(|kept| kept.state.is_of(file)) {
            return Some(content_of(&kept.result, file));
        }
        let live = room.live.find(&key)?;
        let About { state, digest, from } = live.about();
        if !state.as_ref()?.is_of(file) {
            return None;
        }
        let decoded = Decoded { bytes: live.bytes(), digest: *digest, from: from.clone() };
        Some(content_of(&Outcome::Decoded(decoded), file))
    }

    /// Finds the coded file that `path`, which leads to none, means.
    fn find_coded(&self, path: &SourcePath) -> Result<Found, LoadError> {
        for (extension, coding) in CODED_EXTENSIONS {
            let coded = path.with_extension_added(extension);
            let Found::File(file) = self.source.lookup(&coded)? else { continue };
            if self.meaning_of(&coded, &file).is_some() {
                let meaning = Meaning::Path(path.clone(), coding);
                let file = self.decode(&coded, file, &meaning, false)?;
                if stands_for_another(&file) {
                    return Ok(Found::File(file));
                }
            }
        }
        Ok(Found::Nothing)
    }

    /// As [`find_coded`](Self::find_coded), but only without a wait.
    fn lookup_coded_nowait(&self, path: &SourcePath) -> Option<Found> {
        for (extension, _) in CODED_EXTENSIONS {
            let coded = path.with_extension_added(extension);
            if let Found::File(file) = self.source.lookup_nowait(&coded)?
                && self.meaning_of(&coded, &file).is_some()
            {
                let known = self.known(&coded, &file)?;
                if stands_for_another(&known) {
                    return Some(Found::File(known));
                }
            }
        }
        Some(Found::Nothing)
    }

    /// Looks `path` up. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// The errors of the source, and of [`decode`](Self::decode).
    pub(super) fn find(&self, path: &SourcePath) -> Result<Found, LoadError> {
        let file = match self.source.lookup(path)? {
            Found::File(file) => file,
            Found::Nothing if self.names_are_encoded && has_coded_siblings(path) => {
                return self.find_coded(path);
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
            Some(meaning) => self.decode(path, file, &meaning, false)?,
        }))
    }
}

impl Source for EncodedSource {
    fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
        self.find(path).map_err(LoadError::into_error)
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

    fn precompressed_codings(&self) -> Vec<ContentCoding> {
        self.source.precompressed_codings()
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

impl Meaning {
    /// Returns the coding in which the file `path` goes out undecoded; `None` if it does not.
    fn in_coding(&self, path: &SourcePath, is_passing: bool) -> Option<Arc<InCoding>> {
        match self {
            Self::Path(name, coding) if has_decoder(coding) => Some(Arc::new(InCoding {
                path: path.clone(),
                coding: coding.clone(),
                name: name.clone(),
                is_passing,
            })),
            Self::Path(..) | Self::Svg => None,
        }
    }
}

/// Whether `file` stands for what it decodes to.
fn stands_for_another(file: &SourceFile) -> bool {
    file.decoded.is_some() || file.in_coding.is_some()
}

/// Describes the content of `file` by the attempt to decode it.
fn content_of(result: &Outcome, file: &SourceFile) -> SourceFile {
    let Decoded { bytes, digest, from } = match result {
        Outcome::Decoded(decoded) => decoded,
        Outcome::InCoding(in_coding) => {
            return SourceFile { in_coding: Some(in_coding.clone()), ..file.clone() };
        }
        Outcome::AsIs => return file.clone(),
    };
    let mut content = SourceFile::from_bytes(bytes.clone()).digest(*digest);
    if from.name.is_none() {
        content = content.media_type("image/svg+xml");
    }
    content.decoded = Some(from.clone());
    content.modified = file.modified;
    content.entity_tag.clone_from(&file.entity_tag);
    content
}

struct Unpacked {
    bytes: Vec<u8>,
    digest: Digest,
    from: Arc<DecodedFrom>,
}

/// The reason for which a file was not decoded.
enum Undecoded {
    Unread,
    TooLong(Error),
    Unsound(Error),
}

/// Reads and decodes `file`. Without the feature of its coding there is no decoder.
fn unpack(
    path: &SourcePath,
    file: &SourceFile,
    meaning: &Meaning,
    brought: bool,
) -> Result<Unpacked, Undecoded> {
    let too_long = || Error::new(ErrorKind::Encoder, "it is longer than 32 MiB");
    if file.content.len() > ENCODED_FILE {
        return Err(Undecoded::TooLong(too_long()));
    }
    let coded = read(file).ok_or(Undecoded::Unread)?;
    let (coding, decoded, name) = match meaning {
        Meaning::Svg => (ContentCoding::GZIP, unpack_svg(&coded), None),
        Meaning::Path(name, coding) => {
            (coding.clone(), decode_file(coding, &coded, ENCODED_DECODED), Some(name.clone()))
        }
    };
    let bytes = decoded.map_err(|error| match is_too_long(&error) {
        true => Undecoded::TooLong(error),
        false => Undecoded::Unsound(error),
    })?;
    let is_in_memory = brought || matches!(file.content, Content::Bytes(_));
    let file = CodedFile {
        path: path.clone(),
        coding,
        digest: Digest::of(&coded),
        len: coded.len() as u64,
        bytes: is_in_memory.then_some(coded),
    };
    let from = Arc::new(DecodedFrom { file: Arc::new(file), name });
    Ok(Unpacked { digest: Digest::of(&bytes), bytes, from })
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

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::source::Memory;

    #[test]
    fn lookup_that_finds_no_place_to_decode_does_not_wait_for_one() {
        let mut gzip = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"<svg/>").unwrap();
        let files = Memory::new().file("a.svgz", gzip.finish().unwrap()).file("a.txt", "text");
        let decoded = (0, Arc::new(DecodedFiles::new()));
        let source = EncodedSource::new(Arc::new(files), Arc::default(), false, decoded);
        let [svgz, text] = ["a.svgz", "a.txt"].map(|name| SourcePath::root().join(name));
        let Ok(Found::File(file)) = source.undecoded().lookup(&svgz) else { panic!("no file") };
        let place = source.place(&file).unwrap();
        assert!(source.place(&file).is_none());
        assert!(matches!(source.find(&svgz), Err(LoadError::Decodes)));
        assert!(matches!(source.find(&text), Ok(Found::File(_))));
        drop(place);
        assert!(matches!(source.find(&svgz), Ok(Found::File(file)) if file.decoded.is_some()));
    }
}
