//! Compresses the user interface and embeds it in the program.

use cachecompress_build::{Error, Precompress};

fn main() -> Result<(), Error> {
    // The template is filled in for each request, so it is embedded by `include_str!` instead.
    Precompress::new("ui").exclude("admin.html").write("ui")
}
