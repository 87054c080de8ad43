//! A web application with axum, whose stored files go out by `sendfile`.
//!
//! - A [`Listener`] takes the place of tokio's. Its connections send what the cache has stored
//!   straight from the page cache, if it is longer than 32 KiB, and so without copying it.
//! - `into_make_service_with_connect_info::<Connection>()` tells the file service whose request it
//!   is. That is all: without either of them, files are read and written as they are anywhere else.
//! - It is for plain HTTP/1 on Linux. With TLS in between, keep to tokio's listener.
//! - Layers that look into bodies still work, but make them memory again.
//!
//! ```sh
//! cargo run -p cachecompress-examples --bin axum_sendfile [PORT [CACHE_DIR [DIR]]]
//! curl -sD- -o /dev/null -H 'accept-encoding: br' http://127.0.0.1:3000/tides.json
//! ```

use axum::Router;
use axum::routing::get;
use cachecompress::sendfile::{Connection, Listener};
use cachecompress::{Directory, ServeCompressed, Shutdown};
use cachecompress_examples::{StartError, cache, directory, interrupt, listen};

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let site = directory().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/site").into());
    let files = ServeCompressed::builder(Directory::new(site)?).cache(cache()?).build()?;

    let app = Router::new()
        .route("/api/health", get(|| async { "well\n" }))
        .fallback_service(files.clone())
        .into_make_service_with_connect_info::<Connection>();

    let interrupted = interrupt()?;
    axum::serve(Listener::from(listen().await?), app).with_graceful_shutdown(interrupted).await?;
    files.shutdown(Shutdown::Finish).await;
    Ok(())
}
