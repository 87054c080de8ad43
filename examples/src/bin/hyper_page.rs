//! The program of the book's page on hyper, which shows it from the next line on.

use std::time::Duration;

use cachecompress::{Cache, Directory, ServeCompressed};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let site = ServeCompressed::builder(Directory::new("dist")?)
        .cache(Cache::builder("/var/cache/my-app").max_bytes(500 << 20).build()?)
        .not_found("404.html")
        .build()?;
    let service = TowerToHyperService::new(site);
    let mut server = auto::Builder::new(TokioExecutor::new());
    // With a timer, hyper gives up on clients that do not finish a request's head in 30 s.
    server.http1().timer(TokioTimer::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    loop {
        let Ok((stream, _peer)) = listener.accept().await else {
            // Out of descriptors, as a rule; that passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (server, service) = (server.clone(), service.clone());
        tokio::spawn(async move {
            // A connection that breaks is the client's matter.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
