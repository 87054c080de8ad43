//! Media types (RFC 9110 §8.3): the type of a file by its name, and whether its bytes compress.

use std::collections::HashMap;

use http::HeaderValue;

use super::SourcePath;
use super::text::{Question, Text};
use crate::error::Error;
use crate::limits;

/// The media types of a site: those that it names itself, and the usual ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct MediaTypes {
    /// By names and extensions in lower case.
    own: HashMap<Vec<u8>, HeaderValue>,
}

/// The media type that a file's name suggests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NamedType {
    /// The bytes do not matter.
    Certain(HeaderValue),
    /// A type of `text`, to which `charset=utf-8` belongs if the bytes are UTF-8.
    Text(&'static str),
    /// A name without an extension: `text/plain` if the bytes are text.
    Nameless,
}

const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

impl MediaTypes {
    /// Sets the type of the files whose name, or whose end behind a dot, is `name`, without regard to
    /// case. A dot before `name` means nothing.
    ///
    /// # Errors
    ///
    /// If `name` is no name or extension of a file, or `value` no media type.
    pub(crate) fn add(&mut self, name: &str, value: HeaderValue) -> Result<(), Error> {
        let key = name.strip_prefix('.').unwrap_or(name);
        let malformed = |byte: u8| byte == b'/' || byte == b'\\' || byte.is_ascii_control();
        if key.is_empty() || key.bytes().any(malformed) {
            return Err(Error::config(format!("\"{name}\" is no name or extension of a file")));
        }
        if !is_media_type(value.as_bytes()) {
            let value = String::from_utf8_lossy(value.as_bytes());
            let message = format!(
                "\"{value}\" for \"{name}\" is no media type; write it as in \"text/plain\""
            );
            return Err(Error::config(message));
        }
        self.own.insert(key.to_ascii_lowercase().into_bytes(), value);
        Ok(())
    }

    /// Returns the type of `path`: the site's own, else that of the extension.
    ///
    /// - The whole name goes before the ends of the name, the longer of those before the shorter.
    /// - `.ts` and `.mts` are `video/mp2t`, as everywhere on the web. Players of HLS insist on it,
    ///   and no reader of TypeScript minds.
    ///
    /// Types come from the `mime_guess` crate, but for a few that it lacks or has wrong.
    pub(crate) fn of(&self, path: &SourcePath) -> NamedType {
        if let Some(own) = self.own_type(path.file_name()) {
            return NamedType::Certain(own.clone());
        }
        if path.file_name() == b"apple-app-site-association" {
            return NamedType::Certain(HeaderValue::from_static("application/json"));
        }
        let Some(extension) = path.extension() else {
            return match has_extension(path.file_name()) {
                true => NamedType::Certain(OCTET_STREAM),
                false => NamedType::Nameless,
            };
        };
        match of_extension(extension) {
            Some(text) if text.starts_with("text/") => NamedType::Text(text),
            Some(other) => NamedType::Certain(HeaderValue::from_static(other)),
            None => NamedType::Certain(OCTET_STREAM),
        }
    }

    /// Returns the type that the site itself names for `path`.
    pub(crate) fn own(&self, path: &SourcePath) -> Option<&HeaderValue> {
        self.own_type(path.file_name())
    }

    fn own_type(&self, name: &[u8]) -> Option<&HeaderValue> {
        if self.own.is_empty() {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let ends = ends.map(|(dot, _)| &name[dot + 1..]);
        std::iter::once(&*name).chain(ends).find_map(|key| self.own.get(key))
    }
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

impl NamedType {
    /// The question to the bytes, if the type depends on them.
    pub(crate) fn question(&self) -> Option<Question> {
        match self {
            Self::Certain(_) => None,
            Self::Text(_) => Some(Question::Encoding),
            Self::Nameless => Some(Question::Kind),
        }
    }

    /// Returns the `Content-Type` for bytes of which `text` is known.
    pub(crate) fn value(&self, text: Text) -> HeaderValue {
        match (self, text) {
            (Self::Certain(value), _) => value.clone(),
            (Self::Text(text_type), Text::Utf8) => utf8(text_type),
            (Self::Text(text_type), Text::Other | Text::Unknown) => {
                HeaderValue::from_static(essence(text_type))
            }
            (Self::Nameless, Text::Utf8) => HeaderValue::from_static(PLAIN_TEXT),
            (Self::Nameless, Text::Other | Text::Unknown) => OCTET_STREAM,
        }
    }
}

fn utf8(text_type: &'static str) -> HeaderValue {
    if text_type.contains(';') {
        return HeaderValue::from_static(text_type);
    }
    let text = format!("{text_type}; charset=utf-8");
    HeaderValue::try_from(text).expect("a media type is visible ASCII")
}

fn essence(media_type: &str) -> &str {
    media_type.split_once(';').map_or(media_type, |(essence, _)| essence).trim_ascii()
}

/// Whether a name has an extension that is no UTF-8. Such a file is not without extension.
fn has_extension(name: &[u8]) -> bool {
    let dot = name.iter().rposition(|byte| *byte == b'.');
    dot.is_some_and(|dot| dot > 0 && dot + 1 < name.len())
}

/// Whether `value` is a media type, by its type and its subtype (RFC 9110 §8.3.1).
fn is_media_type(value: &[u8]) -> bool {
    let is_token = |token: &str| {
        let visible = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !token.is_empty() && token.bytes().all(visible)
    };
    let parts = std::str::from_utf8(value).ok().and_then(|text| essence(text).split_once('/'));
    parts.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// The types that `mime_guess` lacks, has under an outdated name, or has wrong: `.ts` is a DLNA
/// video there, `.rpm` a plugin of RealAudio.
fn own(extension: &str) -> Option<&'static str> {
    own_text(extension).or_else(|| own_binary(extension))
}

/// The types of most texts with their charset, so that none is formatted, and of structured texts.
fn own_text(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        // RFC 9239 §6.
        "js" | "mjs" | "cjs" => "text/javascript; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "txt" | "log" | "cts" | "jsx" | "tsx" | "go" | "java" | "kt" | "swift" | "vue"
        | "svelte" | "astro" | "lock" | "properties" | "wgsl" | "glsl" | "rst" | "adoc" | "bib"
        | "po" | "bash" | "zsh" | "fish" | "ps1" | "rb" | "scala" | "hs" | "jl" | "zig" | "nim"
        | "proto" | "sha256" | "md5" => "text/plain; charset=utf-8",
        "diff" | "patch" => "text/x-diff",
        "vcf" => "text/vcard",
        // Structured texts. A source map is JSON (ECMA-426).
        "map" | "topojson" => "application/json",
        "ipynb" => "application/x-ipynb+json",
        "jwk" => "application/jwk+json",
        "graphql" => "application/graphql",
        "sql" => "application/sql",
        "ndjson" | "jsonl" => "application/x-ndjson",
        "m3u8" => "application/vnd.apple.mpegurl",
        _ => return None,
    })
}

fn own_binary(extension: &str) -> Option<&'static str> {
    Some(match extension {
        // Media.
        "ts" | "mts" | "m2ts" => "video/mp2t",
        // RFC 4337, and the segments of DASH.
        "m4a" => "audio/mp4",
        "m4s" => "video/iso.segment",
        "amr" => "audio/amr",
        "mid" | "midi" => "audio/midi",
        "cur" => "image/x-icon",
        "psd" => "image/vnd.adobe.photoshop",
        "dxf" => "image/vnd.dxf",
        "dwg" => "image/vnd.dwg",
        "ktx2" => "image/ktx2",
        "obj" => "model/obj",
        "stl" => "model/stl",
        "usdz" => "model/vnd.usdz+zip",
        "usda" => "model/vnd.usda",
        "reality" => "model/vnd.reality",
        "mtl" => "model/mtl",
        "3mf" => "model/3mf",
        "step" | "stp" => "model/step",
        "wrl" => "model/vrml",
        // Data.
        "cbor" => "application/cbor",
        "sqlite" => "application/vnd.sqlite3",
        "arrow" => "application/vnd.apache.arrow.file",
        "pmtiles" => "application/vnd.pmtiles",
        // Fonts, RFC 8081.
        "otf" => "font/otf",
        "woff" => "font/woff",
        // Archives and packages.
        "br" => "application/x-brotli",
        "cab" => "application/vnd.ms-cab-compressed",
        "zst" => "application/zstd",
        // A `.svgz` that could not be decoded.
        "svgz" | "tgz" => "application/gzip",
        "lz4" => "application/x-lz4",
        "lzma" => "application/x-lzma",
        "tbz" | "tbz2" => "application/x-bzip2",
        "txz" => "application/x-xz",
        "deb" => "application/vnd.debian.binary-package",
        "rpm" => "application/x-rpm",
        "whl" | "nupkg" => "application/zip",
        "appinstaller" => "application/appinstaller",
        "msix" => "application/msix",
        "msixbundle" => "application/msixbundle",
        "appx" => "application/appx",
        "appxbundle" => "application/appxbundle",
        // A profile, in XML or signed.
        "mobileconfig" => "application/x-apple-aspen-config",
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
            "midi" => Compressibility::Sample,
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
        "x-icon"
        | "vnd.microsoft.icon"
        | "tiff"
        | "x-tga"
        | "ktx"
        | "vnd.radiance"
        | "vnd.adobe.photoshop"
        | "vnd.dwg" => Compressibility::Sample,
        "vnd.dxf" => Compressibility::Always,
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
    "appinstaller",
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
    "appx",
    "appxbundle",
    "brotli",
    "font-woff",
    "font-woff2",
    "gzip",
    "java-archive",
    "mp4",
    "msix",
    "msixbundle",
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
        of_bytes(name, Text::Utf8)
    }

    fn of_bytes(name: &str, text: Text) -> (String, Compressibility) {
        let path = SourcePath::parse(name.as_bytes()).unwrap();
        let value = MediaTypes::default().of(&path).value(text).to_str().unwrap().to_owned();
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
            ("m4a", "audio/mp4", Never),
            ("usdz", "model/vnd.usdz+zip", Never),
            ("reality", "model/vnd.reality", Sample),
            ("msix", "application/msix", Never),
            ("appinstaller", "application/appinstaller", Always),
            ("mobileconfig", "application/x-apple-aspen-config", Sample),
            ("patch", "text/x-diff; charset=utf-8", Always),
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
    fn media_type_of_an_unknown_extension_is_octet_stream() {
        for name in ["a.unknown", "a.averyveryverylongextension"] {
            assert_eq!(of(name).0, "application/octet-stream", "{name}");
        }
        let path = SourcePath::parse(b"a.\xff").unwrap();
        assert_eq!(MediaTypes::default().of(&path), NamedType::Certain(OCTET_STREAM));
    }

    #[test]
    fn name_without_an_extension_is_text_when_its_bytes_are() {
        for name in ["LICENSE", "a/Makefile", "a.", ".htaccess", "a.d/b"] {
            assert_eq!(of(name), ("text/plain; charset=utf-8".to_owned(), Always), "{name}");
            for text in [Text::Other, Text::Unknown] {
                let octets = ("application/octet-stream".to_owned(), Sample);
                assert_eq!(of_bytes(name, text), octets, "{name}");
            }
        }
        let association = "well/apple-app-site-association";
        assert_eq!(of_bytes(association, Text::Unknown).0, "application/json");
    }

    #[test]
    fn charset_is_told_of_utf8_only() {
        for (name, text_type) in [
            ("a.html", "text/html"),
            ("a.js", "text/javascript"),
            ("a.xml", "text/xml"),
            ("a.csv", "text/csv"),
            ("a.patch", "text/x-diff"),
        ] {
            assert_eq!(of(name).0, format!("{text_type}; charset=utf-8"));
            for text in [Text::Other, Text::Unknown] {
                assert_eq!(of_bytes(name, text), (text_type.to_owned(), Always), "{name}");
            }
        }
        for name in ["a.json", "a.svg", "a.png", "a.webmanifest"] {
            assert_eq!(of(name), of_bytes(name, Text::Other), "{name}");
        }
    }

    #[test]
    fn own_type_is_taken_literally_for_a_name_and_an_extension() {
        let mut types = MediaTypes::default();
        for (name, value) in [
            ("usdz", "model/x"),
            (".GZ", "application/x-1"),
            (".tar.gz", "application/x-2"),
            ("special.tar.gz", "application/x-3"),
            ("LICENSE", "text/html"),
            ("txt", "text/plain; charset=iso-8859-1"),
        ] {
            types.add(name, HeaderValue::from_static(value)).unwrap();
        }
        let own = |name: &str| {
            let named = types.of(&SourcePath::parse(name.as_bytes()).unwrap());
            named.value(Text::Utf8).to_str().unwrap().to_owned()
        };
        assert_eq!(own("a/b.USDZ"), "model/x");
        assert_eq!(own("usdz"), "model/x", "a whole name");
        assert_eq!(own("a.gz"), "application/x-1");
        assert_eq!(own("a.tar.gz"), "application/x-2");
        assert_eq!(own("x/special.tar.gz"), "application/x-3");
        assert_eq!(own("license"), "text/html");
        assert_eq!(own("a.txt"), "text/plain; charset=iso-8859-1");
        assert_eq!(own("a.usdzx"), "application/octet-stream");
        for (name, value) in [("", "a/b"), (".", "a/b"), ("a/b", "a/b"), ("a", "ab"), ("a", "a/")] {
            let added = types.add(name, HeaderValue::from_static(value));
            assert!(added.is_err(), "{name}={value}");
        }
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
