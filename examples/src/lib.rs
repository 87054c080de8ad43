//! Arguments and signals of the runnable examples in `src/bin`: `[PORT [CACHE_DIR [DIR]]]`.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use cachecompress::Cache;
use tokio::net::TcpListener;

/// Any error at the start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Listens on the port of the first argument, 3000 without one, and prints the address.
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

/// Catches Ctrl-C from now on. The future ends at the first one.
///
/// To be called before the server tells its address: a signal that comes before the first poll of
/// `tokio::signal::ctrl_c` would end the program, or be lost.
///
/// # Errors
///
/// If the system lets no signal be caught.
pub fn interrupt() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    #[cfg(windows)]
    let mut signal = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        signal.recv().await;
    })
}

/// The bytes of a cache. One file may take a quarter of them.
const CACHE_BYTES: u64 = 512 << 20;

/// A cache in the directory of the second argument, which a restart finds again; without one, in
/// memory.
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

/// The directory of the third argument, if there is one.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    std::env::args_os().nth(3).map(PathBuf::from)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// An example that got its signal before it had asked for one did not end for 20 seconds.
    #[tokio::test]
    async fn interrupt_keeps_a_signal_that_comes_before_the_first_poll() {
        let interrupted = interrupt().expect("a signal");
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT)
            .expect("a signal to oneself");
        tokio::time::timeout(std::time::Duration::from_secs(60), interrupted)
            .await
            .expect("the signal is kept");
    }
}
