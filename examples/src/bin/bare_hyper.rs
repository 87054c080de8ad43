//! A static file server of hyper and tokio alone, HTTP/1.1 and HTTP/2 on one port.
//!
//! - The service is wrapped for hyper, and cloned for each connection: clones share everything.
//! - A path that leads nowhere gets the site's own `404.html`, compressed as any other file.
//! - Header fields go with paths by glob.
//!
//! ```sh
//! cargo run -p cachecompress-examples --bin bare_hyper [PORT [CACHE_DIR [DIR]]]
//! curl -sD- -o /dev/null -H 'accept-encoding: zstd' http://127.0.0.1:3000/tides.json
//! ```

use std::time::Duration;

use cachecompress::{Directory, ServeCompressed};
use cachecompress_examples::{StartError, cache, directory, listen};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let site = directory().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/site").into());
    let files = ServeCompressed::builder(Directory::new(site)?)
        .cache(cache()?)
        .immutable(true)
        .default_cache_control("no-cache")
        .header("**/*.json", "access-control-allow-origin", "*")
        .not_found("404.html")
        .build()?;
    let service = TowerToHyperService::new(files);

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
