//! The program of the README, which shows it from the next line on.

use axum::Router;
use cachecompress::{Cache, Directory, ServeCompressed};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder("/var/cache/my-app").max_bytes(500 << 20).build()?;
    let site =
        ServeCompressed::builder(Directory::new("dist")?).cache(cache).immutable(true).build()?;
    let app = Router::new().nest_service("/assets", site);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await?;
    Ok(())
}
