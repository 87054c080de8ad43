//! Media types (RFC 9110 §8.3): the type of a file by its name, and whether its bytes compress.

use http::HeaderValue;

use super::SourcePath;
use crate::limits;

/// Returns the `Content-Type` for the extension of `path`, without regard to case.
///
/// - Types of `text` have the parameter `charset=utf-8`.
/// - A path without an extension, or with an unknown one, is `application/octet-stream`.
/// - `.ts` and `.mts` are `video/mp2t`, as everywhere on the web. Players of HLS insist on it, and
///   no reader of TypeScript minds.
///
/// Types come from the `mime_guess` crate, but for a few that it lacks or has wrong.
#[must_use]
pub(crate) fn media_type(path: &SourcePath) -> HeaderValue {
    let guess = path.extension().and_then(of_extension);
    let media_type = guess.unwrap_or("application/octet-stream");
    if media_type.starts_with("text/") && !media_type.contains(';') {
        let text = format!("{media_type}; charset=utf-8");
        return HeaderValue::try_from(text).expect("a media type is visible ASCII");
    }
    HeaderValue::from_static(media_type)
}

/// Returns the type of files with `extension`, without regard to case; `None` if it is unknown.
pub(crate) fn of_extension(extension: &str) -> Option<&'static str> {
    let mut lower = [0; limits::EXTENSION];
    let lower = lower.get_mut(..extension.len())?;
    lower.copy_from_slice(extension.as_bytes());
    lower.make_ascii_lowercase();
    let lower = std::str::from_utf8(lower).ok()?;
    own(lower).or_else(|| mime_guess::from_ext(lower).first_raw())
}

/// The types that `mime_guess` lacks, has under an outdated name, or has wrong: `.ts` is a DLNA
/// video there, `.rpm` a plugin of RealAudio. The types of most texts are here too, with their
/// charset, so that none is formatted.
fn own(extension: &str) -> Option<&'static str> {
    Some(match extension {
        // Texts.
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        // RFC 9239 §6.
        "js" | "mjs" | "cjs" => "text/javascript; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "txt" | "log" | "cts" | "jsx" | "tsx" | "go" | "java" | "kt" | "swift" | "vue"
        | "svelte" | "astro" | "lock" | "properties" | "wgsl" | "glsl" => {
            "text/plain; charset=utf-8"
        }
        // Structured texts. A source map is JSON (ECMA-426).
        "map" | "topojson" => "application/json",
        "ndjson" | "jsonl" => "application/x-ndjson",
        "m3u8" => "application/vnd.apple.mpegurl",
        // Media.
        "ts" | "mts" | "m2ts" => "video/mp2t",
        "obj" => "model/obj",
        "stl" => "model/stl",
        "ktx2" => "image/ktx2",
        // Fonts, RFC 8081.
        "otf" => "font/otf",
        "woff" => "font/woff",
        // Archives and packages.
        "br" => "application/x-brotli",
        "zst" => "application/zstd",
        // The file itself is compressed. It is an SVG only together with a Content-Encoding.
        "svgz" | "tgz" => "application/gzip",
        "lz4" => "application/x-lz4",
        "lzma" => "application/x-lzma",
        "tbz" | "tbz2" => "application/x-bzip2",
        "txz" => "application/x-xz",
        "deb" => "application/vnd.debian.binary-package",
        "rpm" => "application/x-rpm",
        "whl" | "nupkg" => "application/zip",
        // Programs.
        "dll" | "exe" | "so" | "dylib" | "node" | "pdb" => "application/octet-stream",
        _ => return None,
    })
}

/// Whether a file is worth encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Compressibility {
    /// Its type compresses well.
    Always,
    /// Its type does not tell, so a sample of its bytes decides.
    Sample,
    /// It is compressed already. It is never encoded, and its response does not vary.
    Never,
}

/// Whether a media type compresses, with or without parameters, without regard to case.
///
/// - [`Always`](Compressibility::Always): `text`, JSON, XML, scripts, SVG, WebAssembly, tar,
///   uncompressed bitmaps and fonts.
/// - [`Never`](Compressibility::Never): other images, audio, video, archives, compressed packages
///   and documents, WOFF and WOFF2.
/// - [`Sample`](Compressibility::Sample): all others, such as `application/octet-stream`, and
///   `video/mp2t`, which may be TypeScript.
#[must_use]
pub(crate) fn compressibility(media_type: &str) -> Compressibility {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let lower = essence.to_ascii_lowercase();
    let Some((kind, subtype)) = lower.split_once('/') else {
        return Compressibility::Sample;
    };
    let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
    if matches!(suffix, Some("json" | "xml" | "yaml")) {
        return Compressibility::Always;
    }
    if matches!(suffix, Some("zip" | "gzip" | "zstd")) {
        return Compressibility::Never;
    }
    match kind {
        "text" => Compressibility::Always,
        "font" => match subtype {
            "woff" | "woff2" => Compressibility::Never,
            _ => Compressibility::Always,
        },
        "image" => image(subtype),
        "audio" => match subtype {
            "mpegurl" | "x-mpegurl" => Compressibility::Always,
            _ => Compressibility::Never,
        },
        "video" => match subtype {
            "mp2t" | "vnd.dlna.mpeg-tts" => Compressibility::Sample,
            _ => Compressibility::Never,
        },
        "application" => application(subtype),
        _ => Compressibility::Sample,
    }
}

fn image(subtype: &str) -> Compressibility {
    match subtype {
        "bmp" | "x-ms-bmp" | "x-bmp" => Compressibility::Always,
        // An icon holds bitmaps or PNGs. The others may hold either kind, too.
        "x-icon" | "vnd.microsoft.icon" | "tiff" | "x-tga" | "ktx" | "vnd.radiance" => {
            Compressibility::Sample
        }
        _ if subtype.starts_with("x-portable-") => Compressibility::Sample,
        _ => Compressibility::Never,
    }
}

fn application(subtype: &str) -> Compressibility {
    // OOXML and ODF are zip files.
    let office = subtype.starts_with("vnd.openxmlformats-officedocument.")
        || subtype.starts_with("vnd.oasis.opendocument.")
        || subtype.ends_with(".macroenabled.12");
    if TEXT.contains(&subtype) || PLAIN.contains(&subtype) {
        Compressibility::Always
    } else if office || COMPRESSED.contains(&subtype) {
        Compressibility::Never
    } else {
        Compressibility::Sample
    }
}

/// Subtypes of `application` that are text.
const TEXT: &[&str] = &[
    "ecmascript",
    "graphql",
    "hjson",
    "javascript",
    "json",
    "json-seq",
    "json5",
    "jsonl",
    "jsonlines",
    "n-quads",
    "n-triples",
    "postscript",
    "rtf",
    "sql",
    "toml",
    "trig",
    "vnd.apple.mpegurl",
    "x-csh",
    "x-httpd-php",
    "x-javascript",
    "x-json",
    "x-ndjson",
    "x-ns-proxy-autoconfig",
    "x-sh",
    "x-sql",
    "x-subrip",
    "x-toml",
    "x-yaml",
    "xml",
    "xml-dtd",
    "yaml",
];

/// Subtypes of `application` that are binary, but not compressed.
const PLAIN: &[&str] = &[
    "font-sfnt",
    "vnd.ms-fontobject",
    "vnd.ms-opentype",
    "wasm",
    "x-font-opentype",
    "x-font-otf",
    "x-font-truetype",
    "x-font-ttf",
    "x-tar",
    "x-ustar",
];

/// Subtypes of `application` that are compressed, by themselves or as a container.
const COMPRESSED: &[&str] = &[
    "brotli",
    "font-woff",
    "font-woff2",
    "gzip",
    "java-archive",
    "mp4",
    "mxf",
    "ogg",
    "oxps",
    "pdf",
    "vnd.android.package-archive",
    "vnd.apple.pkpass",
    "vnd.debian.binary-package",
    "vnd.google-earth.kmz",
    "vnd.ms-cab-compressed",
    "vnd.ms-xpsdocument",
    "vnd.rar",
    "vsix",
    "x-7z-compressed",
    "x-ace-compressed",
    "x-arj",
    "x-brotli",
    "x-bzip",
    "x-bzip2",
    "x-chrome-extension",
    "x-compress",
    "x-compressed",
    "x-debian-package",
    "x-font-woff",
    "x-gzip",
    "x-itunes-ipa",
    "x-java-archive",
    "x-lz4",
    "x-lzh-compressed",
    "x-lzma",
    "x-rar-compressed",
    "x-rpm",
    "x-shockwave-flash",
    "x-silverlight-app",
    "x-stuffitx",
    "x-xpinstall",
    "x-xz",
    "x-zip-compressed",
    "zip",
    "zlib",
    "zstd",
];

#[cfg(test)]
mod tests {
    use Compressibility::{Always, Never, Sample};

    use super::*;

    fn of(name: &str) -> (String, Compressibility) {
        let path = SourcePath::parse(name.as_bytes()).unwrap();
        let value = media_type(&path).to_str().unwrap().to_owned();
        let compressibility = compressibility(&value);
        (value, compressibility)
    }

    #[test]
    fn media_type_follows_the_extension() {
        for (extension, expected, compressible) in [
            ("html", "text/html; charset=utf-8", Always),
            ("css", "text/css; charset=utf-8", Always),
            ("js", "text/javascript; charset=utf-8", Always),
            ("mjs", "text/javascript; charset=utf-8", Always),
            ("cjs", "text/javascript; charset=utf-8", Always),
            ("txt", "text/plain; charset=utf-8", Always),
            ("csv", "text/csv; charset=utf-8", Always),
            ("rs", "text/x-rust; charset=utf-8", Always),
            ("tsx", "text/plain; charset=utf-8", Always),
            ("xml", "text/xml; charset=utf-8", Always),
            ("json", "application/json", Always),
            ("map", "application/json", Always),
            ("webmanifest", "application/manifest+json", Always),
            ("geojson", "application/geo+json", Always),
            ("rss", "application/rss+xml", Always),
            ("svg", "image/svg+xml", Always),
            ("wasm", "application/wasm", Always),
            ("ttf", "font/ttf", Always),
            ("otf", "font/otf", Always),
            ("eot", "application/vnd.ms-fontobject", Always),
            ("bmp", "image/bmp", Always),
            ("tar", "application/x-tar", Always),
            ("m3u8", "application/vnd.apple.mpegurl", Always),
            ("gltf", "model/gltf+json", Always),
            ("ts", "video/mp2t", Sample),
            ("so", "application/octet-stream", Sample),
            ("exe", "application/octet-stream", Sample),
            ("dll", "application/octet-stream", Sample),
            ("node", "application/octet-stream", Sample),
            ("bin", "application/octet-stream", Sample),
            ("dmg", "application/octet-stream", Sample),
            ("ico", "image/x-icon", Sample),
            ("glb", "model/gltf-binary", Sample),
            ("doc", "application/msword", Sample),
            ("png", "image/png", Never),
            ("jpg", "image/jpeg", Never),
            ("avif", "image/avif", Never),
            ("jxl", "image/jxl", Never),
            ("webp", "image/webp", Never),
            ("mp4", "video/mp4", Never),
            ("mp3", "audio/mpeg", Never),
            ("woff", "font/woff", Never),
            ("woff2", "font/woff2", Never),
            ("svgz", "application/gzip", Never),
            ("gz", "application/gzip", Never),
            ("tgz", "application/gzip", Never),
            ("br", "application/x-brotli", Never),
            ("zst", "application/zstd", Never),
            ("zip", "application/zip", Never),
            ("xz", "application/x-xz", Never),
            ("bz2", "application/x-bzip2", Never),
            ("7z", "application/x-7z-compressed", Never),
            ("rar", "application/x-rar-compressed", Never),
            ("pdf", "application/pdf", Never),
            ("jar", "application/java-archive", Never),
            ("apk", "application/vnd.android.package-archive", Never),
            ("deb", "application/vnd.debian.binary-package", Never),
            ("rpm", "application/x-rpm", Never),
            ("epub", "application/epub+zip", Never),
            ("odt", "application/vnd.oasis.opendocument.text", Never),
            (
                "docx",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                Never,
            ),
            ("xlsm", "application/vnd.ms-excel.sheet.macroEnabled.12", Never),
        ] {
            let expected = (expected.to_owned(), compressible);
            assert_eq!(of(&format!("a/b.min.{extension}")), expected, "{extension}");
            assert_eq!(of(&format!("x.{}", extension.to_uppercase())), expected, "{extension}");
        }
    }

    #[test]
    fn media_type_of_an_unknown_name_is_octet_stream() {
        for name in ["LICENSE", "a.", ".html", "a.unknown", "a.averyveryverylongextension", ""] {
            assert_eq!(of(name).0, "application/octet-stream", "{name}");
        }
        let path = SourcePath::parse(b"a.\xff").unwrap();
        assert_eq!(media_type(&path), "application/octet-stream");
    }

    #[test]
    fn media_type_is_a_header_value_for_every_extension() {
        let mut extension = String::new();
        for first in b'a'..=b'z' {
            for second in b'a'..=b'z' {
                for third in [b'a'..=b'z', b'0'..=b'9'].into_iter().flatten() {
                    extension.clear();
                    extension.extend([first, second, third].map(char::from));
                    let _ = of(&format!("x.{extension}"));
                }
            }
        }
    }

    #[test]
    fn compressibility_ignores_case_and_parameters() {
        for (media_type, expected) in [
            ("TEXT/HTML", Always),
            ("Application/JSON;charset=UTF-8", Always),
            (" application/json ; x=y", Always),
            ("application/vnd.api+json", Always),
            ("application/vnd.own+zip", Never),
            ("application/javascript", Always),
            ("image/PNG", Never),
            ("video/x-anything", Never),
            ("application/anything", Sample),
            ("application/jsonish", Sample),
            ("message/rfc822", Sample),
            ("nonsense", Sample),
            ("", Sample),
            (";", Sample),
            ("/", Sample),
        ] {
            assert_eq!(compressibility(media_type), expected, "{media_type:?}");
        }
    }
}
