//! The values of flags: text is parsed here, once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use bytesize::ByteSize;
use cachecompress::{ContentCoding, HeaderRule, Preference, SourcePath};
use clap::builder::TypedValueParser as _;
use http::HeaderValue;
use ipnet::IpNet;
use url::Url;

use crate::hosts;
use crate::limits::HEADER_BYTES;
use crate::printer::EscapedPath;

/// The codings that the program knows, with the levels of each.
const CODINGS: [(ContentCoding, std::ops::RangeInclusive<i32>); 4] = [
    (ContentCoding::BROTLI, 0..=11),
    (ContentCoding::ZSTD, 1..=22),
    (ContentCoding::GZIP, 1..=9),
    (ContentCoding::DEFLATE, 1..=9),
];

/// `--codings`: `auto`, or a list, the preferred coding first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Codings {
    /// The order depends on the source's size.
    Auto,
    /// These codings and no others.
    List(Vec<ContentCoding>),
}

/// `--level CODING=N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// The coding.
    pub(crate) coding: ContentCoding,
    /// The level.
    pub(crate) level: i32,
}

/// `--type EXT=TYPE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeRule {
    /// The extension, with or without its dot, or the whole name of a file.
    pub(crate) name: String,
    /// The media type.
    pub(crate) media_type: HeaderValue,
}

/// `--immutable-paths GLOB`: one or several globs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Globs(pub(crate) Vec<String>);

/// `--cache-control VALUE|off`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CacheControl {
    /// Sends none.
    Off,
    /// Sends this where nothing more specific is set.
    Value(HeaderValue),
}

/// `--index NAMES`: the preferred name first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexNames(pub(crate) Vec<String>);

/// `--spa[=PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spa {
    Off,
    /// The index of the root answers.
    Index,
    /// This file answers.
    Page(String),
}

/// `--access-log FILE|-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogTarget {
    /// Standard output, written `-`.
    Stdout,
    /// A file, which is created if it is missing, and appended to.
    File(PathBuf),
}

/// `--listen ADDR`, `--admin ADDR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// This address.
    Ip(SocketAddr),
    /// All addresses of the machine, written `:8080`.
    Any(u16),
    /// All addresses that a name has, written `localhost:8080`.
    Name(String, u16),
    /// A Unix socket, written `unix:/run/site.sock`.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Any(port) => write!(f, ":{port}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", EscapedPath(path)),
        }
    }
}

impl From<Codings> for Preference {
    fn from(codings: Codings) -> Self {
        match codings {
            Codings::Auto => Self::Auto,
            Codings::List(list) => Self::List(list),
        }
    }
}

/// Parses `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080` or `unix:/run/site.sock`. Port 0
/// lets the system choose one.
pub(crate) fn address(text: &str) -> Result<ListenAddress, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("unix:") {
        // Names in Linux's abstract space begin with a NUL or an @, and have no permissions.
        return match path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') {
            true => Ok(ListenAddress::Unix(path.into())),
            false => Err("write the whole path of a socket: unix:/run/site.sock".to_owned()),
        };
    }
    let is_name = |host: &str| {
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        host.bytes().all(in_name) && host.contains(|c: char| c.is_ascii_alphabetic())
    };
    let named = || {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        match host {
            "" => Some(ListenAddress::Any(port)),
            name => is_name(name).then(|| ListenAddress::Name(name.to_owned(), port)),
        }
    };
    text.parse().map(ListenAddress::Ip).ok().or_else(named).ok_or_else(|| {
        "write an address and a port: 127.0.0.1:8080, [::1]:8080, localhost:8080, or :8080 for \
         all addresses, or unix:/run/site.sock"
            .to_owned()
    })
}

/// Parses a name by which the admin listener is asked for.
pub(crate) fn admin_host(text: &str) -> Result<String, String> {
    match hosts::host(text.trim())? {
        name if name.starts_with('*') => {
            Err(format!("write each name, as in `admin.example.com`, and no `{name}`"))
        }
        name => Ok(name),
    }
}

/// Parses `10.0.0.0/8` or `fd00::/8`, or one address.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let one = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    text.parse()
        .or_else(|_| one())
        .map_err(|_| "write a network or an address: 10.0.0.0/8, fd00::/8, 192.0.2.1".to_owned())
}

/// Parses the permissions of a socket's file, such as `0660`.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0o").unwrap_or(digits);
    let is_octal = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| "write permissions in octal digits, from 0000 to 0777: 0660".to_owned())
}

/// Parses `500MB` (powers of 1,000), `1GiB` (powers of 1,024), `4096` (bytes) or `0`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    ByteSize::from_str(text.trim()).map(|size| size.as_u64()).map_err(|_| {
        "write a number of bytes with its unit: 500MB, 1GiB, or 0 for nothing on disk".to_owned()
    })
}

/// Parses `50ms`, `1s`, `1m 30s` or `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|_| "write a number with its unit: 50ms, 1s, 2m, or 0".to_owned())
}

/// Parses a [`duration`] above zero.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("write a number above 0 with its unit: 500ms, 30s, 2m".to_owned()),
    }
}

/// Parses a URL of a web server.
pub(crate) fn web_url(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("write a URL with http or https: https://example.com/agent".to_owned()),
    }
}

/// Parses the limit of a request's head, a [`size`] within [`HEADER_BYTES`].
pub(crate) fn header_bytes(text: &str) -> Result<u32, String> {
    size(text)
        .ok()
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| HEADER_BYTES.contains(bytes))
        .ok_or_else(|| "write a size from 8KiB to 1MiB, such as 32KiB".to_owned())
}

/// The first digits of a digest, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DigestStart(pub(crate) String);

/// Parses the first digits of a SHA-256, of which there must be enough to tell contents apart.
pub(crate) fn digest_start(text: &str) -> Result<DigestStart, String> {
    let text = text.trim().to_ascii_lowercase();
    match (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(DigestStart(text)),
        false => Err("write 8 to 64 hexadecimal digits, the start of a SHA-256".to_owned()),
    }
}

/// Parses one of the codings that the program knows.
pub(crate) fn coding(text: &str) -> Result<ContentCoding, String> {
    known_coding(text).map(|(coding, _)| coding)
}

/// Parses `auto`, or codings separated by commas, each at most once.
pub(crate) fn codings(text: &str) -> Result<Codings, String> {
    if text.trim().eq_ignore_ascii_case("auto") {
        return Ok(Codings::Auto);
    }
    let mut list = Vec::new();
    for name in text.split(',') {
        let (coding, _) = known_coding(name)?;
        if list.contains(&coding) {
            return Err(format!("{coding} stands there twice"));
        }
        list.push(coding);
    }
    Ok(Codings::List(list))
}

/// Parses a coding and its level, such as `br=5`.
pub(crate) fn level(text: &str) -> Result<Level, String> {
    let Some((name, number)) = text.split_once('=') else {
        return Err("write CODING=N: br=5, zstd=3, gzip=6".to_owned());
    };
    let (coding, levels) = known_coding(name)?;
    let level = number.trim().parse().ok().filter(|level| levels.contains(level));
    let Some(level) = level else {
        return Err(format!("{coding} takes a level from {} to {}", levels.start(), levels.end()));
    };
    Ok(Level { coding, level })
}

/// Parses a share of one core, from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a share of one core from 0 to 1, such as 0.1".to_owned())
}

/// Parses an extension or a name and its media type, such as `usdz=model/vnd.usdz+zip`.
pub(crate) fn type_rule(text: &str) -> Result<TypeRule, String> {
    let (name, media_type) = text
        .split_once('=')
        .map_or((text, ""), |(name, media_type)| (name.trim(), media_type.trim()));
    let is_name = |byte: u8| byte != b'/' && byte != b'\\' && !byte.is_ascii_control();
    let is_token = |text: &str| {
        let is_other = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_other(byte))
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    let is_type =
        essence.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    let is_key = !name.trim_start_matches('.').is_empty() && name.bytes().all(is_name);
    match HeaderValue::from_str(media_type) {
        Ok(media_type) if is_key && is_type => Ok(TypeRule { name: name.to_owned(), media_type }),
        _ => Err("write EXT=TYPE or NAME=TYPE: usdz=model/vnd.usdz+zip, LICENSE=text/plain".into()),
    }
}

/// Parses globs separated by commas. A comma within braces belongs to its glob: `*.{js,css}`.
pub(crate) fn globs(text: &str) -> Result<Globs, String> {
    let mut depth = 0_usize;
    let parts = text.split(|c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let globs: Vec<String> = parts.map(|glob| glob.trim().to_owned()).collect();
    if globs.iter().any(String::is_empty) {
        return Err("write globs of paths: 'assets/**', 'img/*.{png,webp}'".to_owned());
    }
    // A header rule has the same globs.
    let wrong = globs.iter().find_map(|glob| HeaderRule::new(&**glob).check().err());
    wrong.map_or(Ok(Globs(globs)), |error| Err(error.to_string()))
}

/// Parses the path of a file of the site, such as `/404.html`.
pub(crate) fn site_path(text: &str) -> Result<String, String> {
    match text.trim().parse::<SourcePath>() {
        Ok(path) if !path.is_root() => Ok(text.trim().to_owned()),
        _ => Err("write the path of a file of the site, such as /404.html".to_owned()),
    }
}

/// Parses the names of a directory's index files, separated by commas.
pub(crate) fn index_names(text: &str) -> Result<IndexNames, String> {
    let is_name = |name: &str| {
        !name.contains('/') && name.parse::<SourcePath>().is_ok_and(|path| !path.is_root())
    };
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().all(|name| is_name(name)) {
        true => Ok(IndexNames(names)),
        false => Err("write names of files, such as index.html,index.htm".to_owned()),
    }
}

/// Parses a switch, or the path of a page.
pub(crate) fn spa(text: &str) -> Result<Spa, String> {
    let text = text.trim();
    match (switch(text), site_path(text)) {
        (Ok(true), _) => Ok(Spa::Index),
        (Ok(false), _) => Ok(Spa::Off),
        (Err(_), Ok(path)) if text.starts_with('/') => Ok(Spa::Page(path)),
        _ => Err("write on, off, or the path of a page, such as /app.html".to_owned()),
    }
}

/// Parses `off`, or a value that may stand in a header.
pub(crate) fn cache_control(text: &str) -> Result<CacheControl, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("off") {
        return Ok(CacheControl::Off);
    }
    let visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    match HeaderValue::from_str(text) {
        Ok(value) if !text.is_empty() && text.bytes().all(visible) => {
            Ok(CacheControl::Value(value))
        }
        _ => Err("write directives such as `no-cache` or `max-age=60`, or off".to_owned()),
    }
}

/// Parses `-` as stdout, and anything else as a file.
pub(crate) fn log_target(text: &str) -> Result<LogTarget, String> {
    match text {
        "" => Err("write a file's name, or - for stdout".to_owned()),
        "-" => Ok(LogTarget::Stdout),
        path => Ok(LogTarget::File(path.into())),
    }
}

/// A parser of `on` and `off`.
pub(crate) fn on_or_off() -> impl clap::builder::TypedValueParser<Value = bool> {
    clap::builder::PossibleValuesParser::new(["on", "off"]).map(|text| text == "on")
}

/// Parses the value of a switch in the environment. On the command line its presence is enough.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

fn known_coding(name: &str) -> Result<(ContentCoding, std::ops::RangeInclusive<i32>), String> {
    let coding = ContentCoding::new(name.trim()).ok();
    CODINGS
        .into_iter()
        .find(|(known, _)| Some(known) == coding.as_ref())
        .ok_or_else(|| format!("`{}` is none of br, zstd, gzip, deflate", name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_a_prefix_or_one_address() {
        for (text, within, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            (" fd00::/8 ", "fdff::1", "fe00::1"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("::1", "::1", "::2"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ] {
            let network = network(text).unwrap();
            assert!(network.contains(&within.parse::<IpAddr>().unwrap()), "{text}");
            assert!(!network.contains(&outside.parse::<IpAddr>().unwrap()), "{text}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.0-10.0.0.9", "unix"] {
            assert!(network(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mode_is_octal() {
        for (text, expected) in [("0660", 0o660), ("600", 0o600), ("0o777", 0o777), ("0", 0)] {
            assert_eq!(mode(text), Ok(expected), "{text}");
        }
        for bad in ["", "0o", "0888", "1777", "-660", "+660", "rw-rw----", "0x1ff"] {
            assert!(mode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn size_takes_units_of_1000_and_of_1024() {
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size(" 1.5 kib "), Ok(1536));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("0"), Ok(0));
        for bad in ["", "-1", "1XB", "MB", "1 G i B"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn duration_needs_a_unit_unless_it_is_zero() {
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "5", "-1s", "1parsec"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn timeout_of_zero_is_refused() {
        assert_eq!(timeout("1500ms"), Ok(Duration::from_millis(1500)));
        for bad in ["0", "0s", "", "5", "-1s"] {
            assert!(timeout(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn header_bytes_keep_to_their_range() {
        assert_eq!(header_bytes("64KiB"), Ok(65_536));
        assert_eq!(header_bytes("8192"), Ok(8192));
        assert_eq!(header_bytes("1MiB"), Ok(1 << 20));
        for bad in ["", "0", "8191", "1MB1", "2MiB", "5GiB", "many"] {
            assert!(header_bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn codings_keep_their_order() {
        assert_eq!(codings("auto"), Ok(Codings::Auto));
        assert_eq!(
            codings("zstd, BR,x-gzip"),
            Ok(Codings::List(vec![
                ContentCoding::ZSTD,
                ContentCoding::BROTLI,
                ContentCoding::GZIP
            ]))
        );
        for bad in ["", "br,", "br,br", "identity", "lzma", "auto,br"] {
            assert!(codings(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn level_keeps_to_the_range_of_its_coding() {
        assert_eq!(level("br=11"), Ok(Level { coding: ContentCoding::BROTLI, level: 11 }));
        assert_eq!(level(" zstd = 3 "), Ok(Level { coding: ContentCoding::ZSTD, level: 3 }));
        for bad in ["br", "br=", "br=12", "gzip=0", "zstd=-1", "zstd=23", "foo=1", "=3", "br=5x"] {
            assert!(level(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cache_control_is_off_or_one_header_value() {
        assert_eq!(cache_control("off"), Ok(CacheControl::Off));
        let value = HeaderValue::from_static("public, max-age=60");
        assert_eq!(cache_control(" public, max-age=60 "), Ok(CacheControl::Value(value)));
        for bad in ["", "a\r\nSet-Cookie: b", "caf\u{e9}", "a\tb"] {
            assert!(cache_control(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn type_rule_is_a_name_and_a_media_type() {
        let rule = |name: &str, media_type| TypeRule {
            name: name.to_owned(),
            media_type: HeaderValue::from_static(media_type),
        };
        assert_eq!(type_rule("usdz=model/vnd.usdz+zip"), Ok(rule("usdz", "model/vnd.usdz+zip")));
        assert_eq!(type_rule(" .tar.gz = a/b "), Ok(rule(".tar.gz", "a/b")));
        let latin = "text/plain; charset=iso-8859-1";
        assert_eq!(type_rule(&format!("txt={latin}")), Ok(rule("txt", latin)));
        for bad in ["", "usdz", "usdz=", "=a/b", ".=a/b", "a/b=c/d", "x=text", "x=/y", "x=a b/c"] {
            assert!(type_rule(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn globs_keep_the_commas_of_their_braces() {
        let split = |text: &str| globs(text).map(|Globs(globs)| globs);
        assert_eq!(split("a/**, b.{js,{c,m}}ss,c").unwrap(), ["a/**", "b.{js,{c,m}}ss", "c"]);
        for bad in ["", ",", "a,", "[", "a,{b", "a//b", "../a"] {
            assert!(globs(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn address_needs_a_port() {
        for (text, expected) in [
            ("[::1]:0", ListenAddress::Ip(([0, 0, 0, 0, 0, 0, 0, 1], 0).into())),
            (" 127.0.0.1:80", ListenAddress::Ip(([127, 0, 0, 1], 80).into())),
            (":8080", ListenAddress::Any(8080)),
            ("localhost:80", ListenAddress::Name("localhost".into(), 80)),
            ("a-b.example:1", ListenAddress::Name("a-b.example".into(), 1)),
            ("unix:/run/a b.sock", ListenAddress::Unix("/run/a b.sock".into())),
        ] {
            assert_eq!(address(text).as_ref(), Ok(&expected));
            assert_eq!(expected.to_string(), text.trim());
        }
        for bad in [
            "",
            ":",
            "8080",
            "127.0.0.1",
            "localhost",
            "1.2.3.4:99999",
            ":-1",
            "127.1:80",
            "::1:80",
            "a b:80",
            "http://h:80",
            "[::1]",
            "localhost:http",
            "*:80",
            "h:80:80",
            "unix:",
            "unix:site.sock",
            "unix:@site",
            "unix:/run/",
        ] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn switch_takes_the_common_words() {
        for on in ["1", "true", "YES", "on"] {
            assert_eq!(switch(on), Ok(true));
        }
        for off in ["", "0", "false", "No", "off"] {
            assert_eq!(switch(off), Ok(false));
        }
        assert!(switch("perhaps").is_err());
    }

    #[test]
    fn spa_is_a_switch_or_a_page() {
        for (text, expected) in [
            ("on", Spa::Index),
            ("true", Spa::Index),
            ("OFF", Spa::Off),
            ("", Spa::Off),
            (" /app.html ", Spa::Page("/app.html".to_owned())),
            ("/on", Spa::Page("/on".to_owned())),
        ] {
            assert_eq!(spa(text), Ok(expected), "{text:?}");
        }
        for text in ["app.html", "/", "//", "/../app.html", "perhaps", "/a\\b"] {
            assert!(spa(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn paths_and_names_of_files_are_checked() {
        assert_eq!(site_path(" /a/404.html"), Ok("/a/404.html".to_owned()));
        assert_eq!(site_path("404.html"), Ok("404.html".to_owned()));
        for text in ["", "/", "..", "/a/../b", "a//b"] {
            assert!(site_path(text).is_err(), "{text:?}");
        }
        let names = vec!["index.html".to_owned(), "index.htm".to_owned()];
        assert_eq!(index_names("index.html, index.htm"), Ok(IndexNames(names)));
        for text in ["", "/", "a/b", "/index.html", "..", "a,", "a,b/c"] {
            assert!(index_names(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn dash_is_stdout() {
        assert_eq!(log_target("-"), Ok(LogTarget::Stdout));
        assert_eq!(log_target("a.log"), Ok(LogTarget::File("a.log".into())));
        assert!(log_target("").is_err());
    }
}
