//! axum and tower-http's `ServeDir`, the usual file server of Rust programs.
//!
//! `tower-http-peer precompressed ADDRESS DIR` sends the precompressed files beside the originals.
//! `tower-http-peer compress ADDRESS DIR` compresses every response by `CompressionLayer`.

use std::process::ExitCode;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;

#[tokio::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (address, router) = match words.as_slice() {
        ["precompressed", address, dir] => {
            let files =
                ServeDir::new(dir).precompressed_gzip().precompressed_br().precompressed_zstd();
            (address, Router::new().fallback_service(files))
        }
        ["compress", address, dir] => {
            let files = Router::new().fallback_service(ServeDir::new(dir));
            (address, files.layer(CompressionLayer::new()))
        }
        _ => {
            eprintln!("usage: tower-http-peer precompressed|compress ADDRESS DIR");
            return ExitCode::from(2);
        }
    };
    match serve(address, router).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot serve on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str, router: Router) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?.tap_io(|stream| {
        // The option of a closed connection does not matter.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}
