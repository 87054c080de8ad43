//! The `dcz` coding, RFC 9842 §5: a zstd frame that refers to a dictionary.

use std::borrow::Cow;
use std::sync::Arc;

use self_cell::self_cell;
use zrip_core::dict::Dictionary as ZripDictionary;
use zstd_safe::{CCtx, CParameter};

use super::dictionary::Dictionary;
use super::feed::Feed;
use super::framed::{Framed, FramedDecoding, Impossible, header};
use super::traits::{Decoding, Encoder, Encoding, Settings};
use super::zstd::{ZstdDecoding, failed, finish, write};
use crate::error::{Error, ErrorKind};
use crate::limits::{DCZ_LARGEST_WINDOW, DCZ_TABLE_LOGS, DCZ_WINDOW};

/// The first bytes of every stream: a skippable frame of 32 bytes, which hold the digest.
const MAGIC: [u8; 8] = [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0];

/// `dcz` by libzstd.
///
/// - The frame has content size and checksum, no dictionary id, and no larger window than its content.
/// - The dictionary is a prefix of the content, whatever its first bytes are: libzstd's other ways take
///   `37 a4 30 ec` for the beginning of a trained one, and give other bytes.
/// - No worker threads, no long-distance matching, no flushes.
#[derive(Debug)]
pub(super) struct Dcz {
    dictionary: Arc<Dictionary>,
}

impl Dcz {
    /// The level: that of a first `zstd`.
    const LEVEL: i32 = 3;

    pub(super) fn new(dictionary: Arc<Dictionary>) -> Self {
        Self { dictionary }
    }
}

/// Returns the longest content that clients must decode with a dictionary of that length, both in bytes
/// (RFC 9842 §5).
///
/// A window may be 8 MiB, or a quarter longer than the dictionary, and 128 MiB at most. Behind a window's
/// length of content the dictionary is out of reach (RFC 8878 §5), so the window is the whole content.
pub(super) fn longest_content(dictionary_len: u64) -> u64 {
    dictionary_len.saturating_add(dictionary_len / 4).clamp(DCZ_WINDOW, DCZ_LARGEST_WINDOW)
}

/// Returns the binary logarithm of the number of places in each of libzstd's two tables.
///
/// libzstd looks up the last `8 << log` bytes of a dictionary, which are all of it here.
fn table_log(dictionary_len: u64) -> u32 {
    let log = dictionary_len.max(1).next_power_of_two().ilog2();
    log.saturating_sub(3).clamp(*DCZ_TABLE_LOGS.start(), *DCZ_TABLE_LOGS.end())
}

impl Encoder for Dcz {
    fn settings(&self) -> Settings {
        Settings {
            encoder: Cow::Borrowed("libzstd"),
            version: Cow::Borrowed(zstd_safe::version_string()),
            parameters: vec![
                ("level", i64::from(Self::LEVEL)),
                ("prefix", 1),
                ("least_table_log", i64::from(*DCZ_TABLE_LOGS.start())),
                ("table_log", i64::from(*DCZ_TABLE_LOGS.end())),
                ("checksum", 1),
                ("content_size", 1),
                ("long_distance", 0),
            ],
        }
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        let bytes = self.dictionary.bytes()?;
        if source_len > longest_content(bytes.len() as u64) {
            return Err(Error::new(
                ErrorKind::Encoder,
                "the source is too long for dcz with this dictionary",
            ));
        }
        let context = Prefixed::try_new(bytes, |bytes| context(bytes, source_len))?;
        let buffer = vec![0; CCtx::out_size()].into_boxed_slice();
        let inner = Box::new(DczEncoding { feed: Feed::new(source_len), context, buffer });
        Ok(Box::new(Framed { header: header(&MAGIC, &self.dictionary.digest()), inner }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        let header = header(&MAGIC, &self.dictionary.digest());
        let bytes = self.dictionary.bytes().ok();
        let Some(dictionary) = bytes.as_deref().and_then(raw_dictionary) else {
            return Some(Box::new(Impossible("a dictionary cannot be read")));
        };
        let window = longest_content(self.dictionary.len());
        let inner = Box::new(ZstdDecoding::with_dictionary(dictionary, window));
        Some(Box::new(FramedDecoding { header, inner }))
    }
}

/// Sets up a context whose content follows `dictionary`.
///
/// libzstd copies its input to a buffer of its own. So the content never lies directly behind the
/// dictionary in memory, which would change the output.
fn context(dictionary: &[u8], source_len: u64) -> Result<CCtx<'_>, Error> {
    let mut zstd = CCtx::try_create()
        .ok_or_else(|| Error::new(ErrorKind::Busy, "libzstd has no memory for a context"))?;
    // A window of no less than the content makes the frame declare the content's length.
    let window_log = source_len.max(1 << 10).next_power_of_two().ilog2();
    let table_log = table_log(dictionary.len() as u64);
    for parameter in [
        CParameter::CompressionLevel(Dcz::LEVEL),
        CParameter::WindowLog(window_log),
        CParameter::HashLog(table_log),
        CParameter::ChainLog(table_log),
        CParameter::ChecksumFlag(true),
        CParameter::ContentSizeFlag(true),
        CParameter::DictIdFlag(false),
    ] {
        zstd.set_parameter(parameter).map_err(failed)?;
    }
    zstd.set_pledged_src_size(Some(source_len)).map_err(failed)?;
    zstd.ref_prefix(dictionary).map_err(failed)?;
    Ok(zstd)
}

type Context<'a> = CCtx<'a>;

self_cell!(
    /// A context of libzstd and the dictionary that it reads.
    struct Prefixed {
        owner: Arc<[u8]>,
        #[not_covariant]
        dependent: Context,
    }
);

struct DczEncoding {
    feed: Feed,
    context: Prefixed,
    buffer: Box<[u8]>,
}

impl Encoding for DczEncoding {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.take(piece)?;
        let Self { context, buffer, .. } = self;
        context.with_dependent_mut(|_, zstd| write(zstd, buffer, piece, out))
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.feed.finish()?;
        let Self { context, buffer, .. } = &mut *self;
        context.with_dependent_mut(|_, zstd| finish(zstd, buffer, out))
    }
}

/// Makes a dictionary of `content` for the decoder, which takes only such as have tables before the
/// content.
///
/// The tables are the shortest ones, and the offsets those that a frame begins with. Nothing refers to the
/// tables: an encoder that has the content alone begins with its own.
fn raw_dictionary(content: &[u8]) -> Option<ZripDictionary> {
    const TABLES: [u8; 8] = [
        // Two symbols of one bit.
        128, 0x10, // For offsets, matches and literals: one symbol, in a table of 32.
        0xf0, 0x03, 0xf0, 0x03, 0xf0, 0x03,
    ];
    const ID: u32 = 1;
    let mut dictionary = Vec::with_capacity(28 + content.len());
    dictionary.extend_from_slice(&zrip_core::dict::DICT_MAGIC.to_le_bytes());
    dictionary.extend_from_slice(&ID.to_le_bytes());
    dictionary.extend_from_slice(&TABLES);
    for offset in [1_u32, 4, 8] {
        dictionary.extend_from_slice(&offset.to_le_bytes());
    }
    dictionary.extend_from_slice(content);
    ZripDictionary::from_bytes(&dictionary).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_content_is_8_mib_or_a_quarter_more_than_the_dictionary() {
        for (dictionary, content) in [
            (0, 8 << 20),
            (6 << 20, 8 << 20),
            (8 << 20, 10 << 20),
            (10_000_003, 12_500_003),
            (64 << 20, 80 << 20),
            (1 << 40, 128 << 20),
            (u64::MAX, 128 << 20),
        ] {
            assert_eq!(longest_content(dictionary), content, "{dictionary}");
        }
    }

    #[test]
    fn tables_reach_all_of_a_dictionary_up_to_64_mib() {
        for len in [1, 1 << 20, (1 << 20) + 1, 10 << 20, 64 << 20] {
            assert!(8_u64 << table_log(len) >= len, "{len}");
        }
        assert_eq!(table_log(0), *DCZ_TABLE_LOGS.start());
        assert_eq!(table_log(u64::MAX >> 1), *DCZ_TABLE_LOGS.end());
    }

    #[test]
    fn dictionary_of_the_decoder_has_the_content_and_the_first_offsets() {
        for content in [&b""[..], b"content", &[0x37, 0xa4, 0x30, 0xec, 1, 0, 0, 0]] {
            let dictionary = raw_dictionary(content).unwrap();
            assert_eq!(dictionary.content(), content);
            assert_eq!(dictionary.rep_offsets(), &[1, 4, 8]);
        }
    }
}
