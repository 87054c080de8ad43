//! Rules that no lint holds: the direction of dependencies, sizes, and the house's words.
//!
//! Every rule is a function from sources to complaints, with tests that show that it bites. The
//! sources are read with `syn`, so no rule needs a build of what it reads.

#![allow(clippy::disallowed_methods, reason = "this test reads the sources themselves")]

mod conditions;
mod declarations;
mod doors;
mod face;
mod guest;
mod impls;
mod imports;
mod layers;
mod life;
mod log_calls;
mod loose_ends;
mod mentions;
mod modules;
mod names;
mod one_line;
mod packages;
mod reasons;
mod rings;
mod sizes;
mod sources;
mod syntax;
