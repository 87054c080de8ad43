//! zsync.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{in_every_state, make, site_of, text};

/// zsync asks for the blocks that it lacks, several ranges at a time.
#[test]
fn zsync_fetches_the_blocks_that_it_lacks() {
    let (Some(zsync), Some(zsyncmake)) = (require("zsync"), require("zsyncmake")) else { return };
    let files = [("data.txt", site::text(1, 600_000)), ("noise.bin", site::random(2, 600_000))];
    let site = site_of(&files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    for name in ["data.txt", "noise.bin"] {
        make(&zsyncmake, ["-b", "2048", "-u", name, name], site.path());
    }
    in_every_state(&site, |visit| {
        for name in ["data.txt", "noise.bin"] {
            let mut old = fs::read(site.file(name)).unwrap();
            for change in [10_000, 100_000, 250_000, 400_000, 599_000] {
                old[change..change + 100].fill(b'#');
            }
            visit.write("old", &old);
            let url = visit.url(&format!("/{name}.zsync"));
            let output = text(&visit.run(&zsync, ["-i", "old", "-o", name, &url]));
            visit.assert_same(name, name);
            assert!(output.contains("used "), "{output}");
            visit.assert_asked_for_ranges(name);
        }
    });
}
