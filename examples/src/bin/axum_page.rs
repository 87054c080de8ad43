//! The program of the book's page on axum, which shows it from the next line on.

use axum::Router;
use axum::routing::get;
use cachecompress::{Cache, Directory, ServeCompressed, Shutdown};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder("/var/cache/my-app").max_bytes(500 << 20).build()?;
    let site = ServeCompressed::builder(Directory::new("dist")?)
        .cache(cache)
        .immutable(true)
        .default_cache_control("no-cache")
        .spa(true)
        .spa_except("api/**")
        .build()?;
    let app = Router::new()
        .route("/api/tides", get(|| async { "low at 4:10" }))
        .fallback_service(site.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    site.shutdown(Shutdown::Finish).await;
    Ok(())
}

async fn interrupted() {
    // An error means that no signal can be caught. Then the program serves until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
