//! A web application with axum, whose replicas share what one of them has encoded.
//!
//! - Two lines open the store and hand it to the service. Without them each replica encodes for itself.
//! - The store is a directory, or a URL: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`,
//!   `az://CONTAINER/PREFIX`. Credentials come from the usual variables (`AWS_ACCESS_KEY_ID`,
//!   `AWS_ENDPOINT_URL` and so on).
//! - A store that is away costs the sharing alone: a warning is logged, and files are encoded here.
//! - `shutdown` waits some seconds for the entries that are still to be stored for others.
//!
//! Two replicas on one machine, each with a cache of its own. The second imports what the first has made:
//!
//! ```sh
//! cargo run -p cachecompress-examples --bin axum_shared_tier 3000 /tmp/first DIR [STORE]
//! cargo run -p cachecompress-examples --bin axum_shared_tier 3001 /tmp/second DIR [STORE]
//! curl -sD- -o /dev/null -H 'accept-encoding: br' http://127.0.0.1:3000/large.js
//! curl -sD- -o /dev/null -H 'accept-encoding: br' http://127.0.0.1:3001/large.js
//! ```
//!
//! `Cache-Status` of the second answer ends with `detail=tier`, if the encode of the file takes longer than
//! the answer of the store: some megabytes do.

use axum::Router;
use axum::routing::get;
use cachecompress::tier::Tier;
use cachecompress::{Directory, ServeCompressed, Shutdown};
use cachecompress_examples::{StartError, cache, directory, interrupt, listen};

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let site = directory().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/site").into());
    let tier = Tier::new(store()?)?;
    let files =
        ServeCompressed::builder(Directory::new(site)?).cache(cache()?).tier(tier).build()?;

    let app = Router::new()
        .route("/api/health", get(|| async { "well\n" }))
        .fallback_service(files.clone());

    let interrupted = interrupt()?;
    axum::serve(listen().await?, app).with_graceful_shutdown(interrupted).await?;
    files.shutdown(Shutdown::Finish).await;
    Ok(())
}

/// The store of the fourth argument; without one, a directory that all replicas on this machine share.
fn store() -> Result<String, StartError> {
    if let Some(store) = std::env::args().nth(4) {
        return Ok(store);
    }
    let shared = std::env::temp_dir().join("cachecompress-shared");
    std::fs::create_dir_all(&shared)?;
    Ok(shared.into_os_string().into_string().map_err(|path| format!("no text: {path:?}"))?)
}
