//! A tower service that compresses every static file exactly once and keeps the result on disk.
//!
//! Many web servers compress a static file again for every download, which burns processors. Others
//! need `.gz` and `.br` siblings from a build step, which go stale. This crate compresses a file at
//! its first request and streams the result while it is made. It keeps the result in a bounded
//! directory for all later requests: after a restart, after a redeploy of the same bytes, under
//! another name, in another process. No request waits long for a coding.
//!
//! [`ServeCompressed`] is a [`tower::Service`] over a [`Source`] of static files. It fits axum,
//! hyper, tonic and every other program that speaks tower. The output of handlers is never cached.
//!
//! [`tower::Service`]: tower_service::Service
//!
//! # A first example
//!
//! ```
//! use cachecompress::{Cache, Memory, ServeCompressed};
//! use http::{Request, header};
//! use http_body_util::BodyExt as _;
//! use tower::ServiceExt as _;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # if cfg!(not(feature = "gzip")) { return Ok(()) }
//! let service = ServeCompressed::builder(Memory::new().file("hello.txt", "Hello! ".repeat(1000)))
//!     .cache(Cache::in_memory(1 << 20)) // on disk: `Cache::builder("/var/cache/app").build()?`
//!     .build()?;
//!
//! // With axum: `Router::new().nest_service("/files", service)`. Here are two requests by hand.
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! runtime.block_on(async {
//!     for cache_status in ["cachecompress; fwd=miss; stored", "cachecompress; hit"] {
//!         // A client that refuses identity waits as long as it takes.
//!         let accept = "gzip, identity;q=0";
//!         let request = Request::get("/hello.txt").header(header::ACCEPT_ENCODING, accept);
//!         let response = service.clone().oneshot(request.body(())?).await?;
//!         assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
//!         assert_eq!(response.headers()["cache-status"], cache_status);
//!         let body = response.into_body().collect().await?.to_bytes();
//!         assert!(body.len() < 100, "7,000 bytes took {}", body.len());
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! [`ServeCompressed::new`] serves a directory with all defaults, and [`ServeCompressed::file`] one
//! file for every path.
//!
//! The repository's `examples/` has whole programs: axum with an embedded user interface, one that
//! was compressed by the build, axum whose files go out by `sendfile`, a download server whose handler checks a token, hyper without a
//! framework, and tower-http's file services beside these.
//!
//! # Sources
//!
//! | source | files |
//! |---|---|
//! | [`Directory`] | beneath a directory, to which the kernel confines every lookup |
//! | [`Embedded`] | compiled into the program: a list, `rust-embed`, `include_dir`, or [with their codings](Embedded::precompressed) |
//! | [`Memory`] | made by the program |
//! | [`Overlay`] | those of several sources; the first that has a path decides |
//!
//! The SHA-256 of its bytes identifies a file, and not its name or time, so equal files share one
//! entry. Files of a directory may change at any moment. The service looks each up again when the
//! last lookup is older than [`revalidate`](Builder::revalidate). A body never mixes two versions.
//!
//! A program may implement [`Source`] for its own store. Its files are bytes, open files
//! ([`SourceFile::from_file`](source::SourceFile::from_file)), or files of a disk of its own:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::{Arc, RwLock};
//! use std::time::Duration;
//!
//! use cachecompress::source::{Found, SourceFile};
//! use cachecompress::{Error, ServeCompressed, Source, SourcePath};
//!
//! /// Files that the program changes while they are served.
//! #[derive(Clone, Debug, Default)]
//! struct Shelf(Arc<RwLock<BTreeMap<String, String>>>);
//!
//! impl Source for Shelf {
//!     fn lookup(&self, path: &SourcePath) -> Result<Found, Error> {
//!         let files = self.0.read().unwrap();
//!         Ok(match path.as_str().and_then(|path| files.get(path)) {
//!             Some(text) => Found::File(SourceFile::from_bytes(text.clone())),
//!             None if path.is_root() => Found::Directory,
//!             None => Found::Nothing,
//!         })
//!     }
//!
//!     fn paths(&self) -> Result<Vec<SourcePath>, Error> {
//!         self.0.read().unwrap().keys().map(|path| path.parse()).collect()
//!     }
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let shelf = Shelf::default();
//! // Each request looks its file up, so that it sees every change. The default is once a second.
//! let service = ServeCompressed::builder(shelf.clone()).revalidate(Duration::ZERO).build()?;
//! shelf.0.write().unwrap().insert("today.txt".to_owned(), "Sunny".to_owned());
//! # let _ = service;
//! # Ok(())
//! # }
//! ```
//!
//! [`ServeCompressed::serve`] is for handlers that choose the file themselves, after a check of the
//! client, and [`ServeCompressed::serve_source`] for those that have its bytes. A
//! [`RequestOptions`] in the request's extensions overrides codings and fields for one response.
//!
//! # The cache
//!
//! [`Cache::builder`] keeps entries in a directory of your choice. The library never chooses one.
//! [`Cache::in_memory`] keeps them in memory. A handle is cheap to clone. Several services and
//! several processes may share a directory. It may be removed at any moment. A cache that cannot be
//! written is no error. It is logged once, and responses are uncompressed until it is writable.
//!
//! Every encode is decoded again and compared with its source before it is published
//! ([`prove`](Builder::prove)), and before its last bytes are sent. So an encoder's fault ends as a
//! broken connection, never as a wrong file. [`ServeCompressed::warm_with`] fills the cache ahead.
//!
//! # Codings
//!
//! `br`, `zstd`, `gzip` and `deflate` are built in, behind cargo features. Among codings that a
//! request weighs equally, [`Preference::Auto`] chooses the smallest result for files up to 1 MiB,
//! and the fastest encoder for longer ones. Files of types that are compressed already, such as
//! images and archives, are left alone. So are files that would not save 5 %.
//!
//! Files that are [`Embedded::precompressed`] have their codings from the build of the program, at the
//! best levels. The first request for one gets its coding at once. A program that serves such files alone
//! needs no encoder: `cachecompress = { version = "0.1", default-features = false }`, with
//! `cachecompress-build` among its build-dependencies.
//!
//! ```text
//! // build.rs
//! cachecompress_build::Precompress::new("dist").write("ui")?;
//!
//! // src/main.rs
//! static UI: &[PrecompressedFile] = include!(concat!(env!("OUT_DIR"), "/ui.rs"));
//! let ui = ServeCompressed::builder(Embedded::precompressed(UI)).build()?;
//! ```
//!
//! An encoder of your own takes part under a coding of its own, or in place of a built-in one. This
//! one counts runs of equal bytes:
//!
//! ```
//! use std::sync::Arc;
//!
//! use cachecompress::codec::{Decoding, Encoder, Encoding, Settings};
//! use cachecompress::{ContentCoding, Error, Memory, ServeCompressed};
//!
//! #[derive(Debug)]
//! struct RunLength;
//!
//! impl Encoder for RunLength {
//!     // Part of the entity tag: with a new version come new tags and new entries.
//!     fn settings(&self) -> Settings {
//!         Settings { encoder: "run-length".into(), version: "1".into(), parameters: Vec::new() }
//!     }
//!
//!     fn begin(&self, _len: u64) -> Result<Box<dyn Encoding>, Error> {
//!         Ok(Box::new(Runs))
//!     }
//!
//!     // What this gives back must have the source's digest, or nothing is published.
//!     fn decoder(&self) -> Option<Box<dyn Decoding>> {
//!         Some(Box::new(Pairs { count: None }))
//!     }
//! }
//!
//! struct Runs;
//!
//! impl Encoding for Runs {
//!     fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
//!         for run in piece.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255)) {
//!             out.extend([run.len() as u8, run[0]]);
//!         }
//!         Ok(())
//!     }
//!
//!     fn finish(self: Box<Self>, _out: &mut Vec<u8>) -> Result<(), Error> {
//!         Ok(())
//!     }
//! }
//!
//! struct Pairs {
//!     count: Option<u8>,
//! }
//!
//! impl Decoding for Pairs {
//!     // Coded bytes come cut anywhere, also between a count and its byte.
//!     fn write(&mut self, coded: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
//!         for &byte in coded {
//!             match self.count.take() {
//!                 Some(count) => sink(&vec![byte; count.into()]),
//!                 None => self.count = Some(byte),
//!             }
//!         }
//!         Ok(())
//!     }
//!
//!     fn finish(self: Box<Self>, _sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let service = ServeCompressed::builder(Memory::new().file("line.txt", "-".repeat(2000)))
//!     .encoder(ContentCoding::new("x-runs")?, Arc::new(RunLength))
//! #   .patience(std::time::Duration::from_secs(30))
//!     .build()?;
//! # use http_body_util::BodyExt as _;
//! # use tower::ServiceExt as _;
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! #     let request = http::Request::get("/line.txt").header("accept-encoding", "gzip, x-runs");
//! #     let response = service.oneshot(request.body(())?).await?;
//! #     assert_eq!(response.headers()["content-encoding"], "x-runs");
//! #     assert_eq!(response.headers()["cache-status"], "cachecompress; fwd=miss; stored");
//! #     let body = response.into_body().collect().await?.to_bytes();
//! #     assert_eq!(&body[..4], [255, b'-', 255, b'-']);
//! #     Ok(())
//! # })
//! # }
//! ```
//!
//! # Header fields
//!
//! The library sends no `Cache-Control` of its own with a file. The later in this list wins:
//!
//! - [`Builder::default_cache_control`] sets one for all files.
//! - [`Builder::immutable`] marks names that carry a hash (`app.3f9c2b1a.js`) as good for a year, and
//!   [`Builder::immutable_paths`] those that match a glob.
//! - [`Builder::header`] adds any field by path glob, and [`Builder::header_rule`] rules that set and
//!   unset several. [`HeaderRule`] has presets for security, and says which responses have its fields.
//! - [`RequestOptions::header`] adds any field to one response.
//!
//! ```
//! use cachecompress::{Memory, ServeCompressed};
//! use http::header::CACHE_CONTROL;
//!
//! # fn main() -> Result<(), cachecompress::Error> {
//! let service = ServeCompressed::builder(Memory::new().file("fonts/a.ttf", "…"))
//!     .default_cache_control("no-cache")
//!     .immutable(true)
//!     .header("fonts/**", CACHE_CONTROL, "max-age=86400")
//!     .header("**/*.json", "access-control-allow-origin", "*")
//!     .original_length(true) // X-Original-Content-Length, for progress bars
//!     .build()?;
//! # let _ = service;
//! # Ok(())
//! # }
//! ```
//!
//! # Over HTTP
//!
//! | request | response (RFC 9110) |
//! |---|---|
//! | `GET`, `HEAD` of a file | 200; 206, 304, 406, 412 or 416 as the request's fields require |
//! | of `/dir` | 301 to `./dir/`, relative, so that it works beneath any prefix; a cache asks each time |
//! | of `/dir/` | its `index.html`; without one, as for nothing |
//! | of nothing | for a page with [`Builder::spa`] the index; else the [fallback](ServeCompressed::fallback), or 404, with the page of [`Builder::not_found`] |
//! | of a path that [`Builder::exclude`] hides | as of nothing |
//! | of a path that cannot be decoded | 400 |
//! | of a path with `.` or `..` | as of the path that they lead to; 404 out of the source |
//! | `OPTIONS` | 204 with `Allow` |
//! | other methods | 405 with `Allow` |
//!
//! Entity tags are strong and name content and coding. They are known before the first encoded
//! byte, so a download that broke off can be resumed in its coding. Every response of a type that
//! may be compressed carries `Vary: Accept-Encoding`, and with [`Builder::deltas`] also
//! `Available-Dictionary` where one may matter. `Cache-Status` (RFC 9211) tells the outcome,
//! and [`Body::served`] tells it to layers around. Behind an axum `Router`, which hides the type of the
//! body, [`Builder::served_extension`] does so. A request with `Want-Repr-Digest: sha-256=1` (RFC 9530) gets
//! `Repr-Digest`, where the response has no coding and the digest is known.
//!
//! | `Cache-Status: cachecompress; …` | [`Outcome`] | meaning |
//! |---|---|---|
//! | `hit` | `Hit`, `NotModified` | a stored or embedded representation, or a 304 from the tag alone |
//! | `fwd=miss; stored` | `Miss` | this request had the file encoded, for all later ones |
//! | `fwd=miss; collapsed` | `Collapsed` | this request joined an encode under way |
//! | `fwd=bypass; detail=…` | `Bypass`, `Identity` | identity; [`Detail`] lists the reasons |
//! | no field | `Identity`, `Error` | a type that is never compressed, or an error |
//!
//! # Beside a `CompressionLayer`
//!
//! tower-http's `CompressionLayer` is for the output of handlers. Mount this service *outside* of
//! it. This service sends identity for a reason. The layer would encode it again for every request,
//! with a weak tag. In axum a layer covers the routes added before it:
//!
//! ```text
//! Router::new()
//!     .route("/api/report", get(report))
//!     .layer(CompressionLayer::new())
//!     .nest_service("/assets", assets)
//! ```
//!
//! A nest cannot tell `/assets` from `/assets/`, and the index's relative links are right only at
//! the latter. Nest at `"/assets/"` and redirect `"/assets"` there, as `examples/` does.
//!
//! # The runtime
//!
//! The service runs on every executor, and so does [`Builder::build`] without one. Its waits are real
//! time: a test that pauses tokio's clock does not end the [`patience`](Builder::patience). No long
//! work runs on the runtime's threads. The library starts threads of its own, lazily, and ends them
//! with the last handle. One more, which keeps the time for all services, stays.
//! [`ServeCompressed::shutdown`] lets encodes finish first, or gives them up.
//!
//! # The log
//!
//! Messages go to [`tracing`](https://docs.rs/tracing). They are one line each: control characters in
//! what comes from outside, such as paths, are escaped. Of warnings and errors that clients could
//! repeat at will, ten of a kind are told in a minute, and then how many were left out.
//!
//! # Unoptimised builds
//!
//! Encoders and hashes are slow without optimisation, so in a debug build the first request for a file
//! often gets identity (`detail=patience`), and a later one the coding. `mbrotli`, the encoder of `br`,
//! also takes minutes and gigabytes of memory to build with debug information. These lines in the
//! program's `Cargo.toml` optimise its dependencies and nothing of its own:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 3
//! debug = false
//! ```
//!
//! A test that needs the coding at the first request sets a longer patience, or refuses identity
//! (`Accept-Encoding: gzip, identity;q=0`). One that needs identity sends `Accept-Encoding: identity`.
//! Files under 256 bytes are not compressed. While a test has paused tokio's clock, timeouts of tokio
//! around a request end at once, as time leaps while the encode works.
//!
//! # Limits and defaults
//!
//! | limit | default | set by |
//! |---|---|---|
//! | bytes of a cache on disk | 1 GiB | [`max_bytes`](cache::CacheBuilder::max_bytes) |
//! | entries of a cache | 1,000,000 | [`max_entries`](cache::CacheBuilder::max_entries) |
//! | one entry | a quarter of its cache's bytes; a longer file is never compressed | |
//! | the cache of a service that is given none | 64 MiB in memory | [`Builder::cache`] |
//! | entries kept open | 256 descriptors for a cache, and those being sent | |
//! | bodies up to 256 KiB and responses in memory | 64 MiB | [`Builder::memory_cache`] |
//! | files remembered | 65,536 | |
//! | encode threads | half the cores, at least 2; as many again for `warm`; each with one more that proves while it encodes | [`Builder::encode_threads`] |
//! | encodes that wait for a thread | 1,024, then identity | [`Builder::queue`] |
//! | threads that read, and that hash | 4 and 2; 16,384 jobs of each kind may wait for one | |
//! | wait for a coding | 50 ms, then identity | [`Builder::patience`] |
//! | age of a file's last lookup | 1 s | [`Builder::revalidate`] |
//! | levels | `br` 5, `zstd` 3, `gzip` 6, `deflate` 6 | [`Builder::level`] |
//! | window of a `zstd` frame | 8 MiB at every level | |
//! | the shortest file that is compressed | 256 bytes | |
//! | the least saving of an encode that is kept | 5 % | |
//! | dictionaries | files of 4 KiB to 64 MiB, 100 patterns of a site, three versions each, 30 days | [`Builder::deltas`] |
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `brotli` | `br` | yes |
//! | `gzip` | `gzip` and `deflate` | yes |
//! | `zstd` | `zstd`; builds libzstd, which needs a C compiler | yes |
//! | `sendfile` | the module `sendfile`: stored files by `sendfile(2)` below hyper (Linux) | no |
//! | `axum` | `sendfile::Listener` for `axum::serve` | no |
//! | `rust-embed` | `Embedded::rust_embed` | no |
//! | `include-dir` | `Embedded::include_dir` | no |
//!
//! # Platforms
//!
//! The library is tested and tuned for Linux: unnamed files, room reserved ahead, lookups confined
//! by `openat2`, reads that do not wait. macOS and Windows build and serve over portable fallbacks.
//! Where there are no unnamed files, an entry is written under a private name and renamed. Where no
//! room can be reserved, an encode that fills the disk aborts the bodies that follow it.

mod body;
pub mod cache;
mod catalog;
pub mod codec;
mod concurrency;
mod encode;
mod error;
pub mod fs;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod http;
mod limits;
mod log;
mod memory_cache;
mod metrics;
mod representations;
mod rules;
#[cfg(feature = "sendfile")]
pub mod sendfile;
#[cfg(not(feature = "sendfile"))]
#[path = "sendfile/absent.rs"]
mod sendfile;
mod service;
pub mod source;
#[cfg(feature = "tier")]
pub mod tier;
#[cfg(not(feature = "tier"))]
#[path = "tier/absent.rs"]
mod tier;

/// The explanation of a response, by [`ServeCompressed::explain`].
pub mod explain {
    pub use crate::service::{ExplainedCoding, ExplainedFile, Explanation, Route, Stored};
}

pub use body::{Body, Served};
pub use cache::Cache;
pub use codec::Preference;
pub use encode::Recompress;
pub use error::{Error, ErrorKind};
pub use http::{CacheStatus, ContentCoding, Detail, Digest, Forward, InvalidCoding, SourcePath};
pub use metrics::{
    BreakerState, DurationHistogram, EncodeMetrics, EncodeProgress, EncodeState, Metrics, Outcome,
    SecondPassMetrics, TierMetrics, TierOutcome,
};
pub use rules::redirects::Redirect;
pub use rules::{CleanUrls, HeaderRule, TrailingSlash};
pub use service::{
    Builder, Deltas, Fallback, ListingPage, NoFallback, RenderListing, RequestOptions,
    ResponseFuture, ServeCompressed, Shutdown, Siblings, WarmOptions, WarmProgress, WarmSummary,
    Warmed, is_navigation,
};
pub use source::{Directory, Embedded, Memory, Overlay, Source, Symlinks};
