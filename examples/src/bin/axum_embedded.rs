//! A web application with axum, whose user interface is embedded in the program.
//!
//! - `/assets/` are files that `rust-embed` embedded, through `Router::nest_service`.
//! - Every path that no route knows belongs to a single-page application made in memory, through
//!   `Router::fallback_service`: navigations get its index, anything else is 404.
//! - Both keep their encoded files in one cache, beside an API route.
//! - Ctrl-C lets the requests and encodes that run come to their end.
//!
//! ```sh
//! cargo run -p cachecompress-examples --bin axum_embedded [PORT [CACHE_DIR]]
//! curl -sD- -o /dev/null -H 'accept-encoding: br' http://127.0.0.1:3000/assets/tides.json
//! ```
//!
//! tower-http's `CompressionLayer` is for what handlers make. Around a file service it would
//! encode, for every request again, what goes out as identity with good reason. A layer covers the
//! routes that were added before it, so the files come after it and stay outside:
//!
//! ```text
//! Router::new()
//!     .route("/api/greeting/{name}", get(greeting))
//!     .layer(CompressionLayer::new())
//!     .nest_service("/assets", assets)
//!     .fallback_service(pages)
//! ```

use axum::Router;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::get;
use cachecompress::{Embedded, Memory, ServeCompressed, Shutdown};
use cachecompress_examples::{StartError, cache, interrupt, listen};

#[derive(rust_embed::Embed)]
#[folder = "site/"]
struct Ui;

const INDEX: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>An application</title>
<link rel="stylesheet" href="/assets/style.css">
<h1>An application</h1>
<p>This page answers every path that the program does not know. Its files are in
<a href="/assets/">/assets/</a>.</p>
<p id="greeting"></p>
<script>
  fetch("/api/greeting/you").then((answer) => answer.text()).then((text) => {
    document.getElementById("greeting").textContent = text;
  });
</script>
</html>
"#;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let cache = cache()?;
    let assets = ServeCompressed::builder(Embedded::rust_embed::<Ui>())
        .cache(cache.clone())
        // Names such as `app.3f9c2b1a.js` for good, all others with a question each time.
        .immutable(true)
        .default_cache_control("no-cache")
        .build()?;
    let pages = ServeCompressed::builder(Memory::new().file("index.html", INDEX))
        .cache(cache)
        .spa(true)
        .build()?;

    let app = Router::new()
        .route("/api/greeting/{name}", get(greeting))
        // The nest cannot tell `/assets` from `/assets/`, where the index's links are right.
        .route("/assets", get(|| async { Redirect::permanent("/assets/") }))
        .nest_service("/assets/", assets.clone())
        .fallback_service(pages.clone());

    let interrupted = interrupt()?;
    axum::serve(listen().await?, app).with_graceful_shutdown(interrupted).await?;
    assets.shutdown(Shutdown::Finish).await;
    pages.shutdown(Shutdown::Finish).await;
    Ok(())
}

async fn greeting(Path(name): Path<String>) -> String {
    format!("Hello, {name}!")
}
