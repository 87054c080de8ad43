//! The code that embeds the files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cachecompress::Digest;

use crate::encode::EncodedFile;
use crate::output::payload_name;

/// Writes an expression of the type `&'static [PrecompressedFile]`. Payloads lie in the directory `name`
/// beside it.
pub(crate) fn expression(name: &str, files: &[EncodedFile]) -> String {
    let mut code = String::from(
        "// Written by cachecompress-build.\n{\n    \
         use ::cachecompress::source::{PrecompressedCoding as Coding, PrecompressedFile as File};\n",
    );
    let mut numbers = BTreeMap::new();
    for bytes in files.iter().flat_map(EncodedFile::contents) {
        let digest = Digest::of(bytes);
        let number = numbers.len();
        numbers.entry(digest).or_insert_with(|| {
            let payload = payload_name(&digest);
            let _ = writeln!(
                code,
                "    static B{number}: &[u8] = include_bytes!(\"{name}/{payload}\");"
            );
            number
        });
    }
    let bytes_of = |digest: &Digest| format!("B{}", numbers[digest]);
    for (number, file) in files.iter().enumerate() {
        let count = file.codings.len();
        let _ = writeln!(code, "    static C{number}: [Coding; {count}] = [");
        for coding in &file.codings {
            let name = coding.coding.as_str();
            let _ = match &coding.payload {
                None => writeln!(code, "        Coding::unprofitable({name:?}),"),
                Some(payload) => {
                    let digest = Digest::of(payload);
                    let (payload, digest) = (bytes_of(&digest), array(&digest));
                    writeln!(code, "        Coding::new({name:?}, {payload}, {digest}),")
                }
            };
        }
        code.push_str("    ];\n");
    }
    code.push_str("    static FILES: &[File] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let EncodedFile { path, digest, is_utf8, .. } = file;
        let (bytes, digest) = (bytes_of(digest), array(digest));
        let _ = writeln!(
            code,
            "        File::new({path:?}, {bytes}, {digest}, &C{number}).utf8({is_utf8}),"
        );
    }
    code.push_str("    ];\n    FILES\n}\n");
    code
}

/// The bytes of a digest as an array.
fn array(digest: &Digest) -> String {
    format!("{:?}", digest.as_bytes())
}
