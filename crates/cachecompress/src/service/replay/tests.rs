//! Tests of the response cache, on a real directory, with caches on disk and in memory.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests do to files what people and other processes do"
)]

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tempfile::TempDir;
use tower::{Service, ServiceExt as _, service_fn};

use crate::body::Body;
use crate::cache::Cache;
use crate::http::ContentCoding;
use crate::metrics::Outcome;
use crate::service::response_cache::BorrowedKey;
use crate::service::{Builder, RequestOptions, ServeCompressed, Shutdown};
use crate::source::Directory;

/// A time so long that a cached response is still there when a slow machine looks for it.
const LONG: Duration = Duration::from_secs(600);
const GZIP: (&str, &str) = ("accept-encoding", "gzip");

/// A directory to serve, with room for a cache beside it.
struct Site(TempDir);

/// The parts of a response that a client sees.
#[derive(Clone, Debug, PartialEq)]
struct Read {
    status: StatusCode,
    head: HeaderMap,
    body: Bytes,
}

impl Site {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let site = Self(TempDir::new().unwrap());
        fs::create_dir(site.0.path().join("site")).unwrap();
        for (name, bytes) in files {
            site.write(name, bytes);
        }
        site
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("site").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let file = self.file(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Replaces a file by rename.
    fn replace(&self, name: &str, bytes: &[u8]) {
        self.write("new", bytes);
        fs::rename(self.file("new"), self.file(name)).unwrap();
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// The builder of a service that caches responses and waits for codings.
    fn builder(&self) -> Builder {
        ServeCompressed::builder(Directory::new(self.0.path().join("site")).unwrap())
            .revalidate(LONG)
            .patience(LONG)
    }

    fn service(&self) -> ServeCompressed {
        self.builder().build().unwrap()
    }
}

/// Makes text that every encoder shortens. The same seed makes the same text.
fn text(seed: usize, len: usize) -> Vec<u8> {
    let words = ["tide", "harbour", "lantern", "gull", "rope", "anchor", "salt"];
    let mut text = Vec::new();
    let mut state = seed + 1;
    while text.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        text.extend_from_slice(words[(state >> 33) % words.len()].as_bytes());
        text.extend_from_slice(format!(" {} ", (state >> 40) % 997).as_bytes());
    }
    text.truncate(len);
    text
}

fn request(path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

async fn read(response: Response<Body>) -> Read {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Read { status: parts.status, head: parts.headers, body }
}

async fn send<S>(service: &S, request: Request<()>) -> Read
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let Ok(response) = service.clone().oneshot(request).await;
    read(response).await
}

async fn get<S>(service: &S, path: &str, fields: &[(&str, &str)]) -> Read
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    send(service, request(path, fields)).await
}

/// Whether the response cache answers `request`.
fn is_replayed<F>(service: &ServeCompressed<F>, request: &Request<()>) -> bool {
    let replay = |key| super::replay(&service.site, None, request, &key);
    BorrowedKey::new(request).and_then(replay).is_some()
}

/// Requests until the entry is stored, and once more. A response that may be cached is then cached.
async fn warm<F>(service: &ServeCompressed<F>, path: &str, fields: &[(&str, &str)]) -> Read
where
    ServeCompressed<F>: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    get(service, path, fields).await;
    settle(service).await;
    get(service, path, fields).await
}

async fn settle<F>(service: &ServeCompressed<F>) {
    while service.metrics().inflight > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Whether a response is cached once it was given. A cached one lasts a second, which may pass on a
/// busy machine before the check, so it is requested up to ten times.
async fn becomes_cached<F>(
    service: &ServeCompressed<F>,
    path: &str,
    fields: &[(&str, &str)],
) -> bool
where
    ServeCompressed<F>: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    for _ in 0..10 {
        if is_cached(service, path, fields) {
            return true;
        }
        get(service, path, fields).await;
    }
    false
}

fn is_cached<F>(service: &ServeCompressed<F>, path: &str, fields: &[(&str, &str)]) -> bool {
    is_replayed(service, &request(path, fields))
}

impl Read {
    fn field(&self, name: &str) -> &str {
        self.head.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Decodes the body, of identity or gzip.
    fn decoded(&self) -> Vec<u8> {
        if self.field("content-encoding").is_empty() {
            return self.body.to_vec();
        }
        assert_eq!(self.field("content-encoding"), "gzip");
        let mut decoded = Vec::new();
        let mut decoder = flate2::bufread::MultiGzDecoder::new(&self.body[..]);
        std::io::Read::read_to_end(&mut decoder, &mut decoded).unwrap();
        decoded
    }
}

#[tokio::test]
async fn replayed_response_equals_the_first() {
    let site = Site::new(&[("short.txt", &text(1, 5000)), ("long.txt", &text(2, 900_000))]);
    let service = site.service();
    for path in ["/short.txt", "/long.txt"] {
        for fields in [&[][..], &[GZIP], &[("accept-encoding", "br, gzip;q=0.5")]] {
            let first = warm(&service, path, fields).await;
            // A body that is read from its file is never cached.
            assert_eq!(
                is_cached(&service, path, fields),
                !(fields.is_empty() && path == "/long.txt")
            );
            assert_eq!(get(&service, path, fields).await, first, "{path} {fields:?}");
            let unchanged = [fields, &[("if-none-match", first.field("etag"))]].concat();
            let unchanged = unchanged.as_slice();
            let first = get(&service, path, unchanged).await;
            assert_eq!(first.status, StatusCode::NOT_MODIFIED);
            assert!(becomes_cached(&service, path, unchanged).await);
            assert_eq!(get(&service, path, unchanged).await, first, "{path} {unchanged:?}");
        }
    }
}

/// A replay lacked the date for up to a second after its time had come.
#[tokio::test]
async fn response_whose_date_is_not_told_yet_is_not_cached() {
    const REVALIDATE: Duration = Duration::from_millis(300);
    let site = Site::new(&[("a.txt", b"0")]);
    let service = site.builder().revalidate(REVALIDATE).build().unwrap();
    get(&service, "/a.txt", &[]).await;
    // The last of three contents of a second has none.
    for content in 1.. {
        site.replace("a.txt", content.to_string().as_bytes());
        tokio::time::sleep(REVALIDATE).await;
        let answer = get(&service, "/a.txt", &[]).await;
        let is_dated = !answer.field("last-modified").is_empty();
        let is_cached = is_cached(&service, "/a.txt", &[]);
        assert!(is_dated || !is_cached, "{content}");
        if !is_dated {
            break;
        }
    }
}

/// Requests keep the files' responses warm all the while. Every request that begins `revalidate`
/// after an edit must see it.
#[tokio::test]
async fn edit_is_seen_within_revalidate() {
    const REVALIDATE: Duration = Duration::from_millis(400);
    const FILES: [&str; 6] = ["replaced", "smuggled", "swapped", "removed", "directory", "index"];

    let (old, new) = (text(1, 70_000), text(2, 70_000));
    let site = Site::new(&[]);
    for name in FILES {
        let index = if name == "index" { "index/index.html" } else { name };
        site.write(&format!("{index}.txt").replace("html.txt", "html"), &old);
    }
    let service = site.builder().revalidate(REVALIDATE).build().unwrap();
    let path = |name: &str| if name == "index" { "/index/".into() } else { format!("/{name}.txt") };
    for name in FILES {
        assert!(warm(&service, &path(name), &[GZIP]).await.decoded() == old, "{name}");
    }
    let modified = fs::metadata(site.file("smuggled.txt")).unwrap().modified().unwrap();
    let restore = |name: &str, date: SystemTime| {
        let file = fs::File::options().append(true).open(site.file(name)).unwrap();
        file.set_modified(date).unwrap();
    };
    site.replace("replaced.txt", &new);
    site.write("smuggled.txt", &new);
    restore("smuggled.txt", modified);
    let swapped = fs::metadata(site.file("swapped.txt")).unwrap().modified().unwrap();
    site.replace("swapped.txt", &new);
    restore("swapped.txt", swapped);
    fs::remove_file(site.file("removed.txt")).unwrap();
    fs::remove_file(site.file("directory.txt")).unwrap();
    fs::create_dir(site.file("directory.txt")).unwrap();
    site.replace("index/index.html", &new);
    let edited = Instant::now();

    let mut again = 0;
    loop {
        let is_due = edited.elapsed() >= REVALIDATE;
        for name in FILES {
            again += usize::from(is_cached(&service, &path(name), &[GZIP]));
            let due = edited.elapsed() >= REVALIDATE;
            let answer = get(&service, &path(name), &[GZIP]).await;
            match (name, answer.status.as_u16()) {
                (_, 200) if answer.decoded() == old => {
                    assert!(!due, "the edit of {name} is seen too late");
                }
                ("removed", 404) | ("directory", 301) => {}
                (_, status) => {
                    assert_eq!(status, 200, "{name}");
                    assert!(answer.decoded() == new, "{name}");
                }
            }
        }
        if is_due {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    println!("{again} responses were replayed meanwhile");
}

/// A response with a directory's second index held for a second, however small `revalidate` was.
/// Other requests named that file by its own path, and so kept its resource fresh.
#[tokio::test]
async fn better_index_is_seen_within_revalidate() {
    const REVALIDATE: Duration = Duration::from_millis(200);

    let site = Site::new(&[("index.html", &text(1, 5000))]);
    // Until the file has rested, each lookup makes it another resource.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let names = ["first.html", "index.html"].map(str::to_owned);
    let service = site.builder().revalidate(REVALIDATE).index(names).build().unwrap();
    warm(&service, "/index.html", &[GZIP]).await;
    assert!(becomes_cached(&service, "/", &[GZIP]).await);
    site.write("first.html", &text(2, 5000));
    let written = Instant::now();
    loop {
        // So many requests make it likely that one of these begins the lookup that is due.
        for _ in 0..20 {
            get(&service, "/index.html", &[GZIP]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let is_due = written.elapsed() >= REVALIDATE;
        let is_new = get(&service, "/", &[GZIP]).await.decoded() == text(2, 5000);
        if is_new || is_due {
            assert!(is_new, "the first index is seen too late");
            break;
        }
    }
}

#[tokio::test]
async fn service_caches_no_response_when_revalidate_is_zero() {
    let site = Site::new(&[("a.txt", &text(1, 5000))]);
    let service = site.builder().revalidate(Duration::ZERO).build().unwrap();
    for n in 2..12 {
        let tag = warm(&service, "/a.txt", &[GZIP]).await.field("etag").to_owned();
        let fields = [GZIP, ("if-none-match", tag.as_str())];
        assert_eq!(get(&service, "/a.txt", &fields).await.status, 304);
        for fields in [&[][..], &[GZIP], &fields] {
            assert!(!is_cached(&service, "/a.txt", fields), "{fields:?}");
        }
        site.replace("a.txt", &text(n, 5000));
        assert!(get(&service, "/a.txt", &[GZIP]).await.decoded() == text(n, 5000));
    }
}

#[tokio::test]
async fn try_call_caches_its_response() {
    let site = Site::new(&[("a.txt", &text(1, 20_000))]);
    let service = site.service();
    for _ in 0..10 {
        service.try_call(request("/a.txt", &[GZIP])).await.unwrap();
        settle(&service).await;
    }
    assert!(is_cached(&service, "/a.txt", &[GZIP]));
}

/// A second choice, and identity in place of a coding that is not there yet, are sent once.
#[tokio::test]
async fn second_choice_is_not_cached() {
    let site = Site::new(&[("a.txt", &text(1, 400_000)), ("b.txt", &text(2, 60_000))]);
    let service = site.builder().patience(Duration::ZERO).build().unwrap();
    let both = [("accept-encoding", "br, gzip;q=0.9")];
    get(&service, "/a.txt", &[GZIP]).await;
    settle(&service).await;
    let mut others = 0;
    loop {
        let answer = get(&service, "/a.txt", &both).await;
        let is_best = answer.field("content-encoding") == "br";
        if is_best && answer.field("cache-status").ends_with("hit") {
            break;
        }
        others += 1;
        // A growing brotli body is not cached either: it has no length.
        if service.metrics().inflight > 0 {
            assert!(!is_cached(&service, "/a.txt", &both), "{:?}", answer.head);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(others > 0, "brotli was there before the first request for it");
    assert!(becomes_cached(&service, "/a.txt", &both).await);
    assert_eq!(get(&service, "/a.txt", &both).await.field("content-encoding"), "br");
    // Identity for want of an encoder is not cached, though it is short enough.
    service.shutdown(Shutdown::Finish).await;
    let plain = get(&service, "/b.txt", &both).await;
    assert!(plain.field("cache-status").contains("bypass"), "{:?}", plain.head);
    assert!(!is_cached(&service, "/b.txt", &both));
    assert!(becomes_cached(&service, "/b.txt", &[]).await);
}

/// Every mixture of fields that a response depends on gets the response of a service without a
/// cache of responses.
#[tokio::test]
async fn cached_responses_never_mix() {
    let site = Site::new(&[("a.txt", &text(1, 5000)), ("b.txt", &text(2, 90_000))]);
    let service = site.service();
    let fresh = site.builder().memory_cache(0).build().unwrap();
    let accepts =
        [None, Some(""), Some("gzip"), Some("br"), Some("gzip;q=0"), Some("identity;q=0")];
    let mut tags = vec![None, Some("*".to_owned()), Some("\"other\"".to_owned())];
    for path in ["/a.txt", "/b.txt"] {
        for coding in ["gzip", "br", "identity"] {
            let answer = warm(&fresh, path, &[("accept-encoding", coding)]).await;
            warm(&service, path, &[("accept-encoding", coding)]).await;
            let tag = answer.field("etag").to_owned();
            tags.push(Some(format!("\"other\", W/{tag}")));
            tags.push(Some(tag));
        }
    }
    let mut asked = 0;
    let mut kept = 0;
    for _ in 0..2 {
        for accept in accepts {
            for tag in &tags {
                for path in ["/a.txt", "/b.txt", "/a.txt?", "/a.txt?b.txt", "/b.txt?gzip", "/a.tx"]
                {
                    let accept = accept.map(|accept| ("accept-encoding", accept));
                    let tag = tag.as_deref().map(|tag| ("if-none-match", tag));
                    let fields: Vec<_> = accept.into_iter().chain(tag).collect();
                    let expected = get(&fresh, path, &fields).await;
                    kept += usize::from(is_cached(&service, path, &fields));
                    assert_eq!(get(&service, path, &fields).await, expected, "{path} {fields:?}");
                    asked += 1;
                    assert!(!is_cached(&fresh, path, &fields));
                }
            }
        }
    }
    println!("{kept} of {asked} responses were replayed");
    assert!(kept > 0);
}

#[tokio::test]
async fn request_with_options_neither_uses_nor_fills_the_cache() {
    let site = Site::new(&[("a.txt", &text(1, 5000))]);
    let name = HeaderName::from_static("x-mine");
    let optioned = |fields: &[(&str, &str)]| {
        let mut request = request("/a.txt", fields);
        let options = RequestOptions::new()
            .codings([ContentCoding::GZIP])
            .header(name.clone(), HeaderValue::from_static("yes"));
        request.extensions_mut().insert(options);
        request
    };
    let fields = [("accept-encoding", "br, gzip;q=0.5")];
    let service = site.service();
    for _ in 0..3 {
        let mine = send(&service, optioned(&fields)).await;
        assert_eq!((mine.field("content-encoding"), mine.field("x-mine")), ("gzip", "yes"));
        assert!(!is_replayed(&service, &optioned(&fields)));
        settle(&service).await;
    }
    assert!(!is_cached(&service, "/a.txt", &fields));
    for _ in 0..3 {
        let plain = warm(&service, "/a.txt", &fields).await;
        assert_eq!((plain.field("content-encoding"), plain.field("x-mine")), ("br", ""));
        assert!(becomes_cached(&service, "/a.txt", &fields).await);
        let mine = send(&service, optioned(&fields)).await;
        assert_eq!((mine.field("content-encoding"), mine.field("x-mine")), ("gzip", "yes"));
    }
}

#[tokio::test]
async fn index_for_an_unknown_path_is_not_cached() {
    let site = Site::new(&[("index.html", &text(1, 5000))]);
    let service = site.builder().spa(true).build().unwrap();
    let navigation = [("accept", "text/html"), GZIP];
    assert_eq!(warm(&service, "/users/7", &navigation).await.status, 200);
    assert!(!is_cached(&service, "/users/7", &navigation));
    let fetched = [("accept", "application/json"), GZIP];
    assert_eq!(get(&service, "/users/7", &fetched).await.status, 404);
    warm(&service, "/", &navigation).await;
    assert!(becomes_cached(&service, "/", &navigation).await);
    assert_eq!(get(&service, "/users/8", &fetched).await.status, 404);
    // A deployment now brings a file at that path.
    site.write("users/7", &text(2, 5000));
    assert!(get(&service, "/users/7", &navigation).await.decoded() == text(2, 5000));
}

#[tokio::test]
async fn fallback_gets_every_request_that_leads_nowhere() {
    let site = Site::new(&[("a.txt", &text(1, 5000))]);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = site.service().fallback(service_fn(move |_: Request<()>| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(number.to_string())))) }
    }));
    for number in 1..=5 {
        let answer = get(&service, "/api", &[GZIP]).await;
        assert_eq!(answer.body, number.to_string());
        assert!(!is_cached(&service, "/api", &[GZIP]));
        assert!(warm(&service, "/a.txt", &[GZIP]).await.decoded() == text(1, 5000));
        assert!(becomes_cached(&service, "/a.txt", &[GZIP]).await);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn replayed_responses_are_counted() {
    let site = Site::new(&[("a.txt", &text(1, 5000)), ("b.txt", &text(2, 900_000))]);
    let service = site.service();
    for path in ["/a.txt", "/b.txt"] {
        let warm = warm(&service, path, &[GZIP]).await;
        let unchanged = [GZIP, ("if-none-match", warm.field("etag"))];
        get(&service, path, &unchanged).await;
        assert!(
            becomes_cached(&service, path, &[GZIP]).await
                && becomes_cached(&service, path, &unchanged).await
        );
        let before = service.metrics();
        for _ in 0..10 {
            get(&service, path, &[GZIP]).await;
            get(&service, path, &unchanged).await;
        }
        let after = service.metrics();
        for ((outcome, before), (_, after)) in before.requests.iter().zip(&after.requests) {
            let due = if [Outcome::Hit, Outcome::NotModified].contains(outcome) { 10 } else { 0 };
            assert_eq!(after - before, due, "{outcome:?}");
        }
        let source = fs::metadata(site.file(&path[1..])).unwrap().len();
        assert_eq!(after.sent_bytes - before.sent_bytes, 10 * warm.body.len() as u64);
        assert_eq!(after.source_bytes - before.source_bytes, 10 * source);
        assert_eq!(after.encodes, before.encodes);
    }
}

/// A cached response whose entry vanishes is either right or made anew.
#[tokio::test]
async fn cached_response_stays_right_when_its_entry_vanishes() {
    let remove = |cache: &Path| fs::remove_dir_all(cache).unwrap();
    let unlink = |cache: &Path| {
        for shard in fs::read_dir(cache.join("v1/entries")).unwrap() {
            for entry in fs::read_dir(shard.unwrap().path()).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
    };
    let (short, long) = (text(1, 5000), text(2, 900_000));
    let site = Site::new(&[("short.txt", &short), ("long.txt", &long)]);
    for (number, vanish) in [&remove as &dyn Fn(&Path), &unlink].into_iter().enumerate() {
        let path = site.cache().with_extension(number.to_string());
        let cache = Cache::builder(&path).build().unwrap();
        let service = site.builder().cache(cache.clone()).build().unwrap();
        let mut was = Vec::new();
        for (path, source) in [("/short.txt", &short), ("/long.txt", &long)] {
            was.push(warm(&service, path, &[GZIP]).await);
            assert!(was.last().unwrap().decoded() == *source);
            assert!(becomes_cached(&service, path, &[GZIP]).await);
        }
        let Ok(running) = service.clone().oneshot(request("/long.txt", &[GZIP])).await;
        vanish(&path);
        for _ in 0..3 {
            for (path, was) in [("/short.txt", &was[0]), ("/long.txt", &was[1])] {
                assert!(get(&service, path, &[GZIP]).await.decoded() == was.decoded());
            }
        }
        assert!(read(running).await.decoded() == long);
    }
}

/// The bytes of an entry that was overwritten in place stayed in memory after the entry had been
/// replaced.
#[tokio::test]
async fn entry_overwritten_in_place_is_not_kept_in_memory() {
    let site = Site::new(&[]);
    let source = text(1, 9000);
    site.write("a.txt", &source);
    let cache = Cache::builder(site.cache()).build().unwrap();
    let service = site.builder().cache(cache).build().unwrap();
    assert!(get(&service, "/a.txt", &[GZIP]).await.decoded() == source);
    settle(&service).await;
    let shards = fs::read_dir(site.cache().join("v1/entries")).unwrap();
    let mut entries = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let path = entries.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    // This request comes within the second for which an open entry is trusted.
    let _ = get(&service, "/a.txt", &[GZIP]).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // The first request has the file encoded again. The second gets the new entry.
    for _ in 0..2 {
        assert!(get(&service, "/a.txt", &[GZIP]).await.decoded() == source);
        settle(&service).await;
    }
}

/// A cached response does not hold its entry open. Once the entry is evicted and closed, the
/// response is made from scratch.
#[tokio::test]
async fn response_is_made_anew_when_its_entry_is_closed() {
    let site = Site::new(&[]);
    for n in 0..8 {
        site.write(&format!("{n}.txt"), &text(n, 3_000_000));
    }
    let cache = Cache::builder(site.cache()).open_entries(1).build().unwrap();
    let service = site.builder().cache(cache).build().unwrap();
    let mut gone = 0;
    for _ in 0..2 {
        for n in 0..8 {
            let path = format!("/{n}.txt");
            gone += usize::from(!is_cached(&service, &path, &[GZIP]));
            assert!(get(&service, &path, &[GZIP]).await.decoded() == text(n, 3_000_000));
            settle(&service).await;
            get(&service, &path, &[GZIP]).await;
        }
    }
    assert!(gone > 8, "every entry was held open: {gone}");
}

/// 1 MiB has room for at most 512 responses of at least 2 KiB each.
#[tokio::test]
async fn responses_stay_within_their_memory() {
    const ROOM: usize = 1 << 20;
    let site = Site::new(&[("a.txt", &text(1, 300)), ("b.txt", &text(2, 30_000))]);
    let service = site.builder().memory_cache(ROOM as u64).build().unwrap();
    warm(&service, "/b.txt", &[GZIP]).await;
    let long = "x".repeat(8000);
    let spelling = |n: usize| format!("gzip, x-{n}");
    let tag = get(&service, "/a.txt", &[]).await.field("etag").to_owned();
    let lengthy = |n: usize| format!("\"{n}{long}\", {tag}");
    let mut longest = 0;
    for n in 0..3000 {
        longest = longest.max(get(&service, "/b.txt", &[GZIP]).await.body.len());
        get(&service, "/b.txt", &[("accept-encoding", &spelling(n))]).await;
        get(&service, "/a.txt", &[("accept-encoding", &spelling(n))]).await;
        get(&service, "/a.txt", &[("if-none-match", &lengthy(n))]).await;
    }
    assert!(longest > 2000, "{longest}");
    let mut bytes = 0;
    for n in 0..3000 {
        let fields = [("accept-encoding", &*spelling(n))];
        bytes += if is_cached(&service, "/b.txt", &fields) { 2048 + longest } else { 0 };
        bytes += if is_cached(&service, "/a.txt", &fields) { 2048 + 300 } else { 0 };
        let kept = is_cached(&service, "/a.txt", &[("if-none-match", &lengthy(n))]);
        bytes += if kept { 2048 + long.len() } else { 0 };
    }
    println!("{bytes} bytes are cached");
    assert!((ROOM / 4..=ROOM).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn service_without_memory_caches_nothing_and_responds_right() {
    let site = Site::new(&[("a.txt", &text(1, 5000)), ("b.txt", &text(2, 300_000))]);
    let service = site.builder().memory_cache(0).build().unwrap();
    for _ in 0..3 {
        for (path, source) in [("/a.txt", text(1, 5000)), ("/b.txt", text(2, 300_000))] {
            for fields in [&[][..], &[GZIP]] {
                assert!(warm(&service, path, fields).await.decoded() == source);
                assert!(!is_cached(&service, path, fields));
            }
        }
    }
}
