//! Chooses loom's primitives in the library's `sync` module, for this package alone: a flag in
//! `RUSTFLAGS` would build every dependency of the workspace a second time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=cachecompress_loom");
}
