//! axel.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{in_every_state, site_of};

/// Four connections, each with a range of its own.
#[test]
fn axel_fetches_a_file_over_four_connections() {
    let Some(axel) = require("axel") else { return };
    let files =
        [("data.json", site::text(1, 3_000_000)), ("noise.bin", site::random(2, 3_000_000))];
    let site = site_of(&files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    in_every_state(&site, |visit| {
        for name in ["data.json", "noise.bin"] {
            visit.run(&axel, ["-q", "-n4", "-o", name, &visit.url(&format!("/{name}"))]);
            visit.assert_same(name, name);
            visit.assert_asked_for_ranges(name);
        }
    });
}
