//! The `cachecompress` program.

fn main() {}
