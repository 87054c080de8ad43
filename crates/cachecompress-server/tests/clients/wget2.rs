//! wget2, which knows all codings, and asks for them unless told otherwise.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{in_every_state, site_of};

/// A download that broke off and is continued, and one in pieces over several connections.
#[test]
fn wget2_fetches_continues_and_splits() {
    let Some(wget2) = require("wget2") else { return };
    let files = [("data.json", site::text(1, 900_000)), ("noise.bin", site::random(2, 900_000))];
    let site = site_of(&files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    in_every_state(&site, |visit| {
        for name in ["data.json", "noise.bin"] {
            let url = visit.url(&format!("/{name}"));
            let get = |into: &str, options: &[&str]| {
                visit.run(&wget2, ["-q", "-O", into, &url].iter().chain(options));
                visit.assert_same(into, name);
            };
            get("whole", &[]);
            // wget2 plans its pieces by the length that HEAD tells, which may be that of a coding.
            let plain = "--compression=identity";
            get("split", &["--chunk-size=200K", "--max-threads=4", plain]);
            visit.write("broken", &fs::read(site.file(name)).unwrap()[..300_000]);
            get("broken", &["-c"]);
            visit.assert_asked_for_ranges(name);
        }
    });
}
