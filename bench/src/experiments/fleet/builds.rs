//! Two versions of a site, as a build tool makes them.

use std::path::PathBuf;

use fs_err as fs;

use crate::experiments::harness::Harness;
use crate::files;
use crate::text::{self, Random};

/// The version of the files, which changes when other ones are made.
const VERSION: &str = "1";
/// One of so many files is another one in the second version.
const CHANGED: u32 = 10;
/// The median of the lengths, in bytes, and the deviation of their logarithm.
const MEDIAN: f64 = 6_000.0;
const DEVIATION: f64 = 1.7;
/// The least and the most bytes of a file.
const LENGTHS: std::ops::Range<f64> = 300.0..4e6;

/// The directories of the two versions, and the paths in each.
#[derive(Debug)]
pub(super) struct Builds {
    pub(super) old: (PathBuf, Vec<String>),
    pub(super) new: (PathBuf, Vec<String>),
    pub(super) changed: usize,
}

impl Builds {
    /// Makes the files of both versions, unless they are there.
    pub(super) fn make(harness: &Harness<'_>, count: u32) -> anyhow::Result<Self> {
        let dir = harness.places.bench.join(format!("fleet/builds-{VERSION}-{count}"));
        let old = (dir.join("old"), (0..count).map(|number| path(number, 0)).collect::<Vec<_>>());
        let new: Vec<String> = (0..count).map(|number| path(number, generation(number))).collect();
        let new = (dir.join("new"), new);
        let done = dir.join("done");
        if !done.exists() {
            for number in 0..count {
                files::write(&old.0.join(&path(number, 0)[1..]), content(number, 0))?;
                let generation = generation(number);
                files::write(
                    &new.0.join(&path(number, generation)[1..]),
                    content(number, generation),
                )?;
            }
            fs::write(done, "")?;
            std::thread::sleep(super::SETTLED_AFTER);
        }
        let changed = old.1.iter().zip(&new.1).filter(|(old, new)| old != new).count();
        Ok(Self { old, new, changed })
    }
}

/// The generation of a file in the second version.
fn generation(number: u32) -> u64 {
    u64::from(number.is_multiple_of(CHANGED))
}

/// The path, which has the content in it as build tools write it.
fn path(number: u32, generation: u64) -> String {
    let kind = ["js", "js", "js", "css", "html", "json", "svg"][number as usize % 7];
    format!("/assets/{number:05}-{:08x}.{kind}", seed(number, generation))
}

fn content(number: u32, generation: u64) -> Vec<u8> {
    let seed = seed(number, generation);
    text::script(seed, length(&mut Random::new(u64::from(number) + 1)))
        .into_iter()
        .chain(seed.to_string().into_bytes())
        .collect()
}

fn seed(number: u32, generation: u64) -> u64 {
    0x5eed + u64::from(number) * 2 + generation
}

/// A length of the log-normal distribution, which those of real builds are near.
fn length(random: &mut Random) -> usize {
    let uniform = |random: &mut Random| (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
    // Twelve of them have the variance 1.
    let normal = (0..12).map(|_| uniform(random)).sum::<f64>() - 6.0;
    (MEDIAN * (DEVIATION * normal).exp()).clamp(LENGTHS.start, LENGTHS.end) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_a_build() {
        let mut lengths: Vec<usize> =
            (0..2000).map(|number| length(&mut Random::new(number + 1))).collect();
        lengths.sort_unstable();
        let total: usize = lengths.iter().sum();
        assert!((5_000..7_000).contains(&lengths[1000]), "{}", lengths[1000]);
        assert!((30_000_000..80_000_000).contains(&total), "{total}");
        assert!(*lengths.last().unwrap() > 1_000_000, "{lengths:?}");
    }

    #[test]
    fn a_tenth_of_the_files_changes() {
        let changed =
            (0..2000).filter(|number| path(*number, 0) != path(*number, generation(*number)));
        assert_eq!(changed.count(), 200);
        assert_ne!(content(0, 0), content(0, 1));
        assert_eq!(content(1, 0), content(1, generation(1)));
    }
}
