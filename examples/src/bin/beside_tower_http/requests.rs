//! The requests that both sides get.

/// Files, directories, names, paths, methods and the negotiation of a coding.
pub(crate) const EVERYDAY: &[&str] = &[
    "GET /",
    "HEAD /",
    "GET /index.html",
    "GET /style.css",
    "HEAD /style.css",
    "GET /style.css?v=2",
    "GET /app.3f9c2b1a.js",
    "GET /tides.json",
    "GET /pixels.png",
    "GET /mark.svg",
    "GET /checksum.wasm",
    "GET /LICENSE",
    "GET /UPPER.CSS",
    "GET /data.xml",
    "GET /feed.atom",
    "GET /file.unknown-type",
    "GET /font.woff2",
    "GET /module.mjs",
    "GET /notes.md",
    "GET /robots.txt",
    "GET /script.js.map",
    "GET /site.webmanifest",
    "GET /types.ts",
    "GET /upload.csv",
    "GET /view.jsx",
    "GET /empty.txt",
    "HEAD /empty.txt",
    "GET /tomorrow.txt",
    // Directories.
    "GET /docs",
    "HEAD /docs",
    "GET /docs?page=2",
    "GET /docs/",
    "GET /docs/?page=2",
    "GET /docs/index.html",
    "GET /bare",
    "GET /bare/",
    "GET /two%20words",
    "GET /two%20words/",
    // Nothing.
    "GET /missing",
    "HEAD /missing",
    "GET /missing/",
    "GET /missing/page.html",
    "GET /style.css/",
    "GET /style.css/more",
    // Names.
    "GET /st%79le.css",
    "GET /name%20with%20space.txt",
    "GET /gr%C3%BC%C3%9Fe.txt",
    "GET /100%25.txt",
    "GET /100%.txt",
    "GET /%zz",
    "GET /%00",
    "GET /style.css%00",
    "GET /%ff",
    "GET /docs%2findex.html",
    "GET /docs%5cindex.html",
    // Hidden files and links.
    "GET /.env",
    "GET /.git/config",
    "GET /.well-known/security.txt",
    "GET /link.css",
    "GET /outside.txt",
    "GET /absolute.css",
    // Paths that climb, and slashes.
    "GET /../outside.txt",
    "GET /docs/../style.css",
    "GET /%2e%2e/outside.txt",
    "GET /..%2foutside.txt",
    "GET /docs/%2e%2e/style.css",
    "GET /./style.css",
    "GET //style.css",
    "GET //docs",
    "GET /docs//index.html",
    "GET /docs//",
    // Methods.
    "POST /style.css",
    "PUT /style.css",
    "DELETE /missing",
    "PATCH /",
    "OPTIONS /style.css",
    "OPTIONS /missing",
    "OPTIONS *",
    // Codings.
    "GET /tides.json | accept-encoding: br",
    "HEAD /tides.json | accept-encoding: br",
    "GET /tides.json | accept-encoding: zstd",
    "GET /tides.json | accept-encoding: gzip",
    "GET /tides.json | accept-encoding: deflate",
    "GET /tides.json | accept-encoding: gzip, deflate, br, zstd",
    "GET /tides.json | accept-encoding: br;q=0.5, gzip",
    "GET /tides.json | accept-encoding: *",
    "GET /tides.json | accept-encoding: x-unknown",
    "GET /tides.json | accept-encoding: gzip;q=0",
    "GET /tides.json | accept-encoding: identity",
    "GET /tides.json | accept-encoding: identity;q=0",
    "GET /tides.json | accept-encoding: *;q=0",
    "GET /pixels.png | accept-encoding: gzip",
    "GET /pixels.png | accept-encoding: identity;q=0",
    "GET /about.html | accept-encoding: gzip",
    "GET /empty.txt | accept-encoding: gzip",
    "GET /missing | accept-encoding: gzip",
];

/// Preconditions, with each side's own validators.
pub(crate) const CONDITIONS: &[&str] = &[
    "GET /style.css | if-none-match: <tag>",
    "HEAD /style.css | if-none-match: <tag>",
    "GET /style.css | if-none-match: W/<tag>",
    "GET /style.css | if-none-match: \"other\", <tag>",
    "GET /style.css | if-none-match: \"other\"",
    "GET /style.css | if-none-match: *",
    "GET /style.css | if-none-match: no tag",
    "GET /style.css | if-none-match: \"other\" | if-modified-since: <date>",
    "GET /missing | if-none-match: *",
    "GET /style.css | if-modified-since: <date>",
    "HEAD /style.css | if-modified-since: <date>",
    "GET /style.css | if-modified-since: Tue, 14 Nov 2023 22:13:19 GMT",
    "GET /style.css | if-modified-since: Tue, 14 Nov 2023 22:13:21 GMT",
    "GET /style.css | if-modified-since: yesterday",
    "GET /style.css | if-match: <tag>",
    "GET /style.css | if-match: W/<tag>",
    "GET /style.css | if-match: \"other\"",
    "GET /style.css | if-match: *",
    "GET /missing | if-match: *",
    "GET /style.css | if-unmodified-since: <date>",
    "GET /style.css | if-unmodified-since: Tue, 14 Nov 2023 22:13:19 GMT",
    "GET /style.css | if-unmodified-since: yesterday",
    "GET /style.css | if-match: \"other\" | if-none-match: <tag>",
    "GET /tides.json | accept-encoding: br | if-none-match: <tag>",
    "GET /tides.json | accept-encoding: br | if-modified-since: <date>",
    "GET /empty.txt | if-none-match: <tag>",
];

/// Ranges.
pub(crate) const RANGES: &[&str] = &[
    "GET /tides.json | range: bytes=0-99",
    "GET /tides.json | range: bytes=100-",
    "GET /tides.json | range: bytes=-100",
    "GET /tides.json | range: bytes=0-0",
    "GET /tides.json | range: bytes=0-999999",
    "GET /tides.json | range: bytes=80354-80354",
    "GET /tides.json | range: bytes=-999999",
    "GET /tides.json | range: bytes=80355-",
    "HEAD /tides.json | range: bytes=80355-",
    "GET /tides.json | range: bytes=-0",
    "GET /tides.json | range: bytes=5-2",
    "GET /tides.json | range: bytes=0-9,20-29",
    "GET /tides.json | range: bytes=0-9,5-20",
    "GET /tides.json | range: bytes=a-b",
    "GET /tides.json | range: bytes=",
    "GET /tides.json | range: bytes",
    "GET /tides.json | range: lines=0-5",
    "GET /tides.json | range: BYTES=0-5",
    "GET /tides.json | range: bytes= 0-5",
    "HEAD /tides.json | range: bytes=0-99",
    "POST /tides.json | range: bytes=0-99",
    "GET /empty.txt | range: bytes=0-0",
    "GET /empty.txt | range: bytes=-5",
    "GET /missing | range: bytes=0-0",
    "GET /tides.json | range: bytes=0-99 | if-range: <tag>",
    "GET /tides.json | range: bytes=0-99 | if-range: <date>",
    "GET /tides.json | range: bytes=0-99 | if-range: \"other\"",
    "GET /tides.json | range: bytes=0-99 | if-range: W/<tag>",
    "GET /tides.json | range: bytes=0-99 | if-range: Tue, 14 Nov 2023 22:13:19 GMT",
    "GET /tides.json | range: bytes=0-99 | if-none-match: <tag>",
    "GET /tides.json | range: bytes=0-99 | accept-encoding: gzip",
    "GET /tides.json | range: bytes=0-99 | accept-encoding: gzip | if-range: <tag>",
    "GET /pixels.png | range: bytes=10-19",
];

/// Several ranges, beside the forms that stay an error.
pub(crate) const SEVERAL_RANGES: &[&str] = &[
    "GET /tides.json | range: bytes=0-9,20-29",
    "GET /tides.json | range: bytes=0-9,5-20",
    "GET /tides.json | range: bytes=999999-,0-1",
    "GET /tides.json | range: bytes=0-9",
    "GET /tides.json | range: bytes=999999-",
];

/// Directories with and without an index.
pub(crate) const DIRECTORIES: &[&str] =
    &["GET /", "GET /docs", "GET /docs/", "GET /docs/index.html", "GET /bare", "GET /bare/"];

/// Redirects, as a router that strips a prefix passes them.
pub(crate) const REDIRECTS: &[&str] =
    &["GET /docs", "GET /docs?page=2", "HEAD /docs", "GET /two%20words", "GET //docs"];

/// Files after a redeploy, by clients that have the earlier ones.
pub(crate) const REDEPLOYED: &[&str] = &[
    // The same bytes, of a later date.
    "GET /style.css | if-none-match: <tag>",
    // Other bytes, of the same length and date.
    "GET /robots.txt | if-none-match: <tag>",
    // Unchanged.
    "GET /notes.md | if-none-match: <tag>",
];

/// Pages without their extension.
pub(crate) const PAGES: &[&str] = &[
    "GET /about",
    "HEAD /about",
    "GET /about.html",
    "GET /about?page=2",
    "GET /about/",
    "GET /docs",
    "GET /docs/",
    "GET /LICENSE",
    "GET /404",
    "GET /missing",
    "GET /style",
];

/// Files with siblings, one of them with an old one.
pub(crate) const SIBLINGS: &[&str] = &[
    "GET /style.css",
    "GET /style.css | accept-encoding: br",
    "GET /style.css | accept-encoding: zstd",
    "GET /style.css | accept-encoding: gzip",
    "GET /style.css | accept-encoding: deflate",
    "HEAD /style.css | accept-encoding: gzip",
    "GET /style.css | accept-encoding: gzip | if-none-match: <tag>",
    "GET /style.css | accept-encoding: gzip | range: bytes=0-9",
    "GET /style.css | accept-encoding: identity;q=0",
    "GET /style.css.gz",
    "GET /stale.css",
    "GET /stale.css | accept-encoding: gzip",
    "GET /robots.txt | accept-encoding: gzip",
    "GET /pixels.png | accept-encoding: gzip",
    "GET /missing | accept-encoding: gzip",
];

/// Requests of which most come to a fallback.
pub(crate) const MISSING: &[&str] = &[
    "GET /style.css",
    "GET /missing",
    "HEAD /missing",
    "GET /missing/",
    "GET /missing | range: bytes=0-3",
    "GET /missing | if-none-match: *",
    "GET /bare/",
    "GET /.env",
    "GET /../outside.txt",
    "GET /%zz",
    "GET /%ff",
    "POST /style.css",
    "POST /missing",
    "OPTIONS /missing",
];

/// A service of one file.
pub(crate) const ONE_FILE: &[&str] = &[
    "GET /",
    "HEAD /",
    "GET /any/path",
    "GET /any/path/",
    "GET /../any",
    "GET /%zz",
    "GET / | accept-encoding: gzip",
    "GET / | if-none-match: <tag>",
    "GET / | if-modified-since: <date>",
    "GET / | range: bytes=0-9",
    "GET / | range: bytes=0-1,3-4",
    "GET / | range: bytes=999999-",
    "POST /",
    "OPTIONS /",
];

/// Files of a store of the program's own, in which `locked.txt` may not be read and `broken.txt`
/// cannot be.
pub(crate) const STORE: &[&str] = &[
    "GET /file.txt",
    "HEAD /file.txt",
    "GET /file.txt | range: bytes=0-4",
    "GET /file.txt | if-modified-since: <date>",
    "GET /missing.txt",
    "GET /locked.txt",
    "GET /broken.txt",
];
