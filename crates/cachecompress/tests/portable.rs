//! The tests of `it` under a name that the program's tests do not have.
//!
//! `cargo xtask test` runs them over the portable fallbacks.

#[path = "it/main.rs"]
mod it;

use it::fixture;
