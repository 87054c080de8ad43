//! aria2.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{in_every_state, site_of};

/// Four connections, each with a range of its own, with and without codings.
#[test]
fn aria2_fetches_a_file_over_four_connections() {
    let Some(aria2) = require("aria2c") else { return };
    let files =
        [("data.json", site::text(1, 4_500_000)), ("noise.bin", site::random(2, 4_500_000))];
    let site = site_of(&files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    in_every_state(&site, |visit| {
        for gzip in ["false", "true"] {
            for name in ["data.json", "noise.bin"] {
                let into = format!("{gzip}-{name}");
                let words = ["-x4", "-s4", "-k1M", "--no-conf", "--quiet", "-o", &into];
                let gzip = format!("--http-accept-gzip={gzip}");
                let url = visit.url(&format!("/{name}"));
                visit.run(&aria2, words.into_iter().chain([gzip.as_str(), &url]));
                visit.assert_same(&into, name);
                visit.assert_asked_for_ranges(name);
            }
        }
    });
}
