//! A web application in one file: its user interface was compressed when the program was built.
//!
//! - `/` and every path of a navigation that leads nowhere is the page of a single-page application.
//! - `/assets/` has files whose names hold a hash, which browsers keep for a year.
//! - `/admin` is a template that is filled in for each request. Its scripts and styles are the embedded
//!   ones.
//! - `/api/greeting/{name}` is a route.
//!
//! ```sh
//! cd examples/embedded-ui
//! APP_TITLE='My app' cargo run [PORT]
//! curl -sD- -o /dev/null -H 'accept-encoding: br' http://127.0.0.1:3000/assets/app.9f86d081884c7d65.js
//! ```
//!
//! The program has no encoder, and makes no directory for a cache.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use cachecompress::source::PrecompressedFile;
use cachecompress::{Embedded, ServeCompressed};
use tokio::net::TcpListener;

/// The files of `ui/`, with their codings.
static UI: &[PrecompressedFile] = include!(concat!(env!("OUT_DIR"), "/ui.rs"));

/// The template of `/admin`.
const ADMIN: &str = include_str!("../ui/admin.html");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let ui = ServeCompressed::builder(Embedded::precompressed(UI))
        .spa(true)
        .spa_except("api/**")
        // Names such as `app.9f86d081884c7d65.js` for good, all others with a question each time.
        .immutable(true)
        .default_cache_control("no-cache")
        .build()?;
    let title = std::env::var("APP_TITLE").unwrap_or_else(|_| "An application".to_owned());
    let app = Router::new()
        .route("/api/greeting/{name}", get(greeting))
        .route("/admin", get(admin))
        .route("/admin/{*view}", get(admin))
        .with_state(Arc::from(title))
        .fallback_service(ui);

    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Fills the template in with the configured title and the user that a proxy in front has signed in.
async fn admin(State(title): State<Arc<str>>, headers: HeaderMap) -> impl IntoResponse {
    let user = headers.get("x-user").and_then(|user| user.to_str().ok()).unwrap_or("nobody");
    let page = ADMIN.replace("{{title}}", &escape(&title)).replace("{{user}}", &escape(user));
    ([(CACHE_CONTROL, "private, no-store")], Html(page))
}

/// Escapes a text for HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // The second value is filled in after the first, whose braces must not count.
            '{' => escaped.push_str("&#123;"),
            other => escaped.push(other),
        }
    }
    escaped
}

async fn greeting(Path(name): Path<String>) -> String {
    format!("Hello, {name}!")
}
