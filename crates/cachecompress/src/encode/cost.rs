//! The processor time that an encode will take, foretold from earlier ones.

use std::collections::HashMap;
use std::time::Duration;

use crate::codec::Codec;
use crate::concurrency::sync::{Mutex, lock};
use crate::http::EncoderId;

/// The processor time by encoder, in nanoseconds for each byte of the source, proof included.
#[derive(Debug, Default)]
pub(super) struct Costs(Mutex<HashMap<EncoderId, Spent>>);

/// The processor time and the bytes of the encodes of late, the later ones counting more.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    nanos: f64,
    bytes: f64,
}

/// The part of the sums that each encode leaves.
const KEPT: f64 = 0.75;

/// The figure of an encoder that has encoded nothing yet, by its coding and level, as an AMD EPYC takes. It
/// is only to tell milliseconds from seconds.
fn guess(codec: &Codec) -> f64 {
    let parameters = codec.encoder.settings().parameters;
    let level = parameters.iter().find(|(name, _)| *name == "level" || *name == "quality");
    let level = level.map_or(5, |(_, level)| *level);
    match (codec.coding.as_str(), level) {
        ("br", ..=4) => 12.0,
        ("br", 5..=6) => 22.0,
        ("br", 7..=9) => 60.0,
        ("br", 10) => 500.0,
        ("br", _) => 1200.0,
        ("zstd", ..=4) => 5.0,
        ("zstd", 5..=9) => 20.0,
        ("zstd", 10..=15) => 80.0,
        ("zstd", _) => 350.0,
        ("gzip" | "deflate", ..=6) => 15.0,
        _ => 30.0,
    }
}

impl Costs {
    /// Foretells the processor time of the encode of `source_len` bytes and its proof.
    pub(super) fn predict(&self, codec: &Codec, source_len: u64) -> Duration {
        let known = lock(&self.0).get(&codec.id(source_len)).copied();
        let rate = known.map_or_else(|| guess(codec), |spent| spent.nanos / spent.bytes);
        Duration::from_nanos((rate * source_len as f64) as u64)
    }

    /// Takes an encode into account that took so long. A short one, most of whose time does not grow with
    /// its bytes, counts by its bytes.
    pub(super) fn learn(&self, codec: &Codec, source_len: u64, took: Duration) {
        let mut costs = lock(&self.0);
        let spent = costs.entry(codec.id(source_len)).or_default();
        spent.nanos = spent.nanos * KEPT + took.as_nanos() as f64;
        spent.bytes = spent.bytes * KEPT + source_len.max(1) as f64;
    }
}

#[cfg(all(test, feature = "brotli"))]
mod tests {
    use super::*;
    use crate::codec::CodecsBuilder;
    use crate::http::ContentCoding;

    #[test]
    fn prediction_follows_what_encodes_took() {
        let codecs = CodecsBuilder::default().set_level(&ContentCoding::BROTLI, 11).unwrap();
        let codecs = codecs.build().unwrap();
        let codec = codecs.get(&ContentCoding::BROTLI).unwrap();
        let costs = Costs::default();
        assert!(costs.predict(codec, 8 << 20) > Duration::from_secs(2));
        (0..30).for_each(|_| costs.learn(codec, 1_000_000, Duration::from_millis(100)));
        costs.learn(codec, 1000, Duration::from_millis(2));
        let predicted = costs.predict(codec, 1_000_000).as_millis();
        assert!((98..=103).contains(&predicted), "{predicted}");
    }
}
