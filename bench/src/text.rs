//! Bytes of files, the same in every run and on every machine.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Xorshift64*, by Marsaglia and Vigna.
///
/// Another generator would make another site, whose figures do not compare with the recorded ones.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`. Small ones are more likely, as frequent words are in a text.
    fn skewed(&mut self, limit: usize) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (limit as f64 * uniform * uniform * uniform) as usize
    }
}

/// Incompressible bytes, such as a film's.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Text of `length` bytes that compresses like scripts.
pub(crate) fn script(seed: u64, length: usize) -> Vec<u8> {
    // All texts share their words.
    let mut letters = Random::new(1);
    let words: Vec<Vec<u8>> = (0..6000)
        .map(|_| {
            let length = 2 + letters.next() % 9;
            (0..length).map(|_| b'a' + letters.skewed(26) as u8).collect()
        })
        .collect();
    let mut random = Random::new(seed);
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        text.extend_from_slice(&words[random.skewed(words.len())]);
        let end: &[u8] = match random.next() % 16 {
            0 => b"();\n",
            1 => b" = ",
            2 => b", ",
            3 => b" {\n  ",
            4 => b"}\n",
            _ => b" ",
        };
        text.extend_from_slice(end);
    }
    text.truncate(length);
    text
}

/// Bytes like a program's code: short patterns, with operands that rarely repeat.
pub(crate) fn program(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let patterns: Vec<Vec<u8>> =
        (0..2000).map(|_| noise(random.next(), 4 + (random.next() % 12) as usize)).collect();
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        bytes.extend_from_slice(&patterns[random.skewed(patterns.len())]);
        if random.next().is_multiple_of(8) {
            bytes.extend_from_slice(&(random.skewed(1 << 16) as u16).to_le_bytes());
        }
    }
    bytes.truncate(length);
    bytes
}

/// A script whose gzip has about `encoded` bytes.
pub(crate) fn script_of_encoded_length(seed: u64, encoded: usize) -> Vec<u8> {
    let sample = encoded.min(4_000_000);
    let mut length = sample * 3;
    for _ in 0..6 {
        let ratio = sample as f64 / gzip_length(&script(seed, length)) as f64;
        length = (length as f64 * ratio) as usize;
    }
    script(seed, (length as f64 * encoded as f64 / sample as f64) as usize)
}

fn gzip_length(bytes: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all").len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_of_encoded_length_hits_the_length() {
        for wished in [1_400, 33_000, 92_000] {
            let length = gzip_length(&script_of_encoded_length(3, wished));
            assert!(length.abs_diff(wished) * 50 < wished, "{length} for {wished}");
        }
    }

    #[test]
    fn bytes_compress_like_their_models() {
        let share = |bytes: &[u8]| gzip_length(bytes) * 100 / bytes.len();
        assert!(share(&noise(1, 200_000)) >= 99);
        assert!((20..45).contains(&share(&script(1, 200_000))), "{}", share(&script(1, 200_000)));
        let program = share(&program(1, 1_000_000));
        assert!((30..50).contains(&program), "{program}");
    }

    #[test]
    fn bytes_are_the_same_for_the_same_seed() {
        assert_eq!(script(7, 500), script(7, 500));
        assert_ne!(script(7, 500), script(8, 500));
        assert_eq!(noise(7, 20)[..10], noise(7, 10));
    }
}
