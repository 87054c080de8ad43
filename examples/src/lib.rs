//! What the runnable examples in `src/bin` have in common: their arguments,
//! `[PORT [CACHE_DIR [DIR]]]`.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use cachecompress::Cache;
use tokio::net::TcpListener;

/// Whatever may go wrong at the start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Listens on the port that the first argument names, 3000 without one, and says so.
///
/// # Errors
///
/// If the argument is no port, or the port is taken.
pub async fn listen() -> io::Result<TcpListener> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| io::Error::other(format!("no port: {port:?}")))?,
        None => 3000,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// The most that a cache takes; one file may have a quarter of it.
const CACHE_BYTES: u64 = 512 << 20;

/// A cache in the directory that the second argument names, so that a restart encodes nothing
/// again; without one, in memory.
///
/// # Errors
///
/// If the argument is empty.
pub fn cache() -> Result<Cache, cachecompress::Error> {
    match std::env::args_os().nth(2) {
        Some(directory) => Cache::builder(PathBuf::from(directory)).max_bytes(CACHE_BYTES).build(),
        None => Ok(Cache::in_memory(CACHE_BYTES)),
    }
}

/// The directory that the third argument names, if there is one.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    std::env::args_os().nth(3).map(PathBuf::from)
}
