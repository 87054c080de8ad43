//! Compresses the files of a directory in a build script and embeds them in the program.
//!
//! [`Precompress`] writes the code for
//! [`Embedded::precompressed`](cachecompress::Embedded::precompressed). A service over that answers the
//! first request for a file in its coding, without an encoder, a cache or a disk.
//!
//! # In a program
//!
//! ```toml
//! [dependencies]
//! cachecompress = { version = "0.1", default-features = false }
//!
//! [build-dependencies]
//! cachecompress-build = "0.1"
//!
//! # Cargo optimises no build script by itself, and encoders are a hundred times slower then.
//! [profile.dev.build-override]
//! opt-level = 3
//! [profile.release.build-override]
//! opt-level = 3
//! ```
//!
//! The features of `cachecompress` are those of encoders at run time. The program needs none of them for
//! the files that it embeds.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), cachecompress_build::Error> {
//!     cachecompress_build::Precompress::new("dist").exclude("**/*.map").write("ui")
//! }
//! ```
//!
//! ```text
//! // src/main.rs
//! use cachecompress::source::PrecompressedFile;
//! use cachecompress::{Embedded, ServeCompressed};
//!
//! static UI: &[PrecompressedFile] = include!(concat!(env!("OUT_DIR"), "/ui.rs"));
//!
//! let ui = ServeCompressed::builder(Embedded::precompressed(UI)).spa(true).build()?;
//! ```
//!
//! # What is embedded
//!
//! - Each file as it is, once for equal bytes, with its SHA-256.
//! - Each coding that saves at least 5 % of the file. It was decoded again and compared with the file.
//! - For the other codings the fact that they save too little. No encoder tries them at run time.
//!
//! Files of types that are compressed already, such as images, have no codings. Neither have files under
//! 256 bytes.
//!
//! # Features
//!
//! `brotli`, `gzip` and `zstd` are the codings, all of them by default. `zstd` needs a C compiler.

mod code;
mod encode;
mod error;
mod output;
mod precompress;
mod selection;

pub use error::Error;
pub use precompress::Precompress;
