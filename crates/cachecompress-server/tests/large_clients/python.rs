//! pyarrow, pandas and zarr over fsspec; requests, httpx and aiohttp.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{in_every_state, make, site_of};

#[test]
fn pyarrow_and_pandas_read_tables() {
    read_what_they_made("tables.py");
}

#[test]
fn zarr_reads_arrays() {
    read_what_they_made("arrays.py");
}

fn read_what_they_made(name: &str) {
    let Some(python) = require("pydata") else { return };
    let script = script(name);
    let site = Site::new();
    make(&python, [script.as_path(), "make".as_ref(), site.path()], site.path());
    in_every_state(&site, |visit| {
        let url = visit.url("");
        let words = [script.as_path(), "read".as_ref(), url.as_ref(), site.path()];
        visit.run(&python, words);
    });
}

/// The clients that name codings beside Range and decode what they get.
#[test]
fn python_clients_read_ranges() {
    let Some(python) = require("pydata") else { return };
    let site = site_of(&[
        ("data.json", &site::text(1, 300_000)),
        ("data.bin", &site::binary(2, 300_000)),
        ("noise.bin", &site::random(3, 300_000)),
    ]);
    let script = script("ranges.py");
    in_every_state(&site, |visit| {
        let mut command = visit.command(&python);
        command.arg(&script).args(["read", &visit.url("")]).current_dir(site.path());
        visit.run_command(command.args(["data.json", "data.bin", "noise.bin"]));
    });
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").join(name)
}
