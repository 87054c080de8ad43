//! `cachecompress inspect DIR PATH`: the explanation of one path.

use std::path::Path;

use cachecompress::explain::{ExplainedCoding, ExplainedFile, Explanation, Route, Stored};
use cachecompress::source::Found;
use cachecompress::{
    CacheStatus, Detail, Directory, Forward, ServeCompressed, Source as _, SourcePath, Symlinks,
};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::admission::Additions;
use crate::cli::InspectFlags;
use crate::config::{ServeConfig, SiteConfig};
use crate::config_file::InForce;
use crate::exit::{ExitStatus, Failure};
use crate::hosts::Hosts;
use crate::live;
use crate::printer::{Escaped, EscapedPath, Printer};

/// A client whose answer is explained.
#[derive(Clone, Copy)]
struct Client<'a> {
    name: &'static str,
    accept_encoding: Option<&'a str>,
    /// Further fields of its request.
    fields: &'static [(&'static str, &'static str)],
}

/// The clients where none is named. Browsers ask for a page, and say so by `Sec-Fetch-Mode` over HTTPS only.
const USUAL: [Client<'static>; 3] = [
    Client {
        name: "a browser over HTTPS",
        accept_encoding: Some("gzip, deflate, br, zstd"),
        fields: &[PAGE, NAVIGATION],
    },
    Client {
        name: "a browser over plain HTTP",
        accept_encoding: Some("gzip, deflate"),
        fields: &[PAGE],
    },
    CODELESS,
];

const CODELESS: Client<'static> =
    Client { name: "a client that names no coding", accept_encoding: None, fields: &[] };

const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");

/// A site that is looked at.
pub(super) struct OpenSite {
    pub(super) service: ServeCompressed,
    config: SiteConfig,
    /// The time that a client waits for a coding, for people.
    patience: String,
}

/// An answer to one client.
struct ClientAnswer<'a> {
    client: &'static str,
    accept_encoding: Option<&'a str>,
    explained: Explanation,
}

/// Opens the site of DIR, or that of a host where the configuration has several, and a runtime for it.
pub(super) fn open_site(
    in_force: &InForce,
    host: Option<&str>,
) -> Result<(OpenSite, Runtime), Failure> {
    let mut config = ServeConfig::resolve(in_force)?;
    let hosts = config.sites.iter().map(|site| &*site.tables.hosts);
    let hosts = Hosts::new(hosts).map_err(Failure::Usage)?;
    let site = match host {
        Some(host) => hosts.site_of(host.as_bytes()),
        None if config.sites.len() > 1 => {
            let sentence = "the configuration has several sites; name the host of one with --host";
            return Err(Failure::Usage(sentence.to_owned()));
        }
        None => 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::Runtime(format!("cannot start a runtime: {error}")))?;
    let service = live::onlooker(&config, &config.sites[site])?;
    let patience = humantime::format_duration(config.patience).to_string();
    Ok((OpenSite { service, config: config.sites.swap_remove(site), patience }, runtime))
}

/// Explains the path of `args`.
///
/// # Errors
///
/// If the path is none of a URL, or there is no site.
pub(super) fn run(
    in_force: &InForce,
    args: &InspectFlags,
    printer: Printer,
) -> Result<ExitStatus, Failure> {
    let path = args.path.as_deref().unwrap_or_default();
    let malformed = || Failure::Usage(format!("`{path}` is no path of a URL, such as /js/app.js"));
    let uri: Uri = path.parse().map_err(|_| malformed())?;
    if !uri.path().starts_with('/') {
        return Err(malformed());
    }
    let (site, runtime) = open_site(in_force, args.host.as_deref())?;
    let clients = match args.accept_encoding.as_deref() {
        None => USUAL.to_vec(),
        Some("") => vec![CODELESS],
        Some(accept) => {
            vec![Client { name: "a client", accept_encoding: Some(accept), fields: &[] }]
        }
    };
    let mut answers = Vec::new();
    for Client { name: client, accept_encoding, fields } in clients {
        let mut request = Request::new(());
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        *request.uri_mut() = uri.clone();
        if let Some(accept) = accept_encoding {
            let value = HeaderValue::from_str(accept).map_err(|_| {
                Failure::Usage("--accept-encoding: write visible ASCII characters".to_owned())
            })?;
            request.headers_mut().insert(ACCEPT_ENCODING, value);
        }
        let mut explained = runtime.block_on(site.service.explain(&request));
        let grant = site.config.cors.as_ref().map(|cors| cors.grant(request.headers()));
        let additions = Additions::new(grant, site.config.basic_auth.is_some());
        additions.add_to(&mut explained.headers);
        answers.push(ClientAnswer { client, accept_encoding, explained });
    }
    let sentences = sentences(&site, uri.path(), &answers);
    if args.json {
        printer.line(format_args!("{}", document(uri.path(), &answers, &sentences)));
    } else {
        for sentence in sentences {
            printer.line(format_args!("{}", Escaped(sentence)));
        }
    }
    Ok(ExitStatus::Success)
}

/// The explanation in plain sentences.
fn sentences(site: &OpenSite, path: &str, answers: &[ClientAnswer<'_>]) -> Vec<String> {
    let Some(first) = answers.first().map(|answer| &answer.explained) else { return Vec::new() };
    let mut sentences = vec![way(site, path, first)];
    if let Some(file) = &first.file {
        sentences.extend(facts(file));
        sentences.extend(file.codings.iter().map(|coding| state(file, coding)));
        if let Some(value) = first.headers.get(CACHE_CONTROL).map(lossy) {
            sentences.push(format!("Clients and proxies may keep it by `Cache-Control: {value}`."));
        }
    }
    if let Some(file) = &site.config.basic_auth {
        let file = EscapedPath(file);
        sentences.push(format!("Only users of {file} are answered so; others get 401."));
    }
    sentences.extend(answers.iter().map(answer));
    let is_made = |answer: &ClientAnswer<'_>| {
        answer.explained.status == StatusCode::OK
            && answer.explained.cache_status == Some(CacheStatus::Forward(Forward::Stored))
    };
    if answers.iter().any(is_made) {
        let patience = &site.patience;
        sentences.push(format!(
            "Where the first compressed bytes take longer than {patience} (--patience), the client gets \
             the file as it is, and the next one the compressed bytes."
        ));
    }
    sentences
}

/// The way from the path to what answers.
fn way(site: &OpenSite, path: &str, explained: &Explanation) -> String {
    let root = EscapedPath(&site.config.root);
    let status = explained.status;
    match (explained.route, &explained.file) {
        (Route::File, Some(file)) => format!("{path} is the file {} of {root}.", file.path),
        (Route::Application, Some(file)) => {
            format!("{path} is no file; the page {} of the application answers (--spa).", file.path)
        }
        (Route::Listing, _) => format!("{path} is a directory, whose listing answers (--list)."),
        (Route::Spelling, _) => format!("{path} is another spelling of a page's path."),
        (Route::Rule, _) => format!("A rule of the site answers for {path}."),
        (Route::Malformed, _) => format!("{path} cannot be decoded, as a path of a URL must be."),
        (Route::Excluded, _) => {
            format!("{path} is never served: it holds rules of the site.")
        }
        _ if status == StatusCode::FORBIDDEN => format!("The file at {path} may not be read."),
        _ => format!("{path} leads nowhere: {}.", missing(&site.config, path)),
    }
}

/// The reason why the server finds nothing at a path, by lookups with other settings.
fn missing(config: &SiteConfig, path: &str) -> String {
    let nothing = "there is no such file".to_owned();
    let decoded = percent_decode_str(path.trim_matches('/')).collect::<Vec<_>>();
    let Some(path) = SourcePath::parse(&decoded) else { return nothing };
    let finds = |symlinks: Symlinks, dotfiles: bool| {
        let directory = Directory::new(&config.root);
        let directory = directory.map(|directory| directory.symlinks(symlinks).dotfiles(dotfiles));
        directory.is_ok_and(|directory| {
            matches!(directory.lookup(&path), Ok(Found::File(_) | Found::Directory))
        })
    };
    if finds(config.symlinks, config.dotfiles) {
        let is_directory = Path::new(&config.root).join(path.to_string_lossy().as_ref()).is_dir();
        return match is_directory {
            true => "it is a directory without an index".to_owned(),
            false => "the server keeps that file for itself, as it is one of its cache, its \
                      configuration, its keys or its passwords"
                .to_owned(),
        };
    }
    if finds(config.symlinks, true) {
        return "a name in it starts with a dot, and those are not served (--dotfiles)".to_owned();
    }
    if finds(Symlinks::Follow, true) {
        return match config.symlinks {
            Symlinks::Deny => "it is a symlink, and none is followed (--symlinks)".to_owned(),
            _ => "it is a symlink that leads out of the directory (--symlinks)".to_owned(),
        };
    }
    nothing
}

/// The facts of a file that decide whether it is compressed at all.
fn facts(file: &ExplainedFile) -> Vec<String> {
    let (bytes, media_type) = (file.len, lossy(&file.media_type));
    let mut facts = vec![match file.is_compressible {
        true => format!("It has {bytes} bytes of the type {media_type}, which is compressed."),
        false => format!(
            "It has {bytes} bytes of the type {media_type}, which is never compressed: such files are \
             compressed by themselves."
        ),
    }];
    if file.is_compressible && file.is_small {
        facts.push(
            "It is so short that it is compressed only for clients that refuse it as it is."
                .to_owned(),
        );
    }
    if file.is_compressible && file.exceeds_cache {
        facts.push(
            "It is too large to be compressed: an entry may take a quarter of the cache \
             (--cache-size)."
                .to_owned(),
        );
    }
    match &file.digest {
        Some(digest) => facts.push(format!("Its SHA-256 is {}.", digest.hex())),
        None => facts.push("It changes too fast for a digest to hold.".to_owned()),
    }
    if file.is_named_by_content {
        facts.push("Its name has a hash of its content.".to_owned());
    }
    facts
}

/// The state of one coding of a file.
fn state(file: &ExplainedFile, of: &ExplainedCoding) -> String {
    let coding = &of.coding;
    let mut sentence = match (of.stored, &of.sibling) {
        (Stored::Representation(bytes), _) => {
            let saved = 100.0 - bytes as f64 / file.len.max(1) as f64 * 100.0;
            format!("{coding}: stored, {bytes} bytes, {saved:.1} % less")
        }
        (Stored::Nothing, _) => format!("{coding}: not stored yet"),
        (Stored::Unprofitable, _) => format!("{coding}: saves less than 5 %, and is not used"),
        (Stored::Fault, _) => format!("{coding}: the encoder fails on this file"),
        (Stored::Damaged, _) => format!("{coding}: stored, but damaged, and so made again"),
        _ => format!("{coding}: it cannot be told now"),
    };
    if of.is_improved {
        sentence += ", made smaller by the second pass";
    }
    if let Some(sibling) = &of.sibling {
        sentence += &format!(", copied from {sibling}");
    }
    if let Some(stale) = &of.stale {
        sentence += &format!("; {stale} does not decode to the file, and is ignored");
    }
    sentence + "."
}

/// The answer to one client.
fn answer(answer: &ClientAnswer<'_>) -> String {
    let ClientAnswer { client, accept_encoding, explained } = answer;
    let client = match accept_encoding {
        Some(accept) => format!("{client} (Accept-Encoding: {accept})"),
        None => (*client).to_owned(),
    };
    let client = format!("For {client}:");
    let status = explained.status;
    if let Some(location) = explained.headers.get(LOCATION).map(lossy) {
        return format!("{client} {status}, to {location}.");
    }
    if status != StatusCode::OK {
        return format!("{client} {status}.");
    }
    let bytes = explained.headers.get(CONTENT_LENGTH).map(lossy);
    let bytes = bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
    match explained.headers.get(CONTENT_ENCODING).map(lossy) {
        Some(coding)
            if matches!(explained.cache_status, Some(CacheStatus::Hit | CacheStatus::Improved)) =>
        {
            format!("{client} {coding}{bytes}, as it is stored.")
        }
        Some(coding) if explained.cache_status.is_none() => {
            format!("{client} {coding}{bytes}, as the file itself is coded.")
        }
        Some(coding) => format!("{client} {coding}, made at the request and then stored."),
        None => format!("{client} as it is{bytes}, because {}.", reason(explained)),
    }
}

/// The reason for which a client gets a file as it is.
fn reason(explained: &Explanation) -> &'static str {
    let detail = match explained.cache_status {
        Some(CacheStatus::Forward(Forward::Bypass(detail))) => Some(detail),
        _ => None,
    };
    match detail {
        None => "files of its type are not compressed",
        Some(Detail::Identity) => "it accepts no coding that is on offer, or prefers none",
        Some(Detail::Small) => "the file is too short to gain by it",
        Some(Detail::Large) => "the file is too large for the cache",
        Some(Detail::Unprofitable) => "compressing saves less than 5 %",
        Some(Detail::Encoder) => "the encoder fails on it",
        Some(Detail::Unsettled) => "the file is changing",
        Some(Detail::Unhashed) => "the file is not hashed yet",
        Some(Detail::Disk) => "the cache's disk does not answer",
        Some(detail) => detail.as_str(),
    }
}

fn document(path: &str, answers: &[ClientAnswer<'_>], sentences: &[String]) -> Value {
    let first = answers.first().map(|answer| &answer.explained);
    json!({
        "path": path,
        "route": first.map(|explained| route(explained.route)),
        "file": first.and_then(|explained| explained.file.as_ref()).map(file),
        "answers": answers.iter().map(answer_json).collect::<Vec<_>>(),
        "sentences": sentences,
    })
}

fn route(route: Route) -> &'static str {
    match route {
        Route::File => "file",
        Route::Application => "application",
        Route::Listing => "listing",
        Route::Spelling => "spelling",
        Route::Rule => "rule",
        Route::Malformed => "malformed",
        Route::Excluded => "excluded",
        _ => "nowhere",
    }
}

fn file(file: &ExplainedFile) -> Value {
    let codings = file.codings.iter().map(|of| {
        let (state, encoded) = match of.stored {
            Stored::Nothing => ("absent", None),
            Stored::Representation(bytes) => ("stored", Some(bytes)),
            Stored::Unprofitable => ("unprofitable", None),
            Stored::Fault => ("fault", None),
            Stored::Damaged => ("damaged", None),
            _ => ("unknown", None),
        };
        json!({
            "coding": of.coding.as_str(),
            "state": state,
            "encoded_bytes": encoded,
            "second_pass": of.is_improved,
            "sibling": of.sibling.as_ref().map(ToString::to_string),
            "stale_sibling": of.stale.as_ref().map(ToString::to_string),
        })
    });
    json!({
        "path": file.path.to_string(),
        "media_type": lossy(&file.media_type),
        "bytes": file.len,
        "digest": file.digest.map(|digest| digest.hex()),
        "compressible": file.is_compressible,
        "small": file.is_small,
        "exceeds_cache": file.exceeds_cache,
        "named_by_content": file.is_named_by_content,
        "codings": codings.collect::<Vec<_>>(),
    })
}

fn answer_json(answer: &ClientAnswer<'_>) -> Value {
    let explained = &answer.explained;
    let mut headers = Map::new();
    for name in explained.headers.keys() {
        let values = explained.headers.get_all(name).iter().map(lossy).collect::<Vec<_>>();
        headers.insert(name.to_string(), values.join(", ").into());
    }
    let field = |name: HeaderName| explained.headers.get(name).map(lossy);
    json!({
        "client": answer.client,
        "accept_encoding": answer.accept_encoding,
        "status": explained.status.as_u16(),
        "coding": field(CONTENT_ENCODING),
        "cache": explained.cache_status.map(CacheStatus::as_str),
        "headers": headers,
    })
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
