//! pip, with a simple index.

use cachecompress_test::tools::require;

use crate::common::*;
use crate::visit::{in_every_state, make, put, sha256_hex, write};

const WHEEL: &str = "demo-1.0-py3-none-any.whl";

/// Makes a wheel of the directory's files.
const MAKE: &str = "import sys, zipfile\n\
    with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as wheel:\n\
    \x20   for name in sys.argv[2:]: wheel.write(name)\n";

/// REDbot's virtual environment has a pip; the machine's Python may have none.
#[test]
fn pip_downloads_and_installs_from_a_simple_index() {
    let Some(python) = require("redbot") else { return };
    let site = Site::new();
    publish(&site, &python);
    in_every_state(&site, |visit| {
        let index = ["--index-url", &visit.url("/simple/"), "--no-deps", "--quiet"];
        let pip = |words: &[&str]| {
            visit.run(&python, ["-m", "pip", "--isolated"].iter().chain(words).chain(&index))
        };
        // Twice: pip keeps what it fetched, and asks whether the index has changed.
        for into in ["one", "two"] {
            pip(&["download", "demo", "--dest", into]);
            visit.assert_same(&format!("{into}/{WHEEL}"), &format!("files/{WHEEL}"));
        }
        // Reads the wheel's metadata by ranges before it fetches all.
        pip(&["install", "demo", "--target", "lazy", "--use-feature=fast-deps"]);
        visit.assert_asked_for_ranges(&format!("/files/{WHEEL}"));
        pip(&["install", "demo", "--target", "whole", "--no-cache-dir"]);
        for into in ["lazy", "whole"] {
            visit.assert_bytes(&format!("{into}/demo/text.txt"), &contents());
        }
    });
}

fn contents() -> Vec<u8> {
    [site::text(1, 100_000), site::random(2, 100_000)].concat()
}

fn publish(site: &Site, python: &Path) {
    let tree = tempfile::tempdir().unwrap();
    let info = "demo-1.0.dist-info";
    let metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    let entries: [(String, Vec<u8>); 4] = [
        ("demo/text.txt".into(), contents()),
        (format!("{info}/METADATA"), metadata.into()),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n".into(),
        ),
        (
            format!("{info}/RECORD"),
            ["demo/text.txt", &format!("{info}/METADATA"), &format!("{info}/WHEEL")]
                .map(|name| format!("{name},,\n"))
                .concat()
                .into(),
        ),
    ];
    for (name, bytes) in &entries {
        write(&tree.path().join(name), bytes);
    }
    let wheel = tree.path().join(WHEEL);
    let names = entries.iter().map(|(name, _)| name.as_str());
    let words = ["-c", MAKE, wheel.to_str().unwrap()];
    make(python, words.into_iter().chain(names), tree.path());
    let bytes = fs::read(&wheel).unwrap();
    let digest = sha256_hex(&bytes);
    put(site, &format!("files/{WHEEL}"), bytes);
    let link = format!("<a href=\"../../files/{WHEEL}#sha256={digest}\">{WHEEL}</a><br>\n");
    let page = format!("<!DOCTYPE html><html><body>\n{link}</body></html>\n");
    put(site, "simple/demo/index.html", page);
    put(site, "simple/index.html", "<!DOCTYPE html><a href=\"demo/\">demo</a>\n");
}
