//! The `dcb` coding, RFC 9842 §4: a brotli stream of RFC 9841 that refers to a dictionary.

use std::borrow::Cow;
use std::sync::Arc;

use mbrotli::dictionary::DictionaryBuilder;
use mbrotli::{Compressor, EncoderConfig, InputSize, Quality, Window};

use super::brotli::{self, BrotliDecoding, BrotliEncoding};
use super::dictionary::Dictionary;
use super::framed::{Framed, FramedDecoding, Impossible, header};
use super::traits::{Decoding, Encoder, Encoding, Settings};
use crate::error::Error;
use crate::limits::{BROTLI_FIRST_FLUSH, BROTLI_FLUSH_ABOVE, BROTLI_FLUSH_EVERY, DCB_WINDOW_LOGS};

/// The first bytes of every stream.
const MAGIC: [u8; 4] = [0xff, b'D', b'C', b'B'];

/// The revision of the output, raised whenever an update changes any of it.
const REVISION: i64 = 1;

/// `dcb` by `mbrotli`.
///
/// - The window holds all of the source, up to 16 MiB (RFC 9842 §4), and never is the large one of RFC
///   9841. The dictionary does not count: it lies before the window.
/// - Flushed as `br` is.
#[derive(Debug)]
pub(super) struct Dcb {
    dictionary: Arc<Dictionary>,
}

impl Dcb {
    /// The level: that of a first `br`. Lower ones know no dictionaries.
    const LEVEL: Quality = Quality::Q5;

    pub(super) fn new(dictionary: Arc<Dictionary>) -> Self {
        Self { dictionary }
    }
}

/// Returns the binary logarithm of the window, in bytes. A window is 16 bytes shorter than its power of
/// two (RFC 7932 §9.1).
fn window_log(source_len: u64) -> u8 {
    let enough = |log: &u8| (1_u64 << *log) - 16 >= source_len;
    DCB_WINDOW_LOGS.into_iter().find(enough).unwrap_or(*DCB_WINDOW_LOGS.end())
}

impl Encoder for Dcb {
    fn settings(&self) -> Settings {
        Settings {
            encoder: Cow::Borrowed("mbrotli"),
            version: Cow::Borrowed("0.5"),
            parameters: vec![
                ("level", i64::from(Self::LEVEL.get())),
                ("dictionary", 1),
                ("revision", REVISION),
                ("least_window_log", i64::from(*DCB_WINDOW_LOGS.start())),
                ("window_log", i64::from(*DCB_WINDOW_LOGS.end())),
                ("flush_above", BROTLI_FLUSH_ABOVE as i64),
                ("first_flush", BROTLI_FIRST_FLUSH as i64),
                ("flush_every", BROTLI_FLUSH_EVERY as i64),
            ],
        }
    }

    fn begin(&self, source_len: u64) -> Result<Box<dyn Encoding>, Error> {
        let bytes = self.dictionary.bytes()?;
        let failed = brotli::failed;
        let window = Window::standard(window_log(source_len))
            .map_err(|cause| failed("brotli refuses its window").with_cause(cause))?;
        let config = EncoderConfig::default().with_quality(Self::LEVEL).with_window(window);
        let compressor = Compressor::new(config)
            .map_err(|cause| failed("brotli refuses its settings").with_cause(cause))?;
        let stream = InputSize::Exact(source_len).into();
        // An empty dictionary is none to the encoder.
        let session = match bytes.is_empty() {
            true => compressor.into_session(stream),
            false => {
                let prepared = DictionaryBuilder::new().add_prefix(&*bytes).build();
                let prepared = prepared
                    .map_err(|cause| failed("brotli refuses its dictionary").with_cause(cause))?;
                compressor.into_session_with_dictionary(prepared, stream)
            }
        };
        let session = session.map_err(|cause| failed("brotli cannot begin").with_cause(cause))?;
        let inner = Box::new(BrotliEncoding::alone(session, source_len));
        Ok(Box::new(Framed { header: header(&MAGIC, &self.dictionary.digest()), inner }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoding>> {
        let Ok(bytes) = self.dictionary.bytes() else {
            return Some(Box::new(Impossible("a dictionary cannot be read")));
        };
        let inner = Box::new(BrotliDecoding::with_dictionary(bytes));
        Some(Box::new(FramedDecoding { header: header(&MAGIC, &self.dictionary.digest()), inner }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_holds_the_source_up_to_16_mib() {
        for (len, log) in [
            (0, 16),
            ((1 << 16) - 16, 16),
            ((1 << 16) - 15, 17),
            (1_400_000, 21),
            ((1 << 24) - 16, 24),
            (1 << 24, 24),
            (u64::MAX, 24),
        ] {
            assert_eq!(window_log(len), log, "{len}");
        }
    }
}
