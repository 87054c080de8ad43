//! A control plane that hands binaries to its agents: each is compressed for the first of them,
//! while it downloads, and comes from the cache for the next two thousand.
//!
//! - A handler decides who may have what, then leaves the answer to `ServeCompressed::serve`.
//! - `X-Original-Content-Length` is the size on the agent's disk, so that it can show progress.
//! - Files beneath `releases/` never change under their name and say so; `latest/` does.
//! - Validators and ranges come with it: a download that broke off is resumed, one that is there
//!   already is a 304.
//!
//! ```sh
//! DOWNLOAD_TOKEN=secret \
//!     cargo run -p cachecompress-examples --bin download_server [PORT [CACHE_DIR [DIR]]]
//! curl -sD- -o agent --compressed -H 'authorization: Bearer secret' \
//!     http://127.0.0.1:3000/download/download_server
//! ```
//!
//! Without a DIR it hands out its own folder, and so itself.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use cachecompress::{Digest, Directory, RequestOptions, ServeCompressed};
use cachecompress_examples::{StartError, cache, directory, listen};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

#[derive(Clone)]
struct Downloads {
    files: ServeCompressed,
    /// Of the token: comparing digests tells nobody by its duration how much was right.
    token: Digest,
}

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let token = std::env::var("DOWNLOAD_TOKEN")
        .map_err(|_| "set DOWNLOAD_TOKEN to what agents must present as their bearer token")?;
    let directory = match directory() {
        Some(directory) => directory,
        None => std::env::current_exe()?.parent().ok_or("a program in no folder")?.to_owned(),
    };
    // `private`: what needs a token is not for shared caches.
    let files = ServeCompressed::builder(Directory::new(directory)?)
        .cache(cache()?)
        .original_length(true)
        .default_cache_control("private, no-cache")
        .header("releases/**", CACHE_CONTROL, "private, max-age=31536000, immutable")
        .build()?;
    let downloads = Downloads { files, token: Digest::of(token.as_bytes()) };
    let app = Router::new().route("/download/{*path}", get(download)).with_state(downloads);
    axum::serve(listen().await?, app).await?;
    Ok(())
}

async fn download(
    State(downloads): State<Downloads>,
    Path(path): Path<String>,
    mut parts: Parts,
) -> Response {
    if !downloads.admits(&parts.headers) {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response();
    }
    // Fields for this one answer; `codings` would restrict what it may be encoded in.
    let options =
        RequestOptions::new().header(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    parts.extensions.insert(options);
    downloads.files.serve(&path, &parts).await.into_response()
}

impl Downloads {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let token = headers.get(AUTHORIZATION).and_then(|value| bearer_token(value.as_bytes()));
        token.is_some_and(|token| Digest::of(token) == self.token)
    }
}

/// RFC 6750 §2.1; the scheme's name is not sensitive to case (RFC 9110 §11.1).
fn bearer_token(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = credentials.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}
