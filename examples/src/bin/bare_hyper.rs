//! A static file server of hyper and tokio alone, HTTP/1.1 and HTTP/2 on one port.
//!
//! - The service is wrapped for hyper, and cloned for each connection: clones share everything.
//! - What leads nowhere goes to a fallback, which sends the site's own `404.html`, compressed as
//!   any other file.
//! - Header fields go with paths by glob.
//!
//! ```sh
//! cargo run -p cachecompress-examples --bin bare_hyper [PORT [CACHE_DIR [DIR]]]
//! curl -sD- -o /dev/null -H 'accept-encoding: zstd' http://127.0.0.1:3000/tides.json
//! ```

use std::convert::Infallible;
use std::time::Duration;

use cachecompress::{Body, Directory, ServeCompressed};
use cachecompress_examples::{StartError, cache, directory, listen};
use http::header::{ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let site = directory().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/site").into());
    let files = ServeCompressed::builder(Directory::new(site)?)
        .cache(cache()?)
        .immutable(true)
        .default_cache_control(HeaderValue::from_static("no-cache"))
        .header("**/*.json", ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))
        .build()?;
    let pages = files.clone();
    let site = files.fallback(tower::service_fn(move |request| not_found(pages.clone(), request)));
    let service = TowerToHyperService::new(site);

    let mut server = auto::Builder::new(TokioExecutor::new());
    // With a timer, hyper gives up on connections that do not finish a request's head in 30 s.
    server.http1().timer(TokioTimer::new());

    let listener = listen().await?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                // Out of descriptors, as a rule; that passes.
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (server, service) = (server.clone(), service.clone());
        tokio::spawn(async move {
            let connection = server.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}

/// The site's page for what it does not have. Of the request's fields only Accept-Encoding
/// matters: an error has no ranges, and is never "not modified".
async fn not_found<B>(
    pages: ServeCompressed,
    request: Request<B>,
) -> Result<Response<Body>, Infallible> {
    let (mut parts, _body) = request.into_parts();
    let accepted = std::mem::take(&mut parts.headers);
    for value in accepted.get_all(ACCEPT_ENCODING) {
        parts.headers.append(ACCEPT_ENCODING, value.clone());
    }
    let mut response = pages.serve("404.html", &parts).await;
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}
