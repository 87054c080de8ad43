//! The configuration file, TOML whose keys are the flags.
//!
//! The values of the file are given to clap as the defaults of the flags, each after the flag's own
//! parser has taken it. A flag therefore wins over its variable, that over the file, and that over
//! the default, and a new flag is a key without further code.

mod document;
mod key;
mod mistake;
mod nearest;
mod print;
mod resolve;
mod rules;
mod schema;
mod settings;
mod table_keys;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use key::Keys;
pub(crate) use mistake::Mistakes;
pub(crate) use nearest::nearest;
pub(crate) use print::print;
pub(crate) use resolve::{InForce, Origin, resolve};
pub(crate) use schema::schema;
pub(crate) use settings::{Setting, settings};
