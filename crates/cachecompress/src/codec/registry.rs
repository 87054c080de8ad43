//! The set of codings in use, and the order of preference among them.

use std::sync::{Arc, OnceLock};

use super::dictionary::Dictionary;
use super::id::{encoder_id, long_source_id};
use super::traits::Encoder;
use crate::error::Error;
use crate::http::{CodedFile, ContentCoding, EncoderId};
use crate::limits::SMALL_SOURCE;

/// One content coding in use.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    /// The coding's name.
    pub(crate) coding: ContentCoding,
    /// The encoder that produces the coding.
    pub(crate) encoder: Arc<dyn Encoder>,
    id: EncoderId,
    /// The least length in bytes of the sources that have an id of their own, and that id.
    long: Option<(u64, EncoderId)>,
    /// The file whose bytes are the output, if somebody else has encoded it.
    pub(crate) adopts: Option<Arc<CodedFile>>,
    /// The dictionary that a client needs to decode the output.
    pub(crate) dictionary: Option<Arc<Dictionary>>,
    /// The slow encoder of the same coding, whose output takes the place of this one's later.
    better: Option<Arc<Better>>,
    /// The codec whose output that of this one takes the place of.
    pub(crate) replaces: Option<Box<Self>>,
}

/// A slow encoder of a coding, whose id is derived when it is first needed: the sample alone takes 0.1 s.
#[derive(Debug)]
struct Better {
    encoder: Arc<dyn Encoder>,
    codec: OnceLock<Option<Codec>>,
}

/// The content codings in use, each at most once.
///
/// By default the built-in ones whose cargo features are enabled: `br` at level 5, `zstd` at 3,
/// `gzip` and `deflate` at 6.
#[derive(Clone, Debug)]
pub(crate) struct Codecs {
    codecs: Vec<Codec>,
    auto_small: Vec<ContentCoding>,
    auto_large: Vec<ContentCoding>,
}

/// A builder of [`Codecs`].
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct CodecsBuilder {
    encoders: Vec<(ContentCoding, Arc<dyn Encoder>)>,
    /// The codings that are not built in, in the order of their registration.
    custom: Vec<(ContentCoding, Place)>,
    /// The codings whose encoders are the built-in ones.
    built_in: Vec<ContentCoding>,
    /// Whether built-in encoders have a better one.
    has_better: bool,
}

/// The place of a custom coding in [`Preference::Auto`].
#[derive(Clone, Debug)]
enum Place {
    First,
    Before(ContentCoding),
}

/// The choice among codings that a client accepts equally well.
///
/// ```
/// use cachecompress::{ContentCoding, Memory, Preference, ServeCompressed};
///
/// # fn main() -> Result<(), cachecompress::Error> {
/// # if cfg!(not(all(feature = "gzip", feature = "zstd"))) { return Ok(()) }
/// let order = Preference::List(vec![ContentCoding::ZSTD, ContentCoding::GZIP]);
/// let service = ServeCompressed::builder(Memory::new())
///     .preference(order)
///     .level(ContentCoding::ZSTD, 9)
///     .build()?;
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preference {
    /// Custom codings first, then for sources up to 1 MiB `br`, `zstd`, `gzip`, `deflate`; for
    /// larger ones `zstd`, `br`, `gzip`, `deflate`. This is the default.
    #[default]
    Auto,
    /// These, in this order.
    List(Vec<ContentCoding>),
}

/// The codings that may be built in, whether or not their cargo features are enabled.
const BUILT_IN: [ContentCoding; 4] =
    [ContentCoding::BROTLI, ContentCoding::ZSTD, ContentCoding::GZIP, ContentCoding::DEFLATE];

/// The order of [`Preference::Auto`] for small sources: by the size of the result.
const AUTO_SMALL: [ContentCoding; 4] =
    [ContentCoding::BROTLI, ContentCoding::ZSTD, ContentCoding::GZIP, ContentCoding::DEFLATE];

/// The order of [`Preference::Auto`] for large sources: by speed, as a client waits for the output.
///
/// At the default levels zstd encodes a 10 MB binary at 300 MB/s, gzip at 75, br at 55. Speed
/// decides nothing between `br` and `gzip`: both emit their first bytes within 3 ms and are faster
/// than most lines. The smaller result decides, 38 instead of 45 % of that binary.
const AUTO_LARGE: [ContentCoding; 4] =
    [ContentCoding::ZSTD, ContentCoding::BROTLI, ContentCoding::GZIP, ContentCoding::DEFLATE];

impl Codec {
    pub(super) fn adopted(file: Arc<CodedFile>, encoder: Arc<dyn Encoder>, id: EncoderId) -> Self {
        Self { adopts: Some(Arc::clone(&file)), ..Self::plain(file.coding.clone(), encoder, id) }
    }

    /// Describes the codec `id`, whose output refers to `dictionary`.
    #[cfg(any(feature = "brotli", feature = "zstd"))]
    pub(super) fn delta(
        coding: ContentCoding,
        encoder: Arc<dyn Encoder>,
        id: EncoderId,
        dictionary: Arc<Dictionary>,
    ) -> Self {
        Self { dictionary: Some(dictionary), ..Self::plain(coding, encoder, id) }
    }

    fn plain(coding: ContentCoding, encoder: Arc<dyn Encoder>, id: EncoderId) -> Self {
        let (long, adopts, dictionary, better, replaces) = (None, None, None, None, None);
        Self { coding, encoder, id, long, adopts, dictionary, better, replaces }
    }

    /// Derives the id of `encoder`, for which it encodes a sample of 96 KiB.
    fn derived(coding: ContentCoding, encoder: Arc<dyn Encoder>) -> Result<Self, Error> {
        let id = encoder_id(&*encoder)?;
        let long = long_source_id(&encoder.settings(), id);
        Ok(Self { long, ..Self::plain(coding, encoder, id) })
    }

    /// Whether there is a better codec of the coding.
    #[must_use]
    pub(crate) fn has_better(&self) -> bool {
        self.better.is_some()
    }

    /// Returns the better codec of the coding, if there is one and its id is known by now.
    #[must_use]
    pub(crate) fn better(&self) -> Option<&Self> {
        self.better.as_ref()?.codec.get()?.as_ref()
    }

    /// Returns the better codec of the coding, if there is one. The first call takes 0.1 s.
    pub(crate) fn derive_better(&self) -> Option<&Self> {
        let better = self.better.as_ref()?;
        let derive = || {
            let codec = Self::derived(self.coding.clone(), Arc::clone(&better.encoder));
            let replaces = Some(Box::new(Self { better: None, ..self.clone() }));
            codec.ok().map(|codec| Self { replaces, ..codec })
        };
        better.codec.get_or_init(derive).as_ref()
    }

    /// Returns the id of the encoder, with all its settings, for sources of `source_len` bytes.
    #[must_use]
    pub(crate) fn id(&self, source_len: u64) -> EncoderId {
        match self.long {
            Some((from, id)) if source_len >= from => id,
            _ => self.id,
        }
    }
}

impl Codecs {
    /// Creates the built-in codings at their default levels.
    ///
    /// # Errors
    ///
    /// If one of their encoders cannot be set up.
    #[cfg(test)]
    pub(crate) fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Starts with the built-in codings at their default levels.
    #[cfg(test)]
    pub(crate) fn builder() -> CodecsBuilder {
        CodecsBuilder::default()
    }

    /// Returns the codec of `coding`, if it is in use.
    #[must_use]
    pub(crate) fn get(&self, coding: &ContentCoding) -> Option<&Codec> {
        self.codecs.iter().find(|codec| codec.coding == *coding)
    }

    /// Iterates over all codecs: the built-in ones, then the others in the order of their
    /// registration.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Codec> {
        self.codecs.iter()
    }
}

impl<'a> IntoIterator for &'a Codecs {
    type Item = &'a Codec;
    type IntoIter = std::slice::Iter<'a, Codec>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl CodecsBuilder {
    /// Starts with no coding at all.
    pub(crate) fn empty() -> Self {
        Self { encoders: Vec::new(), custom: Vec::new(), built_in: Vec::new(), has_better: false }
    }

    /// Sets the level of a built-in coding, and takes it into use if it was not.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) if `coding` is not built in, or has no such level.
    pub(crate) fn set_level(mut self, coding: &ContentCoding, level: i32) -> Result<Self, Error> {
        let encoder = built_in(coding, Some(level))?;
        self.put(coding.clone(), encoder);
        self.built_in.retain(|known| known != coding);
        self.built_in.push(coding.clone());
        Ok(self)
    }

    /// Gives each built-in encoder below its best level a better one.
    pub(crate) fn with_better(mut self) -> Self {
        self.has_better = true;
        self
    }

    /// Takes a custom coding into use, or a custom encoder in place of a built-in one.
    ///
    /// A custom coding stands in [`Preference::Auto`] before the built-in ones, after those that
    /// were registered earlier. A built-in coding keeps its place.
    pub(crate) fn register(self, coding: ContentCoding, encoder: Arc<dyn Encoder>) -> Self {
        self.register_at(coding, encoder, Place::First)
    }

    /// Takes a coding into use as [`register`](Self::register) does, with its place in
    /// [`Preference::Auto`] directly before the coding `before`.
    pub(crate) fn register_before(
        self,
        before: ContentCoding,
        coding: ContentCoding,
        encoder: Arc<dyn Encoder>,
    ) -> Self {
        self.register_at(coding, encoder, Place::Before(before))
    }

    /// Derives the encoders' ids, for which each encodes a sample of 96 KiB, and builds the set.
    ///
    /// # Errors
    ///
    /// If an encoder fails on the sample; [`Config`](crate::ErrorKind::Config) if one was
    /// registered as `identity` or as `*`, or before a coding that is not in use.
    pub(crate) fn build(self) -> Result<Codecs, Error> {
        let Self { encoders, custom, built_in, has_better } = self;
        let mut codecs = Vec::with_capacity(encoders.len());
        for (coding, encoder) in encoders {
            if coding.is_identity() || coding.as_str() == "*" {
                return Err(Error::config(format!(
                    "an encoder cannot be registered as `{coding}`: give the coding a name of \
                     its own"
                )));
            }
            let codec = Codec::derived(coding.clone(), encoder).map_err(|error| {
                Error::config(format!("the encoder of `{coding}` fails on a sample"))
                    .with_cause(error)
            })?;
            let may_have_better = has_better && built_in.contains(&coding);
            let better = may_have_better.then(|| better_of(&codec)).flatten();
            codecs.push(Codec { better, ..codec });
        }
        let auto_small = auto(&AUTO_SMALL, &codecs, &custom)?;
        let auto_large = auto(&AUTO_LARGE, &codecs, &custom)?;
        Ok(Codecs { codecs, auto_small, auto_large })
    }

    fn register_at(
        mut self,
        coding: ContentCoding,
        encoder: Arc<dyn Encoder>,
        place: Place,
    ) -> Self {
        self.custom.retain(|(known, _)| *known != coding);
        self.built_in.retain(|known| *known != coding);
        if !BUILT_IN.contains(&coding) || matches!(place, Place::Before(_)) {
            self.custom.push((coding.clone(), place));
        }
        self.put(coding, encoder);
        self
    }

    fn put(&mut self, coding: ContentCoding, encoder: Arc<dyn Encoder>) {
        match self.encoders.iter_mut().find(|(known, _)| *known == coding) {
            Some((_, known)) => *known = encoder,
            None => self.encoders.push((coding, encoder)),
        }
    }
}

impl Default for CodecsBuilder {
    fn default() -> Self {
        let mut builder = Self::empty();
        for coding in BUILT_IN {
            // Fails only where the cargo feature is not enabled.
            if let Ok(encoder) = built_in(&coding, None) {
                builder.built_in.push(coding.clone());
                builder.put(coding, encoder);
            }
        }
        builder
    }
}

impl Preference {
    /// Returns the codings in order of preference for a source of `source_len` bytes, best first.
    ///
    /// [`Auto`](Self::Auto) yields only codings in use, a [`List`](Self::List) all that it holds.
    #[must_use]
    pub(crate) fn order<'a>(&'a self, codecs: &'a Codecs, source_len: u64) -> &'a [ContentCoding] {
        match self {
            Self::List(list) => list,
            Self::Auto if source_len <= SMALL_SOURCE => &codecs.auto_small,
            Self::Auto => &codecs.auto_large,
        }
    }
}

/// Orders the codings in use: those of `built_in`, with the custom ones at their places.
fn auto(
    built_in: &[ContentCoding],
    codecs: &[Codec],
    custom: &[(ContentCoding, Place)],
) -> Result<Vec<ContentCoding>, Error> {
    let placed = |coding: &ContentCoding| custom.iter().any(|(known, _)| known == coding);
    let in_use = |coding: &&ContentCoding| codecs.iter().any(|codec| codec.coding == **coding);
    let first =
        custom.iter().filter(|(_, place)| matches!(place, Place::First)).map(|(coding, _)| coding);
    let rest = built_in.iter().filter(in_use).filter(|coding| !placed(coding));
    let mut order: Vec<_> = first.chain(rest).cloned().collect();
    for (coding, place) in custom {
        let Place::Before(before) = place else { continue };
        let at = order.iter().position(|known| known == before).ok_or_else(|| {
            Error::config(format!(
                "`{coding}` is to stand before `{before}`, which is not in use: register or \
                 enable that first"
            ))
        })?;
        order.insert(at, coding.clone());
    }
    Ok(order)
}

/// Returns the better encoder of a built-in one, unless that is as good.
fn better_of(codec: &Codec) -> Option<Arc<Better>> {
    let encoder = best_of(&codec.coding)?;
    let level = |encoder: &dyn Encoder| {
        let parameters = encoder.settings().parameters.into_iter();
        parameters.filter(|(name, _)| *name == "level").map(|(_, level)| level).next()
    };
    let is_better = level(&*codec.encoder)? < level(&*encoder)?;
    is_better.then(|| Arc::new(Better { encoder, codec: OnceLock::new() }))
}

/// Creates the encoder of the second pass. Higher levels take many times as long, or windows that browsers refuse.
fn best_of(coding: &ContentCoding) -> Option<Arc<dyn Encoder>> {
    let encoder: Result<Arc<dyn Encoder>, Error> = match coding.as_str() {
        "br" => built_in(coding, Some(11)),
        "zstd" => built_in(coding, Some(19)),
        #[cfg(feature = "gzip")]
        "gzip" => super::libdeflate::Libdeflate::gzip().map(|encoder| Arc::new(encoder) as _),
        #[cfg(feature = "gzip")]
        "deflate" => super::libdeflate::Libdeflate::deflate().map(|encoder| Arc::new(encoder) as _),
        _ => return None,
    };
    encoder.ok()
}

/// Creates the built-in encoder of `coding`, at `level` or its default.
fn built_in(coding: &ContentCoding, level: Option<i32>) -> Result<Arc<dyn Encoder>, Error> {
    match coding.as_str() {
        #[cfg(feature = "brotli")]
        "br" => {
            let level = level.unwrap_or(super::brotli::Brotli::DEFAULT_LEVEL);
            Ok(Arc::new(super::brotli::Brotli::new(level)?))
        }
        #[cfg(feature = "zstd")]
        "zstd" => {
            let level = level.unwrap_or(super::zstd::Zstd::DEFAULT_LEVEL);
            Ok(Arc::new(super::zstd::Zstd::new(level)?))
        }
        #[cfg(feature = "gzip")]
        "gzip" => {
            let level = level.unwrap_or(super::gzip::Gzip::DEFAULT_LEVEL);
            Ok(Arc::new(super::gzip::Gzip::new(level)?))
        }
        #[cfg(feature = "gzip")]
        "deflate" => {
            let level = level.unwrap_or(super::deflate::Deflate::DEFAULT_LEVEL);
            Ok(Arc::new(super::deflate::Deflate::new(level)?))
        }
        _ => {
            let _ = level;
            Err(Error::config(format!(
                "there is no built-in encoder for `{coding}`: enable its cargo feature, or \
                 register an encoder"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::traits::{Decoding, Encoding, Settings};
    use super::*;
    use crate::ErrorKind;

    /// An encoder without any output.
    #[derive(Debug)]
    struct Nothing(i64);

    impl Encoder for Nothing {
        fn settings(&self) -> Settings {
            Settings {
                encoder: "nothing".into(),
                version: "1".into(),
                parameters: vec![("level", self.0)],
            }
        }

        fn begin(&self, _: u64) -> Result<Box<dyn Encoding>, Error> {
            Ok(Box::new(Nothing(self.0)))
        }

        fn decoder(&self) -> Option<Box<dyn Decoding>> {
            None
        }
    }

    impl Encoding for Nothing {
        fn write(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), Error> {
            Ok(())
        }

        fn finish(self: Box<Self>, _: &mut Vec<u8>) -> Result<(), Error> {
            Ok(())
        }
    }

    fn coding(name: &str) -> ContentCoding {
        ContentCoding::new(name).expect("a token")
    }

    fn names(order: &[ContentCoding]) -> Vec<&str> {
        order.iter().map(ContentCoding::as_str).collect()
    }

    fn custom() -> CodecsBuilder {
        CodecsBuilder::empty()
            .register(ContentCoding::ZSTD, Arc::new(Nothing(0)))
            .register(ContentCoding::BROTLI, Arc::new(Nothing(0)))
            .register(ContentCoding::GZIP, Arc::new(Nothing(0)))
    }

    #[test]
    fn auto_orders_small_sources_by_size_and_large_ones_by_speed() -> Result<(), Error> {
        let codecs = custom().build()?;
        let auto = Preference::Auto;
        for small in [0, 1 << 20] {
            assert_eq!(names(auto.order(&codecs, small)), ["br", "zstd", "gzip"]);
        }
        for large in [(1 << 20) + 1, u64::MAX] {
            assert_eq!(names(auto.order(&codecs, large)), ["zstd", "br", "gzip"]);
        }
        let list = Preference::List(vec![ContentCoding::DEFLATE, ContentCoding::GZIP]);
        assert_eq!(names(list.order(&codecs, 5)), ["deflate", "gzip"]);
        Ok(())
    }

    #[test]
    fn custom_codings_come_first_unless_a_place_is_given() -> Result<(), Error> {
        let codecs = custom()
            .register(coding("one"), Arc::new(Nothing(1)))
            .register(coding("two"), Arc::new(Nothing(2)))
            .register_before(ContentCoding::GZIP, coding("three"), Arc::new(Nothing(3)))
            .build()?;
        let order = Preference::Auto.order(&codecs, 1);
        assert_eq!(names(order), ["one", "two", "br", "zstd", "three", "gzip"]);
        let order = Preference::Auto.order(&codecs, 2 << 20);
        assert_eq!(names(order), ["one", "two", "zstd", "br", "three", "gzip"]);
        let ids: std::collections::BTreeSet<_> = codecs.iter().map(|codec| codec.id(1)).collect();
        assert_eq!(ids.len(), 4, "0, 1, 2 and 3: the same encoder has the same id");
        Ok(())
    }

    #[test]
    fn build_fails_when_a_registration_is_impossible() {
        let one = || Arc::new(Nothing(1));
        let bad = [
            custom().register(ContentCoding::IDENTITY, one()),
            custom().register(coding("*"), one()),
            custom().register_before(coding("none"), coding("x"), one()),
        ];
        for builder in bad {
            assert_eq!(
                builder.build().map_err(|error| error.kind()).err(),
                Some(ErrorKind::Config)
            );
        }
        let error = custom().set_level(&coding("own"), 3).err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::Config));
    }

    #[cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
    #[test]
    fn built_in_codings_have_default_levels_until_others_are_set() -> Result<(), Error> {
        let codecs = Codecs::new()?;
        let level = |codecs: &Codecs, coding| {
            codecs.get(&coding).map(|codec| codec.encoder.settings().parameters[0].1)
        };
        assert_eq!(level(&codecs, ContentCoding::BROTLI), Some(5));
        assert_eq!(level(&codecs, ContentCoding::ZSTD), Some(3));
        assert_eq!(level(&codecs, ContentCoding::GZIP), Some(6));
        assert_eq!(level(&codecs, ContentCoding::DEFLATE), Some(6));
        let order = Preference::Auto.order(&codecs, 1);
        assert_eq!(names(order), ["br", "zstd", "gzip", "deflate"]);
        let order = Preference::Auto.order(&codecs, u64::MAX);
        assert_eq!(names(order), ["zstd", "br", "gzip", "deflate"]);

        let other = Codecs::builder().set_level(&ContentCoding::GZIP, 9)?.build()?;
        assert_eq!(level(&other, ContentCoding::GZIP), Some(9));
        for codec in &codecs {
            let id = other.get(&codec.coding).map(|codec| codec.id(1));
            assert_eq!(id == Some(codec.id(1)), codec.coding != ContentCoding::GZIP);
        }

        for (coding, levels) in [
            (ContentCoding::BROTLI, [-1, 12, 300]),
            (ContentCoding::ZSTD, [0, 23, -5]),
            (ContentCoding::GZIP, [0, 10, -6]),
            (ContentCoding::DEFLATE, [0, 10, -6]),
        ] {
            for level in levels {
                let error = Codecs::builder().set_level(&coding, level).err();
                assert_eq!(error.as_ref().map(Error::kind), Some(ErrorKind::Config), "{level}");
                assert!(error.is_some_and(|error| error.to_string().contains("choose one from")));
            }
        }
        Ok(())
    }

    #[cfg(all(feature = "brotli", feature = "gzip", feature = "zstd"))]
    #[test]
    fn id_depends_on_the_length_for_zstd_below_level_17_only() -> Result<(), Error> {
        const LONG: u64 = 16 << 20;
        for (level, changes) in [(1, true), (16, true), (17, false), (22, false)] {
            let codecs = Codecs::builder().set_level(&ContentCoding::ZSTD, level)?.build()?;
            for codec in &codecs {
                let short = codec.id(0);
                assert_eq!(short, encoder_id(&*codec.encoder)?);
                assert_eq!(codec.id(LONG - 1), short);
                assert_eq!(codec.id(LONG), codec.id(u64::MAX));
                let is_zstd = codec.coding == ContentCoding::ZSTD;
                assert_eq!(codec.id(LONG) != short, is_zstd && changes, "{codec:?}");
            }
        }
        Ok(())
    }
}
