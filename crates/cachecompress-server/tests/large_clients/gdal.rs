//! GDAL, which reads rasters over HTTP in ranges (`/vsicurl/`).

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{Visit, in_every_state, make, write};

/// The parts of a raster that are read: all, a window, and an overview.
const PARTS: [&str; 3] = ["", "-srcwin 700 300 200 150", "-outsize 12% 12%"];

/// The settings of GDAL's reader; each is a program's environment.
const SETTINGS: [&str; 4] = [
    "",
    "CPL_VSIL_CURL_USE_HEAD=NO",
    // Several ranges in one request.
    "GDAL_HTTP_MULTIRANGE=SINGLE_GET GDAL_HTTP_MERGE_CONSECUTIVE_RANGES=NO",
    // Neighbours of the file are guessed rather than listed.
    "GDAL_DISABLE_READDIR_ON_OPEN=YES",
];

#[test]
fn gdal_reads_a_cloud_optimised_geotiff() {
    let Some(translate) = require("gdal_translate") else { return };
    let site = Site::new();
    let source = tempfile::tempdir().unwrap();
    write(&source.path().join("grid.asc"), grid(1024));
    for (name, compress) in [("plain.tif", "NONE"), ("packed.tif", "DEFLATE")] {
        let compress = format!("COMPRESS={compress}");
        let into = site.file(name);
        let words = ["-q", "-of", "COG", "-ot", "Int16", "-co", "BLOCKSIZE=128", "-co", &compress];
        let words = words.into_iter().chain(["grid.asc", into.to_str().unwrap()]);
        make(&translate, words, source.path());
    }
    in_every_state(&site, |visit| {
        for name in ["plain.tif", "packed.tif"] {
            for part in PARTS {
                let local = read(visit, &translate, "", part, site.file(name).to_str().unwrap());
                let remote = format!("/vsicurl/{}", visit.url(&format!("/{name}")));
                for settings in SETTINGS {
                    let found = read(visit, &translate, settings, part, &remote);
                    assert!(found == local, "{:?}: {name} {part} {settings}", visit.state);
                }
            }
            visit.assert_asked_for_ranges(name);
        }
    });
}

/// Reads a part of a raster, and returns its bytes.
fn read(visit: &Visit<'_>, translate: &Path, settings: &str, part: &str, from: &str) -> Vec<u8> {
    let into = tempfile::tempdir_in(visit.home("")).unwrap();
    let into = into.path().join("part.bin");
    let mut command = visit.command(translate);
    command.envs(settings.split_whitespace().filter_map(|setting| setting.split_once('=')));
    command.args(["-q", "-of", "ENVI"]).args(part.split_whitespace()).arg(from).arg(&into);
    visit.run_command(&mut command);
    fs::read(into).unwrap()
}

/// A raster as text: a smooth hill.
fn grid(side: i64) -> String {
    let mut text = format!("ncols {side}\nnrows {side}\nxllcorner 0\nyllcorner 0\ncellsize 1\n");
    for y in 0..side {
        let value = |x| (x * y / 64 + x * 3 + y * 5) % 4000;
        let row: Vec<String> = (0..side).map(|x| value(x).to_string()).collect();
        text += &row.join(" ");
        text.push('\n');
    }
    text
}
