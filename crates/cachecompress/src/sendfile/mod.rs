//! Sends stored files from the page cache by `sendfile(2)`, below hyper, which knows nothing of it.
//!
//! A body gives hyper a piece of memory that a stored file is mapped to. hyper passes that very
//! address to the connection's [`Stream`]. The stream knows the addresses that its bodies gave out,
//! and sends the file in place of the memory. The memory is never read, so it costs no page fault.
//! A layer that does read it sees the file's content.
//!
//! - Only stored files are mapped, because nobody ever writes to them again. A source is mapped only
//!   if the application says that it is never overwritten in place
//!   ([`Builder::sendfile_sources`](crate::Builder::sendfile_sources)).
//! - Only a request with the [`Connection`] gets mapped memory, and only over HTTP/1, whose bodies
//!   go to the connection unchanged. Do not hand it out if TLS lies between.
//! - Memory that was given out stays mapped as long as anybody has it, so an address is never another
//!   file's.
//! - It works on Linux. On other platforms a [`Stream`] is a socket like any other.
//!
//! With axum (feature `axum`) a [`Listener`] serves as it is:
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn serve(files: cachecompress::ServeCompressed) -> std::io::Result<()> {
//! use cachecompress::sendfile::{Connection, Listener};
//!
//! let listener = Listener::from(tokio::net::TcpListener::bind("127.0.0.1:3000").await?);
//! let app = axum::Router::new().fallback_service(files);
//! axum::serve(listener, app.into_make_service_with_connect_info::<Connection>()).await
//! # }
//! ```
//!
//! With hyper, serve a [`Stream`] and give each of its requests to
//! [`ServeCompressed::on`](crate::ServeCompressed::on) the stream's connection.

mod connection;
mod listener;
mod map;
mod stream;
#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use listener::Listener;
pub(crate) use map::Mapping;
pub use stream::Stream;
